/**
 * The sections that hold a dataset's rows, sorted by series, then time, then identity: the same records give the same bytes.
 * All numbers are uvarints unless said otherwise.
 *
 *   SERIES      count | per series: label count, (name, value) texts | type count, (type, unit) texts | period type, unit
 *   ROWS        count | series deltas | time ns: per row, minus the row before of the same series (the first: as it is, zigzag)
 *               | durations ns | periods | sample counts | flags (1 profile id, 2 spans, 4 traces) | profile ids, 16 bytes each
 *   IDENTITIES  16 bytes a row
 *   TOTALS      per row and column: total / divisor, then divisor (the greatest common divisor of the column's values)
 *   STACKS      count | node ids, each minus the one before: the nodes that end a stacktrace, ascending
 *   SAMPLES     per row of a column set: its stacks (indexes into STACKS), ascending, each minus the one before
 *   VALUES k    per row of a column set that has a column k: its values in sample order, each divided by the divisor
 *   SPANS       count | 8 bytes each (entry 0 not stored) ; SAMPLE_SPANS  per row with flag 2: an index a sample
 *   TRACES      count | 16 bytes each                     ; SAMPLE_TRACES per row with flag 4: an index a sample
 *
 * A time series reads ROWS, IDENTITIES and TOTALS and no stacks; a flame graph of one type reads one SAMPLES and one VALUES
 * section: column-sets.ts says which.
 */
import { ByteReader, ByteWriter, VarintCursor } from "@pyromesh/base";
import type { Dataset, DatasetView, RowSamples, SampleType, SeriesEntry } from "@pyromesh/profile";
import { emptyRowSamples } from "@pyromesh/profile";
import { columnSetsOf, sectionStarts } from "./column-sets.ts";
import { SampleOrder } from "./sample-order.ts";
import { countOf, endOf } from "./section-symbols.ts";
import { VarintWriter } from "./varint-writer.ts";

export interface EncodedRows {
  /** The nodes that end a stacktrace, ascending. */
  readonly stackNodes: Uint32Array;
  readonly series: Uint8Array;
  readonly rows: Uint8Array;
  readonly identities: Uint8Array;
  readonly totals: Uint8Array;
  readonly stacks: Uint8Array;
  /** By column set. */
  readonly columnSets: readonly { readonly samples: Uint8Array; readonly values: readonly Uint8Array[] }[];
  readonly spans: Uint8Array | undefined;
  readonly sampleSpans: Uint8Array | undefined;
  readonly traces: Uint8Array | undefined;
  readonly sampleTraces: Uint8Array | undefined;
}

/** Rows a step: about a millisecond. */
const ROWS_A_STEP = 32;

