/** A set of whole numbers kept as sorted, disjoint, non-adjacent ranges: small where numbers come in runs. */
import type { ByteReader, ByteWriter } from "@pyromesh/base";
import { assert } from "@pyromesh/base";

export interface NumberRange {
  readonly from: number;
  /** Inclusive. */
  readonly to: number;
}

export class NumberRanges {
  static readonly NONE: NumberRanges = new NumberRanges([]);
  readonly #ranges: NumberRange[];

  private constructor(ranges: NumberRange[]) {
    this.#ranges = ranges;
  }

  static of(ranges: Iterable<NumberRange>): NumberRanges {
    const merged: { from: number; to: number }[] = [];
    for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
      assert(range.from <= range.to, "a range ends before it begins");
      const last = merged[merged.length - 1];
      if (last !== undefined && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
      else merged.push({ from: range.from, to: range.to });
    }
    return new NumberRanges(merged);
  }

  /** The union with these numbers, as a new set. */
  with(numbers: Iterable<number>): NumberRanges {
    // Numbers mostly come in runs (a start adds all commits of the store): making a range of each number first takes ten times as long.
    const added: { from: number; to: number }[] = [...this.#ranges];
    let run: { from: number; to: number } | undefined;
    for (const number of Float64Array.from(numbers).sort()) {
      if (run !== undefined && number <= run.to + 1) run.to = number;
      else added.push((run = { from: number, to: number }));
    }
    return NumberRanges.of(added);
  }

  get ranges(): readonly NumberRange[] {
    return this.#ranges;
  }

  has(number: number): boolean {
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle]!;
      if (number < range.from) high = middle - 1;
      else if (number > range.to) low = middle + 1;
      else return true;
    }
    return false;
  }

  /** The parts of `from`..`to` that are not in the set. */
  gaps(from: number, to: number): NumberRange[] {
    const gaps: NumberRange[] = [];
    let next = from;
    for (const range of this.#ranges) {
      if (range.to < next) continue;
      if (range.from > to) break;
      if (range.from > next) gaps.push({ from: next, to: range.from - 1 });
      next = range.to + 1;
    }
    if (next <= to) gaps.push({ from: next, to });
    return gaps;
  }

  /** uvarint count, then per range its distance from the last one's end and its length. */
  write(writer: ByteWriter): void {
    writer.uvarint(this.#ranges.length);
    let last = 0;
    for (const { from, to } of this.#ranges) {
      writer.uvarint(from - last).uvarint(to - from);
      last = to;
    }
  }

  static read(reader: ByteReader): NumberRanges {
    const ranges: NumberRange[] = [];
    let last = 0;
    for (let left = reader.uvarint(); left > 0; left--) {
      const from = last + reader.uvarint();
      const to = from + reader.uvarint();
      if (!Number.isSafeInteger(to)) reader.fail("a range below 2^53", `${to}`);
      ranges.push({ from, to });
      last = to;
    }
    return NumberRanges.of(ranges);
  }
}
