/**
 * Points over time: rows fall into buckets by their right edge, (edge - step, edge], summed or averaged per group.
 * A partial answer is mergeable: sums, counts and the best exemplar per bucket, so that workers and nodes can each do part.
 */
import type { DatasetView } from "./dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import { compareText, labelsKey, labelValue } from "./labels.ts";
import type { Label, Labels } from "./labels.ts";
import { profileTypeOf, seriesLabels } from "./profile-type.ts";
import type { Exemplar, HeatmapSeries, HeatmapSlot, Int64, TimeSeries } from "./results.ts";
import { emptyRowSamples, hexOf, profileIdHex, SampleFilter, scanRows } from "./scan.ts";
import type { RowQuery } from "./scan.ts";

export interface PointsShape {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly exemplars: "none" | "individual" | "span";
}

export interface PartialPoint {
  sum: Int64;
  /** Profiles in the bucket: what a mean divides by. */
  count: number;
  exemplar: Exemplar | undefined;
}

export interface PartialSeries {
  readonly labels: Labels;
  readonly points: Map<number, PartialPoint>;
}

export class PointsCollector {
  readonly groups: Map<string, PartialSeries> = new Map();
  readonly #shape: PointsShape;

  constructor(shape: PointsShape) {
    this.#shape = shape;
  }

  scan(view: DatasetView, query: RowQuery, seen: IdentitySet): void {
    const shape = this.#shape;
    const filter = new SampleFilter(view, query);
    const samples = emptyRowSamples();
    const groupOf = new Map<number, PartialSeries>();
    const exemplarsOf = new Map<PartialPoint, Map<string, Exemplar>>();
    scanRows(view, query, seen, ({ row, column, series }) => {
      const timeMs = Number(view.rowTimeNs[row]! / 1_000_000n);
      const edge = bucketEdge(timeMs, shape);
      if (edge === undefined) return;
      let group = groupOf.get(series);
      if (group === undefined) groupOf.set(series, (group = this.#group(groupLabels(view, series, column, shape.groupBy))));
      let value: Int64;
      if (filter.isOpen && shape.exemplars !== "span") {
        value = view.total(row, column);
      } else {
        view.read(row, column, samples);
        value = 0;
        for (let i = 0; i < samples.sampleCount; i++) {
          if (filter.takes(samples, i)) value = addInt64(value, samples.wide?.[i] ?? samples.value[i]!);
        }
        if (value === 0) return;
      }
      const point = mergePoint(group.points, edge, { sum: value, count: 1, exemplar: undefined });
      if (shape.exemplars === "none") return;
      const exemplar = exemplarOf(view, row, column, series, timeMs, value, shape, samples);
      if (exemplar === undefined) return;
      joinExemplar(getOrMake(exemplarsOf, point, () => new Map<string, Exemplar>()), exemplar);
    });
    for (const [point, exemplars] of exemplarsOf) {
      for (const exemplar of exemplars.values()) offerExemplar(point, exemplar);
    }
  }

  add(partial: readonly PartialSeries[]): void {
    for (const { labels, points } of partial) {
      const group = this.#group(labels);
      for (const [edge, point] of points) mergePoint(group.points, edge, point);
    }
  }

  partial(): PartialSeries[] {
    return [...this.groups.values()];
  }

  result(aggregation: "sum" | "average", limit: number): TimeSeries[] {
    const all = [...this.groups.values()].map(({ labels, points }) => {
      const sorted = [...points].sort(([a], [b]) => a - b);
      return {
        total: sorted.reduce((sum, [, point]) => sum + Number(point.sum), 0),
        series: {
          labels,
          points: sorted.map(([timestampMs, point]) => ({
            timestampMs,
            value: aggregation === "sum" ? Number(point.sum) : mean(point),
            exemplars: point.exemplar === undefined ? [] : [point.exemplar],
          })),
        },
      };
    });
    const byLabels = (a: Labels, b: Labels): number => compareText(labelsKey(a), labelsKey(b));
    if (limit > 0 && all.length > limit) {
      all.sort((a, b) => b.total - a.total || byLabels(a.series.labels, b.series.labels));
      all.length = limit;
    }
    return all.map(({ series }) => series).sort((a, b) => byLabels(a.labels, b.labels));
  }

  #group(labels: Labels): PartialSeries {
    const key = labelsKey(labels);
    let group = this.groups.get(key);
    if (group === undefined) this.groups.set(key, (group = { labels, points: new Map() }));
    return group;
  }
}

/** The right edge a time falls to: the first of start, start + step, ... that is not before it. Undefined: outside. */
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

interface HeatmapValue {
  readonly edge: number;
  readonly value: number;
  /** Undefined: none was asked for. */
  readonly exemplar: Exemplar | undefined;
}

export interface PartialHeatmap {
  readonly labels: Labels;
  readonly values: HeatmapValue[];
}

/** Pyroscope draws 20 rows; ours span the values found, evenly. */
const HEATMAP_ROW_COUNT = 20;

export class HeatmapCollector {
  readonly #shape: HeatmapShape;
  readonly #groups = new Map<string, PartialHeatmap>();