/** In steps of about a millisecond, between which the caller can do something else. */
export function* encodeRows(dataset: Dataset): Generator<undefined, EncodedRows> {
  const { rowCount, series, rowSeries } = dataset;
  const order = rowOrder(dataset);
  yield;
  const { stackNodes, stackOf, sampleCounts, flags } = yield* survey(dataset);
  const { columnCounts, ofSeries } = columnSetsOf(series);
  const columnSets = columnCounts.map((count) => ({
    samples: new VarintWriter(0),
    values: Array.from({ length: count }, () => new VarintWriter(0)),
  }));
  const identities = new Uint8Array(rowCount * 16);
  const totals = new ByteWriter(rowCount * 8);
  const sampleSpans = new VarintWriter(0);
  const sampleTraces = new VarintWriter(0);
  const read = emptyRowSamples();
  const sorted = new SampleOrder(stackNodes.length);
  let reduced: Float64Array = new Float64Array(1024);
  for (let at = 0; at < rowCount; at++) {
    if (at % ROWS_A_STEP === 0 && at > 0) yield;
    const row = order[at]!;
    identities.set(dataset.identities.subarray(row * 16, row * 16 + 16), at * 16);
    const count = sampleCounts[row]!;
    if (reduced.length < count) reduced = new Float64Array(count * 2);
    const { samples, values } = columnSets[ofSeries[rowSeries[row]!]!]!;
    dataset.readNodes(row, read);
    sorted.sort(read, stackOf);
    samples.deltas(sorted.stack, count);
    if (read.span !== undefined) sampleSpans.numbers(sorted.permuted(read.span, count), count);
    if (read.trace !== undefined) sampleTraces.numbers(sorted.permuted(read.trace, count), count);
    dataset.readColumns(row, read, (column, total) => {
      if (read.wide === undefined) {
        const divisor = divide(read.value, sorted, count, reduced);
        values[column]!.numbers(reduced, count);
        putInt64(totals, quotient(total, divisor));
        totals.uvarint(divisor);
      } else {
        values[column]!.exact(read.wide, sorted.place, count);
        putInt64(totals, total);
        totals.uvarint(1);
      }
    });
  }
  const hasSpans = dataset.spanCount > 1 || sampleSpans.length > 0;
  const hasTraces = dataset.traceCount > 1 || sampleTraces.length > 0;
  return {
    stackNodes,
    series: encodeSeries(series),
    rows: encodeRowColumns(dataset, order, sampleCounts, flags),
    identities,
    totals: totals.finish(),
    stacks: encodeStacks(stackNodes),
    columnSets: columnSets.map(({ samples, values }) => ({ samples: samples.finish(), values: values.map((writer) => writer.finish()) })),
    spans: hasSpans ? encodeFixed(dataset.spans, dataset.spanCount, 8) : undefined,
    sampleSpans: hasSpans ? sampleSpans.finish() : undefined,
    traces: hasTraces ? encodeFixed(dataset.traces, dataset.traceCount, 16) : undefined,
    sampleTraces: hasTraces ? sampleTraces.finish() : undefined,
  };
}

/** The values by stack, each divided by their greatest common divisor, which is returned; 1 where all are 0. */
function divide(value: Float64Array, { place }: SampleOrder, count: number, into: Float64Array): number {
  let divisor = 0;
  for (let i = 0; i < count && divisor !== 1; i++) {
    const next = value[i]!;
    // Most values are multiples of the divisor so far. A product tells that quicker than a remainder, and exactly: both are below 2^53.
    if (divisor !== 0 && Math.floor(next / divisor) * divisor === next) continue;
    divisor = gcd(next, divisor);
  }
  if (divisor === 0) divisor = 1;
  if (divisor === 1) for (let i = 0; i < count; i++) into[i] = value[place[i]!]!;
  else for (let i = 0; i < count; i++) into[i] = value[place[i]!]! / divisor;
  return divisor;
}

function quotient(total: number | bigint, divisor: number): number | bigint {
  return typeof total === "number" ? total / divisor : total / BigInt(divisor);
}

function putInt64(out: ByteWriter, value: number | bigint): void {
  if (typeof value === "number") out.uvarint(value);
  else out.uvarint64(value);
}

