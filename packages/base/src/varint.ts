/**
 * Unsigned varints (LEB128, as protobuf): the one writer and the one reader. `ByteWriter` and `ByteReader` stand on them; loops over many
 * numbers, and readers with errors of their own, use them directly.
 *
 *   300 = 0b10_0101100  ->  1_0101100  0_0000010      seven bits a byte, the lowest first; the highest bit says that another byte follows
 *
 * Signed numbers are made unsigned first (zigzag): 0, -1, 1, -2 become 0, 1, 2, 3.
 * The integers of JFR are another format, since a ninth byte ends them (packages/profile/src/jfr/jfr-cursor.ts).
 * Four places have their own, each with its reason beside it: the kernel of packages/profile, which works in its own memory and in another
 * language; the loops that read a record, a row in memory (packed-row.ts) and a row of a segment (section-rows.ts). bench/load and the oracles of
 * the tests share no code with what they check.
 */

/** A number of 64 bits takes that many. */
export const VARINT_BYTES_MAX = 10;

/** Writes a whole number in [0, 2^53) at `at`, where `VARINT_BYTES_MAX` bytes are free. Returns where it ends. */
export function putUvarint(bytes: Uint8Array, at: number, value: number): number {
  let to = at;
  let rest = value;
  // Shifts take 31 bits: a wider number is divided until it is no wider.
  while (rest > 0x7fff_ffff) {
    bytes[to++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    bytes[to++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[to++] = rest;
  return to;
}

/** Writes a whole number in [0, 2^64), as `putUvarint` does. */
export function putUvarint64(bytes: Uint8Array, at: number, value: number | bigint): number {
  if (typeof value === "number") return putUvarint(bytes, at, value);
  if (value < TWO_53) return putUvarint(bytes, at, Number(value));
  return putUvarintHalves(bytes, at, Number(BigInt.asUintN(32, value)), Number(value >> 32n));
}

/** Writes the number of 64 bits whose halves these are. Arithmetic on bigints, byte by byte, would cost ten times as much. */
export function putUvarintHalves(bytes: Uint8Array, at: number, low: number, high: number): number {
  let to = at;
  let rest = low;
  let above = high;
  while (above !== 0 || rest >= 0x80) {
    bytes[to++] = (rest & 0x7f) | 0x80;
    rest = ((rest >>> 7) | (above << 25)) >>> 0;
    above >>>= 7;
  }
  bytes[to++] = rest;
  return to;
}

/** Reads varints one after the other from `offset` on, and never beyond `end`. */
export class VarintCursor {
  bytes: Uint8Array;
  offset: number;
  end: number;

  constructor(bytes: Uint8Array = NOTHING, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  /** Goes on in other bytes, up to their end. */
  moveTo(bytes: Uint8Array, offset: number): void {
    this.bytes = bytes;
    this.offset = offset;
    this.end = bytes.length;
  }

  /**
   * The next number: exact below 2^53, rounded from there on, and never to below it. -1, and `offset` stays, where `end` comes before the number's, or the
   * number is longer than `VARINT_BYTES_MAX`.
   */
  next(): number {
    const { bytes, end } = this;
    let at = this.offset;
    if (at >= end) return -1;
    let byte = bytes[at++]!;
    if (byte < 0x80) {
      this.offset = at;
      return byte;
    }
    let value = byte & 0x7f;
    let scale = 0x80;
    const stop = end - at < VARINT_BYTES_MAX - 1 ? end : at + VARINT_BYTES_MAX - 1;
    while (at < stop) {
      byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.offset = at;
        return value;
      }
      scale *= 0x80;
    }
    return -1;
  }

  /** All bits of the next number: a number below 2^53, a bigint from there on. -1 as of `next`. A tenth byte may carry it past 2^64. */
  nextWide(): number | bigint {
    const { bytes, offset: start } = this;
    const value = this.next();
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    let exact = 0n;
    for (let at = this.offset - 1; at >= start; at--) exact = (exact << 7n) | BigInt(bytes[at]! & 0x7f);
    return exact;
  }
}

const NOTHING = new Uint8Array(0);
const TWO_53 = 1n << 53n;
