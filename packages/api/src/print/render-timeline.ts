/**
 * The timeline of the render API: sums in buckets of equal length, zero where there are no profiles, so that a page can draw bars
 * directly.
 *
 *   startTime         startTime + durationDelta * i
 *   |  samples[0]  |  samples[1]  |  ...                 all in seconds, start and end rounded down to the step
 */
import { compareText, labelValue } from "@pyromesh/profile";
import type { Point, TimeSeries } from "@pyromesh/profile";

export interface Timeline {
  readonly startTime: number;
  readonly samples: readonly (number | bigint)[];
  readonly durationDelta: number;
  readonly watermarks: null;
}

/** A bucket of up to `[0]` milliseconds is rounded to a step of `[1]` seconds. The steps are Grafana's from 15 s up. */
const LADDER: readonly (readonly [number, number])[] = [
  [17_500, 15],
  [25_000, 20],
  [45_000, 30],
  [90_000, 60],
  [210_000, 120],
  [450_000, 300],
  [750_000, 600],
  [1_050_000, 900],
  [1_500_000, 1200],
  [2_700_000, 1800],
  [5_400_000, 3600],
  [9_000_000, 7200],
  [16_200_000, 10_800],
  [32_400_000, 21_600],
  [86_400_000, 43_200],
  [604_800_000, 86_400],
  [1_814_400_000, 604_800],
  [3_628_800_000, 2_592_000],
];
const YEAR_S = 31_536_000;

/** The range is divided into about as many buckets as a page can show as bars. */
const BAR_COUNT = 1500;

/** The step in seconds, at least 15. */
export function timelineStep(startMs: number, endMs: number): number {
  const roughMs = (endMs - startMs) / BAR_COUNT;
  for (const [upToMs, stepS] of LADDER) if (roughMs <= upToMs) return stepS;
  return YEAR_S;
}

/** The timeline of the only series. Zeros where there are several series or none: a page with groups does not show their sum. */
export function timelineOf(series: readonly TimeSeries[], startMs: number, endMs: number, stepS: number): Timeline {
  return spread(series.length === 1 ? series[0]!.points : [], startMs, endMs, stepS);
}

/**
 * Yields a timeline for each value of the label, `*` for series without it. Series with the same value are added up. Each timeline is
 * made when it is asked for: there may be tens of thousands, with 1500 buckets each.
 */
export function* timelineGroups(series: readonly TimeSeries[], label: string, startMs: number, endMs: number, stepS: number): Generator<[string, Timeline]> {
  const seriesOf = new Map<string, TimeSeries[]>();
  for (const one of series) {
    const value = labelValue(one.labels, label) || "*";
    const group = seriesOf.get(value);
    if (group === undefined) seriesOf.set(value, [one]);
    else group.push(one);
  }
  for (const [value, group] of [...seriesOf].sort(([a], [b]) => compareText(a, b))) {
    yield [value, spread(group.flatMap(({ points }) => points), startMs, endMs, stepS)];
  }
}

function spread(points: readonly Point[], startMs: number, endMs: number, stepS: number): Timeline {
  const startTime = snapDown(startMs, stepS);
  let count = (snapDown(endMs, stepS) - startTime) / stepS;
  // Where the range is no whole number of steps, the last point may lie in one more bucket.
  for (const point of points) count = Math.max(count, indexOf(point) + 1);
  const samples = new Array<number>(count).fill(0);
  for (const point of points) {
    const index = indexOf(point);
    if (index >= 0) samples[index] = samples[index]! + point.value;
  }
  return { startTime, samples: samples.map(toWhole), durationDelta: stepS, watermarks: null };

  function indexOf(point: Point): number {
    return Math.floor((point.timestampMs / 1000 - startTime) / stepS);
  }
}

function snapDown(timeMs: number, stepS: number): number {
  return Math.floor(timeMs / 1000 / stepS) * stepS;
}

/** Clients expect unsigned whole numbers. Above 2^53 a number would be printed with an exponent. */
function toWhole(value: number): number | bigint {
  const whole = Math.trunc(Math.max(value, 0));
  return Number.isSafeInteger(whole) ? whole : Number.isFinite(whole) ? BigInt(whole) : 0;
}
