/**
 * Selectors: `{service_name="api", zone=~"eu.*"}`, Prometheus' own, with a linear-time regular expression engine.
 *
 * A regular expression must match the whole value, and its dot matches line breaks too. Errors say where, as line:column
 * (1-based, in code units), so that a user finds the place in a long query.
 */
import { CodedError, decodeUtf8, encodeUtf8, invalidArgument, messageOf } from "@pyromesh/base";
import { SERIES_STEPS } from "../model/interrupt.ts";
import type { Labels } from "../labels/labels.ts";
import { LABEL_NAME, labelValue } from "../labels/labels.ts";
import type { ProfileType } from "../labels/profile-type.ts";
import { parseProfileType, printProfileType } from "../labels/profile-type.ts";
import { RegexBudget } from "./regex-budget.ts";
import { valuePattern } from "./value-pattern.ts";

export interface Matcher {
  readonly name: string;
  readonly operator: "=" | "!=" | "=~" | "!~";
  readonly value: string;
  /** True when a series whose label `name` is `value` ("" when absent) matches. */
  readonly matches: (value: string) => boolean;
  /** The work of one test, in steps of an `Interrupt`. */
  readonly steps: number;
}

/** A selector that may name a profile type, or a `__name__`, before the braces. */
export interface ParsedQuery {
  readonly profileType: ProfileType | undefined;
  /** The profile type's five parts joined by colons, or "". */
  readonly typeId: string;
  readonly matchers: readonly Matcher[];
}

/** In characters. Grafana sends alternatives of thousands of values; a longer selector is refused before it is parsed. */
export const SELECTOR_LENGTH_MAX: number = 64 * 1024;

/**
 * `{a="b"}` or `name{a="b"}`. Throws `SELECTOR_INVALID`, `REGEX_INVALID` or `REGEX_TOO_LARGE`. A request that has several selectors
 * passes one budget to all of them.
 */
export function parseSelector(text: string, budget: RegexBudget = new RegexBudget()): Matcher[] {
  const { name, matchers } = new SelectorParser(text, budget).parse();
  return name === "" ? matchers : [makeMatcher(LABEL_NAME, "=", name), ...matchers];
}

/** `process_cpu:cpu:nanoseconds:cpu:nanoseconds{a="b"}` or `memory{a="b"}`; the name may be a matcher, too. Throws as `parseSelector`. */
export function parseQuery(text: string, budget: RegexBudget = new RegexBudget()): ParsedQuery {
  const parsed = new SelectorParser(text, budget).parse();
  const nameMatcher = parsed.matchers.find((matcher) => matcher.name === LABEL_NAME && matcher.operator === "=");
  const name = parsed.name || (nameMatcher?.value ?? "");
  const matchers = parsed.matchers.filter((matcher) => matcher !== nameMatcher);
  const colons = name.split(":").length;
  if (colons === 5 || colons === 6) {
    const profileType = parseProfileType(name);
    return { profileType, typeId: printProfileType(profileType), matchers };
  }
  return {
    profileType: undefined,
    typeId: "",
    matchers: name === "" ? matchers : [makeMatcher(LABEL_NAME, "=", name), ...matchers],
  };
}

/** The work of matching the labels of one series, in steps of an `Interrupt`. */
export function seriesSteps(selectors: readonly (readonly Matcher[])[]): number {
  let steps = SERIES_STEPS;
  for (const selector of selectors) for (const matcher of selector) steps += matcher.steps;
  return steps;
}

export function matchesLabels(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matcher.matches(labelValue(labels, matcher.name) ?? ""));
}

/** Throws `REGEX_INVALID`, or `REGEX_TOO_LARGE` where the request's expressions together would be. */
export function makeMatcher(name: string, operator: Matcher["operator"], value: string, budget: RegexBudget = new RegexBudget()): Matcher {
  switch (operator) {
    case "=":
      return { name, operator, value, matches: (candidate) => candidate === value, steps: 1 };
    case "!=":
      return { name, operator, value, matches: (candidate) => candidate !== value, steps: 1 };
    case "=~":
      return { name, operator, value, ...valuePattern(value, `${name}${operator}`, budget) };
    case "!~": {
      const { matches, steps } = valuePattern(value, `${name}${operator}`, budget);
      return { name, operator, value, matches: (candidate) => !matches(candidate), steps };
    }
  }
}

