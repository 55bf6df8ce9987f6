/**
 * Folded stacktraces, the text formats of /ingest: one profile, with the labels of the request.
 *
 *   groups:  main;serve;parse 12      the count is the last word, behind blanks or tabs
 *   lines:   main;serve;parse         every line counts one
 *
 * In both, lines end in LF or CRLF; blank lines and lines that begin with `#` are skipped; empty frames (`;main`, `a;;b`) are left out.
 * The counts of equal stacks add up. Any other line without a count refuses the whole text. So does a count that does not fit
 * into 64 bits, as it is or in the unit in which it is kept: it would come back as another number.
 *
 * The text is read byte by byte, and no string is made of a line or a frame before it is printed. What must stay true: the time is linear in the
 * text, and a text with more stacks than a profile may have is refused as soon as they are read.
 */
import { isUtf8 } from "node:buffer";
import { decodeUtf8 } from "@pyromesh/base";
import type { ProfileLimits } from "../labels/limits.ts";
import { malformed } from "../labels/refusal.ts";
import { hexOfInvalidText, invalidAt } from "../pprof/invalid-text.ts";
import type { FoldedText } from "../text/folded.ts";
import { hasJoinedLines } from "../text/joined-lines.ts";
import type { FormatBody, FormatContext } from "./format.ts";
import { FrameNames } from "./frame-names.ts";
import { pprofOfCounts, StackCounts } from "./stack-counts.ts";
import { ROOT, StackTree } from "./stack-tree.ts";
import type { StackNode } from "./stack-tree.ts";

export function readFolded(body: Uint8Array, { mode, isForm, profile }: FoldedText, { labels, limits }: FormatContext): FormatBody {
  const { tree, names, counts } = readStacks(body, { mode, isForm }, limits);
  return { profiles: [{ pprof: pprofOfCounts(tree, counts, (frame) => ({ name: names.nameOf(frame) }), profile, limits), labels }] };
}

export interface FoldedStacks {
  /** Its frames are numbers of `names`. */
  readonly tree: StackTree;
  readonly names: FrameNames;
  readonly counts: StackCounts;
}

/** Throws a refusal for a line that cannot be read. */
export function readStacks(bytes: Uint8Array, { mode, isForm }: Pick<FoldedText, "mode" | "isForm">, limits: ProfileLimits): FoldedStacks {
  if (!isUtf8(bytes)) throw notUtf8(bytes);
  const start = BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte) ? BYTE_ORDER_MARK.length : 0;
  if (mode === "groups" && !bytes.includes(LF) && hasJoinedLines(decodeUtf8(bytes.subarray(start)), { isForm: isForm === true })) {
    throw malformed(
      "the text is one line in which a count runs into the next stack, as `curl -d @file` sends a file, without its line ends: send it with `--data-binary @file`; a single stack whose names look so takes a line end or Content-Type: text/plain",
    );
  }
  const reading = new FoldedReading(bytes, limits);
  let line = 1;
  for (let from = start; from < bytes.length; line++) {
    let to = from;
    while (to < bytes.length && bytes[to] !== LF) to++;
    const end = reading.withoutBlanks(from, to);
    if (end > from && !reading.isComment(from, end)) {
      if (mode === "groups") reading.group(from, end, line);
      else reading.line(from, to);
    }
    from = to + 1;
  }
  return reading;
}

