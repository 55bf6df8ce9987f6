/** Answers of queries, before a protocol encodes them. Whole numbers are `number` up to 2^53 and `bigint` above. */
import type { Labels } from "../labels/labels.ts";

export type Int64 = number | bigint;

/** Levels as Pyroscope encodes them: chunks of 4 (x offset delta, total, self, name index); see flame-graph.ts. */
export interface FlameGraph {
  readonly names: readonly string[];
  readonly levels: readonly (readonly Int64[])[];
  readonly total: Int64;
  readonly maxSelf: Int64;
}

/** Chunks of 7: xLeft, totalLeft, selfLeft, xRight, totalRight, selfRight, name index; see flame-graph-diff.ts. */
export interface FlameGraphDiff extends FlameGraph {
  readonly leftTicks: Int64;
  readonly rightTicks: Int64;
}

export interface Exemplar {
  readonly timestampMs: number;
  /** UUID text, or "". */
  readonly profileId: string;
  /** 16 hex digits, or "". */
  readonly spanId: string;
  /** 32 hex digits, or "". */
  readonly traceId: string;
  readonly value: Int64;
  readonly labels: Labels;
}

export interface Point {
  /** The bucket's right edge. */
  readonly timestampMs: number;
  readonly value: number;
  readonly exemplars: readonly Exemplar[];
}

export interface TimeSeries {
  readonly labels: Labels;
  readonly points: readonly Point[];
}

export interface HeatmapSlot {
  /** The slot's right edge: it covers (timestamp - step, timestamp]. */
  readonly timestampMs: number;
  readonly yMin: readonly number[];
  readonly counts: readonly number[];
  readonly exemplars: readonly Exemplar[];
}

export interface HeatmapSeries {
  readonly labels: Labels;
  readonly slots: readonly HeatmapSlot[];
}

/** The same question to any node gives the same receipt (design, section 10.4). */
export interface Receipt {
  readonly recordCount: number;
  /** Order-independent: the sum of the identities counted, mod 2^128, as 32 hex digits. */
  readonly identitySum: string;
  /** Keys of the objects read. */
  readonly objectCount: number;
  /** Stores (heads) asked. */
  readonly storeCount: number;
  /** The names of the nodes whose stores these are; absent on a node without a cluster. */
  readonly nodes?: readonly string[] | undefined;
}
