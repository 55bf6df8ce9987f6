/**
 * Reads a flame graph from the API's answer, as stacktraces.
 *
 *   levels[depth].values: chunks of 4: gap to the bar before, total, self, index of the name. Level 0 is the whole.
 *   A bar belongs to the bar above that it lies under.
 */
import { CodedError } from "@pyromesh/base";
import type { Int64 } from "@pyromesh/profile";
import { shownName } from "./shown-name.ts";

export interface ReplyStacktrace {
  /** From the root on, without the bar of the whole. */
  readonly names: readonly string[];
  readonly self: Int64;
}

export interface FlameGraphReply {
  readonly stacktraces: readonly ReplyStacktrace[];
  readonly total: bigint;
}

/** Throws `REPLY_INVALID`. */
export function readFlameGraphReply(reply: unknown): FlameGraphReply {
  const flameGraph = property(reply, "flamegraph");
  if (flameGraph === undefined) return { stacktraces: [], total: 0n };
  const names = list(property(flameGraph, "names")).map(String);
  const levels = list(property(flameGraph, "levels")).map((level) => list(property(level, "values")).map(toBigInt));
  const stacktraces: ReplyStacktrace[] = [];
  let above: readonly Bar[] = [];
  for (const values of levels) {
    const bars = barsOf(values, names, above);
    for (const bar of bars) if (bar.self > 0n && bar.depth > 0) stacktraces.push({ names: pathOf(bar), self: toInt64(bar.self) });
    above = bars;
  }
  return { stacktraces, total: toBigInt(property(flameGraph, "total") ?? "0") };
}

/** `root;child;leaf 42`, one stacktrace a line, as flame graph tools take it. A semicolon in a name becomes a colon. */
export function printFolded(stacktraces: readonly ReplyStacktrace[]): string {
  return stacktraces.map(({ names, self }) => `${names.map((name) => shownName(name).replace(/[;\r\n]/g, (found) => (found === ";" ? ":" : " "))).join(";")} ${self}\n`).join("");
}

interface Bar {
  readonly name: string;
  readonly depth: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly self: bigint;
  readonly parent: Bar | undefined;
}

function barsOf(values: readonly bigint[], names: readonly string[], above: readonly Bar[]): Bar[] {
  if (values.length % 4 !== 0) throw invalid("a level that is not a row of four numbers");
  const bars: Bar[] = [];
  let at = 0n;
  let parentIndex = 0;
  for (let i = 0; i < values.length; i += 4) {
    const [gap, total, self, nameIndex] = values.slice(i, i + 4) as [bigint, bigint, bigint, bigint]; // the length was checked
    const name = names[Number(nameIndex)];
    if (name === undefined) throw invalid("a bar without a name");
    at += gap;
    while (parentIndex < above.length - 1 && above[parentIndex]!.end <= at) parentIndex++;
    const parent = above[parentIndex];
    bars.push({ name, depth: parent === undefined ? 0 : parent.depth + 1, start: at, end: at + total, self, parent });
    at += total;
  }
  return bars;
}

function pathOf(bar: Bar): string[] {
  const names: string[] = [];
  for (let at: Bar | undefined = bar; at !== undefined && at.depth > 0; at = at.parent) names.push(at.name);
  return names.reverse();
}

function property(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid("something that is not a list");
  return value;
}

/** In Connect's JSON an int64 is a text; a number is accepted too. */
function toBigInt(value: unknown): bigint {
  try {
    return BigInt(value as string | number);
  } catch {
    throw invalid("something that is not a whole number");
  }
}

function toInt64(value: bigint): Int64 {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function invalid(found: string): CodedError {
  return new CodedError({ code: "REPLY_INVALID", kind: "internal", message: `the flame graph in the answer holds ${found}: is this a Pyromesh or a Pyroscope?` });
}
