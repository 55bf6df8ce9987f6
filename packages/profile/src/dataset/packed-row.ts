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
import { putUvarint, putUvarint64, VARINT_BYTES_MAX, VarintCursor } from "@pyromesh/base";
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

/** The longest row that `packRow` writes for a record: 64 bytes hold the header, and a node or an id takes five at most. */
export function packedBytesMax({ values, sampleCount }: RecordView): number {
  return 64 + values.length * VARINT_BYTES_MAX + sampleCount * (5 + values.length * VARINT_BYTES_MAX + 10);
}

/** Writes a row into `out`, where `packedBytesMax` bytes are free; returns where it ends. `nodes`: the dataset's nodes by the record's. */
export function packRow(out: Uint8Array, start: number, record: RecordView, nodes: Uint32Array, dataset: IdTables): number {
  const { sampleCount, values } = record;
  const flags =
    (record.profileId === undefined ? 0 : FLAG_PROFILE_ID) |
    (record.sampleSpan === undefined ? 0 : FLAG_SPANS) |
    (record.sampleTrace === undefined ? 0 : FLAG_TRACES);
  let at = putUvarint(out, start, sampleCount);
  at = putUvarint64(out, at, record.durationNs < 0n ? 0n : record.durationNs);
  at = putUvarint64(out, at, record.period < 0n ? 0n : record.period);
  out[at++] = flags;
  if (record.profileId !== undefined) {
    out.set(record.profileId, at);
    at += 16;
  }
  for (const column of values) at = putUvarint64(out, at, columnTotal(column, sampleCount));
  let previous = 0;
  for (let i = 0; i < sampleCount; i++) {
    const node = nodes[record.sampleNode[i]!]!;
    const delta = node - previous;
    previous = node;
    at = putUvarint(out, at, delta < 0 ? -delta * 2 - 1 : delta * 2);
  }
  for (const column of values) {
    if (column instanceof BigInt64Array) for (let i = 0; i < sampleCount; i++) at = putUvarint64(out, at, column[i]!);
    else for (let i = 0; i < sampleCount; i++) at = putUvarint(out, at, column[i]!);
  }
  if (record.sampleSpan !== undefined) {
    at = putIds(out, at, record.sampleSpan, sampleCount, record.spans.length / 8, (span) => dataset.spanId(record.spans, span * 8));
  }
  if (record.sampleTrace !== undefined) {
    at = putIds(out, at, record.sampleTrace, sampleCount, record.traces.length / 16, (trace) => dataset.traceId(record.traces, trace * 16));
  }
  return at;
}

/** The dataset's number of each id of the record; 0: not looked up yet. Each call clears it. */
let knownIds: Uint32Array = new Uint32Array(64);

function putIds(out: Uint8Array, start: number, ids: Uint32Array, count: number, idCount: number, find: (id: number) => number): number {
  knownIds = cleared(knownIds, idCount);
  let at = start;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    let known = knownIds[id]!;
    if (known === 0 && id !== 0) knownIds[id] = known = find(id);
    at = putUvarint(out, at, known);
  }
  return at;
}

/** The exact sum of a column, limited to int64. */
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

/** Walks one packed row. Trusts the bytes: they were packed in this process, or their checksum was checked. */
export class RowCursor {
  sampleCount = 0;
  flags = 0;
  duration: number | bigint = 0;
  period: number | bigint = 0;
  profileId: Uint8Array | undefined;
  readonly #cursor = new VarintCursor();

  /** Reads the header of the row at `offset`, and stands behind it. */
  open(bytes: Uint8Array, offset: number): void {
    const cursor = this.#cursor;
    cursor.moveTo(bytes, offset);
    this.sampleCount = cursor.next();
    this.duration = cursor.nextWide();
    this.period = cursor.nextWide();
    this.flags = bytes[cursor.offset++]!;
    this.profileId = undefined;
    if ((this.flags & FLAG_PROFILE_ID) !== 0) {
      this.profileId = bytes.slice(cursor.offset, cursor.offset + 16);
      cursor.offset += 16;
    }
  }

  int64(): number | bigint {
    return this.#cursor.nextWide();
  }

  /** Skips `count` varints. */
  skip(count: number): void {
    const cursor = this.#cursor;
    const { bytes } = cursor;
    let at = cursor.offset;
    for (let i = 0; i < count; i++) while (bytes[at++]! >= 0x80);
    cursor.offset = at;
  }

  /**
   * This loop and that of `values` read their numbers themselves: they are most of what a query does in memory, and take a fifth longer
   * with a call and a look at the end for each number.
   */
  deltas(into: Uint32Array, count: number): void {
    const cursor = this.#cursor;
    const { bytes } = cursor;
    let at = cursor.offset;
    let previous = 0;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++]!;
      let raw = byte & 0x7f;
      for (let shift = 7; byte >= 0x80; shift += 7) {
        byte = bytes[at++]!;
        raw |= (byte & 0x7f) << shift;
      }
      raw >>>= 0;
      previous += (raw & 1) === 0 ? raw >>> 1 : -((raw + 1) / 2);
      into[i] = previous;
    }
    cursor.offset = at;
  }

  /** Reads values as doubles. Where one reaches 2^53, all are read again, exactly, and returned. */
  values(into: Float64Array, count: number): BigInt64Array | undefined {
    const cursor = this.#cursor;
    const { bytes, offset: start } = cursor;
    let at = start;
    let isWide = false;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++]!;
      let value = byte & 0x7f;
      for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
        byte = bytes[at++]!;
        value += (byte & 0x7f) * scale;
      }
      into[i] = value;
      if (value >= TWO_53) isWide = true;
    }
    cursor.offset = at;
    if (!isWide) return undefined;
    const wide = new BigInt64Array(count);
    cursor.offset = start;
    for (let i = 0; i < count; i++) wide[i] = BigInt(cursor.nextWide());
    return wide;
  }

  indexes(count: number): Uint32Array {
    const cursor = this.#cursor;
    const out = new Uint32Array(count);
    for (let i = 0; i < count; i++) out[i] = cursor.next();
    return out;
  }
}