  constructor(shape: HeatmapShape) {
    this.#shape = shape;
  }

  scan(view: DatasetView, query: RowQuery, seen: IdentitySet): void {
    const shape = this.#shape;
    const filter = new SampleFilter(view, query);
    const samples = emptyRowSamples();
    const groupOf = new Map<number, PartialHeatmap>();
    /** What a cell counts, by bucket: profiles, or spans of a profile. */
    const countedOf = new Map<PartialHeatmap, Map<number, Map<string, Exemplar>>>();
    scanRows(view, query, seen, ({ row, column, series }) => {
      const timeMs = Number(view.rowTimeNs[row]! / 1_000_000n);
      const edge = bucketEdge(timeMs, shape);
      if (edge === undefined) return;
      let group = groupOf.get(series);
      if (group === undefined) groupOf.set(series, (group = this.#group(groupLabels(view, series, column, shape.groupBy))));
      const byEdge = getOrMake(countedOf, group, () => new Map<number, Map<string, Exemplar>>());
      const counted = getOrMake(byEdge, edge, () => new Map<string, Exemplar>());
      const labels = shape.exemplars === "none" ? [] : exemplarLabels(view, series, column, shape.groupBy);
      const profileId = uuidText(profileIdHex(view, row));
      const count = (value: Int64, spanId: string): void => joinExemplar(counted, { timestampMs: timeMs, profileId, spanId, traceId: "", value, labels });
      if (shape.of === "individual" && filter.isOpen) {
        count(view.total(row, column), "");
        return;
      }
      view.read(row, column, samples);
      const bySpan = new Map<number, Int64>();
      let total: Int64 = 0;
      for (let i = 0; i < samples.sampleCount; i++) {
        if (!filter.takes(samples, i)) continue;
        const value = samples.wide?.[i] ?? samples.value[i]!;
        total = addInt64(total, value);
        const span = samples.span?.[i] ?? 0;
        if (span !== 0) bySpan.set(span, addInt64(bySpan.get(span) ?? 0, value));
      }
      if (shape.of === "individual") {
        if (total !== 0) count(total, "");
        return;
      }
      for (const [span, value] of bySpan) {
        if (value !== 0) count(value, hexOf(view.spans, span * 8, 8));
      }
    });
    for (const [group, byEdge] of countedOf) {
      for (const [edge, counted] of byEdge) {
        for (const exemplar of counted.values()) {
          group.values.push({ edge, value: Number(exemplar.value), exemplar: shape.exemplars === "none" ? undefined : exemplar });
        }
      }
    }
  }

  add(partial: readonly PartialHeatmap[]): void {
    for (const { labels, values } of partial) {
      const group = this.#group(labels);
      for (const value of values) group.values.push(value);
    }
  }

  partial(): PartialHeatmap[] {
    return [...this.#groups.values()];
  }

  result(limit: number): HeatmapSeries[] {
    let groups = [...this.#groups.values()].filter(({ values }) => values.length > 0);
    if (limit > 0 && groups.length > limit) {
      const total = (group: PartialHeatmap): number => group.values.reduce((sum, { value }) => sum + value, 0);
      groups = groups.sort((a, b) => total(b) - total(a)).slice(0, limit);
    }
    let low = Infinity;
    let high = -Infinity;
    for (const { values } of groups) {
      for (const { value } of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const height = (high - low) / HEATMAP_ROW_COUNT;
    const yMin = Array.from({ length: HEATMAP_ROW_COUNT }, (_, index) => low + index * height);
    const rowOf = (value: number): number => (height === 0 ? HEATMAP_ROW_COUNT - 1 : Math.min(HEATMAP_ROW_COUNT - 1, Math.floor((value - low) / height)));
    return groups
      .sort((a, b) => compareText(labelsKey(a.labels), labelsKey(b.labels)))
      .map(({ labels, values }) => {
        const slots = new Map<number, HeatmapSlot & { counts: number[]; exemplars: Exemplar[] }>();
        for (const { edge, value, exemplar } of values) {
          let slot = slots.get(edge);
          if (slot === undefined) {
            slots.set(edge, (slot = { timestampMs: edge, yMin, counts: new Array<number>(HEATMAP_ROW_COUNT).fill(0), exemplars: [] }));
          }
          slot.counts[rowOf(value)]!++;
          // One exemplar a cell at most: twenty a slot.
          if (exemplar !== undefined && slot.counts[rowOf(value)] === 1) slot.exemplars.push(exemplar);
        }
        return { labels, slots: [...slots.values()].sort((a, b) => a.timestampMs - b.timestampMs) };
      });
  }

  #group(labels: Labels): PartialHeatmap {
    const key = labelsKey(labels);
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { labels, values: [] }));
    return group;
  }
}

export function addInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (sum < 2 ** 53) return sum;
  }
  return BigInt(a) + BigInt(b);
}

/** `00112233-4455-...` of 32 hex digits. */
export function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function mean(point: PartialPoint): number {
  return Number(point.sum) / point.count;
}

function mergePoint(points: Map<number, PartialPoint>, edge: number, from: PartialPoint): PartialPoint {
  let point = points.get(edge);
  if (point === undefined) {
    points.set(edge, (point = { ...from }));
    return point;
  }
  point.sum = addInt64(point.sum, from.sum);
  point.count += from.count;
  if (from.exemplar !== undefined) offerExemplar(point, from.exemplar);
  return point;
}

function offerExemplar(point: PartialPoint, exemplar: Exemplar): void {
  if (point.exemplar === undefined || exemplar.value > point.exemplar.value) point.exemplar = exemplar;
}

/**
 * Adds a row's exemplar to those of its bucket. A profile whose samples have labels is stored as several rows of one id: as an
 * exemplar it is one again, with the labels that all of its rows share.
 */
function joinExemplar(exemplars: Map<string, Exemplar>, exemplar: Exemplar): void {
  const key = `${exemplar.profileId} ${exemplar.spanId} ${exemplar.timestampMs}`;
  const known = exemplars.get(key);
  if (known === undefined) {
    exemplars.set(key, exemplar);
    return;
  }
  const labels = known.labels.filter(({ name, value }) => labelValue(exemplar.labels, name) === value);
  exemplars.set(key, { ...known, value: addInt64(known.value, exemplar.value), labels });
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

function exemplarLabels(view: DatasetView, series: number, column: number, groupBy: readonly string[]): Labels {
  const entry = view.series[series]!;
  const labels = seriesLabels(entry.labels, profileTypeOf(entry.labels, entry.sampleTypes[column]!, entry.periodType));
  return labels.filter(({ name }) => !groupBy.includes(name));
}

function exemplarOf(
  view: DatasetView,
  row: number,
  column: number,
  series: number,
  timeMs: number,
  value: Int64,
  shape: PointsShape,
  samples: ReturnType<typeof emptyRowSamples>,
): Exemplar | undefined {
  const base = { timestampMs: timeMs, profileId: uuidText(profileIdHex(view, row)), traceId: "", labels: exemplarLabels(view, series, column, shape.groupBy) };
  if (shape.exemplars === "individual") return { ...base, spanId: "", value };
  // The heaviest span of the profile stands for it; `samples` holds the row already.
  const bySpan = new Map<number, Int64>();
  for (let i = 0; i < samples.sampleCount; i++) {
    const span = samples.span?.[i] ?? 0;
    if (span !== 0) bySpan.set(span, addInt64(bySpan.get(span) ?? 0, samples.wide?.[i] ?? samples.value[i]!));
  }
  let best: [number, Int64] | undefined;
  for (const entry of bySpan) if (best === undefined || entry[1] > best[1]) best = entry;
  return best === undefined ? undefined : { ...base, spanId: hexOf(view.spans, best[0] * 8, 8), value: best[1] };
}
