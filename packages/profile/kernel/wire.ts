/**
 * Protobuf's wire format: reads varints of up to 64 bits, and skips unknown fields. Reads are checked against `end`; what does not
 * fit is refused. Positions are addresses.
 */
import {
  ENDS_IN_FIELD,
  ENDS_IN_NUMBER,
  FIELD_NUMBER,
  FIELD_NUMBER_PADDED,
  NUMBER_TOO_LONG,
  WIRE_TYPE,
  WIRE_TYPE_UNKNOWN,
} from "./gen/layout";
import { refuse } from "./refusal";

/** The position behind the varint that was read last. */
export let next: usize = 0;

/** Reads the varint at `from`. */
@inline
export function varint(from: usize, end: usize): u64 {
  if (from < end) {
    const byte = load<u8>(from);
    if (byte < 0x80) {
      next = from + 1;
      return byte;
    }
  }
  return longVarint(from, end);
}

function longVarint(from: usize, end: usize): u64 {
  let pos = from;
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < 70; shift += 7) {
    if (pos >= end) refuse(ENDS_IN_NUMBER);
    const byte = <u64>load<u8>(pos++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (shift === 63 && byte > 1) break;
      next = pos;
      return value;
    }
  }
  refuse(NUMBER_TOO_LONG);
  return 0;
}

/** Limits a length or an index to 2^31 - 1, which no caller takes for valid. */
@inline
export function small(value: u64): u32 {
  return value > 0x7fff_ffff ? 0x7fff_ffff : <u32>value;
}

/** Wire types of the known fields 1 to 14 of Profile, four bits each; 15: any (comments, 13, come packed or not). */
const PROFILE_WIRE_TYPES: u64 = 0x0f02_0000_2222_22f;

/** Skips a field that is not kept; returns where it ends. Inside other messages a known field of another type is skipped like an unknown one. */
export function otherField(tagAt: usize, end: usize, isProfile: bool): usize {
  const tag = varint(tagAt, end);
  if (tag > 0xffff_ffff || tag < 8) refuse(FIELD_NUMBER);
  if (next > tagAt + 1 && load<u8>(next - 1) === 0) refuse(FIELD_NUMBER_PADDED);
  const field = <u32>(tag >> 3);
  const wireType = <u32>(tag & 7);
  if (isProfile && field <= 14) {
    const expected = <u32>(PROFILE_WIRE_TYPES >> (field * 4)) & 15;
    if (expected !== 15 && expected !== wireType) refuse(WIRE_TYPE, field, wireType, expected);
  }
  let to = next;
  // Groups (wire types 3 and 4) are refused: nobody writes them, and they may be nested.
  if (wireType === 0) {
    varint(to, end);
    to = next;
  } else if (wireType === 1) to += 8;
  else if (wireType === 2) {
    const length = small(varint(to, end));
    to = next + length;
  } else if (wireType === 5) to += 4;
  else refuse(WIRE_TYPE_UNKNOWN, wireType);
  if (to > end) refuse(ENDS_IN_FIELD);
  return to;
}

/*
 * Reading varints of up to eight bytes without a branch on their length, which no processor could predict, and without a call, around which
 * every variable of a loop would be kept in memory:
 *
 *   const word = load<u64>(pos);      eight bytes, some perhaps beyond the message, which are not used
 *   const ends = endsOf(word);        the highest bit of each byte that ends a varint; 0: it is longer than eight bytes
 *   pos += lengthOf(ends);
 *   const value = valueOf(word, ends);
 *
 * The caller checks once, at the end of a message, whether everything was in order, and else reads the message again with `varint`.
 */
@inline
export function endsOf(word: u64): u64 {
  return ~word & 0x8080_8080_8080_8080;
}

@inline
export function lengthOf(ends: u64): usize {
  return <usize>(ctz(ends) >> 3) + 1;
}

/** Joins the seven bits of each byte up to the first end: in pairs, then in fours, then both halves. */
@inline
export function valueOf(word: u64, ends: u64): u64 {
  const bytes = word & (ends ^ (ends - 1));
  const pairs = (bytes & 0x007f_007f_007f_007f) | ((bytes & 0x7f00_7f00_7f00_7f00) >> 1);
  const fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
  return (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4);
}
