/**
 * What it costs to compile and to match a regular expression, estimated from its text in one pass, without compiling it: a few characters
 * can ask for a hundred thousand instructions (`.{1,999}` fifty times) or for seconds of work on character classes.
 *
 *   cost   = instructions at most + work of the parser, in instructions
 *   charge = cost, where the plain text that an alternative begins with counts an eighth
 *
 * Leading text is cheap to match. A value is matched from its first character on, so text that nothing precedes is compared with one place
 * of the value only: of `checkout-[0-9a-f]{8}|frontend-[0-9a-f]{8}` at most one instruction of each name is at work at a time. Text behind
 * anything of variable length (`.*checkout`), and text that is repeated (`(checkout)*`), may be at work at every instruction at once, and
 * counts in full.
 *
 * What must stay true: the compiled program has at most `cost` instructions, for every expression that the engine takes (a
 * property in the test). The cost of an expression that it refuses is any number: the engine says what is wrong with it.
 * Sizes add up along the text, and a counted repetition multiplies what it repeats. Pure.
 */

/** Every expression has a first and a last instruction besides its own, and setting it up takes time. */
const EXPRESSION_COST = 16;

/** The parser's work of opening and closing a group. */
const GROUP_COST = 2;

/** The parser's work of opening and closing a class in brackets. */
const CLASS_COST = 2;

/**
 * A class of Unicode, as `\pL` or `\p{Greek}`, has up to 700 ranges, which are copied and sorted: up to 430 µs, where an instruction takes
 * 1 to 3 µs to compile (Node 20, 2 cores).
 */
const UNICODE_CLASS_COST = 128;

/** With `(?i)` the other case of each range is looked up and sorted too. */
const FOLDED_CLASS_FACTOR = 3;

/** With `(?i)` a range is walked character by character: about 60 in the time of an instruction. 16 are charged as one, to be safe. */
const FOLDED_PER_COST = 16;
/** The engine's own constants: no character beyond them has another case. */
const FOLD_FIRST = 0x41;
const FOLD_LAST = 0x1_e943;

/** `[:` makes the engine search the rest of the text for `:]`: this many characters in the time of an instruction. */
const LOOKED_AT_PER_COST = 256;

/** The engine refuses a repetition that counts further. */
const REPEAT_MAX = 1000;

export function regexCost(pattern: string): number {
  return new CostWalk(pattern).walk(Infinity).cost;
}

/** What a request's budget is charged. A charge above `chargeMax` is not exact: the walk ends as soon as it is reached. */
export function regexCharge(pattern: string, chargeMax: number): number {
  const { cost, leadingLength } = new CostWalk(pattern).walk(chargeMax);
  return chargeOf(cost, leadingLength);
}

/**
 * A character of leading text takes 0.5 µs to check and 1.3 µs to compile (800 names of 20 characters, Node 20, 2 cores), and next to nothing
 * to match. With an eighth, a request's budget is 16,000 characters: 8 ms of the main thread.
 */
const LEADING_PER_COST = 8;

function chargeOf(cost: number, leadingLength: number): number {
  return cost - leadingLength + Math.ceil(leadingLength / LEADING_PER_COST);
}

/** One group, or the whole expression. */
interface Level {
  /** Instructions of everything before the last atom: of all alternatives so far. */
  size: number;
  /** Instructions of the atom that a repetition would repeat. */
  last: number;
  /** How many characters of `size`, and of `last`, are leading text. */
  leading: number;
  lastLeading: number;
  /** Whether nothing precedes an alternative of this group, and whether nothing precedes the next atom. */
  readonly beginsInFront: boolean;
  isInFront: boolean;
}

function levelOf(beginsInFront: boolean): Level {
  return { size: 0, last: 0, leading: 0, lastLeading: 0, beginsInFront, isInFront: beginsInFront };
}

class CostWalk {
  readonly #text: string;
  readonly #isFolded: boolean;
  #at = 0;
  #level: Level;
  readonly #outer: Level[] = [];
  #parseWork = EXPRESSION_COST;
  /** Where the first `:]` behind the last `[:` stands; the text's length where there is none. Searching again for each would be quadratic. */
  #namedClassEnd = -1;

