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
  /** With `__name__` and `service_name`, without the labels of the profile type. */
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
  /** One column per sample type, of which the first `sampleCount` entries are used. */
  readonly values: readonly ValueColumn[];
  /** Index into `spans` per sample (0: none), or undefined where no sample has one. */
  readonly sampleSpan: Uint32Array | undefined;
  /** 8 bytes each, back to back; entry 0 is zeros and means none. The bytes are in the order of the hex digits. */
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
  /** 64 bits of its label set's hash (labels/fingerprint.ts). */
  readonly fingerprint: bigint;
  /** record.ts gives the layout. They may lie in pooled memory: then they are valid until the record is released. */
  readonly bytes: Uint8Array;
}
