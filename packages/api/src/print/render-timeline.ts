/**
 * The timeline of the render API: evenly spaced sums, zero where nothing was, so that a page can draw bars without thinking.
 *
 *   startTime         startTime + durationDelta * i
 *   |  samples[0]  |  samples[1]  |  ...                 all in seconds, start and end snapped down to the step
 */
import { compareText, labelValue } from "@pyromesh/profile";
import type { Point, TimeSeries } from "@pyromesh/profile";

export interface Timeline {
  readonly startTime: number;
  readonly samples: readonly (number | bigint)[];
  readonly durationDelta: number;
  readonly watermarks: null;
}

/** Up to `[0]` milliseconds the step is `[1]` seconds: Grafana's ladder, from where a timeline starts to need it. */
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

/** Bars a page can show: the range is cut into about so many. */
const BAR_COUNT = 1500;

/** Seconds, at least 15. */
export function timelineStep(startMs: number, endMs: number): number {
  const roughMs = (endMs - startMs) / BAR_COUNT;
  for (const [upToMs, stepS] of LADDER) if (roughMs <= upToMs) return stepS;
  return YEAR_S;
}

/** The one series, or all zeros where there are several or none: a sum over groups is not what a grouped page shows. */
export function timelineOf(series: readonly TimeSeries[], startMs: number, endMs: number, stepS: number): Timeline {
  return spread(series.length === 1 ? series[0]!.points : [], startMs, endMs, stepS);
}

/**
 * One timeline per value of the label, `*` for series without it. Series that share a value are added up. Each is made when it is asked for:
 * there may be tens of thousands, of 1500 bars each.
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
  // A range that is no whole number of steps may end with a bucket on its very edge.
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

/** Readers take unsigned whole numbers; above 2^53 a number would print with an exponent. */
function toWhole(value: number): number | bigint {
  const whole = Math.trunc(Math.max(value, 0));
  return Number.isSafeInteger(whole) ? whole : Number.isFinite(whole) ? BigInt(whole) : 0;
}
