/**
 * A dataset in memory: the interned rows of one tenant, service and window, from one cut to the next.
 *
 *   record --> symbols (one table) + tree (one prefix tree) + one packed row
 *
 * A row is one record: its series (label set and sample types), time, identity, and its samples packed into bytes (packed-row.ts).
 * Rows are only added; a dataset is dropped whole after its cut is sealed.
 */
import { assert } from "@pyromesh/base";
import { FixedIds } from "./fixed-ids.ts";
import type { Labels } from "../labels/labels.ts";
import { labelsKey } from "../labels/labels.ts";
import { FLAG_SPANS, FLAG_TRACES, packedBytesMax, packRow, RowCursor } from "./packed-row.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { RecordView } from "../model/record-view.ts";
import { StacktraceInterner } from "./stacktrace-interner.ts";
import { SymbolInterner } from "./symbol-interner.ts";
import type { StacktraceTree } from "../model/stacktrace-tree.ts";
import type { Symbols } from "../model/symbol-table.ts";

/** A label set with its sample types. The same labels with other sample types are another entry. */
export interface SeriesEntry {
  readonly labels: Labels;
  readonly sampleTypes: readonly SampleType[];
  readonly periodType: SampleType;
}

/** The samples of one row, with the values of one column. The arrays are used again: valid until the next read. */
export interface RowSamples {
  sampleCount: number;
  node: Uint32Array;
  /** Where every value is below 2^53. Else `wide` holds the values. */
  value: Float64Array;
  wide: BigInt64Array | undefined;
  /** Index into the dataset's spans (0: none), or undefined. */
  span: Uint32Array | undefined;
  trace: Uint32Array | undefined;
}

/** What a scan reads, whether the rows are in memory or in a segment. */
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
  /** The sum of the row's values in one column. */
  total(row: number, column: number): number | bigint;
  read(row: number, column: number, into: RowSamples): void;
  durationNs(row: number): bigint;
  period(row: number): bigint;
  profileId(row: number): Uint8Array | undefined;
  sampleCount(row: number): number;
}

/** A row that `prepare` made and `add` has not added yet. */
export interface PreparedRow extends SeriesEntry {
  readonly timeNs: bigint;
  readonly identity: Uint8Array;
  readonly packed: Uint8Array;
  /** Whether it brought nodes, spans or traces that no record before it had. Any other new symbol comes with a new node. */
  readonly isFirstWithSome: boolean;
}

const CHUNK_BYTES = 1 << 18;

export class Dataset implements DatasetView {
  readonly service: string;
  readonly hashSeed: number;
  readonly symbols: SymbolInterner = new SymbolInterner();
  readonly tree: StacktraceInterner = new StacktraceInterner();
  readonly series: SeriesEntry[] = [];
  rowCount = 0;
  rowSeries: Uint32Array = new Uint32Array(64);
  rowTimeNs: BigInt64Array = new BigInt64Array(64);
  identities: Uint8Array = new Uint8Array(64 * 16);
  minTimeNs = 0n;
  maxTimeNs = 0n;

  #seriesIds = new Map<string, number>();
  readonly #spans: FixedIds;
  readonly #traces: FixedIds;
  /** Rows lie in chunks of CHUNK_BYTES (a longer row gets a chunk of its own), so that growing copies nothing. */
  #chunks: Uint8Array[] = [];
  #chunkLength = 0;
  #rowChunk: Uint32Array = new Uint32Array(64);
  #rowOffset: Uint32Array = new Uint32Array(64);
  #nodeIds = new Uint32Array(256);
  #cursor: RowCursor = new RowCursor();

  /** `hashSeed`: any 32 bits that clients cannot know; no stored byte depends on them. */
  constructor(service: string, hashSeed = 0) {
    this.service = service;
    this.hashSeed = hashSeed;
    this.#spans = new FixedIds(8, hashSeed);
    this.#traces = new FixedIds(16, hashSeed);
  }

  /** Bytes held, about: for bounds and metrics. */
  get sizeBytes(): number {
    return this.#chunks.length * CHUNK_BYTES + this.symbols.stringBytes.length * 2 + this.tree.nodeParent.length * 12 + this.rowSeries.length * 36;
  }

  /** Inserts the record as one more row. `nodes`: this dataset's nodes by the record's, where the caller has them already. */
  insert(record: RecordView, nodes: Uint32Array = this.intern(record)): void {
    const length = this.#pack(record, nodes);
    this.#add(record, packScratch, length);
  }

  /**
   * Interns the record's symbols and packs its row. Scans do not see it before `add`. A row that is never added leaves symbols
   * that no row refers to: the caller bounds how many rows it drops, and prunes (pruned-dataset.ts) before the dataset is
   * written anywhere.
   */
  prepare(record: RecordView): PreparedRow {
    const nodeCount = this.tree.nodeCount;
    const idCount = this.spanCount + this.traceCount;
    const length = this.#pack(record, this.intern(record));
    const isFirstWithSome = this.tree.nodeCount > nodeCount || this.spanCount + this.traceCount > idCount;
    const { labels, sampleTypes, periodType, timeNs, identity } = record;
    return { labels, sampleTypes, periodType, timeNs, identity, packed: packScratch.slice(0, length), isFirstWithSome };
  }

  /** Adds a row that this dataset prepared. */
  add(row: PreparedRow): void {
    this.#add(row, row.packed, row.packed.length);
  }

  #add(head: Omit<PreparedRow, "packed" | "isFirstWithSome">, packed: Uint8Array, length: number): void {
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
    return BigInt(this.#open(row).duration);
  }

  period(row: number): bigint {
    return BigInt(this.#open(row).period);
  }

  profileId(row: number): Uint8Array | undefined {
    return this.#open(row).profileId;
  }

  sampleCount(row: number): number {
    return this.#open(row).sampleCount;
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

  /** Calls `visit` for each column, with the column's values in `into`. */
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

  /** Interns all symbols and nodes. Returns this dataset's node by the record's; valid until the next call. */
  intern({ symbols, tree }: Pick<RecordView, "symbols" | "tree">): Uint32Array {
    const { location } = this.symbols.translate(symbols);
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
  #pack(record: RecordView, nodes: Uint32Array): number {
    const worstBytes = packedBytesMax(record);
    if (packScratch.length < worstBytes) packScratch = new Uint8Array(worstBytes * 2);
    return packRow(packScratch, 0, record, nodes, this);
  }

  /** The number of a span id, interned. The table is bounded by the next cut, as the dataset is. */
  spanId(bytes: Uint8Array, at: number): number {
    return this.#spans.intern(bytes, at);
  }

  traceId(bytes: Uint8Array, at: number): number {
    return this.#traces.intern(bytes, at);
  }

  get spans(): Uint8Array {
    return this.#spans.bytes;
  }

  get traces(): Uint8Array {
    return this.#traces.bytes;
  }

  get spanCount(): number {
    return this.#spans.count;
  }

  get traceCount(): number {
    return this.#traces.count;
  }

  #open(row: number): RowCursor {
    const cursor = this.#cursor;
    cursor.open(this.#chunks[this.#rowChunk[row]!]!, this.#rowOffset[row]!);
    return cursor;
  }
}

function makeRoom(into: RowSamples, sampleCount: number): void {
  if (into.node.length < sampleCount) {
    into.node = new Uint32Array(sampleCount * 2);
    into.value = new Float64Array(sampleCount * 2);
  }
  into.sampleCount = sampleCount;
}

/** Scratch for one insert or prepare, which copies the row out of it before it returns. */
let packScratch = new Uint8Array(1 << 16);
