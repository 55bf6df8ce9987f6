/**
 * Points over time: rows fall into buckets by their right edge, (edge - step, edge], summed or averaged per group.
 * Partial answers of workers and nodes can be merged: they hold sums by bucket, and the profiles by whose number a mean is divided, or which
 * an exemplar stands for.
 */
import type { DatasetView } from "../dataset/dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { ROW_STEPS, UNINTERRUPTED } from "../model/interrupt.ts";
import { compareLabels, compareText, labelsKey, labelValue } from "../labels/labels.ts";
import type { Label, Labels } from "../labels/labels.ts";
import { profileTypeOf, seriesLabels } from "../labels/profile-type.ts";
import type { Exemplar, HeatmapSeries, HeatmapSlot, Int64, TimeSeries } from "../model/results.ts";
import { emptyRowSamples, SampleFilter, scanRows } from "./scan.ts";
import type { RowQuery, ScannedRow } from "./scan.ts";
import { exemplarOf, outranks, ProfileTable } from "./scan-profiles.ts";
import type { PartialProfiles } from "./scan-profiles.ts";
import { plus } from "../model/sums.ts";

export interface PointsShape {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly aggregation: "sum" | "average";
  readonly exemplars: "none" | "individual" | "span";
}

export interface PartialPoint {
  sum: Int64;
  /** How many profiles without a profile id, each one row, are in the bucket; the others are in the group's table. 0 where neither a mean nor exemplars are asked for. */
  count: number;
  /** The one of these with the greatest value. */
  exemplar: Exemplar | undefined;
}

export interface PartialSeries {
  readonly labels: Labels;
  readonly points: ReadonlyMap<number, PartialPoint>;
  readonly profiles: PartialProfiles;
}

interface PointsGroup {
  readonly labels: Labels;
  readonly points: Map<number, PartialPoint>;
  readonly profiles: ProfileTable;
}

export class PointsCollector {
  readonly #groups = new Map<string, PointsGroup>();
  readonly #shape: PointsShape;

  constructor(shape: PointsShape) {
    this.#shape = shape;
  }

  scan(view: DatasetView, query: RowQuery, seen: IdentitySet, interrupt: Interrupt = UNINTERRUPTED): void {
    const shape = this.#shape;
    const countsProfiles = shape.aggregation === "average" || shape.exemplars !== "none";
    const filter = new SampleFilter(view, query, interrupt);
    const samples = emptyRowSamples();
    const groupOf = new Map<number, PointsGroup & { readonly exemplarLabels: Labels; readonly labelSet: number }>();
    const visit = ({ row, column, series }: ScannedRow): void => {
      interrupt.after(ROW_STEPS);
      const timeMs = Number(view.rowTimeNs[row]! / 1_000_000n);
      const edge = bucketEdge(timeMs, shape);
      if (edge === undefined) return;
      const isWhole = filter.isOpen && shape.exemplars !== "span";
      if (!isWhole) {
        view.read(row, column, samples);
        interrupt.after(samples.sampleCount);
      }
      const value = isWhole ? view.total(row, column) : sumTaken(samples, filter);
      // Before the group is made: a group whose rows have no value is no series.
      if (value === 0) return;
      const { points, profiles, exemplarLabels, labelSet } = getOrMake(groupOf, series, () => {
        const group = this.#group(groupLabels(view, series, column, shape.groupBy));
        const labels = shape.exemplars === "none" ? [] : labelsBeyond(view, series, column, shape.groupBy);
        return { ...group, exemplarLabels: labels, labelSet: group.profiles.labelSet(labels) };
      });
      const point = mergePoint(points, edge, value);
      if (!countsProfiles) return;
      const spans = shape.exemplars === "span" ? spanSums(samples, filter) : NO_SPANS;
      const profileId = view.profileId(row);
      if (profileId !== undefined) {
        profiles.add(profileId, undefined, timeMs, value, labelSet);
        for (const [span, spanValue] of spans) profiles.add(profileId, spanBytes(view, span), timeMs, spanValue, labelSet);
        return;
      }
      // No other row belongs to this profile, so it need not be remembered.
      point.count++;
      const identity = view.identities.subarray(row * 16, row * 16 + 16);
      if (shape.exemplars === "individual" && isHeavier(value, point)) offerExemplar(point, exemplarOf(identity, undefined, timeMs, value, exemplarLabels));
      for (const [span, spanValue] of spans) {
        if (isHeavier(spanValue, point)) offerExemplar(point, exemplarOf(identity, spanBytes(view, span), timeMs, spanValue, exemplarLabels));
      }
    };
    scanRows(view, query, seen, visit, interrupt);
  }

