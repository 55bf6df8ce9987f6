/**
 * A dataset in memory: the interned rows of one tenant, service and window, from one cut to the next.
 *
 *   record --> symbols (one table) + tree (one prefix tree) + one packed row
 *
 * A row is one record: its series (label set and sample types), time, identity, and its samples packed into bytes:
 *
 *   uvarint sample count | uvarint64 duration ns | uvarint64 period | flags | [16 profile id]
 *   per column: uvarint64 total
 *   nodes: zigzag uvarint deltas, one a sample
 *   per column: uvarint64 values, one a sample
 *   [spans: uvarint index a sample] [traces: uvarint index a sample]
 *
 * Packed rows cost some 1.5 KB a push of the bench mix; plain typed arrays would cost 12 bytes a sample.
 * Values are >= 0. Rows are only added; a dataset is dropped whole after its cut is sealed.
 */
import { assert } from "@pyromesh/base";
import type { Labels } from "./labels.ts";
import { labelsKey } from "./labels.ts";
import type { SampleType } from "./profile-type.ts";
import type { RecordView } from "./record-view.ts";
import { StacktraceInterner } from "./stacktrace-interner.ts";
import { SymbolInterner } from "./symbol-interner.ts";
import type { StacktraceTree } from "./stacktrace-tree.ts";
import type { Symbols } from "./symbol-table.ts";

/** A label set with its columns. The same labels with other sample types are another series here. */
export interface SeriesEntry {
  readonly labels: Labels;
  readonly sampleTypes: readonly SampleType[];
  readonly periodType: SampleType;
}

/** What one row holds, for one column. Arrays are scratch: valid until the next read. */
export interface RowSamples {
  sampleCount: number;
  node: Uint32Array;
  /** Exact below 2^53; where `wide` is set it holds the values instead. */
  value: Float64Array;
  wide: BigInt64Array | undefined;
  /** Index into the dataset's spans (0: none), or undefined. */
  span: Uint32Array | undefined;
  trace: Uint32Array | undefined;
}

/** Read by scans, in memory and from segments alike. */
export interface DatasetView {
  readonly service: string;
  readonly symbols: Symbols;
  readonly tree: StacktraceTree;
  readonly series: readonly SeriesEntry[];
  readonly rowCount: number;
  readonly rowSeries: Uint32Array;
  readonly rowTimeNs: BigInt64Array;
  /** 16 bytes a row. */
  readonly identities: Uint8Array;
  /** 8 bytes each; entry 0 is none. */
  readonly spans: Uint8Array;
  /** 16 bytes each; entry 0 is none. */
  readonly traces: Uint8Array;
  /** The sum of the row's values in that column. */
  total(row: number, column: number): number | bigint;
  read(row: number, column: number, into: RowSamples): void;
  durationNs(row: number): bigint;
  period(row: number): bigint;
  profileId(row: number): Uint8Array | undefined;
  sampleCount(row: number): number;
}

/** A row on its way into the dataset that prepared it. */
export interface PreparedRow extends SeriesEntry {
  readonly timeNs: bigint;
  readonly identity: Uint8Array;
  readonly packed: Uint8Array;
}

const FLAG_PROFILE_ID = 1;
const FLAG_SPANS = 2;
const FLAG_TRACES = 4;
const CHUNK_BYTES = 1 << 18;
const TWO_53 = 2 ** 53;

export class Dataset implements DatasetView {
  readonly service: string;
  readonly symbols: SymbolInterner = new SymbolInterner();
  readonly tree: StacktraceInterner = new StacktraceInterner();
  readonly series: SeriesEntry[] = [];
  rowCount = 0;
  rowSeries: Uint32Array = new Uint32Array(64);
  rowTimeNs: BigInt64Array = new BigInt64Array(64);
  identities: Uint8Array = new Uint8Array(64 * 16);
  spans: Uint8Array = new Uint8Array(8);
  traces: Uint8Array = new Uint8Array(16);
  minTimeNs = 0n;
  maxTimeNs = 0n;

  #seriesIds = new Map<string, number>();
  #spanIds = new Map<string, number>();
  #traceIds = new Map<string, number>();
  /** Rows lie in chunks of CHUNK_BYTES (a longer row gets a chunk of its own), so that growing copies nothing. */
  #chunks: Uint8Array[] = [];
  #chunkLength = 0;
  #rowChunk: Uint32Array = new Uint32Array(64);
  #rowOffset: Uint32Array = new Uint32Array(64);
  #nodeIds = new Uint32Array(256);
  #cursor: RowCursor = new RowCursor();

  constructor(service: string) {
    this.service = service;
  }

  /** Bytes held, roughly: for bounds and metrics. */
  get sizeBytes(): number {
    return this.#chunks.length * CHUNK_BYTES + this.symbols.stringBytes.length * 2 + this.tree.nodeParent.length * 12 + this.rowSeries.length * 36;
  }

