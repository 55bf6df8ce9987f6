/**
 * Reads JSON one value at a time, as the caller asks for it. Values that nobody asks for are skipped, and no objects are made of them.
 *
 *   reader.beginObject();
 *   for (let key = reader.nextKey(); key !== undefined; key = reader.nextKey()) {
 *     if (key === "name") name = reader.text();
 *     else reader.skip();
 *   }
 *
 * Values that are read are parsed strictly. Of skipped text only the end is searched, so wrong escapes and control characters in it are
 * not noticed.
 *
 * What must stay true: nothing is read beyond the end. Depth and number of values are bounded while reading. Each call takes a bounded
 * time (`Base64Text` and `skipInSteps` work in steps), except for the search for the end of a text, which the engine does.
 */
import { isUtf8 } from "node:buffer";
import { tooDeep, tooManyValues } from "./json-bounds.ts";
import type { JsonBounds } from "./json-bounds.ts";

type JsonKind = "object" | "list" | "text" | "null" | "other";

/** The text is no JSON. The caller says what it should be. */
export class JsonFault extends Error {}

export class JsonReader {
  readonly #bytes: Buffer;
  readonly #bounds: JsonBounds;
  #at = 0;
  #depth = 0;
  #valueCount = 0;
  /** The next item or key is the first one of its list or object, so no comma precedes it. */
  #isFirst = false;