function gcd(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) {
    const rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

/** Rows by series, time, identity. */
function rowOrder(dataset: Dataset): Uint32Array {
  const order = Uint32Array.from({ length: dataset.rowCount }, (_, row) => row);
  const { identities, rowCount, rowSeries, rowTimeNs, minTimeNs } = dataset;
  // Less than a window, so doubles are exact. Comparing them allocates no bigint.
  const timeNs = new Float64Array(rowCount);
  for (let row = 0; row < rowCount; row++) timeNs[row] = Number(rowTimeNs[row]! - minTimeNs);
  return order.sort((a, b) => {
    if (rowSeries[a] !== rowSeries[b]) return rowSeries[a]! - rowSeries[b]!;
    if (timeNs[a] !== timeNs[b]) return timeNs[a]! - timeNs[b]!;
    return Buffer.compare(identities.subarray(a * 16, a * 16 + 16), identities.subarray(b * 16, b * 16 + 16));
  });
}

interface Survey {
  readonly stackNodes: Uint32Array;
  /** Per node: its number among the nodes that end a stacktrace. */
  readonly stackOf: Uint32Array;
  /** Per row of the dataset. */
  readonly sampleCounts: Uint32Array;
  readonly flags: Uint8Array;
}

/** Goes over every row once: which nodes end a stacktrace, and what each row has. */
function* survey(dataset: Dataset): Generator<undefined, Survey> {
  const { rowCount, tree } = dataset;
  const isLeaf = new Uint8Array(tree.nodeCount);
  const sampleCounts = new Uint32Array(rowCount);
  const flags = new Uint8Array(rowCount);
  const read = emptyRowSamples();
  for (let row = 0; row < rowCount; row++) {
    if (row % (ROWS_A_STEP * 4) === 0 && row > 0) yield;
    dataset.readNodes(row, read);
    const { node, sampleCount } = read;
    for (let i = 0; i < sampleCount; i++) isLeaf[node[i]!] = 1;
    sampleCounts[row] = sampleCount;
    flags[row] = (dataset.profileId(row) === undefined ? 0 : 1) | (read.span === undefined ? 0 : 2) | (read.trace === undefined ? 0 : 4);
  }
  const stackOf = new Uint32Array(tree.nodeCount);
  const stackNodes = new Uint32Array(isLeaf.reduce((count, flag) => count + flag, 0));
  let count = 0;
  for (let node = 0; node < isLeaf.length; node++) {
    if (isLeaf[node] === 0) continue;
    stackOf[node] = count;
    stackNodes[count++] = node;
  }
  return { stackNodes, stackOf, sampleCounts, flags };
}

function encodeStacks(stackNodes: Uint32Array): Uint8Array {
  const out = new VarintWriter(0);
  out.numbers(Uint32Array.of(stackNodes.length), 1);
  out.deltas(stackNodes, stackNodes.length);
  return out.finish();
}

function encodeSeries(series: readonly SeriesEntry[]): Uint8Array {
  const out = new ByteWriter(1024);
  out.uvarint(series.length);
  for (const { labels, sampleTypes, periodType } of series) {
    out.uvarint(labels.length);
    for (const { name, value } of labels) out.text(name).text(value);
    out.uvarint(sampleTypes.length);
    for (const { type, unit } of sampleTypes) out.text(type).text(unit);
    out.text(periodType.type).text(periodType.unit);
  }
  return out.finish();
}

function encodeRowColumns(dataset: Dataset, order: Uint32Array, sampleCounts: Uint32Array, flags: Uint8Array): Uint8Array {
  const out = new ByteWriter(dataset.rowCount * 24);
  out.uvarint(order.length);
  let previousSeries = 0;
  for (const row of order) {
    out.uvarint(dataset.rowSeries[row]! - previousSeries);
    previousSeries = dataset.rowSeries[row]!;
  }
  let previousTime = 0n;
  previousSeries = -1;
  for (const row of order) {
    const time = dataset.rowTimeNs[row]!;
    if (dataset.rowSeries[row] === previousSeries) out.uvarint64(time - previousTime);
    else out.uvarint64(time < 0n ? -time * 2n - 1n : time * 2n);
    previousSeries = dataset.rowSeries[row]!;
    previousTime = time;
  }
  for (const row of order) out.uvarint64(dataset.durationNs(row));
  for (const row of order) out.uvarint64(dataset.period(row));
  for (const row of order) out.uvarint(sampleCounts[row]!);
  for (const row of order) out.u8(flags[row]!);
  for (const row of order) {
    const profileId = (flags[row]! & 1) === 0 ? undefined : dataset.profileId(row);
    if (profileId !== undefined) out.raw(profileId);
  }
  return out.finish();
}

function encodeFixed(table: Uint8Array, count: number, width: number): Uint8Array {
  const out = new ByteWriter(count * width + 5);
  return out.uvarint(count).raw(table.subarray(width, count * width)).finish();
}

/** What reading rows needs. Missing optional sections mean no row has them. */
export interface RowSections {
  readonly series: Uint8Array;
  readonly rows: Uint8Array;
  readonly identities: Uint8Array;
  readonly totals: Uint8Array;
  /** SAMPLES and VALUES of all column sets, one after another. */
  readonly columns: (place: number) => Uint8Array;
  readonly spans: () => Uint8Array | undefined;
  readonly sampleSpans: () => Uint8Array | undefined;
  readonly traces: () => Uint8Array | undefined;
  readonly sampleTraces: () => Uint8Array | undefined;
}

type RowView = Omit<DatasetView, "service" | "symbols" | "tree" | "read">;

/** Rows of a segment. Sections of samples are opened when first read; every index is checked against its table. */
export class SegmentRows implements RowView {
  readonly series: readonly SeriesEntry[];
  readonly rowCount: number;
  readonly rowSeries: Uint32Array;
  readonly rowTimeNs: BigInt64Array;
  readonly identities: Uint8Array;
  readonly #object: string;
  readonly #sections: RowSections;
  readonly #durations: BigUint64Array;
  readonly #periods: BigUint64Array;
  readonly #sampleCounts: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #profileIdAt: Map<number, Uint8Array> = new Map();
  readonly #totals: (number | bigint)[] = [];
  readonly #divisors: number[] = [];
  /** Where a row's columns begin in #totals and #divisors. */
  readonly #columnStart: Uint32Array;
  readonly #setOfSeries: Uint32Array;
  /** By column set. */
  readonly #sectionStarts: readonly number[];
  /** In the order of the sections: for each column set its samples, then its columns. */
  readonly #streams: (Stream | undefined)[] = [];
  #spanStream: Stream | undefined;
  #traceStream: Stream | undefined;
  #spans: Uint8Array | undefined;
  #traces: Uint8Array | undefined;

  constructor(sections: RowSections, object: string) {
    this.#sections = sections;
    this.#object = object;
    this.series = decodeSeries(sections.series, object);
    const sets = columnSetsOf(this.series);
    this.#setOfSeries = sets.ofSeries;
    this.#sectionStarts = sectionStarts(sets);
    const reader = new ByteReader(sections.rows, `${object} ROWS`);
    const count = reader.uvarint();
    if (count > reader.remaining / 5 + 1) reader.fail("no more rows than bytes", `${count}`);
    this.rowCount = count;
    this.rowSeries = new Uint32Array(count);
    this.rowTimeNs = new BigInt64Array(count);
    let series = 0;
    for (let row = 0; row < count; row++) {
      series += reader.uvarint();
      if (series >= this.series.length) reader.fail(`a series below ${this.series.length}`, `${series}`);
      this.rowSeries[row] = series;
    }
    let time = 0n;
    for (let row = 0; row < count; row++) {
      const raw = BigInt(reader.uvarintWide());
      if (row > 0 && this.rowSeries[row] === this.rowSeries[row - 1]) time += raw;
      else time = (raw & 1n) === 0n ? raw >> 1n : -((raw + 1n) >> 1n);
      this.rowTimeNs[row] = time;
    }
    this.#durations = new BigUint64Array(count);
    for (let row = 0; row < count; row++) this.#durations[row] = BigInt(reader.uvarintWide());
    this.#periods = new BigUint64Array(count);
    for (let row = 0; row < count; row++) this.#periods[row] = BigInt(reader.uvarintWide());
    this.#sampleCounts = new Uint32Array(count);
    for (let row = 0; row < count; row++) this.#sampleCounts[row] = reader.uvarint();
    this.#flags = reader.raw(count);
    for (let row = 0; row < count; row++) if ((this.#flags[row]! & 1) !== 0) this.#profileIdAt.set(row, reader.raw(16));
    endOf(reader);
    if (sections.identities.length !== count * 16) reader.fail(`${count * 16} bytes of identities`, `${sections.identities.length}`);
    this.identities = sections.identities;
    this.#columnStart = new Uint32Array(count + 1);
    const totals = new ByteReader(sections.totals, `${object} TOTALS`);
    for (let row = 0; row < count; row++) {
      const columns = this.series[this.rowSeries[row]!]!.sampleTypes.length;
      for (let column = 0; column < columns; column++) {
        const reduced = totals.uvarintWide();
        const divisor = totals.uvarint();
        if (divisor === 0) totals.fail("a divisor of at least 1", "0");
        const total = typeof reduced === "number" ? reduced * divisor : Infinity;
        this.#totals.push(total < 2 ** 53 ? total : BigInt(reduced) * BigInt(divisor));
        this.#divisors.push(divisor);
      }
      this.#columnStart[row + 1] = this.#totals.length;
    }
    endOf(totals);
  }

  get spans(): Uint8Array {
    this.#spans ??= decodeFixed(this.#sections.spans(), 8, `${this.#object} SPANS`);
    return this.#spans;
  }

  get traces(): Uint8Array {
    this.#traces ??= decodeFixed(this.#sections.traces(), 16, `${this.#object} TRACES`);
    return this.#traces;
  }

  total(row: number, column: number): number | bigint {
    return this.#totals[this.#columnStart[row]! + column]!;
  }

  durationNs(row: number): bigint {
    return this.#durations[row]!;
  }

  period(row: number): bigint {
    return this.#periods[row]!;
  }

  profileId(row: number): Uint8Array | undefined {
    return this.#profileIdAt.get(row);
  }

  sampleCount(row: number): number {
    return this.#sampleCounts[row]!;
  }

  /** `stacks` says which node each stack is. */
  read(row: number, column: number, stacks: Uint32Array, into: RowSamples): void {
    const count = this.#sampleCounts[row]!;
    const set = this.#setOf(row);
    const place = this.#sectionStarts[set]!;
    // Opened before anything is allocated: opening checks that the samples of every row fit into the section.
    const samples = (this.#streams[place] ??= this.#stream(this.#sections.columns(place), `SAMPLES ${set}`, (at) => this.#setOf(at) === set));
    if (into.node.length < count) {
      into.node = new Uint32Array(count * 2);
      into.value = new Float64Array(count * 2);
    }
    into.sampleCount = count;
    const reader = samples.at(row);
    let stack = 0;
    for (let i = 0; i < count; i++) {
      stack += reader.next();
      if (stack >= stacks.length) reader.fail(`a stack below ${stacks.length}`, `${stack}`);
      into.node[i] = stacks[stack]!;
    }
    this.#readValues(row, column, count, into);
    into.span = (this.#flags[row]! & 2) === 0 ? undefined : this.#indexes(row, count, "span");
    into.trace = (this.#flags[row]! & 4) === 0 ? undefined : this.#indexes(row, count, "trace");
  }

  #readValues(row: number, column: number, count: number, into: RowSamples): void {
    const set = this.#setOf(row);
    const place = this.#sectionStarts[set]! + 1 + column;
    const stream = (this.#streams[place] ??= this.#stream(
      this.#sections.columns(place),
      `VALUES ${set}.${column}`,
      (at) => this.#setOf(at) === set && this.series[this.rowSeries[at]!]!.sampleTypes.length > column,
    ));
    const divisor = this.#divisors[this.#columnStart[row]! + column]!;
    const reader = stream.at(row);
    const start = reader.offset;
    into.wide = undefined;
    for (let i = 0; i < count; i++) {
      const value = reader.next() * divisor;
      into.value[i] = value;
      if (value >= 2 ** 53) {
        into.wide = new BigInt64Array(count);
        break;
      }
    }
    if (into.wide === undefined) return;
    reader.offset = start;
    for (let i = 0; i < count; i++) into.wide[i] = reader.exact() * BigInt(divisor);
  }

  #setOf(row: number): number {
    return this.#setOfSeries[this.rowSeries[row]!]!;
  }

  #indexes(row: number, count: number, what: "span" | "trace"): Uint32Array {
    const table = what === "span" ? this.spans : this.traces;
    const limit = table.length / (what === "span" ? 8 : 16);
    const flag = what === "span" ? 2 : 4;
    const section = (): Uint8Array => (what === "span" ? this.#sections.sampleSpans() : this.#sections.sampleTraces()) ?? new Uint8Array(0);
    const open = (): Stream => this.#stream(section(), `SAMPLE_${what.toUpperCase()}S`, (at) => (this.#flags[at]! & flag) !== 0);
    const stream = what === "span" ? (this.#spanStream ??= open()) : (this.#traceStream ??= open());
    const reader = stream.at(row);
    const indexes = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const index = reader.next();
      if (index >= limit) reader.fail(`an index below ${limit}`, `${index}`);
      indexes[i] = index;
    }
    return indexes;
  }

  #stream(bytes: Uint8Array, name: string, holds: (row: number) => boolean): Stream {
    return new Stream(bytes, `${this.#object} ${name}`, this.#sampleCounts, holds);
  }
}

export function decodeStacks(raw: Uint8Array, nodeCount: number, object: string): Uint32Array {
  const reader = new ByteReader(raw, `${object} STACKS`);
  const count = reader.uvarint();
  if (count > reader.remaining) reader.fail("no more stacks than bytes", `${count}`);
  const stacks = new Uint32Array(count);
  let node = 0;
  for (let i = 0; i < count; i++) {
    node += reader.uvarint();
    if (node >= nodeCount) reader.fail(`a node below ${nodeCount}`, `${node}`);
    stacks[i] = node;
  }
  endOf(reader);
  return stacks;
}

/** Varints of all rows, back to back. Where each row begins is found once, by counting varint ends. */
class Stream {
  readonly #starts: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #object: string;
  offset = 0;

  constructor(bytes: Uint8Array, object: string, counts: Uint32Array, holds: (row: number) => boolean) {
    this.#bytes = bytes;
    this.#object = object;
    this.#starts = new Uint32Array(counts.length);
    let at = 0;
    for (let row = 0; row < counts.length; row++) {
      this.#starts[row] = at;
      if (!holds(row)) continue;
      for (let left = counts[row]!; left > 0 && at <= bytes.length; left--) {
        while (at < bytes.length && bytes[at]! >= 0x80) at++;
        at++;
      }
      // Checked a row at a time: a short section is found before it is believed.
      if (at > bytes.length) this.#failAt(at, `row ${row} within ${bytes.length} bytes`, "its end");
    }
    if (at !== bytes.length) this.#failAt(at, "the end of the section", `${bytes.length - at} more bytes`);
  }

  at(row: number): this {
    this.offset = this.#starts[row]!;
    return this;
  }

  /** Reads a number itself: each is known to end, and a query of segments takes a fifth longer with a look at the end for each. */
  next(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.offset++]!;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 0x80;
    do {
      byte = bytes[this.offset++]!;
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
    } while (byte >= 0x80);
    return value;
  }

  exact(): bigint {
    const cursor = new VarintCursor(this.#bytes, this.offset);
    const value = BigInt(cursor.nextWide());
    this.offset = cursor.offset;
    return value;
  }

  fail(expected: string, found: string): never {
    return this.#failAt(this.offset, expected, found);
  }

  #failAt(offset: number, expected: string, found: string): never {
    return new ByteReader(this.#bytes, this.#object, Math.min(offset, this.#bytes.length)).fail(expected, found);
  }
}

function decodeSeries(raw: Uint8Array, object: string): SeriesEntry[] {
  const reader = new ByteReader(raw, `${object} SERIES`);
  const count = countOf(reader, 4);
  const series: SeriesEntry[] = [];
  for (let i = 0; i < count; i++) {
    const labels = Array.from({ length: countOf(reader, 2) }, () => ({ name: reader.text(), value: reader.text() }));
    const sampleTypes: SampleType[] = Array.from({ length: countOf(reader, 2) }, () => ({ type: reader.text(), unit: reader.text() }));
    series.push({ labels, sampleTypes, periodType: { type: reader.text(), unit: reader.text() } });
  }
  endOf(reader);
  return series;
}

function decodeFixed(raw: Uint8Array | undefined, width: number, object: string): Uint8Array {
  if (raw === undefined) return new Uint8Array(width);
  const reader = new ByteReader(raw, object);
  const count = reader.uvarint();
  if ((count - 1) * width !== reader.remaining) reader.fail(`${(count - 1) * width} bytes`, `${reader.remaining}`);
  const table = new Uint8Array(count * width);
  table.set(reader.raw((count - 1) * width), width);
  return table;
}
