/**
 * Protobuf's wire: varints of up to 64 bits and the skipping of unknown fields. Reads are checked against `end`; what
 * does not fit is refused as malformed. Hot loops read varints of one to four bytes themselves and come here for longer.
 */
import { malformed } from "./refusal.ts";

/** Low and high halves of the varint read last: an out parameter that allocates nothing. */
export type VarintLanes = Uint32Array;

/** Reads a varint at `pos` into `lanes`, returns the position behind it. */
export function readVarint(bytes: Uint8Array, pos: number, end: number, lanes: VarintLanes): number {
  let low = 0;
  let high = 0;
  for (let count = 0; count < 10; count++) {
    if (pos >= end) throw malformed("the profile ends inside a number: send all of its bytes");
    const byte = bytes[pos++]!;
    const bits = byte & 0x7f;
    if (count < 4) low |= bits << (7 * count);
    else if (count === 4) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (7 * count - 32);
    if (byte < 0x80) {
      if (count === 9 && byte > 1) break;
      lanes[0] = low;
      lanes[1] = high;
      return pos;
    }
  }
  throw malformed("the profile holds a number longer than 64 bits: encode it as protobuf does");
}

/** A length or an index: anything from 2^31 on comes out as 2^31 - 1, which no caller takes for valid. */
export function smallOf(lanes: VarintLanes): number {
  return lanes[1] !== 0 || lanes[0]! > 0x7fff_ffff ? 0x7fff_ffff : lanes[0]!;
}

export function signedOf(lanes: VarintLanes): bigint {
  return BigInt.asIntN(64, (BigInt(lanes[1]!) << 32n) | BigInt(lanes[0]!));
}

export function unsignedOf(lanes: VarintLanes): bigint {
  return (BigInt(lanes[1]!) << 32n) | BigInt(lanes[0]!);
}

/** Skips the value of a field whose tag was just read. Groups are refused: nobody writes them, and they nest. */
export function skipField(bytes: Uint8Array, pos: number, end: number, wireType: number, lanes: VarintLanes): number {
  let next: number;
  switch (wireType) {
    case 0:
      return readVarint(bytes, pos, end, lanes);
    case 1:
      next = pos + 8;
      break;
    case 2:
      next = readVarint(bytes, pos, end, lanes);
      next += smallOf(lanes);
      break;
    case 5:
      next = pos + 4;
      break;
    default:
      throw malformed(`the profile holds a field of wire type ${wireType}: send an uncompressed or gzipped pprof profile`);
  }
  if (next > end) throw malformed("the profile ends inside a field: send all of its bytes");
  return next;
}
