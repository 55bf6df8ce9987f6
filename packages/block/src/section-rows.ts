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
 *   SAMPLES     per row: its stacks (indexes into STACKS), ascending, each minus the one before
 *   VALUES + k  per row that has a column k: its values in sample order, each divided by the divisor
 *   SPANS       count | 8 bytes each (entry 0 not stored) ; SAMPLE_SPANS  per row with flag 2: an index a sample
 *   TRACES      count | 16 bytes each                     ; SAMPLE_TRACES per row with flag 4: an index a sample
 *
 * A time series reads ROWS, IDENTITIES and TOTALS and no stacks; a flame graph of one type reads one VALUES section.
 */
import { ByteReader, ByteWriter } from "@pyromesh/base";
import type { Dataset, DatasetView, RowSamples, SampleType, SeriesEntry } from "@pyromesh/profile";
import { emptyRowSamples } from "@pyromesh/profile";
import { countOf, endOf } from "./section-symbols.ts";

export interface EncodedRows {
  readonly series: Uint8Array;
  readonly rows: Uint8Array;
  readonly identities: Uint8Array;
  readonly totals: Uint8Array;
  readonly stacks: Uint8Array;
  readonly samples: Uint8Array;
  readonly values: readonly Uint8Array[];
  readonly spans: Uint8Array | undefined;
  readonly sampleSpans: Uint8Array | undefined;
  readonly traces: Uint8Array | undefined;
  readonly sampleTraces: Uint8Array | undefined;
}

export function encodeRows(dataset: Dataset): EncodedRows {
  const order = rowOrder(dataset);
  const stackOf = stackNumbers(dataset);
  const columnCountMax = dataset.series.reduce((most, { sampleTypes }) => Math.max(most, sampleTypes.length), 0);
  const rows = encodeRowColumns(dataset, order);
  const identities = new Uint8Array(dataset.rowCount * 16);
  const totals = new ByteWriter(dataset.rowCount * 8);
  const samples = new ByteWriter(dataset.rowCount * 64);
  const values = Array.from({ length: columnCountMax }, () => new ByteWriter(dataset.rowCount * 64));
  const sampleSpans = new ByteWriter();
  const sampleTraces = new ByteWriter();
  const read = emptyRowSamples();
  let sorted: Float64Array = new Float64Array(1024);
  for (let at = 0; at < order.length; at++) {
    const row = order[at]!;
    identities.set(dataset.identities.subarray(row * 16, row * 16 + 16), at * 16);
    const columnCount = dataset.series[dataset.rowSeries[row]!]!.sampleTypes.length;
    for (let column = 0; column < columnCount; column++) {
      dataset.read(row, column, read);
      const count = read.sampleCount;
      if (column === 0) {
        // Sort keys hold stack and place in one double: stacks and samples are both below 2^26.
        if (sorted.length < count) sorted = new Float64Array(count * 2);
        for (let i = 0; i < count; i++) sorted[i] = stackOf[read.node[i]!]! * 2 ** 26 + i;
        sorted.subarray(0, count).sort();
        let previous = 0;
        for (let i = 0; i < count; i++) {
          const stack = Math.floor(sorted[i]! / 2 ** 26);
          samples.uvarint(stack - previous);
          previous = stack;
        }
        if (read.span !== undefined) for (let i = 0; i < count; i++) sampleSpans.uvarint(read.span[sorted[i]! % 2 ** 26]!);
        if (read.trace !== undefined) for (let i = 0; i < count; i++) sampleTraces.uvarint(read.trace[sorted[i]! % 2 ** 26]!);
      }
      encodeValues(read, sorted, dataset.total(row, column), totals, values[column]!);
    }
  }
  return {
    series: encodeSeries(dataset.series),
    rows,
    identities,
    totals: totals.finish(),
    stacks: encodeStacks(stackOf),
    samples: samples.finish(),
    values: values.map((writer) => writer.finish()),
    spans: dataset.spanCount === 1 ? undefined : encodeFixed(dataset.spans, dataset.spanCount, 8),
    sampleSpans: dataset.spanCount === 1 ? undefined : sampleSpans.finish(),
    traces: dataset.traceCount === 1 ? undefined : encodeFixed(dataset.traces, dataset.traceCount, 16),
    sampleTraces: dataset.traceCount === 1 ? undefined : sampleTraces.finish(),
  };
}

