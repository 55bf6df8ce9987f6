/** A question as a text: equal texts get equal answers. Pure. */
import { createHash } from "node:crypto";

/** Longer ones are told by their hash: a queue of questions must not hold the bytes of all their selectors twice. */
const KEY_LENGTH_MAX = 256;

/** `method`: which answer is asked for, in which form. `questions`: all that it depends on; matchers may stand in any order. */
export function questionKey(method: string, questions: readonly unknown[]): string {
  const text = JSON.stringify([method, ...questions], plain);
  return text.length <= KEY_LENGTH_MAX ? text : createHash("sha256").update(text).digest("base64");
}

/** Keys in order; bytes and bigints as texts; of a matcher what it says, and matchers in order, since all of them must match. */
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