  add(partial: readonly PartialSeries[], interrupt: Interrupt = UNINTERRUPTED): void {
    for (const { labels, points, profiles } of partial) {
      const group = this.#group(labels);
      for (const [edge, { sum, count, exemplar }] of points) {
        interrupt.after(ROW_STEPS);
        const point = mergePoint(group.points, edge, sum);
        point.count += count;
        if (exemplar !== undefined) offerExemplar(point, exemplar);
      }
      group.profiles.addAll(profiles, interrupt);
    }
  }

  partial(): PartialSeries[] {
    return [...this.#groups.values()].map(({ labels, points, profiles }) => ({ labels, points, profiles: profiles.partial() }));
  }

  /** Sorted by total, greatest first, and cut to `limit`; 0: all. */
  result(limit: number, interrupt: Interrupt = UNINTERRUPTED): TimeSeries[] {
    const { aggregation } = this.#shape;
    const all = [...this.#groups.values()].map((group): TimeSeries => ({
      labels: group.labels,
      points: this.#counted(group, interrupt).map(([timestampMs, { sum, count, exemplar }]) => ({
        timestampMs,
        value: aggregation === "sum" ? Number(sum) : Number(sum) / count,
        exemplars: exemplar === undefined ? [] : [exemplar],
      })),
    }));
    return greatestFirst(all, ({ points }) => points.reduce((sum, { value }) => sum + value, 0), limit);
  }

  /** The points of a group by time, including the profiles of its table. */
  #counted({ points, profiles }: PointsGroup, interrupt: Interrupt): [number, PartialPoint][] {
    const shape = this.#shape;
    const counted = new Map<number, PartialPoint>();
    for (const [edge, point] of points) {
      interrupt.after(ROW_STEPS);
      counted.set(edge, { ...point });
    }
    for (let i = 0; i < profiles.count; i++) {
      interrupt.after(ROW_STEPS);
      const point = counted.get(bucketEdge(profiles.timeMs(i), shape) ?? Number.NaN);
      if (point === undefined) continue; // never: its row made the point
      const isSpan = profiles.isSpan(i);
      if (!isSpan) point.count++;
      if (shape.exemplars === "none" || isSpan !== (shape.exemplars === "span")) continue;
      if (isHeavier(profiles.value(i), point)) offerExemplar(point, profiles.exemplar(i));
    }
    return [...counted].sort(([a], [b]) => a - b);
  }

  #group(labels: Labels): PointsGroup {
    return getOrMake(this.#groups, labelsKey(labels), () => ({ labels, points: new Map<number, PartialPoint>(), profiles: new ProfileTable() }));
  }
}

/** The right edge of the bucket that a time falls into: the first of start, start + step, ... that is not before it. Undefined where it is outside. */
export function bucketEdge(timeMs: number, shape: Pick<PointsShape, "startMs" | "endMs" | "stepMs">): number | undefined {
  const index = Math.max(0, Math.ceil((timeMs - shape.startMs) / shape.stepMs));
  const edge = shape.startMs + index * shape.stepMs;
  return timeMs > shape.startMs - shape.stepMs && edge <= shape.endMs ? edge : undefined;
}

export interface HeatmapShape {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly of: "individual" | "span";
  readonly exemplars: "none" | "individual" | "span";
}

export interface PartialHeatmap {
  readonly labels: Labels;
  readonly profiles: PartialProfiles;
}

interface HeatmapGroup {
  readonly labels: Labels;
  /** What a cell counts: profiles, or spans of profiles. */
  readonly profiles: ProfileTable;
}