  constructor(text: string) {
    this.#text = text;
    // Wherever it stands, and even where it is no flag: the estimate may be too high, never too low.
    this.#isFolded = /\(\?[a-zA-Z-]*i/.test(text);
    // With `(?i)` a character compiles to a class of characters, which is no plain text.
    this.#level = levelOf(!this.#isFolded);
  }

  walk(chargeMax: number): { readonly cost: number; readonly leadingLength: number } {
    while (this.#at < this.#text.length && chargeOf(this.#parseWork + this.#level.size, this.#level.leading) <= chargeMax) this.#step();
    while (this.#outer.length > 0) this.#closeGroup();
    const { size, last, leading, lastLeading } = this.#level;
    return { cost: this.#parseWork + size + last, leadingLength: leading + lastLeading };
  }

  #step(): void {
    const level = this.#level;
    switch (this.#text[this.#at]) {
      case "(":
        this.#openGroup();
        break;
      case ")":
        this.#at++;
        this.#closeGroup();
        break;
      case "|":
        // One instruction chooses between alternatives, and an empty alternative takes one.
        this.#at++;
        this.#atom(0);
        level.size += 2;
        level.isInFront = level.beginsInFront;
        break;
      case "^":
        this.#at++;
        this.#atom(1, 0, level.isInFront);
        break;
      case "[":
        this.#characterClass();
        this.#atom(1);
        break;
      case "*":
      case "+":
      case "?":
        // A star takes two instructions where what it repeats may be empty.
        this.#at++;
        level.last = Math.max(level.last, 1) + 2;
        level.lastLeading = 0;
        level.isInFront = false;
        break;
      case "{":
        if (!this.#repetition()) {
          this.#at++;
          this.#atom(1);
        }
        break;
      case "\\":
        this.#escape();
        break;
      case "$":
        this.#at++;
        this.#atom(1);
        break;
      default:
        this.#at++;
        this.#literal();
    }
  }

  /** `leading`: how many characters of it are leading text; `isInFront`: whether what follows it still leads. */
  #atom(size: number, leading = 0, isInFront = false): void {
    const level = this.#level;
    level.size += level.last;
    level.leading += level.lastLeading;
    level.last = size;
    level.lastLeading = leading;
    level.isInFront = isInFront;
  }

  /** One character that stands for itself, or the dot, which stands for any one: either way what follows is compared with one place only. */
  #literal(): void {
    const { isInFront } = this.#level;
    this.#atom(1, isInFront ? 1 : 0, isInFront);
  }

  #openGroup(): void {
    this.#at++;
    if (this.#text[this.#at] === "?") {
      const flags = FLAGS_ALONE;
      flags.lastIndex = this.#at;
      if (flags.test(this.#text)) {
        // `(?i)` is no group: a repetition behind it repeats the atom before it.
        this.#at = flags.lastIndex;
        this.#parseWork++;
        return;
      }
      const opening = GROUP_OPENING;
      opening.lastIndex = this.#at;
      if (opening.test(this.#text)) this.#at = opening.lastIndex;
    }
    this.#parseWork += GROUP_COST;
    this.#outer.push(this.#level);
    this.#level = levelOf(this.#level.isInFront);
  }

  /** A group adds two instructions, which keep where it begins and ends. */
  #closeGroup(): void {
    const outer = this.#outer.pop();
    if (outer === undefined) return; // one too many: the engine refuses it
    const { size, last, leading, lastLeading } = this.#level;
    this.#level = outer;
    this.#atom(Math.max(1, size + last) + 2, leading + lastLeading);
  }

  /** Reads `{2}`, `{2,}` or `{2,5}`. False where the brace is a plain character. */
  #repetition(): boolean {
    const repeat = REPEAT;
    repeat.lastIndex = this.#at;
    const match = repeat.exec(this.#text);
    if (match === null) return false;
    this.#at = repeat.lastIndex;
    const [, min, comma, max] = match;
    const count = Math.max(1, Math.min(Number(min), REPEAT_MAX), comma === undefined ? 0 : Math.min(Number(max), REPEAT_MAX));
    const level = this.#level;
    // Each that may be left out takes an instruction to choose, and `{0}` and `{0,2}` one more.
    level.last = count * Math.max(level.last, 1) + (comma === undefined ? 0 : max === "" ? 2 : count - Math.min(Number(min), count) + 1);
    level.lastLeading = 0;
    level.isInFront = false;
    return true;
  }

  #escape(): void {
    const at = this.#at;
    const letter = this.#text[at + 1];
    if (letter === "Q") {
      const end = this.#text.indexOf("\\E", at + 2);
      const length = (end === -1 ? this.#text.length : end) - at - 2;
      this.#at = end === -1 ? this.#text.length : end + 2;
      this.#parseWork++;
      if (length > 0) {
        this.#atom(length - 1);
        this.#atom(1);
      }
      return;
    }
    if (letter === "p" || letter === "P") this.#unicodeClass();
    else this.#characterAt();
    if (letter !== undefined && PUNCTUATION.test(letter)) this.#literal();
    else this.#atom(1);
  }

  #unicodeClass(): void {
    this.#parseWork += this.#isFolded ? FOLDED_CLASS_FACTOR * UNICODE_CLASS_COST : UNICODE_CLASS_COST;
    this.#at += 2;
    if (this.#text[this.#at] === "{") {
      const end = this.#text.indexOf("}", this.#at);
      this.#at = end === -1 ? this.#text.length : end + 1;
    } else this.#at++;
  }

