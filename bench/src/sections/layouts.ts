/**
 * Layouts of rows, each as the sections that it makes. The first of a group is what block/src/segment/section-rows.ts does, the others
 * are alternatives. Every layout could be decoded: nothing is left out.
 */
import { BitWriter, widthOf } from "./bit-writer.ts";
import type { Row, Rows } from "./rows.ts";

interface Layout {
  readonly group: string;
  readonly name: string;
  readonly encode: (rows: Rows) => readonly Uint8Array[];
}

export const LAYOUTS: readonly Layout[] = [
  { group: "order of rows: times, stacks, values", name: "series, time; column sets apart", encode: (all) => wholeRows(all, bySeries(all), true) },
  { group: "order of rows: times, stacks, values", name: "series, time; one section a column", encode: (all) => wholeRows(all, bySeries(all), false) },
  { group: "order of rows: times, stacks, values", name: "time; column sets apart", encode: (all) => wholeRows(all, byTime(all), true) },
  { group: "order of rows: times, stacks, values", name: "time; one section a column", encode: (all) => wholeRows(all, byTime(all), false) },

  { group: "times", name: "delta in its series, varint", encode: (all) => times(all, (out, deltas) => deltas.forEach((delta) => out.varint(delta))) },
  { group: "times", name: "delta of deltas, zigzag varint", encode: (all) => times(all, deltaOfDeltas) },
  { group: "times", name: "delta, bits of its series' range", encode: (all) => times(all, packed) },

  { group: "stacks", name: "numbered, ascending, delta varint", encode: (all) => stacks(all, ascendingDeltas) },
  { group: "stacks", name: "leaf nodes, ascending, delta varint", encode: (all) => stacks({ ...all, nodeCount: 0 }, ascendingDeltas) },
  { group: "stacks", name: "as they came, zigzag delta varint", encode: (all) => stacks(all, (out, { nodes }, numbers) => zigzagDeltas(out, numbered(nodes, numbers))) },
  { group: "stacks", name: "as they came, numbered by first use", encode: (all) => stacks(all, (out, { nodes }, numbers) => zigzagDeltas(out, numbered(nodes, numbers)), true) },
  { group: "stacks", name: "ascending, deltas in bits", encode: (all) => stacks(all, (out, row, numbers) => packed(out, deltasOf(ascending(row, numbers)))) },
  { group: "stacks", name: "a bit a stack, first to last", encode: (all) => stacks(all, bitset) },
  { group: "stacks", name: "runs: skip, take", encode: (all) => stacks(all, runs) },
  { group: "stacks", name: "sets shared by rows", encode: sharedSets },

  { group: "values", name: "by stack, / row's divisor, varint", encode: (all) => values(all, (out, column) => divided(column).forEach((value) => out.varint(value))) },
  { group: "values", name: "as they are, varint", encode: (all) => values(all, (out, column) => column.forEach((value) => out.varint(value))) },
  { group: "values", name: "/ divisor, row's bits", encode: (all) => values(all, (out, column) => packed(out, divided(column))) },
  { group: "values", name: "/ divisor, minus row's least, bits", encode: (all) => values(all, frameOfReference) },
  { group: "values", name: "/ divisor, zigzag delta in the row", encode: (all) => values(all, (out, column) => zigzagDeltas(out, divided(column))) },
  { group: "values", name: "/ divisor, a row that is one value", encode: (all) => values(all, constantOrVarints) },
  { group: "values", name: "/ divisor, zigzag delta to the series' last", encode: deltaToLast },
  { group: "values", name: "/ divisor, dictionary by frequency", encode: dictionary },
];

/** The column divided by its greatest common divisor. The next call overwrites the result. */
function divided(column: Float64Array): Float64Array {
  let divisor = 0;
  for (let i = 0; i < column.length && divisor !== 1; i++) {
    const next = column[i]!;
    if (divisor !== 0 && Math.floor(next / divisor) * divisor === next) continue;
    let rest = next;
    while (rest !== 0) [divisor, rest] = [rest, divisor % rest];
  }
  if (scratch.length < column.length) scratch = new Float64Array(column.length * 2);
  const result = scratch.subarray(0, column.length);
  if (divisor <= 1) result.set(column);
  else for (let i = 0; i < column.length; i++) result[i] = column[i]! / divisor;
  return result;
}

let scratch: Float64Array = new Float64Array(1024);

// --- order of rows ------------------------------------------------------------------------------------------------------

function bySeries({ rows }: Rows): Row[] {
  return [...rows].sort((a, b) => a.series - b.series || Number(a.timeNs - b.timeNs));
}

function byTime({ rows }: Rows): Row[] {
  return [...rows].sort((a, b) => Number(a.timeNs - b.timeNs));
}

