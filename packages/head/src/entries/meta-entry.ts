/**
 * Entries about the whole store, under `m/`, and the next ordinal of a window, under `o/`.
 *
 *   m/store           | crc32 | format version u8, 2 or 3 (4 was written for a while) | store id 16 | is first format u8 | count uvarint | former store ids, 16 each |
 *                     format 1: | crc32 | 1 | store id 16 |
 *   m/bucket          | crc32 | version u8 | bucket id text | cluster name text |
 *   m/notes           | crc32 | version u8 | since ms uvarint |      every object that records went into since then, by the wall clock, has a note; 0 or absent: ever
 *   m/retired         | crc32 | ranges of commit numbers whose content left this store on purpose |
 *   m/ordinal-floor   | crc32 | uvarint: no new ordinal is below it |      written by format 1 only
 *   o/... and l/...   | crc32 | uvarint: next ordinal |
 */
import { ByteReader, ByteWriter, CodedError } from "@pyromesh/base";
import { unwrap, wrap } from "./checksum-envelope.ts";
import { formerOrdinalKey, META_BUCKET, META_NOTES, META_RETIRED, META_ORDINAL_FLOOR, META_STORE, ordinalKey } from "./keys.ts";
import { NumberRanges } from "./number-ranges.ts";
import type { StoreEntry } from "./store.ts";

/** The newest format that this build reads, and writes where every member of the cluster reads it: with notes. */
export const FORMAT_VERSION = 4;
/** What it writes otherwise: without notes. */
export const FORMAT_VERSION_MIN = 3;
export const STORE_ID_BYTES = 16;

export interface StoreMark {
  readonly storeId: Uint8Array;
  /** Format 1 wrote it, or its format is lost, and no bucket was adopted since: its ordinals may have holes. */
  readonly isFirstFormat: boolean;
  /** Ids it had before, the latest last. */
  readonly formerIds: readonly Uint8Array[];
}

export function encodeStoreMark({ storeId, isFirstFormat, formerIds }: StoreMark): StoreEntry {
  const writer = new ByteWriter().u8(FORMAT_VERSION_MIN).raw(storeId).u8(isFirstFormat ? 1 : 0).uvarint(formerIds.length);
  for (const formerId of formerIds) writer.raw(formerId);
  return wrapped(META_STORE, writer);
}

/** Throws `CorruptionError`, and `HEAD_FORMAT_NEWER` for a sound entry of a later version. */
export function decodeStoreMark(value: Uint8Array): StoreMark & { readonly version: number } {
  const reader = new ByteReader(unwrap(META_STORE, value), "entry m/store");
  const version = reader.u8();
  if (version > FORMAT_VERSION) {
    throw new CodedError({
      code: "HEAD_FORMAT_NEWER",
      kind: "failed_precondition",
      message: `the data directory has head format ${version}, this version reads up to ${FORMAT_VERSION}: run the newer version on it`,
      details: { version, versionMax: FORMAT_VERSION },
    });
  }
  const storeId = Uint8Array.from(reader.raw(STORE_ID_BYTES));
  if (version === 1) return { version, storeId, isFirstFormat: true, formerIds: [] };
  const isFirstFormat = reader.u8() === 1;
  const formerIds: Uint8Array[] = [];
  for (let left = reader.uvarint(); left > 0; left--) formerIds.push(Uint8Array.from(reader.raw(STORE_ID_BYTES)));
  return { version, storeId, isFirstFormat, formerIds };
}

/** Which bucket this data dir wrote to. */
export interface BucketMark {
  /** 32 lower-case hex digits. */
  readonly bucketId: string;
  readonly clusterName: string;
}

export function encodeBucketMark({ bucketId, clusterName }: BucketMark): StoreEntry {
  return wrapped(META_BUCKET, new ByteWriter().u8(1).text(bucketId).text(clusterName));
}

/** Throws `CorruptionError`. */
export function decodeBucketMark(value: Uint8Array): BucketMark {
  const reader = new ByteReader(unwrap(META_BUCKET, value), "entry m/bucket");
  const version = reader.u8();
  if (version !== 1) reader.fail("version 1", `${version}`);
  return { bucketId: reader.text(), clusterName: reader.text() };
}

export function encodeNotesMark(sinceMs: number): StoreEntry {
  return wrapped(META_NOTES, new ByteWriter().u8(1).uvarint(sinceMs));
}

/** Since when notes are kept, by the wall clock; 0: ever. Throws `CorruptionError`. */
export function decodeNotesMark(value: Uint8Array): number {
  const reader = new ByteReader(unwrap(META_NOTES, value), "entry m/notes");
  const version = reader.u8();
  if (version !== 1) reader.fail("version 1", `${version}`);
  return reader.remaining === 0 ? 0 : reader.uvarint();
}

export function encodeRetired(retired: NumberRanges): StoreEntry {
  const writer = new ByteWriter();
  retired.write(writer);
  return wrapped(META_RETIRED, writer);
}

/** Throws `CorruptionError`. */
export function decodeRetired(value: Uint8Array): NumberRanges {
  return NumberRanges.read(new ByteReader(unwrap(META_RETIRED, value), "entry m/retired"));
}

/** Throws `CorruptionError`. */
export function decodeOrdinalFloor(value: Uint8Array): number {
  return new ByteReader(unwrap(META_ORDINAL_FLOOR, value), "entry m/ordinal-floor").uvarint();
}

export function encodeNextOrdinal(tenant: string, windowStartMs: number, next: number): StoreEntry {
  return wrapped(ordinalKey(tenant, windowStartMs), new ByteWriter().uvarint(next));
}

/** `storeId` in lower-case hex. */
export function encodeFormerOrdinal(storeId: string, tenant: string, windowStartMs: number, next: number): StoreEntry {
  return wrapped(formerOrdinalKey(storeId, tenant, windowStartMs), new ByteWriter().uvarint(next));
}

/** Throws `CorruptionError`. */
export function decodeNextOrdinal(key: Uint8Array, value: Uint8Array): number {
  return new ByteReader(unwrap(key, value), "an ordinal").uvarint();
}

function wrapped(key: Uint8Array, writer: ByteWriter): StoreEntry {
  return { key, value: wrap(key, writer.finish()) };
}
