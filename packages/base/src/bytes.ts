/**
 * Reads and writes bytes: fixed-size little-endian numbers, unsigned varints (LEB128, as in protobuf), and length-prefixed runs. Every
 * read is checked against the end of the input, and throws `CorruptionError` where the input is too short.
 */
import { CorruptionError } from "./errors.ts";
import { putUvarint, putUvarint64, VARINT_BYTES_MAX, VarintCursor } from "./varint.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const utf8Encoder = new TextEncoder();

export function encodeUtf8(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** Keeps a leading U+FEFF: in a name it is a character, not the byte order mark of a file. What is no UTF-8 becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes); // a TextDecoder refuses shared memory
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Orders byte strings as Go and LevelDB do: bytewise, and a prefix first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/**
 * A growing buffer of bytes. It doubles, and `finish` returns a view of the written part. From `chunkBytes` on it adds chunks of that
 * size instead, and `finish` joins them: until then the bytes are in memory once, not up to three times.
 */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  readonly #chunkBytes: number;
  /** Full chunks, which precede the bytes in `#bytes`. */
  #full: Uint8Array[] = [];
  #fullBytes = 0;

  constructor(capacityBytes = 256, { chunkBytes = Infinity }: { readonly chunkBytes?: number } = {}) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#chunkBytes = chunkBytes;
  }

  /** Begins anew in the same buffer. What `finish` returned before is overwritten by what is written next. */
  clear(): this {
    this.#full = [];
    this.#fullBytes = 0;
    this.#length = 0;
    return this;
  }

  get length(): number {
    return this.#fullBytes + this.#length;
  }

  #reserve(extraBytes: number): void {
    const needed = this.#length + extraBytes;
    if (needed <= this.#bytes.length) return;
    if (this.#bytes.length >= this.#chunkBytes) {
      this.#full.push(this.#bytes.subarray(0, this.#length));
      this.#fullBytes += this.#length;
      this.#length = 0;
      this.#bytes = new Uint8Array(Math.max(extraBytes, this.#chunkBytes));
      this.#view = new DataView(this.#bytes.buffer);
      return;
    }
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  u64(value: bigint): this {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  f64(value: number): this {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  /** `value` is a whole number in [0, 2^53). */
  uvarint(value: number): this {
    this.#reserve(VARINT_BYTES_MAX);
    this.#length = putUvarint(this.#bytes, this.#length, value);
    return this;
  }

  /** `value` is a whole number in [0, 2^64). */
  uvarint64(value: number | bigint): this {
    this.#reserve(VARINT_BYTES_MAX);
    this.#length = putUvarint64(this.#bytes, this.#length, value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Writes the length as uvarint, then the bytes. */
  prefixed(bytes: Uint8Array): this {
    return this.uvarint(bytes.length).raw(bytes);
  }

  text(value: string): this {
    if (value.length <= SHORT_LENGTH_MAX) {
      this.#reserve(value.length + 1);
      const start = this.#length;
      this.#bytes[this.#length++] = value.length; // one byte of varint
      if (this.#ascii(value)) return this;
      this.#length = start;
    }
    return this.prefixed(utf8Encoder.encode(value));
  }

  /** Writes UTF-8 without a length. It makes room for three bytes per character, so pass a text of megabytes in parts. */
  utf8(value: string): this {
    this.#reserve(value.length * 3);
    if (value.length <= SHORT_LENGTH_MAX && this.#ascii(value)) return this;
    this.#length += utf8Encoder.encodeInto(value, this.#bytes.subarray(this.#length)).written;
    return this;
  }

  /** Returns false, and writes nothing, where a character needs more than one byte. */
  #ascii(value: string): boolean {
    const bytes = this.#bytes;
    const start = this.#length;
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i);
      if (unit >= 0x80) return false;
      bytes[start + i] = unit;
    }
    this.#length = start + value.length;
    return true;
  }

  /** Writes a whole number in decimal digits. */
  decimal(value: number | bigint): this {
    if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return this.utf8(String(value));
    this.#reserve(16);
    if (value < DIGITS_9) {
      this.#digits(value, digitCount(value));
      return this;
    }
    // In two parts: V8 divides whole numbers of 32 bits several times as fast as doubles.
    const high = Math.floor(value / DIGITS_9);
    this.#digits(high, digitCount(high));
    this.#digits(value - high * DIGITS_9, 9);
    return this;
  }

  /** Writes a number below 10^9 with leading zeros. */
  #digits(value: number, count: number): void {
    const bytes = this.#bytes;
    let rest = value | 0;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = 0x30 + rest - tenth * 10;
      rest = tenth;
    }
    this.#length += count;
  }

  /** Returns a view of the written bytes. It is valid until the next write. */
  finish(): Uint8Array {
    if (this.#full.length > 0) {
      const whole = new Uint8Array(this.length);
      let at = 0;
      for (const chunk of [...this.#full, this.#bytes.subarray(0, this.#length)]) {
        whole.set(chunk, at);
        at += chunk.length;
      }
      this.#bytes = whole;
      this.#view = new DataView(whole.buffer);
      this.#length = whole.length;
      this.#full = [];
      this.#fullBytes = 0;
    }
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Up to this length a loop is faster than calling the encoder. */
const SHORT_LENGTH_MAX = 64;
const DIGITS_9 = 1_000_000_000;

/** The number of digits of a whole number below 10^9. */
function digitCount(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1000) return 3;
  if (value < 10_000) return 4;
  if (value < 100_000) return 5;
  if (value < 1_000_000) return 6;
  if (value < 10_000_000) return 7;
  return value < 100_000_000 ? 8 : 9;
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #object: string;
  readonly #cursor: VarintCursor;

  /** `object` names the input in errors. */
  constructor(bytes: Uint8Array, object: string, offset = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#object = object;
    this.#cursor = new VarintCursor(bytes, offset, end);
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  get remaining(): number {
    return this.#cursor.end - this.#cursor.offset;
  }

  fail(expected: string, found: string): never {
    throw new CorruptionError({ object: this.#object, offset: this.#cursor.offset, expected, found });
  }

  #take(count: number): number {
    const cursor = this.#cursor;
    const at = cursor.offset;
    if (count > cursor.end - at) this.fail(`${count} more bytes`, `${cursor.end - at}`);
    cursor.offset = at + count;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** Reads a whole number below 2^53, in at most 8 bytes. Anything else is corruption. */
  uvarint(): number {
    const start = this.#cursor.offset;
    const value = this.#cursor.next();
    if (value < 0) return this.#failVarint();
    if (this.#cursor.offset - start > 8) this.fail("a varint of at most 8 bytes", "a longer one");
    if (value > Number.MAX_SAFE_INTEGER) this.fail("a varint below 2^53", "a larger one");
    return value;
  }

  uvarint64(): bigint {
    return BigInt(this.uvarintWide());
  }

  /** Reads a whole number below 2^64: a number below 2^53, a bigint from there on. */
  uvarintWide(): number | bigint {
    const value = this.#cursor.nextWide();
    if (value < 0) return this.#failVarint();
    if (typeof value === "bigint" && value >= TWO_64) this.fail("a varint below 2^64", "a larger one");
    return value;
  }

  #failVarint(): never {
    const { remaining } = this;
    return remaining < VARINT_BYTES_MAX ? this.fail("the rest of a varint", `${remaining} bytes`) : this.fail("a varint of at most 10 bytes", "a longer one");
  }

  /** Returns a view of the input, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  prefixed(): Uint8Array {
    return this.raw(this.uvarint());
  }

  text(): string {
    return decodeUtf8(this.prefixed());
  }
}

const TWO_64 = 1n << 64n;

/**
 * The offset of the bytes within a word of eight. V8 copies into and out of shared memory by words where both offsets are equal,
 * otherwise by bytes: 0.5 against 4.2 µs for 15 KB.
 */
export function wordSkew({ byteOffset }: Uint8Array): number {
  return byteOffset % WORD_BYTES;
}

export const WORD_BYTES = 8;
