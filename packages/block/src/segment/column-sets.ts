/**
 * Which series of a dataset share sections. Those of the same profile types (name, sample types, period type) are one column
 * set: its samples and each of its columns lie apart from all others, so a query for one type opens two sections and walks
 * only rows that have it.
 *
 *   set 0  process_cpu: samples, cpu       SAMPLES  VALUES samples  VALUES cpu
 *   set 1  memory: alloc_objects, ...      SAMPLES  VALUES alloc_objects  ...
 *
 * Reader and writer number the sets from the series alone, in the order of the series.
 */
import { LABEL_NAME, labelValue } from "@pyromesh/profile";
import type { SeriesEntry } from "@pyromesh/profile";

/** A program has about five. At the bound all further series go into the last set, which is slower to read. */
export const COLUMN_SETS_MAX = 64;

export interface ColumnSets {
  /** Set by series. */
  readonly ofSeries: Uint32Array;
  /** Columns by set: the most that one of its series has. */
  readonly columnCounts: readonly number[];
}

export function columnSetsOf(series: readonly SeriesEntry[]): ColumnSets {
  const numbers = new Map<string, number>();
  const columnCounts: number[] = [];
  const ofSeries = Uint32Array.from(series, ({ labels, sampleTypes, periodType }) => {
    const key = JSON.stringify([labelValue(labels, LABEL_NAME), periodType.type, periodType.unit, sampleTypes.map(({ type, unit }) => [type, unit])]);
    let set = numbers.get(key);
    if (set === undefined) {
      set = Math.min(numbers.size, COLUMN_SETS_MAX - 1);
      numbers.set(key, set);
    }
    columnCounts[set] = Math.max(columnCounts[set] ?? 0, sampleTypes.length);
    return set;
  });
  return { ofSeries, columnCounts };
}

/** The places of a set's sections behind the first column tag: SAMPLES here, VALUES of column k at + 1 + k. */
export function sectionStarts({ columnCounts }: ColumnSets): number[] {
  let next = 0;
  return columnCounts.map((count) => {
    const start = next;
    next += 1 + count;
    return start;
  });
}