function wholeRows(all: Rows, rows: readonly Row[], isApart: boolean): Uint8Array[] {
  const numbers = numbersByNode(all);
  const sections = new Map<string, BitWriter>();
  const section = (name: string): BitWriter => {
    let out = sections.get(name);
    if (out === undefined) sections.set(name, (out = new BitWriter()));
    return out;
  };
  let series = 0;
  let timeNs = 0n;
  for (const row of rows) {
    section("series").zigzag(row.series - series);
    section("times").zigzag(Number(row.timeNs - timeNs));
    series = row.series;
    timeNs = row.timeNs;
    const set = isApart ? row.columnSet : 0;
    ascendingDeltas(section(`stacks ${set}`), row, numbers);
    row.columns.forEach((column, index) => {
      const out = section(`values ${set} ${index}`);
      divided(sortedColumn(row, column)).forEach((value) => out.varint(value));
    });
  }
  return [...sections.values()].map((out) => out.finish());
}

// --- times --------------------------------------------------------------------------------------------------------------

function times(all: Rows, put: (out: BitWriter, deltas: number[]) => void): Uint8Array[] {
  const out = new BitWriter();
  const rows = bySeries(all);
  for (let at = 0; at < rows.length; ) {
    const { series, timeNs } = rows[at]!;
    const deltas: number[] = [];
    out.varint(Number(timeNs / 1000n));
    for (at++; rows[at]?.series === series; at++) deltas.push(Number(rows[at]!.timeNs - rows[at - 1]!.timeNs));
    put(out, deltas);
  }
  return [out.finish()];
}

function deltaOfDeltas(out: BitWriter, deltas: readonly number[]): void {
  let last = 0;
  for (const delta of deltas) {
    out.zigzag(delta - last);
    last = delta;
  }
}

function packed(out: BitWriter, numbers: ArrayLike<number>): void {
  let most = 0;
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! > most) most = numbers[i]!;
  const width = widthOf(most);
  out.varint(width);
  for (let i = 0; i < numbers.length; i++) out.bits(numbers[i]!, width);
  out.align();
}

// --- stacks -------------------------------------------------------------------------------------------------------------

/** Stacks by column set. `nodeCount` 0: the numbers are the nodes themselves. */
function stacks(all: Rows, put: (out: BitWriter, row: Row, numbers: Uint32Array) => void, isByFirstUse = false): Uint8Array[] {
  const numbers = isByFirstUse ? numbersByFirstUse(all) : numbersByNode(all);
  const sections: BitWriter[] = [];
  for (const row of bySeries(all)) put((sections[row.columnSet] ??= new BitWriter()), row, numbers);
  return sections.map((out) => out.finish());
}

function numbersByNode({ rows, nodeCount }: Rows): Uint32Array {
  if (nodeCount === 0) return new Uint32Array(0);
  const numbers = new Uint32Array(nodeCount);
  for (const { nodes } of rows) for (const node of nodes) numbers[node] = 1;
  let count = 0;
  for (let node = 0; node < nodeCount; node++) if (numbers[node] === 1) numbers[node] = count++;
  return numbers;
}

function numbersByFirstUse({ rows, nodeCount }: Rows): Uint32Array {
  const numbers = new Uint32Array(nodeCount);
  let count = 0;
  for (const { nodes } of rows) for (const node of nodes) if (numbers[node] === 0) numbers[node] = ++count;
  return numbers;
}

function numbered(nodes: Uint32Array, numbers: Uint32Array): Uint32Array {
  return numbers.length === 0 ? nodes : nodes.map((node) => numbers[node]!);
}

function ascending({ nodes, byNode }: Row, numbers: Uint32Array): Uint32Array {
  return byNode.map((place) => (numbers.length === 0 ? nodes[place]! : numbers[nodes[place]!]!));
}

function deltasOf(numbers: Uint32Array): Uint32Array {
  return numbers.map((number, i) => number - (i === 0 ? 0 : numbers[i - 1]!));
}

function ascendingDeltas(out: BitWriter, row: Row, numbers: Uint32Array): void {
  let last = 0;
  for (const number of ascending(row, numbers)) {
    out.varint(number - last);
    last = number;
  }
}

function zigzagDeltas(out: BitWriter, numbers: ArrayLike<number>): void {
  let last = 0;
  for (let i = 0; i < numbers.length; i++) {
    out.zigzag(numbers[i]! - last);
    last = numbers[i]!;
  }
}

/** A stack that occurs twice (under two spans) is listed again after the bits. */
function bitset(out: BitWriter, row: Row, numbers: Uint32Array): void {
  const all = ascending(row, numbers);
  if (all.length === 0) return;
  const again: number[] = [];
  out.varint(all[0]!);
  for (let i = 1; i < all.length; i++) {
    const gap = all[i]! - all[i - 1]!;
    if (gap === 0) {
      again.push(all[i]!);
      continue;
    }
    for (let left = gap - 1; left > 0; left -= 24) out.bits(0, Math.min(24, left));
    out.bits(1, 1);
  }
  out.align();
  zigzagDeltas(out, again);
}

