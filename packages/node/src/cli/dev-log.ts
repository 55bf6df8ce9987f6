/**
 * One log of several nodes, for people: each line begins with its node's name, in a colour of its own, and the log's JSON becomes words.
 *
 *   node-1 | 12:00:00.123 info  ready segments=0 store=0f1e...
 */
const COLORS = [36, 33, 35, 32, 34, 31, 96, 93, 95];

export function devLine(node: { readonly name: string; readonly index: number }, line: string, hasColor: boolean): string {
  const prefix = `${node.name} |`;
  return `${hasColor ? `\u001b[${COLORS[node.index % COLORS.length]}m${prefix}\u001b[0m` : prefix} ${wordsOf(line)}\n`;
}

/** A line that is no log record, such as a stack printed by Node.js, stays as it is. */
function wordsOf(line: string): string {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof record !== "object" || record === null || !("msg" in record) || !("level" in record)) return line;
  const { level, time, msg, ...fields } = record as Record<string, unknown>;
  const clock = typeof time === "string" ? (/T([\d:.]+)/.exec(time)?.[1] ?? time) : "";
  const more = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`);
  return `${clock} ${String(level).padEnd(5)} ${String(msg)}${more.join("")}`;
}

function fieldText(value: unknown): string {
  if (typeof value === "string") return /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
  // Of an error its message: the stack is in the log of a node that is run by itself.
  if (typeof value === "object" && value !== null && "message" in value && typeof value.message === "string") return JSON.stringify(value.message);
  return JSON.stringify(value) ?? "";
}
