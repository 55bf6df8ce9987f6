/**
 * Walks the fields of one protobuf message, in place: nothing is decoded but what the caller asks for. One cursor is used for many messages
 * of one kind, so that a walk allocates nothing.
 *
 *   while (cursor.next()) if (cursor.field === 2) ... cursor.number, or cursor.start and cursor.stop
 *
 * What must stay true: a cursor reads nothing beyond the end of its message, and every call of `next` moves forward or throws.
 */
import { VarintCursor } from "@pyromesh/base";
import { malformed, refusal } from "../labels/refusal.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const FIXED32 = 5;

export class WireCursor {
  readonly bytes: Uint8Array;
  #at = 0;
  #end = 0;
  /** Reads the numbers of several bytes. */
  readonly #varints: VarintCursor;
  /** Of the field that `next` came to. */
  field = 0;
  wire = 0;
  /** The number of a varint field: exact below 2^53, rounded from there on. */
  number = 0;
  /** Where the field's content lies. */
  start = 0;
  stop = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#varints = new VarintCursor(bytes, 0, 0);
  }

  /** Turns to the message that lies there. */
  enter(start: number, stop: number): this {
    this.#at = start;
    this.#end = stop;
    return this;
  }

  /** Goes to the next field. False at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.field = tag < 0x80 ? tag >> 3 : Math.floor(tag / 8);
    const wire = tag & 7;
    this.wire = wire;
    if (wire === VARINT) {
      this.start = this.#at;
      this.number = this.#varint();
      this.stop = this.#at;
    } else if (wire === LENGTH) this.#skip(this.#varint());
    else if (wire === FIXED64) this.#skip(8);
    else if (wire === FIXED32) this.#skip(4);
    else throw malformed(`the export is no protobuf: byte ${this.#at - 1} begins a field of wire type ${wire}; send an ExportProfilesServiceRequest`);
    return true;
  }

  /** All bits of the varint field, as int64. */
  int64(): number | bigint {
    if (this.number <= Number.MAX_SAFE_INTEGER) return this.number;
    return BigInt.asIntN(64, BigInt(this.#wide(this.start, this.stop)));
  }

  /** All bits of the varint or fixed64 field, as uint64. */
  uint64(): bigint {
    if (this.wire === FIXED64) return fixed64(this.bytes, this.start);
    return BigInt.asUintN(64, BigInt(this.number <= Number.MAX_SAFE_INTEGER ? this.number : this.#wide(this.start, this.stop)));
  }

  /** The lower 32 bits of the varint or fixed64 field. */
  low(): number {
    if (this.wire === FIXED64) return uint32(this.bytes, this.start);
    return this.number <= Number.MAX_SAFE_INTEGER ? this.number % 2 ** 32 : Number(BigInt.asUintN(32, this.uint64()));
  }

  /** The upper 32 bits. */
  high(): number {
    if (this.wire === FIXED64) return uint32(this.bytes, this.start + 4);
    return this.number <= Number.MAX_SAFE_INTEGER ? Math.floor(this.number / 2 ** 32) : Number(this.uint64() >> 32n);
  }

  #wide(start: number, stop: number): number | bigint {
    return new VarintCursor(this.bytes, start, stop).nextWide();
  }

  /** Most numbers take one byte, which costs no call here. */
  #varint(): number {
    const at = this.#at;
    if (at < this.#end) {
      const byte = this.bytes[at]!;
      if (byte < 0x80) {
        this.#at = at + 1;
        return byte;
      }
    }
    return this.#longVarint();
  }

  #longVarint(): number {
    const varints = this.#varints;
    varints.offset = this.#at;
    varints.end = this.#end;
    const value = varints.next();
    if (value < 0) throw torn(this.#at);
    this.#at = varints.offset;
    return value;
  }

  #skip(length: number): void {
    const at = this.#at;
    if (length > this.#end - at) throw torn(at);
    this.start = at;
    this.stop = this.#at = at + length;
  }
}

/**
 * Numbers of one list. Beyond it the profile is refused: a number can take one byte of the export, and equal ones next to nothing of a
 * compressed body, and takes eight bytes of memory and more. The longest list that profilers send is that of 1.7's locations: as many as all stacks
 * of a profile have frames.
 */
const LIST_NUMBERS_MAX = 2 ** 22;

/** Throws a refusal. */
export function checkListLength(count: number): void {
  if (count > LIST_NUMBERS_MAX) throw refusal("profile_size_limit", `a list of the export has more than ${LIST_NUMBERS_MAX} numbers: profile for a shorter time`);
}

/**
 * Puts the numbers of a list's field behind the first `countBefore` entries of `into`, and returns how many there are with these: protobuf lets a
 * sender write one list in several pieces, packed or not, and what is not packed is a piece of one number. A negative number, as one of 2^53 and
 * more, comes out as a number that no table is as long as.
 */
export function packedNumbers(varints: VarintCursor, start: number, stop: number, into: number[], countBefore: number): number {
  let count = countBefore;
  varints.offset = start;
  varints.end = stop;
  while (varints.offset < stop) {
    const value = varints.next();
    if (value < 0) throw torn(varints.offset);
    into[count++] = value;
    checkListLength(count);
  }
  return count;
}

export function fixed64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(uint32(bytes, at + 4)) << 32n) | BigInt(uint32(bytes, at));
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function torn(offset: number): Error {
  return malformed(`the export is torn or no protobuf: what begins at byte ${offset} ends beyond its message; send the whole ExportProfilesServiceRequest`);
}