function encodeValues(read: RowSamples, sorted: Float64Array, total: number | bigint, totals: ByteWriter, out: ByteWriter): void {
  const count = read.sampleCount;
  if (read.wide !== undefined) {
    putInt64(totals, total);
    totals.uvarint(1);
    for (let i = 0; i < count; i++) out.uvarint64(read.wide[sorted[i]! % 2 ** 26]!);
    return;
  }
  let divisor = 0;
  for (let i = 0; i < count && divisor !== 1; i++) divisor = gcd(read.value[i]!, divisor);
  if (divisor === 0) divisor = 1;
  putInt64(totals, typeof total === "number" ? total / divisor : total / BigInt(divisor));
  totals.uvarint(divisor);
  for (let i = 0; i < count; i++) out.uvarint(read.value[sorted[i]! % 2 ** 26]! / divisor);
}

function putInt64(out: ByteWriter, value: number | bigint): void {
  if (typeof value === "number") out.uvarint(value);
  else out.uvarint64(value);
}

function gcd(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Rows by series, time, identity. */
function rowOrder(dataset: Dataset): Uint32Array {
  const order = Uint32Array.from({ length: dataset.rowCount }, (_, row) => row);
  const { identities, rowSeries, rowTimeNs } = dataset;
  return order.sort((a, b) => {
    if (rowSeries[a] !== rowSeries[b]) return rowSeries[a]! - rowSeries[b]!;
    if (rowTimeNs[a] !== rowTimeNs[b]) return rowTimeNs[a]! < rowTimeNs[b]! ? -1 : 1;
    return Buffer.compare(identities.subarray(a * 16, a * 16 + 16), identities.subarray(b * 16, b * 16 + 16));
  });
}

/** Per node: its number among the nodes that end a stacktrace, ascending by node; 0xffffffff where none ends. */
function stackNumbers(dataset: Dataset): Uint32Array {
  const isLeaf = new Uint8Array(dataset.tree.nodeCount);
  const read = emptyRowSamples();
  for (let row = 0; row < dataset.rowCount; row++) {
    dataset.read(row, 0, read);
    for (let i = 0; i < read.sampleCount; i++) isLeaf[read.node[i]!] = 1;
  }
  const numbers = new Uint32Array(dataset.tree.nodeCount).fill(0xffffffff);
  let count = 0;
  for (let node = 0; node < isLeaf.length; node++) if (isLeaf[node] === 1) numbers[node] = count++;
  return numbers;
}

function encodeStacks(numbers: Uint32Array): Uint8Array {
  const out = new ByteWriter(numbers.length);
  let count = 0;
  for (const number of numbers) if (number !== 0xffffffff) count++;
  out.uvarint(count);
  let previous = 0;
  for (let node = 0; node < numbers.length; node++) {
    if (numbers[node] === 0xffffffff) continue;
    out.uvarint(node - previous);
    previous = node;
  }
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

function encodeRowColumns(dataset: Dataset, order: Uint32Array): Uint8Array {
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
  const read = emptyRowSamples();
  const flags = new Uint8Array(order.length);
  order.forEach((row, at) => {
    dataset.read(row, 0, read);
    out.uvarint(read.sampleCount);
    flags[at] = (dataset.profileId(row) === undefined ? 0 : 1) | (read.span === undefined ? 0 : 2) | (read.trace === undefined ? 0 : 4);
  });
  out.raw(flags);
  for (const row of order) {
    const profileId = dataset.profileId(row);
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
  readonly stacks: () => Uint8Array;
  readonly samples: () => Uint8Array;
  readonly values: (column: number) => Uint8Array;
  readonly spans: () => Uint8Array | undefined;
  readonly sampleSpans: () => Uint8Array | undefined;
  readonly traces: () => Uint8Array | undefined;
  readonly sampleTraces: () => Uint8Array | undefined;
}

type RowView = Omit<DatasetView, "service" | "symbols" | "tree">;

/** Rows of a segment. Sections of samples are opened when first read; every index is checked against its table. */
export class SegmentRows implements RowView {
  readonly series: readonly SeriesEntry[];
  readonly rowCount: number;
  readonly rowSeries: Uint32Array;
  readonly rowTimeNs: BigInt64Array;
  readonly identities: Uint8Array;
  readonly #object: string;
  readonly #sections: RowSections;
  readonly #nodeCount: () => number;
  readonly #durations: BigUint64Array;
  readonly #periods: BigUint64Array;
  readonly #sampleCounts: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #profileIdAt: Map<number, Uint8Array> = new Map();
  readonly #totals: (number | bigint)[] = [];
  readonly #divisors: number[] = [];
  /** Where a row's columns begin in #totals and #divisors. */
  readonly #columnStart: Uint32Array;
  #stacks: Uint32Array | undefined;
  #samples: Stream | undefined;
  readonly #values: (Stream | undefined)[] = [];
  #spanStream: Stream | undefined;
  #traceStream: Stream | undefined;
  #spans: Uint8Array | undefined;
  #traces: Uint8Array | undefined;

  constructor(sections: RowSections, nodeCount: () => number, object: string) {
    this.#sections = sections;
    this.#nodeCount = nodeCount;
    this.#object = object;
    this.series = decodeSeries(sections.series, object);
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
      const raw = reader.uvarint64();
      if (row > 0 && this.rowSeries[row] === this.rowSeries[row - 1]) time += raw;
      else time = (raw & 1n) === 0n ? raw >> 1n : -((raw + 1n) >> 1n);
      this.rowTimeNs[row] = time;
    }
    this.#durations = new BigUint64Array(count);
    for (let row = 0; row < count; row++) this.#durations[row] = reader.uvarint64();
    this.#periods = new BigUint64Array(count);
    for (let row = 0; row < count; row++) this.#periods[row] = reader.uvarint64();
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
        const reduced = totals.uvarint64();
        const divisor = totals.uvarint();
        if (divisor === 0) totals.fail("a divisor of at least 1", "0");
        const total = reduced * BigInt(divisor);
        this.#totals.push(total <= 9007199254740991n ? Number(total) : total);
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

  read(row: number, column: number, into: RowSamples): void {
    const count = this.#sampleCounts[row]!;
    this.#stacks ??= this.#decodeStacks();
    // Opened before anything is allocated: it checks that every row's count fits its bytes.
    this.#samples ??= this.#stream(this.#sections.samples(), "SAMPLES", () => true);
    if (into.node.length < count) {
      into.node = new Uint32Array(count * 2);
      into.value = new Float64Array(count * 2);
    }
    into.sampleCount = count;
    const stacks = this.#stacks;
    const reader = this.#samples.at(row);
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
    const stream = (this.#values[column] ??= this.#stream(
      this.#sections.values(column),
      `VALUES+${column}`,
      (at) => this.series[this.rowSeries[at]!]!.sampleTypes.length > column,
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

  #decodeStacks(): Uint32Array {
    const reader = new ByteReader(this.#sections.stacks(), `${this.#object} STACKS`);
    const count = reader.uvarint();
    if (count > reader.remaining) reader.fail("no more stacks than bytes", `${count}`);
    const stacks = new Uint32Array(count);
    const nodeCount = this.#nodeCount();
    let node = 0;
    for (let i = 0; i < count; i++) {
      node += reader.uvarint();
      if (node >= nodeCount) reader.fail(`a node below ${nodeCount}`, `${node}`);
      stacks[i] = node;
    }
    endOf(reader);
    return stacks;
  }
}

/** Varints of all rows, back to back. Where each row begins is found once, by counting varint ends. */
class Stream {
  readonly #starts: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #object: string;
  offset = 0;

  constructor(bytes: Uint8Array, object: string, counts: Uint32Array, holds: (row: number) => boolean) {
    this.#bytes = bytes;
    this.#object = object;
    this.#starts = new Float64Array(counts.length);
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
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes[this.offset++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
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
