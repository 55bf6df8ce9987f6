/**
 * The test of a regular expression, anchored at both ends; its dot matches line breaks too.
 *
 * Alternatives of plain text, as dashboards send them by the thousand, need no regular expression: `a|b\.c`, `a.*|.*b`, `pod-(1|2|3)`,
 * `(a|b).*`, `^(a|b)$`.
 * Any other is charged to the request's budget, and its syntax checked. It is compiled when the first value is tested, which a worker does.
 *
 * What must stay true: both ways give the same answer (a property in the test).
 */
import { invalidArgument, messageOf } from "@pyromesh/base";
import { RE2JS, RE2Set } from "re2js";
import type { RegexBudget } from "./regex-budget.ts";

export type ValueTest = (value: string) => boolean;

export interface ValuePattern {
  readonly matches: ValueTest;
  /** The work of one test, in steps of an `Interrupt`. */
  readonly steps: number;
}

/** `label` names the matcher in an error. Throws `REGEX_INVALID` or `REGEX_TOO_LARGE`. */
export function valuePattern(pattern: string, label: string, budget: RegexBudget): ValuePattern {
  const plain = plainPattern(pattern);
  if (plain !== undefined) return plain;
  const charge = budget.take(pattern, label);
  checkSyntax(pattern);
  return { matches: compiledTest(pattern), steps: charge * STEPS_PER_CHARGE };
}

/** Steps of comparing a value with one text, or of finding it in a set. */
const PLAIN_STEPS = 1;
/** Steps of each text that is searched at the beginning, at the end or anywhere in a value. */
const SEARCH_STEPS = 8;

/** At its worst the engine looks at each instruction for each character. 32: as many characters as most values have. */
const STEPS_PER_CHARGE = 32;

/** Values whose answer is remembered, since a label has the same few values in every segment. At the bound all are forgotten. */
const REMEMBERED_COUNT_MAX = 4096;

function compiledTest(pattern: string): ValueTest {
  let regex: RE2JS | undefined;
  const remembered = new Map<string, boolean>();
  return (value) => {
    let isMatch = remembered.get(value);
    if (isMatch === undefined) {
      regex ??= RE2JS.compile(pattern, RE2JS.DOTALL);
      isMatch = regex.testExact(value);
      if (remembered.size >= REMEMBERED_COUNT_MAX) remembered.clear();
      remembered.set(value, isMatch);
    }
    return isMatch;
  };
}

/** Expressions whose syntax was found right, since dashboards send the same ones again and again. At the bound all are forgotten. No answer depends on it. */
const CHECKED_COUNT_MAX = 256;
const checked = new Set<string>();

/** `RE2Set.add` parses an expression without compiling it: a third of the work. */
function checkSyntax(pattern: string): void {
  if (checked.has(pattern)) return;
  try {
    new RE2Set(RE2Set.ANCHOR_BOTH, RE2JS.DOTALL).add(pattern);
  } catch (error) {
    // The engine's message may quote all of the expression, with flags of its own in front.
    throw invalidArgument("REGEX_INVALID", messageOf(error).replace("(?s)", "").slice(0, SYNTAX_MESSAGE_LENGTH_MAX), error);
  }
  if (checked.size >= CHECKED_COUNT_MAX) checked.clear();
  checked.add(pattern);
}

const SYNTAX_MESSAGE_LENGTH_MAX = 300;

// --- plain text -------------------------------------------------------------------------------------------------------

/** Alternatives, perhaps in one group with text before and behind. Undefined where a regular expression is needed. */
function plainPattern(pattern: string): ValuePattern | undefined {
  const open = unescaped(pattern, "(", 0);
  if (open === -1) return plainAlternatives(pattern);
  const close = unescaped(pattern, ")", open);
  if (close === -1) return undefined;
  const inner = pattern.slice(pattern.startsWith("(?:", open) ? open + 3 : open + 1, close);
  return plainAlternatives(inner, pattern.slice(0, open), pattern.slice(close + 1));
}

