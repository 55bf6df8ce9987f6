/**
 * Records as bytes: the envelope, and what can be read without decoding the columns. RECORD.md draws the layout.
 *
 *   offset  size
 *        0     4  magic "PMRC"
 *        4     1  version, 2
 *        5     1  flags, 0
 *        6     4  crc32 of everything from offset 10 on
 *       10     4  body length
 *       14    16  identity: SHA-256 of the body, truncated
 *       30     8  fingerprint of the label set (labels/fingerprint.ts); not part of the identity
 *       38        body (record-encode.ts)
 *
 * Version 1 has the count of its store ids (1 byte) and these (16 bytes each) in place of the fingerprint. They are skipped: the head's
 * entry says who keeps a record, so that all replicas hold equal bytes.
 *
 * What must stay true: the body of a push is the same bytes on every node, so that its hash can be its name; a reader
 * checks magic, version, length and checksum before it uses anything else.
 */
import { CorruptionError, crc32, VarintCursor } from "@pyromesh/base";
import { fingerprintOfBytes } from "../labels/fingerprint.ts";
import { IDENTITY_BYTES } from "../model/identity.ts";
import type { EncodedRecord } from "../model/record-view.ts";

/** "PMRC" read as a little-endian number. */
export const RECORD_MAGIC = 0x4352_4d50;
export const RECORD_VERSION = 2;
/** The oldest version that is still written, where another member reads no newer one. */
export const RECORD_VERSION_MIN = 1;
export const RECORD_OFFSET = { version: 4, flags: 5, crc: 6, bodyLength: 10, identity: 14, fingerprint: 30, body: 38 } as const;

/** Version 1 is read for ever. */
export const VERSION_WITH_STORES = 1;
export const STORE_COUNT_AT = 30;
export const STORES_AT = 31;
const STORE_ID_BYTES = 16;

/** Flags of the field `keys` of the body: which of these follow. */
export const BODY_HAS_PROFILE_ID = 1;
export const BODY_HAS_IDEMPOTENCY_KEY = 2;
export const BODY_HAS_NONCE = 4;
export const BODY_HAS_SPANS = 8;
export const BODY_HAS_TRACES = 16;

export interface RecordHeader {
  /** A view into the record. */
  readonly identity: Uint8Array;
  readonly tenant: string;
  readonly service: string;
  readonly timeNs: bigint;
  readonly timeMs: number;
  readonly sampleCount: number;
  readonly fingerprint: bigint;
}

/** Reads the front of a record. Checks magic, version and length, not the checksum: `decodeRecord` does. */
export function recordHeader(bytes: Uint8Array, object = "a record"): RecordHeader {
  const front = new FrontReader(bytes, object, bodyOffset(bytes, object) + 1); // behind the normalisation version
  const tenant = front.text();
  const service = front.text();
  const timeNs = front.int64();
  return {
    identity: bytes.subarray(RECORD_OFFSET.identity, RECORD_OFFSET.identity + IDENTITY_BYTES),
    tenant,
    service,
    timeNs,
    timeMs: millisecondsOf(timeNs),
    sampleCount: front.count(),
    fingerprint: recordFingerprint(bytes, object),
  };
}

/** A copy, which stays valid when the record's bytes are overwritten. */
export function recordIdentity(bytes: Uint8Array): Uint8Array {
  return bytes.slice(RECORD_OFFSET.identity, RECORD_OFFSET.identity + IDENTITY_BYTES);
}

/** The stored fingerprint. Version 1 has none: there it is computed from the labels in the body. Checks magic, version and length. */
export function recordFingerprint(bytes: Uint8Array, object = "a record"): bigint {
  const bodyFrom = bodyOffset(bytes, object);
  if (bytes[RECORD_OFFSET.version] !== VERSION_WITH_STORES) return readUint64(bytes, RECORD_OFFSET.fingerprint);
  const { service, labels } = seriesPlaces(new FrontReader(bytes, object, bodyFrom + 1));
  return fingerprintOfBytes(Buffer.concat([bytes.subarray(service.from, service.to), bytes.subarray(labels.from, labels.to)]));
}

/** The versions in which a record is written; undefined: these are no bytes of a record. Checks nothing else. */
export function recordVersions(bytes: Uint8Array): { readonly record: number; readonly normalisation: number } | undefined {
  if (bytes.length < STORES_AT || readUint32(bytes, 0) !== RECORD_MAGIC) return undefined;
  const record = bytes[RECORD_OFFSET.version]!;
  const bodyFrom = record === VERSION_WITH_STORES ? STORES_AT + STORE_ID_BYTES * bytes[STORE_COUNT_AT]! : RECORD_OFFSET.body;
  return bodyFrom < bytes.length ? { record, normalisation: bytes[bodyFrom]! } : undefined;
}

/** A record that was read from a store, with the fields that `EncodedRecord` has beside the bytes. */
export function encodedRecordOf(bytes: Uint8Array, object = "a record"): EncodedRecord {
  const { identity, tenant, service, timeMs, sampleCount, fingerprint } = recordHeader(bytes, object);
  return { identity, tenant, service, timeMs, sampleCount, fingerprint, bytes };
}