/** As above, a stack that occurs twice ends its run. Its skip is -1 then, so skips are written plus one. */
function runs(out: BitWriter, row: Row, numbers: Uint32Array): void {
  const all = ascending(row, numbers);
  let end = 0;
  for (let i = 0; i < all.length; ) {
    const start = i;
    for (i++; i < all.length && all[i]! === all[i - 1]! + 1; i++);
    out.varint(all[start]! - end + 1);
    out.varint(i - start);
    end = all[i - 1]! + 1;
  }
}

/** A row whose stacks are those of an earlier row refers to it. */
function sharedSets(all: Rows): Uint8Array[] {
  const known = new Map<string, number>();
  return stacks(all, (out, row, numbers) => {
    const own = ascending(row, numbers);
    const key = Buffer.from(own.buffer, own.byteOffset, own.byteLength).toString("latin1");
    const set = known.get(key);
    out.varint(set ?? 0);
    if (set !== undefined) return;
    known.set(key, known.size + 1);
    ascendingDeltas(out, row, numbers);
  });
}

// --- values -------------------------------------------------------------------------------------------------------------

function values(all: Rows, put: (out: BitWriter, column: Float64Array) => void): Uint8Array[] {
  const sections = new Map<number, BitWriter>();
  for (const row of bySeries(all)) row.columns.forEach((column, index) => put(sectionOf(sections, row, index), sortedColumn(row, column)));
  return [...sections.values()].map((out) => out.finish());
}

function sectionOf(sections: Map<number, BitWriter>, row: Row, index: number): BitWriter {
  const key = row.columnSet * 64 + index;
  let out = sections.get(key);
  if (out === undefined) sections.set(key, (out = new BitWriter()));
  return out;
}

function sortedColumn({ byNode }: Row, column: Float64Array): Float64Array {
  const sorted = new Float64Array(column.length);
  for (let i = 0; i < column.length; i++) sorted[i] = column[byNode[i]!]!;
  return sorted;
}

function frameOfReference(out: BitWriter, column: Float64Array): void {
  const reduced = divided(column);
  let least = Infinity;
  for (const value of reduced) if (value < least) least = value;
  out.varint(reduced.length === 0 ? 0 : least);
  packed(
    out,
    reduced.map((value) => value - least),
  );
}

function constantOrVarints(out: BitWriter, column: Float64Array): void {
  const reduced = divided(column);
  const isConstant = reduced.every((value) => value === reduced[0]);
  out.varint(isConstant ? 1 : 0);
  for (const value of isConstant ? reduced.subarray(0, 1) : reduced) out.varint(value);
}

function deltaToLast(all: Rows): Uint8Array[] {
  const sections = new Map<number, BitWriter>();
  const last = new Map<number, Float64Array>();
  for (const row of bySeries(all)) {
    row.columns.forEach((column, index) => {
      const key = row.series * 64 + index;
      let before = last.get(key);
      if (before === undefined) last.set(key, (before = new Float64Array(all.nodeCount)));
      const reduced = divided(sortedColumn(row, column));
      const out = sectionOf(sections, row, index);
      for (let i = 0; i < reduced.length; i++) {
        const node = row.nodes[row.byNode[i]!]!;
        out.zigzag(reduced[i]! - before[node]!);
        before[node] = reduced[i]!;
      }
    });
  }
  return [...sections.values()].map((out) => out.finish());
}

/** Two passes: count how often each value occurs, then write its number, the most frequent value first. */
function dictionary(all: Rows): Uint8Array[] {
  const counts = new Map<number, Map<number, number>>();
  const rows = bySeries(all);
  for (const row of rows) {
    row.columns.forEach((column, index) => {
      const key = row.columnSet * 64 + index;
      let found = counts.get(key);
      if (found === undefined) counts.set(key, (found = new Map()));
      for (const value of divided(column)) found.set(value, (found.get(value) ?? 0) + 1);
    });
  }
  const sections = new Map<number, BitWriter>();
  const numbers = new Map<number, Map<number, number>>();
  for (const [key, found] of counts) {
    const out = new BitWriter();
    const sorted = [...found].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    out.varint(sorted.length);
    for (const [value] of sorted) out.varint(value);
    sections.set(key, out);
    numbers.set(key, new Map(sorted.map(([value], number) => [value, number])));
  }
  for (const row of rows) {
    row.columns.forEach((column, index) => {
      const known = numbers.get(row.columnSet * 64 + index)!;
      const out = sectionOf(sections, row, index);
      for (const value of divided(sortedColumn(row, column))) out.varint(known.get(value)!);
    });
  }
  return [...sections.values()].map((out) => out.finish());
}
