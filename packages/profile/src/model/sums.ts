/**
 * Exact sums of whole numbers >= 0. One column of doubles holds them while a running bound proves that every sum stays
 * below 2^53; past the bound a second column takes the carries, and the value is high * 2^32 + low.
 *
 * What must stay true: a caller raises the bound before it adds, so that no addition is rounded.
 */
import { assert } from "@pyromesh/base";
import type { Int64 } from "./results.ts";
import type { Sums } from "./stacktrace-tree.ts";

const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;

/** The greatest value an answer can carry. */
export const INT64_MAX: bigint = (1n << 63n) - 1n;

export class SumColumn {
  #low: Float64Array;
  #high: Float64Array | undefined;
  #length: number;
  /** No sum in the column is above this. */
  #bound = 0;

  constructor(length: number) {
    this.#length = length;
    this.#low = new Float64Array(length);
  }

  get length(): number {
    return this.#length;
  }

  /** Call it before adding values that sum to at most `total`: it decides whether one column is enough. */
  raise(total: Int64): void {
    if (this.#high !== undefined) return;
    const bound = plus(this.#bound, total);
    if (typeof bound === "number") this.#bound = bound;
    else this.#widen();
  }

  /** `value` is a whole number in [0, 2^53) for which the bound was raised. */
  add(index: number, value: number): void {
    const high = this.#high;
    if (high === undefined) this.#low[index]! += value;
    else addWide(this.#low, high, index, 0, value);
  }

  /** `value` is at least 0 and below 2^85. */
  addBig(index: number, value: bigint): void {
    if (value < BigInt(TWO_53) && this.#high === undefined) return this.add(index, Number(value));
    this.#widen();
    addWide(this.#low, this.#high!, index, Number(value >> 32n), Number(value & 0xffff_ffffn));
  }

  addInt64(index: number, value: Int64): void {
    if (typeof value === "number") this.add(index, value);
    else this.addBig(index, value);
  }

  /** Adds entry `from` of other sums, for which the bound was raised. */
  addFrom(index: number, sums: Sums, from: number): void {
    const low = sums.low[from]!;
    if (sums.high === undefined) return this.add(index, low);
    const high = sums.high[from]!;
    if (high === 0) return this.add(index, low);
    this.#widen();
    addWide(this.#low, this.#high!, index, high, low);
  }

  /** Adds the first `count` of other sums: entry i to `target[i]`, or to i where no target is given. Raises the bound itself. */
  addAll(sums: Sums, count: number, target?: Uint32Array): void {
    this.raise(sumOf(sums, count));
    for (let i = 0; i < count; i++) {
      if (sums.low[i] === 0 && (sums.high === undefined || sums.high[i] === 0)) continue;
      this.addFrom(target === undefined ? i : target[i]!, sums, i);
    }
  }

  /** Makes room for indexes below `length`; new entries are 0. Never shrinks. */
  grow(length: number): void {
    if (length <= this.#length) return;
    if (length > this.#low.length) {
      const capacity = Math.max(length, this.#low.length * 2);
      this.#low = resized(this.#low, capacity);
      if (this.#high !== undefined) this.#high = resized(this.#high, capacity);
    }
    this.#length = length;
  }

  at(index: number): Int64 {
    return sumAt({ low: this.#low, high: this.#high }, index);
  }

  /** The sums. They share memory with this column: later additions may or may not show in them. */
  view(): Sums {
    return { low: this.#low.subarray(0, this.#length), high: this.#high?.subarray(0, this.#length) };
  }

  #widen(): void {
    if (this.#high !== undefined) return;
    this.#high = new Float64Array(this.#low.length);
    normalise(this.#low, this.#high);
  }
}

/** Entry `index`: a number below 2^53, a bigint from there on. */
export function sumAt(sums: Sums, index: number): Int64 {
  const low = sums.low[index]!;
  const high = sums.high?.[index] ?? 0;
  if (high === 0) return low < TWO_53 ? low : BigInt(low);
  // One rounded operation, and rounding keeps order: a result below 2^53 is the exact one.
  const value = high * TWO_32 + low;
  return value < TWO_53 ? value : BigInt(high) * BigInt(TWO_32) + BigInt(low);
}

/** The sum of the first `count` entries. */
export function sumOf(sums: Sums, count: number): Int64 {
  if (sums.high === undefined) {
    // Below 2^53 every step was exact; a step that was not leaves the rest at 2^53 or above.
    let total = 0;
    for (let i = 0; i < count; i++) total += sums.low[i]!;
    if (total < TWO_53) return total;
  }
  let total: Int64 = 0;
  for (let i = 0; i < count; i++) total = plus(total, sumAt(sums, i));
  return total;
}

/** Entry by entry. The result is as long as the longer one. */
export function addSums(a: Sums, b: Sums): Sums {
  const column = new SumColumn(Math.max(a.low.length, b.low.length));
  column.addAll(a, a.low.length);
  column.addAll(b, b.low.length);
  return column.view();
}

/** Totals of a tree from its selfs: one backward pass, since a parent's id is below its children's. */
export function totalsOf(nodeParent: Uint32Array, nodeCount: number, self: Sums): Sums {
  const low = self.low.slice(0, nodeCount);
  if (self.high === undefined) {
    for (let node = nodeCount - 1; node > 0; node--) low[nodeParent[node]!]! += low[node]!;
    // The root's total is the greatest, and rounding keeps order: if it is below 2^53, nothing was rounded.
    if (nodeCount === 0 || low[0]! < TWO_53) return { low, high: undefined };
    low.set(self.low.subarray(0, nodeCount));
  }
  const high = self.high === undefined ? new Float64Array(nodeCount) : self.high.slice(0, nodeCount);
  normalise(low, high);
  for (let node = nodeCount - 1; node > 0; node--) {
    assert(nodeParent[node]! < node, "a parent comes before its children");
    addWide(low, high, nodeParent[node]!, high[node]!, low[node]!);
  }
  return { low, high };
}

/**
 * The smallest of the `countMax` greatest values, by a min-heap: what lies below it is left out of a truncated answer.
 * 0 where there are no more than `countMax` values, or where `countMax` is below 1.
 */
export function thresholdOf(count: number, valueAt: (index: number) => Int64, countMax: number): Int64 {
  if (countMax < 1 || count <= countMax) return 0;
  const heap: Int64[] = [];
  for (let index = 0; index < count; index++) {
    const value = valueAt(index);
    if (heap.length < countMax) {
      let at = heap.push(value) - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (heap[parent]! <= value) break;
        heap[at] = heap[parent]!;
        at = parent;
      }
      heap[at] = value;
    } else if (value > heap[0]!) {
      let at = 0;
      for (;;) {
        let child = at * 2 + 1;
        if (child >= countMax) break;
        if (child + 1 < countMax && heap[child + 1]! < heap[child]!) child++;
        if (heap[child]! >= value) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = value;
    }
  }
  return heap[0]!;
}

/** The exact sum: a number where it is within 2^53 of zero, else a bigint. */
export function plus(a: Int64, b: Int64): Int64 {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (sum < TWO_53 && sum > -TWO_53) return sum;
  }
  return compact(BigInt(a) + BigInt(b));
}

export function minus(a: Int64, b: Int64): Int64 {
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b;
    if (difference < TWO_53 && difference > -TWO_53) return difference;
  }
  return compact(BigInt(a) - BigInt(b));
}

/** Limits values to int64, and remembers whether one was beyond it. */
export class Saturation {
  isSaturated = false;

  hold(value: Int64): Int64 {
    if (typeof value === "number" || value <= INT64_MAX) return value;
    this.isSaturated = true;
    return INT64_MAX;
  }
}

/** Adds high * 2^32 + low, where low is below 2^53. The low part of the entry stays below 2^32. */
function addWide(lows: Float64Array, highs: Float64Array, index: number, high: number, low: number): void {
  const carry = Math.floor(low / TWO_32);
  let sum = lows[index]! + (low - carry * TWO_32);
  let carried = high + carry;
  if (sum >= TWO_32) {
    sum -= TWO_32;
    carried++;
  }
  lows[index] = sum;
  highs[index]! += carried;
}

function normalise(low: Float64Array, high: Float64Array): void {
  for (let i = 0; i < low.length; i++) {
    const carry = Math.floor(low[i]! / TWO_32);
    if (carry === 0) continue;
    high[i]! += carry;
    low[i]! -= carry * TWO_32;
  }
}

function resized(array: Float64Array, capacity: number): Float64Array {
  const grown = new Float64Array(capacity);
  grown.set(array);
  return grown;
}

function compact(value: bigint): Int64 {
  return value < BigInt(TWO_53) && value > -BigInt(TWO_53) ? Number(value) : value;
}