/** Text around a group is put around each of its alternatives: `(a|b).*` means `a.*|b.*`. It adds this many characters at most; beyond, a regular expression is used. */
const AROUND_LENGTH_MAX = 2 ** 20;
/** At the beginning of an alternative, or behind a group, these do not repeat a single character: a regular expression is needed. */
const REPETITION = /^[*+?{]/;

function plainAlternatives(text: string, before = "", behind = ""): ValuePattern | undefined {
  if (REPETITION.test(behind)) return undefined;
  const literals = new Set<string>();
  const tests: ValueTest[] = [];
  let aroundLength = 0;
  for (let from = 0; ; ) {
    const bar = unescaped(text, "|", from);
    const own = text.slice(from, bar === -1 ? text.length : bar);
    aroundLength += before.length + behind.length;
    if (REPETITION.test(own) || aroundLength > AROUND_LENGTH_MAX) return undefined;
    const alternative = alternativeOf(before + own + behind);
    if (alternative === undefined) return undefined;
    if (typeof alternative === "string") literals.add(alternative);
    else tests.push(alternative);
    if (bar === -1) break;
    from = bar + 1;
  }
  const steps = PLAIN_STEPS + SEARCH_STEPS * tests.length;
  if (tests.length === 1 && literals.size === 0) return { matches: tests[0]!, steps };
  if (tests.length > 0) return { matches: (value) => literals.has(value) || tests.some((test) => test(value)), steps };
  if (literals.size > 1) return { matches: (value) => literals.has(value), steps };
  const [only] = literals;
  return { matches: (value) => value === only, steps };
}

/** Text, or text with `.*` or `.+` before or behind it. `^` and `$` at the ends change nothing, since the whole value is matched anyway. */
function alternativeOf(anchored: string): string | ValueTest | undefined {
  const alternative = withoutAnchors(anchored);
  const before = alternative.startsWith(".*") || alternative.startsWith(".+") ? alternative.slice(0, 2) : "";
  const rest = alternative.slice(before.length);
  const behind = rest.endsWith(".*") || rest.endsWith(".+") ? rest.slice(-2) : "";
  const text = literalOf(rest.slice(0, rest.length - behind.length));
  if (text === undefined) return undefined;
  switch (before + behind) {
    case "":
      return text;
    case ".*":
      if (text === "") return () => true;
      return before === "" ? (value) => value.startsWith(text) : (value) => value.endsWith(text);
    case ".+":
      if (text === "") return (value) => value !== "";
      return before === ""
        ? (value) => value.length > text.length && value.startsWith(text)
        : (value) => value.length > text.length && value.endsWith(text);
    case ".*.*":
      return (value) => value.includes(text);
    default:
      return undefined;
  }
}

function withoutAnchors(text: string): string {
  let backslashCount = 0;
  while (text[text.length - 2 - backslashCount] === "\\") backslashCount++;
  const isEndAnchored = text.endsWith("$") && backslashCount % 2 === 0;
  return text.slice(text.startsWith("^") ? 1 : 0, isEndAnchored ? -1 : undefined);
}

/** `b\.c` as "b.c"; undefined where anything but literal text occurs. */
function literalOf(text: string): string | undefined {
  if (!META.test(text)) return text;
  let literal = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === "\\") {
      const escaped = text[++at];
      if (escaped === undefined || !ESCAPED_PUNCTUATION.test(escaped)) return undefined;
      literal += escaped;
    } else if (META.test(char)) {
      return undefined;
    } else {
      literal += char;
    }
  }
  return literal;
}

const META = /[.+*?()[\]{}^$|\\]/;
const ESCAPED_PUNCTUATION = /^[!-/:-@[-`{-~]$/;

/** Where `char` stands without a backslash before it, from `from` on; -1: nowhere. */
function unescaped(text: string, char: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === char) return at;
  }
  return -1;
}
