/**
 * One row of a dataset as bytes: a record's samples by the dataset's own nodes. Written by `packRow`, walked by `RowCursor`.
 *
 *   uvarint sample count | uvarint64 duration ns | uvarint64 period | flags | [16 profile id]
 *   per column: uvarint64 total
 *   nodes: zigzag uvarint deltas, one a sample
 *   per column: uvarint64 values, one a sample
 *   [spans: uvarint index a sample] [traces: uvarint index a sample]
 *
 * Packed rows cost some 1.5 KB a push of the bench mix; plain typed arrays would cost 12 bytes a sample. Values are >= 0.
 */
import type { RecordView } from "../model/record-view.ts";
import { cleared } from "../model/scratch.ts";

export const FLAG_PROFILE_ID = 1;
export const FLAG_SPANS = 2;
export const FLAG_TRACES = 4;
const TWO_53 = 2 ** 53;

/** Gives the dataset's own numbers for span and trace ids. */
interface IdTables {
  spanId(bytes: Uint8Array, at: number): number;
  traceId(bytes: Uint8Array, at: number): number;
}

/** Longest that `packRow` writes for a record: ten bytes is the longest varint. */
export function packedBytesMax({ values, sampleCount }: RecordView): number {
  return 64 + values.length * 10 + sampleCount * (5 + values.length * 10 + 10);
}

