/**
 * Entries about the whole store, under `m/`, and the next ordinal of a window, under `o/`.
 *
 *   m/store           | crc32 | format version u8 | store id 16 |
 *   m/retired         | crc32 | ranges of commit numbers whose content left this store on purpose |
 *   m/ordinal-floor   | crc32 | uvarint: no new ordinal is below it |
 *   o/...             | crc32 | uvarint: next ordinal |
 */
import { ByteReader, ByteWriter, CodedError } from "@pyromesh/base";
import { frame, unframe } from "./frame.ts";
import { META_ORDINAL_FLOOR, META_RETIRED, META_STORE, ordinalKey } from "./keys.ts";
import { NumberRanges } from "./number-ranges.ts";
import type { StoreEntry } from "./store.ts";

export const FORMAT_VERSION = 1;
export const STORE_ID_BYTES = 16;

export function encodeStoreMark(storeId: Uint8Array): StoreEntry {
  return framed(META_STORE, new ByteWriter().u8(FORMAT_VERSION).raw(storeId));
}

/** The store id. Throws `CorruptionError`, and `HEAD_FORMAT_NEWER` for a sound entry of a later version. */
export function decodeStoreMark(value: Uint8Array): Uint8Array {
  const reader = new ByteReader(unframe(META_STORE, value), "entry m/store");
  const version = reader.u8();
  if (version > FORMAT_VERSION) {
    throw new CodedError({
      code: "HEAD_FORMAT_NEWER",
      kind: "failed_precondition",
      message: `the data directory has head format ${version}, this version reads up to ${FORMAT_VERSION}: run the newer version on it`,
    });
  }
  return Uint8Array.from(reader.raw(STORE_ID_BYTES));
}

export function encodeRetired(retired: NumberRanges): StoreEntry {
  const writer = new ByteWriter();
  retired.write(writer);
  return framed(META_RETIRED, writer);
}

/** Throws `CorruptionError`. */
export function decodeRetired(value: Uint8Array): NumberRanges {
  return NumberRanges.read(new ByteReader(unframe(META_RETIRED, value), "entry m/retired"));
}

export function encodeOrdinalFloor(floor: number): StoreEntry {
  return framed(META_ORDINAL_FLOOR, new ByteWriter().uvarint(floor));
}

/** Throws `CorruptionError`. */
export function decodeOrdinalFloor(value: Uint8Array): number {
  return new ByteReader(unframe(META_ORDINAL_FLOOR, value), "entry m/ordinal-floor").uvarint();
}

export function encodeNextOrdinal(tenant: string, windowStartMs: number, next: number): StoreEntry {
  return framed(ordinalKey(tenant, windowStartMs), new ByteWriter().uvarint(next));
}

/** Throws `CorruptionError`. */
export function decodeNextOrdinal(key: Uint8Array, value: Uint8Array): number {
  return new ByteReader(unframe(key, value), "an ordinal").uvarint();
}

function framed(key: Uint8Array, writer: ByteWriter): StoreEntry {
  return { key, value: frame(key, writer.finish()) };
}
