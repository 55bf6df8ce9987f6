/**
 * A set of segments of one tenant and window, by store and ordinal: what went into a block. Never changed.
 *
 *   store 0f1e..   0-4  7          store ab12..   3
 */
import type { SourceRange } from "../segment/format.ts";
import type { OrdinalRange } from "../listing/ordinal-gaps.ts";
import { unionOf } from "../listing/ordinal-gaps.ts";

const NO_RANGES: readonly OrdinalRange[] = [];

export class SourceSet {
  /** By store id: sorted, and neither overlapping nor touching. */
  readonly #rangesOf = new Map<string, readonly OrdinalRange[]>();

  /** The ranges may come in any order, overlap and touch. */
  constructor(ranges: Iterable<SourceRange>) {
    const given = new Map<string, OrdinalRange[]>();
    for (const { storeId, firstOrdinal, lastOrdinal } of ranges) {
      const range = { first: firstOrdinal, last: lastOrdinal };
      const known = given.get(storeId);
      if (known === undefined) given.set(storeId, [range]);
      else known.push(range);
    }
    for (const [storeId, list] of given) this.#rangesOf.set(storeId, unionOf(list));
  }

  get isEmpty(): boolean {
    return this.#rangesOf.size === 0;
  }

  get storeIds(): Iterable<string> {
    return this.#rangesOf.keys();
  }

  /** Sorted, and neither overlapping nor touching. */
  rangesOf(storeId: string): readonly OrdinalRange[] {
    return this.#rangesOf.get(storeId) ?? NO_RANGES;
  }

  has(storeId: string, ordinal: number): boolean {
    return rangeWith(this.rangesOf(storeId), ordinal) !== undefined;
  }

  /** True also where the two are equal. */
  includes(other: SourceSet): boolean {
    for (const [storeId, ranges] of other.#rangesOf) {
      const own = this.rangesOf(storeId);
      // Own ranges do not touch, so a range that is included lies in one of them.
      for (const { first, last } of ranges) if ((rangeWith(own, first)?.last ?? -1) < last) return false;
    }
    return true;
  }

  /** As a footer holds them: by store id, then by ordinal. The same set gives the same ranges. */
  ranges(): SourceRange[] {
    const ranges: SourceRange[] = [];
    for (const storeId of [...this.#rangesOf.keys()].sort()) {
      for (const { first, last } of this.rangesOf(storeId)) ranges.push({ storeId, firstOrdinal: first, lastOrdinal: last });
    }
    return ranges;
  }
}

/** The range of a sorted list that holds the ordinal. */
function rangeWith(ranges: readonly OrdinalRange[], ordinal: number): OrdinalRange | undefined {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle]!;
    if (ordinal < range.first) high = middle - 1;
    else if (ordinal > range.last) low = middle + 1;
    else return range;
  }
  return undefined;
}