/** Into `out`, where `packedBytesMax` bytes are free; returns where the row ends. `nodes`: the dataset's node by the record's. */
export function packRow(out: Uint8Array, start: number, record: RecordView, nodes: Uint32Array, dataset: IdTables): number {
  const { sampleCount, values } = record;
  const flags =
    (record.profileId === undefined ? 0 : FLAG_PROFILE_ID) |
    (record.sampleSpan === undefined ? 0 : FLAG_SPANS) |
    (record.sampleTrace === undefined ? 0 : FLAG_TRACES);
  let at = putVarint(out, start, sampleCount);
  at = putInt64(out, at, record.durationNs < 0n ? 0n : record.durationNs);
  at = putInt64(out, at, record.period < 0n ? 0n : record.period);
  out[at++] = flags;
  if (record.profileId !== undefined) {
    out.set(record.profileId, at);
    at += 16;
  }
  for (const column of values) at = putInt64(out, at, columnTotal(column, sampleCount));
  let previous = 0;
  for (let i = 0; i < sampleCount; i++) {
    const node = nodes[record.sampleNode[i]!]!;
    const delta = node - previous;
    previous = node;
    let rest = delta < 0 ? -delta * 2 - 1 : delta * 2;
    while (rest >= 0x80) {
      out[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    out[at++] = rest;
  }
  for (const column of values) {
    if (column instanceof BigInt64Array) {
      for (let i = 0; i < sampleCount; i++) at = putInt64(out, at, column[i]!);
      continue;
    }
    for (let i = 0; i < sampleCount; i++) {
      let rest = column[i]!;
      while (rest >= 0x80000000) {
        out[at++] = rest % 0x80 | 0x80;
        rest = Math.floor(rest / 0x80);
      }
      while (rest >= 0x80) {
        out[at++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      out[at++] = rest;
    }
  }
  if (record.sampleSpan !== undefined) {
    at = putIds(out, at, record.sampleSpan, sampleCount, record.spans.length / 8, (span) => dataset.spanId(record.spans, span * 8));
  }
  if (record.sampleTrace !== undefined) {
    at = putIds(out, at, record.sampleTrace, sampleCount, record.traces.length / 16, (trace) => dataset.traceId(record.traces, trace * 16));
  }
  return at;
}

/** What an id of the record is in the dataset; 0: not asked yet. Cleared by each call. */
let knownIds: Uint32Array = new Uint32Array(64);

function putIds(out: Uint8Array, start: number, ids: Uint32Array, count: number, idCount: number, find: (id: number) => number): number {
  knownIds = cleared(knownIds, idCount);
  let at = start;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    let known = knownIds[id]!;
    if (known === 0 && id !== 0) knownIds[id] = known = find(id);
    at = putVarint(out, at, known);
  }
  return at;
}

/** The exact sum of a column. Sums beyond int64 are held at its end. */
export function columnTotal(column: Float64Array | BigInt64Array, count: number): number | bigint {
  if (column instanceof Float64Array) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += column[i]!;
    if (sum < TWO_53) return sum;
  }
  let exact = 0n;
  for (let i = 0; i < count; i++) exact += BigInt(column[i]!);
  return exact > INT64_MAX ? INT64_MAX : exact;
}

const INT64_MAX = 2n ** 63n - 1n;

function putVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = rest % 0x80 | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

function putInt64(out: Uint8Array, start: number, value: number | bigint): number {
  if (typeof value === "number") return putVarint(out, start, value);
  if (value < 9007199254740992n) return putVarint(out, start, Number(value));
  let at = start;
  let rest = value;
  while (rest >= 0x80n) {
    out[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  out[at++] = Number(rest);
  return at;
}

/** Walks one packed row. Trusts the bytes: they were packed in this process, or their checksum was checked. */
export class RowCursor {
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  sampleCount = 0;
  flags = 0;
  duration: number | bigint = 0;
  period: number | bigint = 0;
  profileId: Uint8Array | undefined;

  header(): void {
    this.sampleCount = this.number();
    this.duration = this.int64();
    this.period = this.int64();
    this.flags = this.bytes[this.offset++]!;
    this.profileId = undefined;
    if ((this.flags & FLAG_PROFILE_ID) !== 0) {
      this.profileId = this.bytes.slice(this.offset, this.offset + 16);
      this.offset += 16;
    }
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.offset++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  int64(): number | bigint {
    const start = this.offset;
    const value = this.number();
    if (value < TWO_53) return value;
    return exactVarint(this.bytes, start);
  }

  /** Skips `count` varints. */
  skip(count: number): void {
    const bytes = this.bytes;
    let at = this.offset;
    for (let i = 0; i < count; i++) while (bytes[at++]! >= 0x80);
    this.offset = at;
  }

  deltas(into: Uint32Array, count: number): void {
    const bytes = this.bytes;
    let at = this.offset;
    let previous = 0;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++]!;
      let raw = byte & 0x7f;
      let shift = 7;
      while (byte >= 0x80) {
        byte = bytes[at++]!;
        raw |= (byte & 0x7f) << shift;
        shift += 7;
      }
      raw >>>= 0;
      previous += (raw & 1) === 0 ? raw >>> 1 : -((raw + 1) / 2);
      into[i] = previous;
    }
    this.offset = at;
  }

  /** Values as doubles; where one reaches 2^53, all again as exact ones. */
  values(into: Float64Array, count: number): BigInt64Array | undefined {
    const bytes = this.bytes;
    const start = this.offset;
    let at = start;
    let isWide = false;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++]!;
      let value = byte & 0x7f;
      let scale = 0x80;
      while (byte >= 0x80) {
        byte = bytes[at++]!;
        value += (byte & 0x7f) * scale;
        scale *= 0x80;
      }
      into[i] = value;
      if (value >= TWO_53) isWide = true;
    }
    this.offset = at;
    if (!isWide) return undefined;
    const wide = new BigInt64Array(count);
    at = start;
    for (let i = 0; i < count; i++) {
      wide[i] = exactVarint(bytes, at);
      while (bytes[at++]! >= 0x80);
    }
    return wide;
  }

  indexes(count: number): Uint32Array {
    const out = new Uint32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.number();
    return out;
  }
}

function exactVarint(bytes: Uint8Array, start: number): bigint {
  let value = 0n;
  let shift = 0n;
  let at = start;
  for (;;) {
    const byte = bytes[at++]!;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
    shift += 7n;
  }
}