  /** Takes the record in: one row more. */
  insert(record: RecordView): void {
    const length = this.#pack(record);
    this.#add(record, packScratch, length);
  }

  /**
   * Interns the record's symbols and packs its row, which nobody sees before `add`. A row that is never added leaves its
   * symbols here, referred to by none: the caller bounds how much of that it lets happen.
   */
  prepare(record: RecordView): PreparedRow {
    const length = this.#pack(record);
    const { labels, sampleTypes, periodType, timeNs, identity } = record;
    return { labels, sampleTypes, periodType, timeNs, identity, packed: packScratch.slice(0, length) };
  }

  /** Adds a row that this dataset prepared. */
  add(row: PreparedRow): void {
    this.#add(row, row.packed, row.packed.length);
  }

  #add(head: Omit<PreparedRow, "packed">, packed: Uint8Array, length: number): void {
    const row = this.rowCount++;
    this.#growRows(this.rowCount);
    this.rowSeries[row] = this.#seriesOf(head);
    this.rowTimeNs[row] = head.timeNs;
    this.identities.set(head.identity, row * 16);
    if (row === 0 || head.timeNs < this.minTimeNs) this.minTimeNs = head.timeNs;
    if (row === 0 || head.timeNs > this.maxTimeNs) this.maxTimeNs = head.timeNs;
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk === undefined || this.#chunkLength + length > chunk.length) {
      this.#chunks.push((chunk = new Uint8Array(Math.max(CHUNK_BYTES, length))));
      this.#chunkLength = 0;
    }
    chunk.set(packed.subarray(0, length), this.#chunkLength);
    this.#rowChunk[row] = this.#chunks.length - 1;
    this.#rowOffset[row] = this.#chunkLength;
    this.#chunkLength += length;
  }

  total(row: number, column: number): number | bigint {
    const cursor = this.#open(row);
    for (let i = 0; i < column; i++) cursor.skip(1);
    return cursor.int64();
  }

  durationNs(row: number): bigint {
    return BigInt(this.#openHeader(row).duration);
  }

  period(row: number): bigint {
    return BigInt(this.#openHeader(row).period);
  }

  profileId(row: number): Uint8Array | undefined {
    return this.#openHeader(row).profileId;
  }

  sampleCount(row: number): number {
    return this.#openHeader(row).sampleCount;
  }

  read(row: number, column: number, into: RowSamples): void {
    const cursor = this.#open(row);
    const { sampleCount, flags } = cursor;
    const columnCount = this.series[this.rowSeries[row]!]!.sampleTypes.length;
    assert(column < columnCount, "a row is read in a column it has");
    cursor.skip(columnCount);
    makeRoom(into, sampleCount);
    cursor.deltas(into.node, sampleCount);
    cursor.skip(column * sampleCount);
    into.wide = cursor.values(into.value, sampleCount);
    cursor.skip((columnCount - column - 1) * sampleCount);
    into.span = (flags & FLAG_SPANS) === 0 ? undefined : cursor.indexes(sampleCount);
    into.trace = (flags & FLAG_TRACES) === 0 ? undefined : cursor.indexes(sampleCount);
  }

  /** The row without its values. */
  readNodes(row: number, into: RowSamples): void {
    const cursor = this.#open(row);
    const { sampleCount, flags } = cursor;
    const columnCount = this.series[this.rowSeries[row]!]!.sampleTypes.length;
    cursor.skip(columnCount);
    makeRoom(into, sampleCount);
    cursor.deltas(into.node, sampleCount);
    into.wide = undefined;
    if ((flags & (FLAG_SPANS | FLAG_TRACES)) !== 0) cursor.skip(columnCount * sampleCount);
    into.span = (flags & FLAG_SPANS) === 0 ? undefined : cursor.indexes(sampleCount);
    into.trace = (flags & FLAG_TRACES) === 0 ? undefined : cursor.indexes(sampleCount);
  }

  /** The row's values, column after column, into the same scratch. */
  readColumns(row: number, into: RowSamples, visit: (column: number, total: number | bigint) => void): void {
    const cursor = this.#open(row);
    const { sampleCount } = cursor;
    const columnCount = this.series[this.rowSeries[row]!]!.sampleTypes.length;
    makeRoom(into, sampleCount);
    const totals: (number | bigint)[] = [];
    for (let column = 0; column < columnCount; column++) totals.push(cursor.int64());
    cursor.skip(sampleCount); // nodes
    for (let column = 0; column < columnCount; column++) {
      into.wide = cursor.values(into.value, sampleCount);
      visit(column, totals[column]!);
    }
  }

  #translateNodes(tree: StacktraceTree, location: Uint32Array): Uint32Array {
    if (this.#nodeIds.length < tree.nodeCount) this.#nodeIds = new Uint32Array(tree.nodeCount * 2);
    const nodes = this.#nodeIds;
    nodes[0] = 0;
    for (let i = 1; i < tree.nodeCount; i++) nodes[i] = this.tree.child(nodes[tree.nodeParent[i]!]!, location[tree.nodeLocation[i]!]!);
    return nodes;
  }

  #seriesOf(record: SeriesEntry): number {
    let key = labelsKey(record.labels);
    for (const { type, unit } of record.sampleTypes) key += `|${type.length}:${type}${unit}`;
    key += `|${record.periodType.type.length}:${record.periodType.type}${record.periodType.unit}`;
    let id = this.#seriesIds.get(key);
    if (id === undefined) {
      id = this.series.length;
      this.series.push({ labels: record.labels, sampleTypes: record.sampleTypes, periodType: record.periodType });
      this.#seriesIds.set(key, id);
    }
    return id;
  }

  #growRows(count: number): void {
    if (count <= this.rowSeries.length) return;
    const capacity = this.rowSeries.length * 2;
    const copy = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.rowSeries = copy(new Uint32Array(capacity), this.rowSeries);
    this.#rowChunk = copy(new Uint32Array(capacity), this.#rowChunk);
    this.#rowOffset = copy(new Uint32Array(capacity), this.#rowOffset);
    const times = new BigInt64Array(capacity);
    times.set(this.rowTimeNs);
    this.rowTimeNs = times;
    this.identities = copy(new Uint8Array(capacity * 16), this.identities);
  }

  /** Packs the row into scratch; returns its length. */
  #pack(record: RecordView): number {
    const { location } = this.symbols.translate(record.symbols);
    const nodes = this.#translateNodes(record.tree, location);
    const columnCount = record.values.length;
    // Ten bytes is the longest varint.
    const worstBytes = 64 + columnCount * 10 + record.sampleCount * (5 + columnCount * 10 + 10);
    if (packScratch.length < worstBytes) packScratch = new Uint8Array(worstBytes * 2);
    return packRow(packScratch, 0, record, nodes, this);
  }

  /** The id of a span, interned as its bytes. Bounded with the dataset by its cut. */
  spanId(bytes: Uint8Array, at: number): number {
    return internFixed(this.#spanIds, bytes, at, 8, () => this.spans, (grown) => (this.spans = grown));
  }

  traceId(bytes: Uint8Array, at: number): number {
    return internFixed(this.#traceIds, bytes, at, 16, () => this.traces, (grown) => (this.traces = grown));
  }

  get spanCount(): number {
    return this.#spanIds.size + 1;
  }

  get traceCount(): number {
    return this.#traceIds.size + 1;
  }

  #openHeader(row: number): RowCursor {
    const cursor = this.#cursor;
    cursor.bytes = this.#chunks[this.#rowChunk[row]!]!;
    cursor.offset = this.#rowOffset[row]!;
    cursor.header();
    return cursor;
  }

  #open(row: number): RowCursor {
    return this.#openHeader(row);
  }
}

