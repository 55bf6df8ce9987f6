/**
 * One record in the head's store: what the head must know of it, then the record's own bytes, untouched.
 *
 *   version 2   | crc32 u32 | version u8 | identity 16 | timeMs f64 | sampleCount u32 | fingerprint u64 | rank u8 | store count u8 |
 *               | store ids, 16 each | tenant text | service text | bytes ... |
 *   version 1   | crc32 u32 | version u8 | identity 16 | timeMs f64 | sampleCount u32 | tenant text | service text | bytes ... |
 *
 * A text is a u16 length and its UTF-8. Version 1 is read: rank 0, no store ids, and the fingerprint that the record's bytes say.
 *
 * What the head needs stands outside the record's bytes, so that it can deduplicate, select, cut and quarantine without decoding them, and
 * so that all replicas hold equal bytes: who else keeps the record differs from one to the next.
 * An entry is encoded into one buffer that is used again: a buffer for each would cost seven times as much
 * (docs/decisions/0013-head-entries.md).
 */
import { assert, ByteReader, CorruptionError, WORD_BYTES, wordSkew } from "@pyromesh/base";
import { recordFingerprint } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { ENVELOPE_BYTES, envelopeSum, stampEnvelope, unwrap } from "./checksum-envelope.ts";
import { recordKey } from "./keys.ts";
import { STORE_ID_BYTES } from "./meta-entry.ts";

/** Which stores keep a record, and which of them this one is. */
export interface RecordPlace {
  readonly rank: number;
  /** Store ids in the order of their ranks. None: this store alone. */
  readonly stores: readonly Uint8Array[];
}

export interface EncodedEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly sum: number;
}

export interface RecordEntry {
  readonly record: EncodedRecord;
  readonly place: RecordPlace;
  readonly sum: number;
}

/** Encodes one record after the other. Its buffer grows to the largest of them, up to `SCRATCH_BYTES_MAX`. */
export class RecordEntryEncoder {
  /** Outside Node's buffer pool, so that it begins at a word boundary. */
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** A fingerprint on its way into an entry: `writeBigUInt64LE` makes several bigints for each. */
  readonly #word = new BigUint64Array(1);
  readonly #wordBytes = new Uint8Array(this.#word.buffer);

  /** The result is valid until the next call. */
  encode(seq: number, record: EncodedRecord, { rank, stores }: RecordPlace): EncodedEntry {
    assert(record.identity.length === IDENTITY_BYTES, "an identity has 16 bytes");
    assert(stores.length <= STORE_COUNT_MAX, "a record has few stores");
    const key = recordKey(seq);
    const value = this.#room(recordEntryBytes(record, stores.length), record.bytes);
    value[ENVELOPE_BYTES] = VERSION;
    value.set(record.identity, 5);
    value.writeDoubleLE(record.timeMs, 21);
    value.writeUInt32LE(record.sampleCount, 29);
    this.#word[0] = record.fingerprint;
    value.set(this.#wordBytes, 33);
    value[41] = rank;
    value[42] = stores.length;
    let at = FIXED_BYTES;
    for (const storeId of stores) {
      assert(storeId.length === STORE_ID_BYTES, "a store id has 16 bytes");
      value.set(storeId, at);
      at += STORE_ID_BYTES;
    }
    at = writeText(value, at, record.tenant);
    at = writeText(value, at, record.service);
    value.set(record.bytes, at);
    return { key, value, sum: stampEnvelope(key, value) };
  }

  /** Room for an entry that ends with `bytes`. */
  #room(sizeBytes: number, bytes: Uint8Array): Buffer {
    if (sizeBytes > SCRATCH_BYTES_MAX) return Buffer.allocUnsafe(sizeBytes);
    const roomBytes = WORD_BYTES + sizeBytes;
    if (roomBytes > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(Math.min(sizeBytes * 2, SCRATCH_BYTES_MAX) + WORD_BYTES);
    // The record's bytes begin at the same place in a word as where they come from: copying and decoding them is faster then (`wordSkew`).
    const from = (wordSkew(bytes) + bytes.length - sizeBytes) & (WORD_BYTES - 1);
    return this.#scratch.subarray(from, from + sizeBytes);
  }
}

/** The record's `bytes` and the store ids are views into `value`. Throws `CorruptionError`. */
export function decodeRecordEntry(key: Uint8Array, value: Uint8Array): RecordEntry {
  const reader = new ByteReader(unwrap(key, value), "a record entry");
  const version = reader.u8();
  if (version !== VERSION && version !== 1) reader.fail(`version 1 or ${VERSION}`, `${version}`);
  const identity = reader.raw(IDENTITY_BYTES);
  const timeMs = reader.f64();
  const sampleCount = reader.u32();
  let fingerprint: bigint | undefined;
  let place = ALONE;
  if (version === VERSION) {
    fingerprint = reader.u64();
    const rank = reader.u8();
    const stores: Uint8Array[] = [];
    for (let left = reader.u8(); left > 0; left--) stores.push(reader.raw(STORE_ID_BYTES));
    if (rank > 0 || stores.length > 0) place = { rank, stores };
  }
  const tenant = decodeText(reader.raw(reader.u16()));
  const service = decodeText(reader.raw(reader.u16()));
  const bytes = reader.raw(reader.remaining);
  fingerprint ??= fingerprintIn(bytes);
  return { record: { identity, tenant, service, timeMs, sampleCount, fingerprint, bytes }, place, sum: envelopeSum(value) };
}

/** Kept by this store alone. */
export const ALONE: RecordPlace = { rank: 0, stores: [] };

/** More replicas than anyone asks for. A longer list is refused. */
export const STORE_COUNT_MAX = 16;

/** A tenant or a service: its length is a u16. */
export const NAME_BYTES_MAX = 0xffff;

export function isNameKept(name: string): boolean {
  return name.length * 3 <= NAME_BYTES_MAX || Buffer.byteLength(name) <= NAME_BYTES_MAX;
}

/** What a record takes in the store. */
export function recordEntryBytes(record: EncodedRecord, storeCount: number): number {
  return FIXED_BYTES + storeCount * STORE_ID_BYTES + 4 + Buffer.byteLength(record.tenant) + Buffer.byteLength(record.service) + record.bytes.length;
}

const VERSION = 2;
const IDENTITY_BYTES = 16;
const FIXED_BYTES = ENVELOPE_BYTES + 1 + IDENTITY_BYTES + 8 + 4 + 8 + 1 + 1;
const SCRATCH_BYTES = 16 << 10;
/** A larger entry, which is rare, gets a buffer of its own. */
const SCRATCH_BYTES_MAX = 1 << 20;

/** Returns where the text ends. */
function writeText(value: Buffer, at: number, text: string): number {
  const length = value.write(text, at + 2, "utf8");
  assert(length <= NAME_BYTES_MAX, "tenant and service fit in 65535 bytes");
  value.writeUInt16LE(length, at);
  return at + 2 + length;
}

/** 0 where the bytes are no record that this version can read: the head keeps them as they are. */
function fingerprintIn(bytes: Uint8Array): bigint {
  try {
    return recordFingerprint(bytes);
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return 0n;
  }
}

function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
