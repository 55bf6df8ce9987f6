/**
 * Writes protobuf messages of known fields, nested ones in place: a message is written behind one byte for its length, and moved where that
 * takes more. The buffer doubles, and is used again.
 */
import { encodeUtf8, putUvarint, putUvarint64, putUvarintHalves, VARINT_BYTES_MAX } from "@pyromesh/base";

const CAPACITY_MIN = 1 << 14;

/** Memory that copies share. All of it is kept for as long as one of them is. */
const COPIES_BYTES = 1 << 16;
/** A longer copy has memory of its own. */
const COPY_BYTES_MAX = 1 << 14;

/** Fields of up to so many bytes are copied one by one: a call of the runtime costs more than the copy. Their length takes one byte. */
const SHORT_BYTES_MAX = 48;

/** Five fields of a tag and a number below 2^53, and what stands before them. */
const NUMBERS_BYTES_MAX = 5 * 9 + VARINT_BYTES_MAX + 1;

export class MessageBuffer {
  bytes: Uint8Array = new Uint8Array(CAPACITY_MIN);
  length = 0;
  #copies: Uint8Array = new Uint8Array(0);
  #copied = 0;

  reset(): void {
    this.length = 0;
  }

  /** A copy of what was written. Short ones lie in memory that they share, which spares an allocation outside of the heap for each. */
  copy(): Uint8Array {
    const { length } = this;
    if (length > COPY_BYTES_MAX) return this.bytes.slice(0, length);
    if (this.#copied + length > this.#copies.length) {
      this.#copies = new Uint8Array(Buffer.allocUnsafeSlow(COPIES_BYTES).buffer);
      this.#copied = 0;
    }
    const copy = this.#copies.subarray(this.#copied, (this.#copied += length));
    copy.set(this.bytes.subarray(0, length));
    return copy;
  }

  reserve(extraBytes: number): void {
    const needed = this.length + extraBytes;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  uvarint(value: number): void {
    this.reserve(VARINT_BYTES_MAX);
    this.length = putUvarint(this.bytes, this.length, value);
  }

  /** A field of a whole number from 0 to 2^53. Zeros are left out, as protobuf does. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.reserve(2 * VARINT_BYTES_MAX);
    this.length = putUvarint(this.bytes, this.length, field << 3);
    this.length = putUvarint(this.bytes, this.length, value);
  }

  /** A field of 64 bits, given as its lower and its upper half. Zero is left out. */
  halves(field: number, low: number, high: number): void {
    if (low === 0 && high === 0) return;
    this.reserve(2 * VARINT_BYTES_MAX);
    const at = putUvarint(this.bytes, this.length, field << 3);
    this.length = putUvarintHalves(this.bytes, at, low, high);
  }

  /** A message, in field `field`, of whole numbers from 0 to 2^53 in its fields 1 to 5. Zeros are left out. */
  numbers(field: number, first: number, second: number, third = 0, fourth = 0, fifth = 0): void {
    this.reserve(NUMBERS_BYTES_MAX);
    const { bytes } = this;
    const lengthAt = putUvarint(bytes, this.length, (field << 3) | 2);
    let at = lengthAt + 1;
    if (first !== 0) at = putField(bytes, at, 1, first);
    if (second !== 0) at = putField(bytes, at, 2, second);
    if (third !== 0) at = putField(bytes, at, 3, third);
    if (fourth !== 0) at = putField(bytes, at, 4, fourth);
    if (fifth !== 0) at = putField(bytes, at, 5, fifth);
    bytes[lengthAt] = at - lengthAt - 1; // less than 0x80
    this.length = at;
  }

  /** A packed list of the first `count` numbers. */
  packed(field: number, values: readonly number[], count: number): void {
    const lengthAt = this.begin(field);
    this.reserve(count * VARINT_BYTES_MAX);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < count; i++) at = putUvarint(bytes, at, values[i]!);
    this.length = at;
    this.end(lengthAt);
  }

  int64(value: number | bigint): void {
    this.reserve(VARINT_BYTES_MAX);
    const isSmall = typeof value === "number" && value >= 0;
    this.length = putUvarint64(this.bytes, this.length, isSmall ? value : BigInt.asUintN(64, BigInt(value)));
  }

  /** A field of a whole number, zeros too. */
  varintField(field: number, value: number | bigint): void {
    this.uvarint(field << 3);
    this.int64(value);
  }

  fixed64(field: number, value: bigint): void {
    this.uvarint((field << 3) | 1);
    this.bits64(value);
  }

  /** Eight bytes, the least significant first. */
  bits64(value: bigint): void {
    this.reserve(8);
    for (let rest = value, i = 0; i < 8; i++, rest >>= 8n) this.bytes[this.length++] = Number(rest & 0xffn);
  }

  /** A field of bytes that lie in `from`. */
  raw(field: number, from: Uint8Array, start = 0, stop: number = from.length): void {
    const length = stop - start;
    this.reserve(length + 2 * VARINT_BYTES_MAX);
    this.length = putUvarint(this.bytes, this.length, (field << 3) | 2);
    this.length = putUvarint(this.bytes, this.length, length);
    if (length <= SHORT_BYTES_MAX) {
      const { bytes } = this;
      let at = this.length;
      for (let i = start; i < stop; i++) bytes[at++] = from[i]!;
    } else {
      this.bytes.set(from.subarray(start, stop), this.length);
    }
    this.length += length;
  }

  /** A field of a text. */
  text(field: number, text: string): void {
    const { length } = text;
    if (length > SHORT_BYTES_MAX) return this.raw(field, encodeUtf8(text));
    this.reserve(length + 2 * VARINT_BYTES_MAX);
    const { bytes } = this;
    let at = putUvarint(bytes, this.length, (field << 3) | 2);
    bytes[at++] = length;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return this.raw(field, encodeUtf8(text)); // over what is written so far
      bytes[at++] = unit;
    }
    this.length = at;
  }

  /** Begins a field that is a message or a packed list. Returns what `end` takes. */
  begin(field: number): number {
    this.reserve(VARINT_BYTES_MAX + 1);
    this.length = putUvarint(this.bytes, this.length, (field << 3) | 2);
    return this.length++;
  }

  end(at: number): void {
    const length = this.length - at - 1;
    if (length < 0x80) {
      this.bytes[at] = length;
      return;
    }
    this.reserve(VARINT_BYTES_MAX);
    let extra = 0;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) extra++;
    this.bytes.copyWithin(at + 1 + extra, at + 1, this.length);
    putUvarint(this.bytes, at, length);
    this.length += extra;
  }
}

/** A field number below 16, and a number that is not 0. */
function putField(bytes: Uint8Array, at: number, field: number, value: number): number {
  bytes[at] = field << 3;
  return putUvarint(bytes, at + 1, value);
}