const UNTIL_DOUBLE_QUOTE = /[^"\\\n]+/y;
const UNTIL_QUOTE = /[^'\\\n]+/y;
const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
/** Wider than Prometheus: a profile type may hold any unit a profiler came up with. */
const METRIC_NAME = /[^\s{}"'`,=!~#]+/y;
const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, "\\": 92 };

class SelectorParser {
  readonly #text: string;
  readonly #budget: RegexBudget;
  #at = 0;

  constructor(text: string, budget: RegexBudget) {
    this.#text = text;
    this.#budget = budget;
  }

  parse(): { readonly name: string; readonly matchers: Matcher[] } {
    if (this.#text.length > SELECTOR_LENGTH_MAX) {
      throw invalidArgument(
        "SELECTOR_INVALID",
        `the selector has ${this.#text.length} characters, more than ${SELECTOR_LENGTH_MAX}: match with a shorter regular expression`,
      );
    }
    this.#skipBlank();
    if (this.#isAtEnd()) this.#fail("unexpected end of input: an empty selector is written {}");
    let name = this.#take(METRIC_NAME) ?? "";
    const matchers: Matcher[] = [];
    this.#skipBlank();
    if (this.#char() === "{") {
      this.#at++;
      name = this.#parseBraces(name, matchers);
      this.#skipBlank();
    } else if (name === "") {
      this.#fail(`unexpected ${this.#found()}, expected {`);
    }
    if (!this.#isAtEnd()) this.#fail(`unexpected ${this.#found()} after the selector`);
    return { name, matchers };
  }

  /** Reads from behind the opening brace to behind the closing one. Returns the metric name, which may stand inside, in quotes. */
  #parseBraces(nameBefore: string, matchers: Matcher[]): string {
    let name = nameBefore;
    for (;;) {
      this.#skipBlank();
      if (this.#char() === "}") break;
      const start = this.#at;
      const isQuoted = this.#isAtQuote();
      const label = isQuoted ? this.#string() : this.#take(IDENTIFIER);
      if (label === undefined) this.#fail(`unexpected ${this.#found()} inside braces, expected a label name or }`);
      if (label === "") this.#fail("an empty label name", start);
      this.#skipBlank();
      if (isQuoted && (this.#char() === "," || this.#char() === "}")) {
        if (name !== "") this.#fail(`the name is set twice: ${JSON.stringify(name)} and ${JSON.stringify(label)}`, start);
        name = label;
      } else {
        const operator = this.#operator();
        this.#skipBlank();
        if (this.#isAtEnd()) this.#failAtEnd();
        if (!this.#isAtQuote()) this.#fail(`unexpected ${this.#found()} in label matching, expected a quoted value`);
        const value = this.#string();
        if (label === LABEL_NAME && name !== "") this.#fail(`the name is set twice: ${JSON.stringify(name)} and ${JSON.stringify(value)}`, start);
        try {
          matchers.push(makeMatcher(label, operator, value, this.#budget));
        } catch (error) {
          const code = error instanceof CodedError ? error.code : "REGEX_INVALID";
          throw invalidArgument(code, `${this.#place(start)}: parse error: ${messageOf(error)}`, error);
        }
        this.#skipBlank();
      }
      if (this.#char() === ",") this.#at++;
      else if (this.#char() !== "}") {
        if (this.#isAtEnd()) this.#failAtEnd();
        this.#fail(`unexpected ${this.#found()} in label matching, expected , or }`);
      }
    }
    this.#at++;
    return name;
  }

  #operator(): Matcher["operator"] {
    for (const operator of ["=~", "!~", "!=", "="] as const) {
      if (!this.#text.startsWith(operator, this.#at)) continue;
      this.#at += operator.length;
      return operator;
    }
    if (this.#isAtEnd()) this.#failAtEnd();
    return this.#fail(`unexpected ${this.#found()} in label matching, expected one of = != =~ !~`);
  }

  /** Reads a quoted text. In ' and " there are escapes and no line breaks; in ` every character stands for itself. */
  #string(): string {
    const start = this.#at;
    const quote = this.#text[this.#at++]!;
    if (quote === "`") {
      const end = this.#text.indexOf(quote, this.#at);
      if (end === -1) this.#fail("unterminated raw string", start);
      const text = this.#text.slice(this.#at, end);
      this.#at = end + 1;
      return text;
    }
    let text = "";
    // An escape may be one byte of a character, so bytes are gathered before they are decoded.
    const bytes: number[] = [];
    const flush = (): void => {
      if (bytes.length === 0) return;
      const isAscii = bytes.length === 1 && bytes[0]! < 0x80;
      text += isAscii ? String.fromCharCode(bytes[0]!) : decodeUtf8(Uint8Array.from(bytes));
      bytes.length = 0;
    };
    const plain = quote === '"' ? UNTIL_DOUBLE_QUOTE : UNTIL_QUOTE;
    for (;;) {
      plain.lastIndex = this.#at;
      if (plain.test(this.#text)) {
        flush();
        text += this.#text.slice(this.#at, plain.lastIndex);
        this.#at = plain.lastIndex;
      }
      const char = this.#text[this.#at];
      if (char === undefined || char === "\n") this.#fail("unterminated quoted string", start);
      this.#at++;
      if (char === quote) break;
      this.#escape(quote, bytes);
    }
    flush();
    return text;
  }

  #escape(quote: string, bytes: number[]): void {
    const start = this.#at - 1;
    const char = this.#text[this.#at++];
    if (char === undefined) this.#fail("escape sequence not terminated", start);
    if (char === quote) {
      bytes.push(char.charCodeAt(0));
      return;
    }
    const simple = SIMPLE_ESCAPES[char];
    if (simple !== undefined) {
      bytes.push(simple);
      return;
    }
    const [digitCount, radix] = char === "x" ? [2, 16] : char === "u" ? [4, 16] : char === "U" ? [8, 16] : /[0-7]/.test(char) ? [3, 8] : [0, 0];
    if (digitCount === 0) this.#fail(`unknown escape sequence \\${char}: write a backslash as \\\\`, start);
    if (radix === 8) this.#at--;
    const digits = this.#text.slice(this.#at, this.#at + digitCount);
    if (digits.length !== digitCount || !(radix === 8 ? /^[0-7]+$/ : /^[0-9A-Fa-f]+$/).test(digits)) {
      this.#fail(`escape sequence wants ${digitCount} ${radix === 8 ? "octal" : "hexadecimal"} digits`, start);
    }
    this.#at += digitCount;
    const code = Number.parseInt(digits, radix);
    if (char !== "u" && char !== "U") {
      if (code > 255) this.#fail("octal escape is above \\377", start);
      bytes.push(code);
      return;
    }
    if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) this.#fail("escape sequence is no Unicode code point", start);
    bytes.push(...encodeUtf8(String.fromCodePoint(code)));
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match[0];
  }

  /** Skips white space and comments (# to the end of the line). */
  #skipBlank(): void {
    for (;;) {
      const char = this.#char();
      if (char === "#") {
        const end = this.#text.indexOf("\n", this.#at);
        this.#at = end === -1 ? this.#text.length : end;
      } else if (char === " " || char === "\t" || char === "\n" || char === "\r") {
        this.#at++;
      } else {
        return;
      }
    }
  }

  #char(): string | undefined {
    return this.#text[this.#at];
  }

  #isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  #isAtQuote(): boolean {
    const char = this.#char();
    return char === '"' || char === "'" || char === "`";
  }

  #found(): string {
    return this.#isAtEnd() ? "end of input" : JSON.stringify(String.fromCodePoint(this.#text.codePointAt(this.#at)!));
  }

  #failAtEnd(): never {
    this.#fail("unexpected end of input inside braces");
  }

  #fail(reason: string, at: number = this.#at): never {
    throw invalidArgument("SELECTOR_INVALID", `${this.#place(at)}: parse error: ${reason}`);
  }

  #place(at: number): string {
    const before = this.#text.slice(0, at).split("\n");
    return `${before.length}:${before.at(-1)!.length + 1}`;
  }
}
