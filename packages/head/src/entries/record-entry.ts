/**
 * One record in the head's store: what the head must know of it, then the record's own bytes, untouched.
 *
 *   | crc32 u32 | version u8 | identity 16 | timeMs f64 | sampleCount u32 | tenant text | service text | bytes ... |
 *
 * What the head needs stands outside the record's bytes, so that it can deduplicate, cut and quarantine without decoding them.
 * An entry is encoded into one buffer that is used again: a buffer for each would cost seven times as much
 * (docs/decisions/0013-head-entries.md).
 */
import { assert, ByteReader, WORD_BYTES, wordSkew } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { ENVELOPE_BYTES, envelopeSum, stampEnvelope, unwrap } from "./checksum-envelope.ts";
import { recordKey } from "./keys.ts";

export interface EncodedEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly sum: number;
}

/** Encodes one record after the other. Its buffer grows to the largest of them, up to `SCRATCH_BYTES_MAX`. */
export class RecordEntryEncoder {
  /** Outside Node's buffer pool, so that it begins at a word boundary. */
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

  /** The result is valid until the next call. */
  encode(seq: number, record: EncodedRecord): EncodedEntry {
    assert(record.identity.length === IDENTITY_BYTES, "an identity has 16 bytes");
    const key = recordKey(seq);
    const value = this.#room(recordEntryBytes(record), record.bytes);
    value[ENVELOPE_BYTES] = VERSION;
    value.set(record.identity, 5);
    value.writeDoubleLE(record.timeMs, 21);
    value.writeUInt32LE(record.sampleCount, 29);
    let at = writeText(value, FIXED_BYTES, record.tenant);
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

/** Its `bytes` are a view into `value`. Throws `CorruptionError`. */
export function decodeRecordEntry(key: Uint8Array, value: Uint8Array): { readonly record: EncodedRecord; readonly sum: number } {
  const reader = new ByteReader(unwrap(key, value), "a record entry");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`version ${VERSION}`, `${version}`);
  const identity = reader.raw(IDENTITY_BYTES);
  const timeMs = reader.f64();
  const sampleCount = reader.u32();
  const tenant = decodeText(reader.raw(reader.u16()));
  const service = decodeText(reader.raw(reader.u16()));
  const bytes = reader.raw(reader.remaining);
  return { record: { identity, tenant, service, timeMs, sampleCount, bytes }, sum: envelopeSum(value) };
}

/** A tenant or a service: its length is a u16. */
export const NAME_BYTES_MAX = 0xffff;

export function isNameKept(name: string): boolean {
  return name.length * 3 <= NAME_BYTES_MAX || Buffer.byteLength(name) <= NAME_BYTES_MAX;
}

/** What a record takes in the store. */
export function recordEntryBytes(record: EncodedRecord): number {
  return FIXED_BYTES + 4 + Buffer.byteLength(record.tenant) + Buffer.byteLength(record.service) + record.bytes.length;
}

const VERSION = 1;
const IDENTITY_BYTES = 16;
const FIXED_BYTES = ENVELOPE_BYTES + 1 + IDENTITY_BYTES + 8 + 4;
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

function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
