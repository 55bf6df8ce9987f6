/**
 * Writes protobuf messages of known fields, nested ones in place: a message is written behind one byte for its length, and moved where that
 * takes more. The buffer doubles, and is used again.
 */
import { encodeUtf8, putUvarint, putUvarint64, VARINT_BYTES_MAX } from "@pyromesh/base";

const CAPACITY_MIN = 1 << 14;

/** Fields of up to so many bytes are copied one by one: a call of the runtime costs more than the copy. Their length takes one byte. */
const SHORT_BYTES_MAX = 48;

export class MessageBuffer {
  bytes: Uint8Array = new Uint8Array(CAPACITY_MIN);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /** A copy of what was written. Short ones share memory of Node's pool, which spares an allocation outside of the heap for each. */
  copy(): Uint8Array {
    const { buffer, byteOffset } = Buffer.allocUnsafe(this.length);
    const copy = new Uint8Array(buffer, byteOffset, this.length);
    copy.set(this.bytes.subarray(0, this.length));
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

  /** A field of 64 bits; a negative number is written as protobuf's int64. */
  wide(field: number, value: number | bigint): void {
    if (typeof value === "number" && value >= 0) return this.number(field, value);
    this.uvarint(field << 3);
    this.int64(value);
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