/** Checks the envelope with its checksum; returns where the body begins. */
export function checkEnvelope(bytes: Uint8Array, object: string): number {
  const bodyFrom = bodyOffset(bytes, object);
  const expected = readUint32(bytes, RECORD_OFFSET.crc);
  const found = crc32(bytes.subarray(RECORD_OFFSET.bodyLength));
  if (found !== expected) corrupt(object, RECORD_OFFSET.crc, `checksum ${hex(expected)}`, hex(found));
  return bodyFrom;
}

/** Returns where the body begins. Checks magic, version, flags and length. */
export function bodyOffset(bytes: Uint8Array, object: string): number {
  if (bytes.length < STORES_AT) corrupt(object, 0, `at least ${STORES_AT} bytes`, `${bytes.length}`);
  const magic = readUint32(bytes, 0);
  if (magic !== RECORD_MAGIC) corrupt(object, 0, `magic ${hex(RECORD_MAGIC)}`, hex(magic));
  const version = bytes[RECORD_OFFSET.version]!;
  if (version < VERSION_WITH_STORES || version > RECORD_VERSION) corrupt(object, RECORD_OFFSET.version, `a version of ${VERSION_WITH_STORES} to ${RECORD_VERSION}`, `${version}`);
  const flags = bytes[RECORD_OFFSET.flags]!;
  if (flags !== 0) corrupt(object, RECORD_OFFSET.flags, "flags 0", `${flags}`);
  const bodyFrom = version === VERSION_WITH_STORES ? STORES_AT + STORE_ID_BYTES * bytes[STORE_COUNT_AT]! : RECORD_OFFSET.body;
  const length = bodyFrom + readUint32(bytes, RECORD_OFFSET.bodyLength);
  if (length !== bytes.length) corrupt(object, RECORD_OFFSET.bodyLength, `${length} bytes`, `${bytes.length}`);
  return bodyFrom;
}

/** A range of a record's bytes. */
export interface Place {
  readonly from: number;
  readonly to: number;
}

/** The ranges of a record's header that say which series it belongs to. */
export interface SeriesPlaces {
  readonly service: Place;
  readonly periodType: Place;
  /** Where the first of `typeCount` sample types begins. */
  readonly typesFrom: number;
  readonly typeCount: number;
  /** Their count, and the labels without `service_name`. */
  readonly labels: Place;
}

/** `front` must stand behind the normalisation version. Afterwards it stands behind the labels. */
export function seriesPlaces(front: FrontReader): SeriesPlaces {
  front.skipText(); // tenant
  const service = placeOf(front, 1);
  front.take(8); // time
  front.count(); // samples
  front.take(16); // duration, period
  const periodType = placeOf(front, 2);
  const typeCount = front.count();
  const typesFrom = placeOf(front, 2 * typeCount).from;
  const labelsFrom = front.offset;
  const { to } = placeOf(front, 2 * front.count());
  return { service, periodType, typesFrom, typeCount, labels: { from: labelsFrom, to } };
}

function placeOf(front: FrontReader, textCount: number): Place {
  const from = front.offset;
  for (let left = textCount; left > 0; left--) front.skipText();
  return { from, to: front.offset };
}

/** Whole milliseconds, rounded down. */
export function millisecondsOf(timeNs: bigint): number {
  return Math.floor(Number(timeNs / 1_000_000n));
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function readUint64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readUint32(bytes, at + 4)) << 32n) | BigInt(readUint32(bytes, at));
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function corrupt(object: string, offset: number, expected: string, found: string): never {
  throw new CorruptionError({ object, offset, expected, found });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** Reads the header of a body, field by field, each checked against the end. */
export class FrontReader {
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #object: string;
  readonly #cursor: VarintCursor;

  constructor(bytes: Uint8Array, object: string, offset: number) {
    this.#bytes = bytes;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#object = object;
    this.#cursor = new VarintCursor(bytes, offset);
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  /** Continues at `offset`. */
  moveTo(offset: number): void {
    this.#cursor.offset = offset;
  }

  /** Moves past `length` bytes and returns where they begin. */
  take(length: number): number {
    const at = this.#cursor.offset;
    if (length > this.#bytes.length - at) corrupt(this.#object, at, `${length} more bytes`, `${this.#bytes.length - at}`);
    this.#cursor.offset = at + length;
    return at;
  }

  byte(): number {
    return this.#bytes[this.take(1)]!;
  }

  /** A count or a length: nothing here reaches 2^32. */
  count(): number {
    const start = this.#cursor.offset;
    const value = this.#cursor.next();
    if (value < 0 || this.#cursor.offset - start > 5) corrupt(this.#object, start, "a number of at most 5 bytes", value < 0 ? "the end, or a longer one" : "a longer one");
    return value;
  }

  uint32(): number {
    return readUint32(this.#bytes, this.take(4));
  }

  int64(): bigint {
    return this.#buffer.readBigInt64LE(this.take(8));
  }

  uint64(): bigint {
    return this.#buffer.readBigUInt64LE(this.take(8));
  }

  text(): string {
    const length = this.count();
    const at = this.take(length);
    return this.#buffer.toString("utf8", at, at + length);
  }

  skipText(): void {
    this.take(this.count());
  }

  raw(length: number): Uint8Array {
    const at = this.take(length);
    return this.#bytes.subarray(at, at + length);
  }
}
