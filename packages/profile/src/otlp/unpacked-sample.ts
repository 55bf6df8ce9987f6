/**
 * Samples whose lists are not packed: a number of a list is then a field of its own, as protobuf allows and async-profiler writes them (4.1 and 4.2
 * attributes alone). Then the wire type does not tell a list from a single number:
 *
 *                 1.7                 1.8, 1.9       1.10, 1.11
 *   2 a number    locations length    a value        an attribute
 *   3 a number    a value             an attribute   link
 *   4 a number    an attribute        link           a value
 *
 * What does is that a sample has values or timestamps, and that attributes and links are in their tables, where entry 0 of links is none.
 */
import type { ExportTables } from "./export-tables.ts";
import { NONE, V10, V7, V8 } from "./version-set.ts";
import { FIXED64, LENGTH, VARINT } from "./wire-cursor.ts";
import type { WireCursor } from "./wire-cursor.ts";

/** The versions in which the sample at `cursor` has a list that is not packed, and is whole. Moves `cursor` to the sample's end. */
export function versionsOfUnpacked({ attributes, links }: ExportTables, cursor: WireCursor): number {
  /** Versions that the fields so far leave, in which values or timestamps were seen, and in which a list was not packed. */
  let left = V7 | V8 | V10;
  let whole = NONE;
  let unpacked = NONE;
  while (cursor.next()) {
    const { field, wire, number } = cursor;
    const isAttribute = number < attributes.count;
    const isLink = number > 0 && number < links.count;
    if (wire === VARINT) {
      switch (field) {
        case 1:
          break;
        case 2:
          whole |= V8;
          unpacked |= V8 | V10;
          if (!isAttribute) left &= ~V10;
          break;
        case 3:
          whole |= V7;
          unpacked |= V7 | V8;
          if (!isAttribute) left &= ~V8;
          if (!isLink) left &= ~V10;
          break;
        case 4:
          whole |= V10;
          unpacked |= V7 | V10;
          if (!isAttribute) left &= ~V7;
          if (!isLink) left &= ~V8;
          break;
        case 5:
          left &= V7; // link
          break;
        case 6:
          left &= V7; // a timestamp
          whole |= V7;
          unpacked |= V7;
          break;
        default:
          return NONE;
      }
    } else if (wire === FIXED64 && field === 5) {
      left &= ~V7; // a timestamp
      whole |= V8 | V10;
      unpacked |= V8 | V10;
    } else if (wire === LENGTH && (field === 3 || field === 6)) {
      left &= V7; // values or timestamps, of which the attributes alone are not packed
      whole |= V7;
    } else {
      return NONE;
    }
  }
  return left & whole & unpacked;
}