  /** Skips a byte order mark, as `TextDecoder` does. Throws JsonFault where the bytes are no UTF-8. */
  constructor(bytes: Uint8Array, bounds: JsonBounds) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bounds = bounds;
    if (!isUtf8(this.#bytes)) throw new JsonFault("the text is not UTF-8");
    if (BYTE_ORDER_MARK.every((byte, at) => this.#bytes[at] === byte)) this.#at = BYTE_ORDER_MARK.length;
  }

  /** The kind of the next value. */
  get kind(): JsonKind {
    switch (this.#next()) {
      case OPEN_OBJECT:
        return "object";
      case OPEN_LIST:
        return "list";
      case QUOTE:
        return "text";
      case LETTER_N:
        return "null";
      default:
        return "other";
    }
  }

  beginObject(): void {
    this.#open(OPEN_OBJECT);
  }

  beginList(): void {
    this.#open(OPEN_LIST);
  }

  /** The next key of the current object; undefined at its end. Keys longer than KEY_BYTES_MAX are returned as "". */
  nextKey(): string | undefined {
    if (!this.#nextIn(CLOSE_OBJECT, "}")) return undefined;
    if (this.#next() !== QUOTE) this.#fail("a key in quotes");
    const start = this.#at;
    const end = this.#textEnd();
    const key = end - start <= KEY_BYTES_MAX ? this.#parseText(start, end) : "";
    this.#at = end;
    if (this.#next() !== COLON) this.#fail('":"');
    this.#at++;
    return key;
  }

  /** True where the current list has another item. */
  nextItem(): boolean {
    return this.#nextIn(CLOSE_LIST, "]");
  }

  /** Reads a string. */
  text(): string {
    if (this.#next() !== QUOTE) this.#fail("text in quotes");
    const start = this.#at;
    const end = this.#textEnd();
    if (end - start > TEXT_BYTES_MAX) this.#fail(`text of at most ${TEXT_BYTES_MAX} bytes`);
    const text = this.#parseText(start, end);
    this.#endValue(end);
    return text;
  }

  /** Reads a number. One beyond the range of a double is infinite. */
  number(): number {
    const word = this.#wordHere();
    if (!NUMBER.test(word)) this.#fail("a number");
    this.#endValue(this.#at + word.length);
    return Number(word);
  }

  /** Reads a string of base64. */
  base64(): Base64Text {
    if (this.#next() !== QUOTE) this.#fail("text in quotes");
    const start = this.#at;
    const end = this.#textEnd();
    this.#endValue(end);
    return new Base64Text(this.#bytes.subarray(start + 1, end - 1));
  }

  /** Skips a value of any kind. */
  skip(): void {
    const skipping = this.skipInSteps();
    while (skipping.next().done !== true);
  }

  /**
   * Skips a value in steps of some thousand values. It keeps the open lists and objects itself: a recursive generator would pass through
   * all of its callers at each step.
   */
  *skipInSteps(): Generator<undefined, void> {
    const open: boolean[] = []; // true: an object, false: a list
    let count = 0;
    do {
      const { kind } = this;
      if (kind === "object") {
        this.beginObject();
        open.push(true);
      } else if (kind === "list") {
        this.beginList();
        open.push(false);
      } else if (kind === "text") this.#endValue(this.#textEnd());
      else this.#word();
      if (++count % SKIPPED_AT_ONCE === 0) yield;
      // Go to the next value; leave the lists and objects that have no more.
      while (open.length > 0 && !(open.at(-1)! ? this.nextKey() !== undefined : this.nextItem())) open.pop();
    } while (open.length > 0);
  }

  /** Throws where anything follows the value. */
  end(): void {
    if (this.#next() !== END) this.#fail("nothing more");
  }

  // --- tokens ---------------------------------------------------------------------------------------------------------

  #open(byte: number): void {
    if (this.#next() !== byte) this.#fail(`"${String.fromCharCode(byte)}"`);
    if (++this.#depth > this.#bounds.depthMax) throw tooDeep(this.#bounds.depthMax);
    this.#at++;
    this.#isFirst = true;
  }

  #nextIn(closing: number, name: string): boolean {
    const byte = this.#next();
    if (byte === closing) {
      this.#depth--;
      this.#endValue(this.#at + 1);
      return false;
    }
    if (this.#isFirst) this.#isFirst = false;
    else if (byte === COMMA) this.#at++;
    else this.#fail(`"," or "${name}"`);
    this.#count();
    return true;
  }

  #endValue(at: number): void {
    this.#at = at;
    this.#isFirst = false;
  }

  #count(): void {
    if (++this.#valueCount > this.#bounds.valueCountMax) throw tooManyValues(this.#bounds.valueCountMax);
  }

  /** The first byte of the next token; END after the last one. */
  #next(): number {
    const bytes = this.#bytes;
    for (let at = this.#at; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === SPACE || byte === LF || byte === CR || byte === TAB) continue;
      this.#at = at;
      return byte;
    }
    this.#at = bytes.length;
    return END;
  }

  /** The position after the closing quote of the string that begins here. */
  #textEnd(): number {
    const bytes = this.#bytes;
    for (let from = this.#at + 1; ; ) {
      const quote = bytes.indexOf(QUOTE, from);
      if (quote < 0) this.#fail("the end of a text");
      let before = quote - 1;
      while (bytes[before] === BACKSLASH) before--;
      if ((quote - before) % 2 === 1) return quote + 1;
      this.#count(); // a search costs as much as a value
      from = quote + 1;
    }
  }

  #parseText(start: number, end: number): string {
    try {
      return JSON.parse(this.#bytes.toString("utf8", start, end)) as string; // the text is a quoted string
    } catch {
      return this.#fail("text without control characters and unknown escapes");
    }
  }

  /** Skips a number, true, false or null. */
  #word(): void {
    const word = this.#wordHere();
    if (word !== "true" && word !== "false" && word !== "null" && !NUMBER.test(word)) this.#fail("a value");
    this.#endValue(this.#at + word.length);
  }

  /** The letters, digits and signs that come next; "" where they are too many. */
  #wordHere(): string {
    this.#next();
    const start = this.#at;
    let end = start;
    while (end < this.#bytes.length && WORD_BYTES_TABLE[this.#bytes[end]!] === 1) end++;
    return end - start <= WORD_LENGTH_MAX ? this.#bytes.toString("latin1", start, end) : "";
  }

  #fail(expected: string): never {
    throw new JsonFault(`at byte ${this.#at} of ${this.#bytes.length} expected ${expected}`);
  }
}

/** Decodes a base64 text of megabytes in steps and in place: the decoded bytes are shorter than the text. */
export class Base64Text {
  readonly #text: Buffer;
  readonly #hasEscapes: boolean;
  #readAt = 0;
  #writtenAt = 0;
  /** Up to three characters that do not make a whole group of four yet. */
  #rest = "";
  #paddingCount = 0;

  constructor(text: Buffer) {
    this.#text = text;
    this.#hasEscapes = text.includes(BACKSLASH);
  }

  get isDone(): boolean {
    return this.#readAt === this.#text.length;
  }

  /**
   * Takes both alphabets, with or without padding, and skips line breaks (as `base64` prints them), like protobuf's JSON in Go. Throws
   * JsonFault for anything else.
   */
  step(): void {
    const end = this.#pieceEnd();
    const spelled = this.#text.toString("latin1", this.#readAt, end);
    this.#readAt = end;
    const piece = this.#hasEscapes ? unescaped(spelled).replaceAll(/[\r\n]/g, "") : spelled;
    const letters = this.#paddingCount === 0 ? /^[A-Za-z0-9+/_-]*/.exec(piece)![0] : ""; // the pattern matches any text
    if (!/^=*$/.test(piece.slice(letters.length))) throw new JsonFault("not base64");
    this.#paddingCount += piece.length - letters.length;
    if (this.#paddingCount > 2) throw new JsonFault("not base64");
    const all = this.#rest + letters;
    const whole = all.length - (all.length % 4);
    this.#rest = all.slice(whole);
    this.#write(all.slice(0, whole));
  }

  /** Call it when `isDone`. Returns a view of the buffer in which the text was. */
  finish(): Uint8Array {
    this.#write(this.#rest);
    return new Uint8Array(this.#text.buffer, this.#text.byteOffset, this.#writtenAt);
  }

  /** Never writes more bytes than were read. */
  #write(letters: string): void {
    if (letters !== "") this.#writtenAt += this.#text.write(letters, this.#writtenAt, "base64");
  }

  /** Where the next piece ends: not inside an escape. An escaped backslash needs no care: it is no base64. */
  #pieceEnd(): number {
    const length = this.#text.length;
    const end = Math.min(length, this.#readAt + PIECE_BYTES);
    if (!this.#hasEscapes || end === length) return end;
    const last = this.#text.subarray(end - ESCAPE_BYTES_MAX, end).lastIndexOf(BACKSLASH);
    return last < 0 ? end : end - ESCAPE_BYTES_MAX + last;
  }
}

/** Throws JsonFault. */
function unescaped(spelled: string): string {
  try {
    return JSON.parse(`"${spelled}"`) as string; // a string in quotes
  } catch {
    throw new JsonFault("no JSON text");
  }
}

/** Values that one step skips, in less than a millisecond. */
const SKIPPED_AT_ONCE = 4096;
/** Text that one step decodes, in some 0.2 ms. */
const PIECE_BYTES = 64 * 2 ** 10;
/** `\u003d` */
const ESCAPE_BYTES_MAX = 6;
/** The keys that we look for have about a dozen characters. */
const KEY_BYTES_MAX = 64;
/** Far above the limits of label names, label values and ids. */
const TEXT_BYTES_MAX = 2 ** 20;
const WORD_LENGTH_MAX = 400;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];
const END = -1;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const LETTER_N = 0x6e;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** 1 for the characters of numbers, true, false and null. */
const WORD_BYTES_TABLE: Uint8Array = new Uint8Array(256);
for (const letter of "+-.0123456789Eaeflnrstu") WORD_BYTES_TABLE[letter.charCodeAt(0)] = 1;