/** Rows of a heatmap, as in Pyroscope. They divide the range of values evenly. */
const HEATMAP_ROW_COUNT = 20;

export class HeatmapCollector {
  readonly #shape: HeatmapShape;
  readonly #groups = new Map<string, HeatmapGroup>();

  constructor(shape: HeatmapShape) {
    this.#shape = shape;
  }

  scan(view: DatasetView, query: RowQuery, seen: IdentitySet, interrupt: Interrupt = UNINTERRUPTED): void {
    const shape = this.#shape;
    const filter = new SampleFilter(view, query, interrupt);
    const samples = emptyRowSamples();
    const groupOf = new Map<number, HeatmapGroup>();
    const labelsOf = new Map<number, number>();
    const visit = ({ row, column, series }: ScannedRow): void => {
      interrupt.after(ROW_STEPS);
      const timeMs = Number(view.rowTimeNs[row]! / 1_000_000n);
      if (bucketEdge(timeMs, shape) === undefined) return;
      const { profiles } = getOrMake(groupOf, series, () => this.#group(groupLabels(view, series, column, shape.groupBy)));
      const labels = getOrMake(labelsOf, series, () => profiles.labelSet(shape.exemplars === "none" ? [] : labelsBeyond(view, series, column, shape.groupBy)));
      const profileId = view.profileId(row) ?? view.identities.subarray(row * 16, row * 16 + 16);
      const isWhole = filter.isOpen && shape.of === "individual";
      if (!isWhole) {
        view.read(row, column, samples);
        interrupt.after(samples.sampleCount);
      }
      if (shape.of === "span") {
        for (const [span, value] of spanSums(samples, filter)) profiles.add(profileId, spanBytes(view, span), timeMs, value, labels);
        return;
      }
      const value = isWhole ? view.total(row, column) : sumTaken(samples, filter);
      if (value !== 0) profiles.add(profileId, undefined, timeMs, value, labels);
    };
    scanRows(view, query, seen, visit, interrupt);
  }

  add(partial: readonly PartialHeatmap[], interrupt: Interrupt = UNINTERRUPTED): void {
    for (const { labels, profiles } of partial) this.#group(labels).profiles.addAll(profiles, interrupt);
  }

  partial(): PartialHeatmap[] {
    return [...this.#groups.values()].map(({ labels, profiles }) => ({ labels, profiles: profiles.partial() }));
  }

  /** Sorted by labels. Of more than `limit`, those with the greatest counts, greatest first. */
  result(limit: number, interrupt: Interrupt = UNINTERRUPTED): HeatmapSeries[] {
    let groups = [...this.#groups.values()].filter(({ profiles }) => profiles.count > 0);
    if (limit > 0 && groups.length > limit) groups = greatestFirst(groups, ({ profiles }) => profiles.count, limit);
    else groups.sort((a, b) => compareLabels(a.labels, b.labels));
    let low = Infinity;
    let high = -Infinity;
    for (const { profiles } of groups) {
      for (let i = 0; i < profiles.count; i++) {
        interrupt.after(1);
        const value = Number(profiles.value(i));
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const height = (high - low) / HEATMAP_ROW_COUNT;
    const yMin = Array.from({ length: HEATMAP_ROW_COUNT }, (_, index) => low + index * height);
    const rowOf = (value: number): number => (height === 0 ? HEATMAP_ROW_COUNT - 1 : Math.min(HEATMAP_ROW_COUNT - 1, Math.floor((value - low) / height)));
    return groups.map(({ labels, profiles }) => ({ labels, slots: this.#slots(profiles, yMin, rowOf, interrupt) }));
  }

  #slots(profiles: ProfileTable, yMin: readonly number[], rowOf: (value: number) => number, interrupt: Interrupt): HeatmapSlot[] {
    const shape = this.#shape;
    const slots = new Map<number, { readonly counts: number[]; readonly exemplars: (Exemplar | undefined)[] }>();
    for (let i = 0; i < profiles.count; i++) {
      interrupt.after(ROW_STEPS);
      const edge = bucketEdge(profiles.timeMs(i), shape);
      if (edge === undefined) continue; // never: only rows with an edge were added
      const slot = getOrMake(slots, edge, () => ({ counts: new Array<number>(HEATMAP_ROW_COUNT).fill(0), exemplars: [] }));
      const row = rowOf(Number(profiles.value(i)));
      slot.counts[row]!++;
      if (shape.exemplars === "none") continue;
      // One exemplar per cell, so twenty per slot at most.
      const exemplar = profiles.exemplar(i);
      if (outranks(exemplar, slot.exemplars[row])) slot.exemplars[row] = exemplar;
    }
    return [...slots]
      .sort(([a], [b]) => a - b)
      .map(([timestampMs, { counts, exemplars }]) => ({ timestampMs, yMin, counts, exemplars: exemplars.filter((exemplar) => exemplar !== undefined) }));
  }

  #group(labels: Labels): HeatmapGroup {
    return getOrMake(this.#groups, labelsKey(labels), () => ({ labels, profiles: new ProfileTable() }));
  }
}

/** Where totals are equal, the order is by labels. */
function greatestFirst<T extends { readonly labels: Labels }>(all: readonly T[], totalOf: (item: T) => number, limit: number): T[] {
  const totals = new Map(all.map((item) => [item, totalOf(item)]));
  const sorted = [...all].sort((a, b) => totals.get(b)! - totals.get(a)! || compareLabels(a.labels, b.labels));
  return limit > 0 ? sorted.slice(0, limit) : sorted;
}

const NO_SPANS: ReadonlyMap<number, Int64> = new Map();

type Samples = ReturnType<typeof emptyRowSamples>;

function sumTaken(samples: Samples, filter: SampleFilter): Int64 {
  let sum: Int64 = 0;
  for (let i = 0; i < samples.sampleCount; i++) {
    if (filter.takes(samples, i)) sum = plus(sum, samples.wide?.[i] ?? samples.value[i]!);
  }
  return sum;
}

/** The sum of each span of a row, by the dataset's span number. Spans without a value are left out. */
function spanSums(samples: Samples, filter: SampleFilter): Map<number, Int64> {
  const sums = new Map<number, Int64>();
  for (let i = 0; i < samples.sampleCount; i++) {
    const span = samples.span?.[i] ?? 0;
    const value = samples.wide?.[i] ?? samples.value[i]!;
    if (span !== 0 && value !== 0 && filter.takes(samples, i)) sums.set(span, plus(sums.get(span) ?? 0, value));
  }
  return sums;
}

function spanBytes(view: DatasetView, span: number): Uint8Array {
  return view.spans.subarray(span * 8, span * 8 + 8);
}

function mergePoint(points: Map<number, PartialPoint>, edge: number, value: Int64): PartialPoint {
  const point = getOrMake(points, edge, (): PartialPoint => ({ sum: 0, count: 0, exemplar: undefined }));
  point.sum = plus(point.sum, value);
  return point;
}

/** Whether an exemplar of this value could replace the point's. Where not, it need not be made. */
function isHeavier(value: Int64, point: PartialPoint): boolean {
  return point.exemplar === undefined || value >= point.exemplar.value;
}

function offerExemplar(point: PartialPoint, exemplar: Exemplar): void {
  if (outranks(exemplar, point.exemplar)) point.exemplar = exemplar;
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

function groupLabels(view: DatasetView, series: number, column: number, groupBy: readonly string[]): Labels {
  if (groupBy.length === 0) return [];
  const entry = view.series[series]!;
  const labels = seriesLabels(entry.labels, profileTypeOf(entry.labels, entry.sampleTypes[column]!, entry.periodType));
  const group: Label[] = [];
  for (const name of [...new Set(groupBy)].sort(compareText)) {
    const value = labelValue(labels, name);
    if (value !== undefined) group.push({ name, value });
  }
  return group;
}

/** The labels of an exemplar: those that are not labels of its group. */
function labelsBeyond(view: DatasetView, series: number, column: number, groupBy: readonly string[]): Labels {
  const entry = view.series[series]!;
  const labels = seriesLabels(entry.labels, profileTypeOf(entry.labels, entry.sampleTypes[column]!, entry.periodType));
  return labels.filter(({ name }) => !groupBy.includes(name));
}