  /** Reads a class such as `[^a-z\pL[:digit:]]`, or to the end of the text where it is not closed. */
  #characterClass(): void {
    const text = this.#text;
    this.#parseWork += CLASS_COST;
    this.#at++;
    if (text[this.#at] === "^") this.#at++;
    for (let isFirst = true; this.#at < text.length && (isFirst || text[this.#at] !== "]"); isFirst = false) {
      this.#parseWork++;
      if (text.startsWith("[:", this.#at)) {
        if (this.#namedClassEnd < this.#at + 2) {
          const end = text.indexOf(":]", this.#at + 2);
          this.#namedClassEnd = end === -1 ? text.length : end;
        }
        this.#parseWork += Math.ceil((this.#namedClassEnd - this.#at) / LOOKED_AT_PER_COST);
        if (this.#namedClassEnd < text.length) {
          this.#at = this.#namedClassEnd + 2;
          continue;
        }
      }
      if (text[this.#at] === "\\" && (text[this.#at + 1] === "p" || text[this.#at + 1] === "P")) {
        this.#unicodeClass();
        continue;
      }
      const first = this.#characterAt();
      if (text[this.#at] !== "-" || text[this.#at + 1] === "]") continue;
      this.#at++;
      const last = this.#characterAt();
      if (this.#isFolded) this.#parseWork += Math.ceil(Math.max(0, Math.min(last, FOLD_LAST) - Math.max(first, FOLD_FIRST)) / FOLDED_PER_COST);
    }
    this.#at++;
  }

  /** Steps over one character, however it is written, and returns it. For `\d` and the like it returns the letter, which cannot end a range. */
  #characterAt(): number {
    const text = this.#text;
    if (text[this.#at] !== "\\") {
      const code = text.codePointAt(this.#at) ?? 0;
      this.#at += code > 0xffff ? 2 : 1;
      return code;
    }
    const escaped = ESCAPED_NUMBER;
    escaped.lastIndex = this.#at + 1;
    const match = escaped.exec(text);
    if (match !== null) {
      this.#at = escaped.lastIndex;
      const [, braced, hex, octal] = match;
      return octal === undefined ? Number.parseInt(braced ?? hex!, 16) : Number.parseInt(octal, 8);
    }
    this.#at++;
    const code = text.codePointAt(this.#at) ?? 0;
    this.#at += code > 0xffff ? 2 : 1;
    return code;
  }
}

/** Characters that stand for themselves behind a backslash. */
const PUNCTUATION = /^[!-/:-@[-`{-~]$/;
const FLAGS_ALONE = /\?[a-zA-Z-]*\)/y;
const GROUP_OPENING = /\?(?:P?<\w*>|[a-zA-Z-]*:)/y;
const REPEAT = /\{(0|[1-9]\d*)(?:(,)(|0|[1-9]\d*))?\}/y;
const ESCAPED_NUMBER = /x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|([0-7]{1,3})/y;
