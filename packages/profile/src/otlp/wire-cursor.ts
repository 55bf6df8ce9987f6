/**
 * Walks the fields of one protobuf message, in place: nothing is decoded but what the caller asks for. One cursor is used for many messages
 * of one kind, so that a walk allocates nothing.
 *
 *   while (cursor.next()) if (cursor.field === 2) ... cursor.number, or cursor.start and cursor.stop
 *
 * What must stay true: a cursor reads nothing beyond the end of its message, and every call of `next` moves forward or throws.
 */
import { VarintCursor } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const FIXED32 = 5;

export class WireCursor {
  readonly bytes: Uint8Array;
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
    this.#varints.offset = start;
    this.#varints.end = stop;
    return this;
  }

  /** Goes to the next field. False at the end of the message. */
  next(): boolean {
    const varints = this.#varints;
    if (varints.offset >= varints.end) return false;
    const tag = this.#varint();
    this.field = tag < 0x80 ? tag >> 3 : Math.floor(tag / 8);
    this.wire = tag & 7;
    switch (this.wire) {
      case VARINT:
        this.start = varints.offset;
        this.number = this.#varint();
        this.stop = varints.offset;
        break;
      case LENGTH: {
        const length = this.#varint();
        this.#skip(length);
        break;
      }
      case FIXED64:
        this.#skip(8);
        break;
      case FIXED32:
        this.#skip(4);
        break;
      default:
        throw malformed(`the export is no protobuf: byte ${varints.offset - 1} begins a field of wire type ${this.wire}; send an ExportProfilesServiceRequest`);
    }
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

  #wide(start: number, stop: number): number | bigint {
    return new VarintCursor(this.bytes, start, stop).nextWide();
  }

  #varint(): number {
    const value = this.#varints.next();
    if (value < 0) throw torn(this.#varints.offset);
    return value;
  }

  #skip(length: number): void {
    const varints = this.#varints;
    if (length > varints.end - varints.offset) throw torn(varints.offset);
    this.start = varints.offset;
    this.stop = varints.offset += length;
  }
}

/**
 * Puts the numbers of a packed field into the first entries of `into`, and returns how many there are. A negative number, as one of 2^53 and
 * more, comes out as a number that no table is as long as.
 */
export function packedNumbers(varints: VarintCursor, start: number, stop: number, into: number[]): number {
  let count = 0;
  varints.offset = start;
  varints.end = stop;
  while (varints.offset < stop) {
    const value = varints.next();
    if (value < 0) throw torn(varints.offset);
    into[count++] = value;
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
