/**
 * Entries and losses as bytes, on disk (cluster-state.ts) and under the digest (table-digest.ts). Text is UTF-8 with its length before it, numbers are
 * varints; a set is its count, then 16 bytes a store, sorted.
 *
 *   entry  name · store id (16) · boot id (8) · incarnation · status (1) · flags (1: bit 0 claims to be full) · joins · goneJoins · acksHeld
 *          · cluster address · HTTP address · zone · tokens · protocolMin · protocolMax · build · acknowledgedBy
 *          · formats · promises (announced-formats.ts; length before each; not in version 1)
 *   loss   member · store id (16) · incarnation · acksHeld · flags (1: bit 0 was full, bit 1 cleared) · goneJoins · fencedBy · flushedBy
 */
import { type ByteReader, type ByteWriter, toHex } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import { type Entry, faultOfEntry, NOBODY, STATUSES } from "./entry.ts";
import { faultOfLoss, type Loss } from "./losses.ts";
import { isStoreSet } from "./store-set.ts";

/** 2: entries have formats and promises. */
export const TABLE_BYTES_VERSION = 2;
const VERSION_WITH_FORMATS = 2;

export function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.text(entry.name).raw(fromHex(entry.storeId)).raw(fromHex(entry.bootId)).uvarint(entry.incarnation);
  writer.u8(STATUSES.indexOf(entry.status)).u8(entry.claimsFull ? CLAIMS_FULL : 0);
  writer.uvarint(entry.joins).uvarint(entry.goneJoins).uvarint(entry.acksHeld);
  writer.text(entry.clusterAddress).text(entry.httpAddress).text(entry.zone);
  writer.uvarint(entry.tokenCount).uvarint(entry.protocolMin).uvarint(entry.protocolMax).text(entry.build);
  writeStores(writer, entry.acknowledgedBy);
  writer.prefixed(fromHex(entry.formats)).prefixed(fromHex(entry.promises));
}

export function writeLoss(writer: ByteWriter, loss: Loss): void {
  writer.text(loss.member).raw(fromHex(loss.storeId)).uvarint(loss.incarnation).uvarint(loss.acksHeld);
  writer.u8((loss.wasFull ? WAS_FULL : 0) | (loss.isCleared ? IS_CLEARED : 0)).uvarint(loss.goneJoins);
  writeStores(writer, loss.fencedBy);
  writeStores(writer, loss.flushedBy);
}

/** Throws `CorruptionError` where it is not an entry. */
export function readEntry(reader: ByteReader, version: number = TABLE_BYTES_VERSION): Entry {
  const entry: Entry = {
    name: reader.text(),
    storeId: toHex(reader.raw(STORE_ID_BYTES)),
    bootId: toHex(reader.raw(BOOT_ID_BYTES)),
    incarnation: reader.uvarint(),
    status: STATUSES[reader.u8()] ?? reader.fail("a status", "an unknown one"),
    claimsFull: reader.u8() === CLAIMS_FULL,
    joins: reader.uvarint(),
    goneJoins: reader.uvarint(),
    acksHeld: reader.uvarint(),
    clusterAddress: reader.text(),
    httpAddress: reader.text(),
    zone: reader.text(),
    tokenCount: reader.uvarint(),
    protocolMin: reader.uvarint(),
    protocolMax: reader.uvarint(),
    build: reader.text(),
    acknowledgedBy: readStores(reader),
    formats: version < VERSION_WITH_FORMATS ? "" : toHex(reader.prefixed()),
    promises: version < VERSION_WITH_FORMATS ? "" : toHex(reader.prefixed()),
  };
  const fault = faultOfEntry(entry);
  return fault === undefined ? entry : reader.fail("an entry", `one that is refused: ${fault}`);
}

/** Throws `CorruptionError` where it is not a loss. */
export function readLoss(reader: ByteReader): Loss {
  const member = reader.text();
  const storeId = toHex(reader.raw(STORE_ID_BYTES));
  const incarnation = reader.uvarint();
  const acksHeld = reader.uvarint();
  const flags = reader.u8();
  const goneJoins = reader.uvarint();
  const fencedBy = readStores(reader);
  const flushedBy = readStores(reader);
  const loss: Loss = { member, storeId, incarnation, acksHeld, wasFull: (flags & WAS_FULL) !== 0, goneJoins, isCleared: (flags & IS_CLEARED) !== 0, fencedBy, flushedBy };
  const fault = faultOfLoss(loss);
  return fault === undefined ? loss : reader.fail("a loss", `one that is refused: ${fault}`);
}

const STORE_ID_BYTES = 16;
const BOOT_ID_BYTES = 8;
const CLAIMS_FULL = 1;
const WAS_FULL = 1;
const IS_CLEARED = 2;

const fromHex = (hex: string): Uint8Array => Buffer.from(hex, "hex");

function writeStores(writer: ByteWriter, stores: readonly StoreId[]): void {
  writer.uvarint(stores.length);
  for (const store of stores) writer.raw(fromHex(store));
}

function readStores(reader: ByteReader): readonly StoreId[] {
  const count = reader.uvarint();
  if (count === 0) return NOBODY;
  if (count * STORE_ID_BYTES > reader.remaining) reader.fail(`${count} store ids`, `${reader.remaining} bytes`);
  const stores = Array.from({ length: count }, () => toHex(reader.raw(STORE_ID_BYTES)));
  return isStoreSet(stores) ? stores : reader.fail("store ids in order", "others");
}
