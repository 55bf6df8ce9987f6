/**
 * One record in the head's store: what the head must know of it, then the record's own bytes, untouched.
 *
 *   | crc32 u32 | version u8 | identity 16 | timeMs f64 | sampleCount u32 | tenant text | service text | bytes ... |
 *
 * The head's words stand outside the record's bytes, so that it can deduplicate, cut and quarantine without decoding them.
 * (One copy of the bytes per record: some 0.1 ms a MiB.)
 */
import { assert, ByteReader } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { FRAME_BYTES, frameSum, stampFrame, unframe } from "./frame.ts";
import { recordKey } from "./keys.ts";

export interface EncodedEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly sum: number;
}

export function encodeRecordEntry(seq: number, record: EncodedRecord): EncodedEntry {
  assert(record.identity.length === IDENTITY_BYTES, "an identity has 16 bytes");
  const tenant = Buffer.from(record.tenant, "utf8");
  const service = Buffer.from(record.service, "utf8");
  const key = recordKey(seq);
  const headBytes = FIXED_BYTES + 4 + tenant.length + service.length;
  const value = Buffer.allocUnsafe(headBytes + record.bytes.length);
  value[FRAME_BYTES] = VERSION;
  value.set(record.identity, 5);
  value.writeDoubleLE(record.timeMs, 21);
  value.writeUInt32LE(record.sampleCount, 29);
  let at = FIXED_BYTES;
  for (const text of [tenant, service]) {
    assert(text.length <= TEXT_BYTES_MAX, "tenant and service fit in 65535 bytes");
    value.writeUInt16LE(text.length, at);
    value.set(text, at + 2);
    at += 2 + text.length;
  }
  value.set(record.bytes, at);
  return { key, value, sum: stampFrame(key, value) };
}

/** Its `bytes` are a view into `value`. Throws `CorruptionError`. */
export function decodeRecordEntry(key: Uint8Array, value: Uint8Array): { readonly record: EncodedRecord; readonly sum: number } {
  const reader = new ByteReader(unframe(key, value), "a record entry");
  const version = reader.u8();
  if (version !== VERSION) reader.fail(`version ${VERSION}`, `${version}`);
  const identity = reader.raw(IDENTITY_BYTES);
  const timeMs = reader.f64();
  const sampleCount = reader.u32();
  const tenant = decodeText(reader.raw(reader.u16()));
  const service = decodeText(reader.raw(reader.u16()));
  const bytes = reader.raw(reader.remaining);
  return { record: { identity, tenant, service, timeMs, sampleCount, bytes }, sum: frameSum(value) };
}

/** What a record costs in the store, for budgets, before it is encoded. */
export function recordEntryBytes(record: EncodedRecord): number {
  return FIXED_BYTES + 4 + record.tenant.length + record.service.length + record.bytes.length;
}

const VERSION = 1;
const IDENTITY_BYTES = 16;
const TEXT_BYTES_MAX = 0xffff;
const FIXED_BYTES = FRAME_BYTES + 1 + IDENTITY_BYTES + 8 + 4;

function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