function makeRoom(into: RowSamples, sampleCount: number): void {
  if (into.node.length < sampleCount) {
    into.node = new Uint32Array(sampleCount * 2);
    into.value = new Float64Array(sampleCount * 2);
  }
  into.sampleCount = sampleCount;
}

let packScratch = new Uint8Array(1 << 16);

function packRow(out: Uint8Array, start: number, record: RecordView, nodes: Uint32Array, dataset: Dataset): number {
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

/** What an id of the record is in the dataset; 0: not asked yet. */
let knownIds: Uint32Array = new Uint32Array(64);

function putIds(out: Uint8Array, start: number, ids: Uint32Array, count: number, idCount: number, find: (id: number) => number): number {
  if (knownIds.length < idCount) knownIds = new Uint32Array(idCount * 2);
  else knownIds.fill(0, 0, idCount);
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

export function putVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = rest % 0x80 | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

export function putInt64(out: Uint8Array, start: number, value: number | bigint): number {
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

function internFixed(ids: Map<string, number>, bytes: Uint8Array, at: number, width: number, get: () => Uint8Array, set: (grown: Uint8Array) => void): number {
  let key = "";
  for (let i = 0; i < width; i++) key += String.fromCharCode(bytes[at + i]!);
  let id = ids.get(key);
  if (id !== undefined) return id;
  id = ids.size + 1;
  ids.set(key, id);
  let table = get();
  if ((id + 1) * width > table.length) {
    const grown = new Uint8Array(Math.max(table.length * 2, (id + 1) * width));
    grown.set(table);
    set(grown);
    table = grown;
  }
  table.set(bytes.subarray(at, at + width), id * width);
  return id;
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