class FoldedReading implements FoldedStacks {
  readonly tree: StackTree;
  readonly names = new FrameNames();
  readonly counts: StackCounts;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, limits: ProfileLimits) {
    this.#bytes = bytes;
    this.tree = new StackTree(limits);
    this.counts = new StackCounts(limits);
  }

  /** A line of `groups`, [from, end), which ends in no blank. */
  group(from: number, end: number, line: number): void {
    let countFrom = end;
    while (countFrom > from && !isBlank(this.#bytes[countFrom - 1]!)) countFrom--;
    const count = countFrom === from ? undefined : this.#countIn(countFrom, end);
    if (count === undefined) throw noCount(this.#bytes.subarray(countFrom, end), line);
    const sum = this.counts.add(this.#stackIn(from, this.withoutBlanks(from, countFrom)), count);
    if (typeof sum === "bigint" && BigInt.asIntN(64, sum) !== sum) throw malformed(`line ${line} has a count beyond 64 bits, by itself or with those of its stack before: send a smaller one`);
  }

  /** A line of `lines`, [from, to). */
  line(from: number, to: number): void {
    this.counts.add(this.#stackIn(from, this.#bytes[to - 1] === CR ? to - 1 : to), 1);
  }

  /** Where [from, to) ends without the blanks at its end. */
  withoutBlanks(from: number, to: number): number {
    let end = to;
    while (end > from && isBlank(this.#bytes[end - 1]!)) end--;
    return end;
  }

  /** `perf` and similar tools write such lines before the stacks: `# event: cpu`. The line has a byte that is no blank. */
  isComment(from: number, end: number): boolean {
    let at = from;
    while (at < end && isBlank(this.#bytes[at]!)) at++;
    return this.#bytes[at] === HASH;
  }

  #stackIn(from: number, to: number): StackNode {
    const bytes = this.#bytes;
    let node: StackNode = ROOT;
    for (let at = from; at < to && this.tree.takesFrame(node); ) {
      let end = at;
      while (end < to && bytes[end] !== SEMICOLON) end++;
      if (end > at) node = this.tree.child(node, this.names.numberOf(bytes, at, end));
      at = end + 1;
    }
    return node;
  }

  /** The whole number that is written in [from, to); undefined where none is. */
  #countIn(from: number, to: number): number | bigint | undefined {
    const bytes = this.#bytes;
    const isNegative = bytes[from] === MINUS;
    const digitsFrom = isNegative || bytes[from] === PLUS ? from + 1 : from;
    if (digitsFrom === to) return undefined;
    let first = to;
    let count = 0;
    for (let at = digitsFrom; at < to; at++) {
      const digit = bytes[at]! - DIGIT_0;
      if (digit < 0 || digit > 9) return undefined;
      if (digit !== 0 && first === to) first = at;
      count = 10 * count + digit;
    }
    const digitCount = to - first;
    if (digitCount <= EXACT_DIGITS_MAX) return isNegative && count !== 0 ? -count : count;
    // A longer number is refused for what it is, and text of megabytes need not be read as one.
    const exact = BigInt(decodeUtf8(bytes.subarray(first, Math.min(to, first + DIGITS_MAX))));
    return isNegative ? -exact : exact;
  }
}

/** Every number of at most this many digits is exact as a double. */
const EXACT_DIGITS_MAX = 15;
/** No sum with a number of so many digits fits into 64 bits. */
const DIGITS_MAX = 21;

function noCount(word: Uint8Array, line: number): Error {
  const told = decodeUtf8(word.subarray(-4 * TOLD_LENGTH_MAX)).slice(-TOLD_LENGTH_MAX);
  return malformed(`line ${line} ends in ${JSON.stringify(told)}, which is no count: end it with a blank and a whole number, as in "main;work 12"`);
}

const TOLD_LENGTH_MAX = 40;

function notUtf8(bytes: Uint8Array): Error {
  const at = invalidAt(bytes);
  // No byte of a longer character is a line end.
  const from = at === 0 ? 0 : bytes.lastIndexOf(LF, at - 1) + 1;
  const to = bytes.indexOf(LF, at);
  let line = 1;
  for (let i = 0; i < from; i++) if (bytes[i] === LF) line++;
  return malformed(
    `line ${line} of the folded stacks is not UTF-8, its bytes are ${hexOfInvalidText(bytes.subarray(from, to < 0 ? bytes.length : to))}: encode the text as UTF-8, or send format=pprof where this is a pprof profile`,
  );
}

/** A blank, a tab, or the CR of a line end. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === CR;
}

/** Of a file. One inside of the text is part of a name. */
const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];
const LF = 0x0a;
const CR = 0x0d;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const SEMICOLON = 0x3b;
