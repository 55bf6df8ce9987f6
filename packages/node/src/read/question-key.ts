/** Turns a question into a text, such that questions with equal texts have equal answers. Pure. */
import { createHash } from "node:crypto";

/** A longer text is replaced by its hash, so that a queue of questions does not hold the bytes of long selectors twice. */
const KEY_LENGTH_MAX = 256;

/** `method` names the kind of answer. `questions` are all arguments that it depends on; the order of matchers makes no difference. */
export function questionKey(method: string, questions: readonly unknown[]): string {
  const text = JSON.stringify([method, ...questions], plain);
  return text.length <= KEY_LENGTH_MAX ? text : createHash("sha256").update(text).digest("base64");
}

/** Sorts keys, prints bytes and bigints as texts, and sorts the matchers of a selector: all of them must match, so their order does not matter. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
  if (Array.isArray(value)) return value.length > 1 && value.every(isMatcher) ? value.map(matcherText).sort() : value;
  if (isMatcher(value)) return matcherText(value);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface MatcherLike {
  readonly name: string;
  readonly operator: string;
  readonly value: string;
}

function isMatcher(value: unknown): value is MatcherLike {
  return typeof value === "object" && value !== null && "operator" in value && "name" in value && "value" in value;
}

function matcherText({ name, operator, value }: MatcherLike): string {
  return JSON.stringify([name, operator, value]);
}
