/**
 * A record as columns: what decoding its bytes gives (record.ts) and what a dataset takes in (dataset.ts).
 * All ids are the record's own. Values are whole numbers >= 0 (a sample with a negative value was dropped).
 */
import type { Labels } from "../labels/labels.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { StacktraceTree } from "./stacktrace-tree.ts";
import type { Symbols } from "./symbol-table.ts";

/** One value per sample. BigInt64Array only where a value reaches 2^53. */
export type ValueColumn = Float64Array | BigInt64Array;

export interface RecordView {
  /** 16 bytes. */
  readonly identity: Uint8Array;
  readonly tenant: string;
  /** Without the profile type's labels; with `__name__` and `service_name`. */
  readonly labels: Labels;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  readonly period: bigint;
  readonly periodType: SampleType;
  readonly sampleTypes: readonly SampleType[];
  /** The client's UUID, 16 bytes, or undefined. */
  readonly profileId: Uint8Array | undefined;
  readonly symbols: Symbols;
  readonly tree: StacktraceTree;

  readonly sampleCount: number;
  /** Leaf node of each sample. The same node occurs twice only with different spans or traces. */
  readonly sampleNode: Uint32Array;
  /** Columns by sample type; the first sampleCount entries count. */
  readonly values: readonly ValueColumn[];
  /** Index into `spans` per sample (0: none), or undefined where no sample has one. */
  readonly sampleSpan: Uint32Array | undefined;
  /** 8 bytes each, back to back; entry 0 is zeros and means none. Same bytes as the hex text spells, in order. */
  readonly spans: Uint8Array;
  /** Index into `traces` per sample (0: none), or undefined. */
  readonly sampleTrace: Uint32Array | undefined;
  /** 16 bytes each; entry 0 is zeros and means none. */
  readonly traces: Uint8Array;
}

/** A record as it is kept, replicated and counted. */
export interface EncodedRecord {
  readonly identity: Uint8Array;
  readonly tenant: string;
  /** The `service_name`. */
  readonly service: string;
  readonly timeMs: number;
  readonly sampleCount: number;
  /** Of its label set: 64 bits (labels/fingerprint.ts). */
  readonly fingerprint: bigint;
  /** record.ts gives the layout. They may lie in pooled memory: then they are valid until the record is released. */
  readonly bytes: Uint8Array;
}
