/**
 * Compute: decoding, building and scanning behind one port (worker-compute.ts; threads come through a port of their own, worker-threads.ts).
 *
 * Bytes go in and bytes or typed arrays come out, never trees of objects. A dataset's interned rows live in one worker,
 * chosen by a hash of tenant and service, and calls to one worker are done in the order they were made: a query sent after an insert
 * sees it. That order is what makes reads see acked writes.
 */
import type { CodedError } from "@pyromesh/base";
import type { AdHocReply, DiffForm, DotForm, ListingForm, MessageForm, PprofForm, TopTableForm } from "@pyromesh/api";
import type { DatasetInput, DatasetEntry, RawSection } from "@pyromesh/block";
import type { LivePage, SeqRange } from "@pyromesh/head";
import type {
  AcceptanceWindow,
  BodyFormat,
  Counts,
  EncodedRecord,
  PushInput,
  HeatmapShape,
  Listing,
  ListingBounds,
  LocationTree,
  NameTree,
  PartialCardinality,
  PartialDurations,
  PartialHeatmap,
  PartialSeries,
  PointsShape,
  ProfileLimits,
  ProfileType,
  TopTableOptions,
} from "@pyromesh/profile";

/** Rows from one cut to the next; a number that only rises. With a fraction: rows that were read from the head for one reader, into which nothing is committed. */
export type Generation = number;
/** The generation of no row. A push that is encoded for it has no rows pre-interned: other members, or a later call, intern its records. */
export const NO_GENERATION: Generation = -1;

export interface DatasetKey {
  readonly tenant: string;
  readonly windowStartMs: number;
  readonly service: string;
}

export function printDatasetKey(key: DatasetKey): string {
  return `${key.tenant}\0${key.windowStartMs}\0${key.service}`;
}

/** A dataset of a segment, not yet compressed. */
export interface BuiltDataset extends Omit<DatasetInput, "sections"> {
  readonly sections: readonly RawSection[];
}

/** What a tenant's pushes are checked against. Equal settings should be one object: each object is sent to a worker once. */
export interface EncodeSettings extends ProfileLimits, AcceptanceWindow {
  /** In which version records are written. Absent: the newest. */
  readonly recordVersion?: number;
}

/** As `PushInput`, but the body may still be compressed, or of another format than pprof. */
export interface EncodeTask extends Omit<PushInput, "nonce" | "limits" | "window"> {
  /** What the body is; undefined where it is a pprof. */
  readonly format: BodyFormat | undefined;
  readonly settings: EncodeSettings;
  /** Called before the records are returned, where some profiles of the body were refused and these are of the others. */
  readonly onRefused?: (refused: readonly CodedError[]) => void;
  /** The generation that the records are likely to be inserted into: their rows are pre-interned for it. */
  readonly generation: Generation;
}

/** A record to intern. Its bytes are copied before `insert` returns. */
export type InsertedRecord = Pick<EncodedRecord, "tenant" | "service" | "timeMs" | "bytes">;

/** One dataset of one segment, read whole. `bytes` lies in shared memory: workers read it, nobody writes. */
export interface SegmentPart extends DatasetKey {
  readonly object: string;
  readonly bytes: Uint8Array;
  readonly entry: DatasetEntry;
}

/** A matcher without its function, which cannot be sent to a thread. */
export interface PlainMatcher {
  readonly name: string;
  readonly operator: "=" | "!=" | "=~" | "!~";
  readonly value: string;
}

/** Times are nanoseconds, inclusive. */
export interface PlainRowQuery {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly profileType: ProfileType;
  readonly selector: readonly PlainMatcher[];
  readonly callSite: readonly string[];
  readonly profileIds: readonly string[];
  readonly spanIds: readonly string[];
  readonly traceIds: readonly string[];
}

export type ScanSpec =
  | { readonly kind: "names"; readonly query: PlainRowQuery }
  | { readonly kind: "locations"; readonly query: PlainRowQuery }
  | { readonly kind: "points"; readonly query: PlainRowQuery; readonly shape: PointsShape }
  | { readonly kind: "heatmap"; readonly query: PlainRowQuery; readonly shape: HeatmapShape }
  | {
      readonly kind: "listing";
      readonly startNs: bigint;
      readonly endNs: bigint;
      readonly selectors: readonly (readonly PlainMatcher[])[];
      readonly listing: Listing;
      readonly bounds: ListingBounds;
    }
  /** Counts series, profiles and samples, separately in segments and in memory. */
  | { readonly kind: "cardinality"; readonly startNs: bigint; readonly endNs: bigint; readonly selectors: readonly (readonly PlainMatcher[])[] };

export interface ScanTask {
  readonly spec: ScanSpec;
  readonly tenants: readonly string[];
  readonly firstWindowMs: number;
  readonly lastWindowMs: number;
  /** Generations to read from memory. */
  readonly generations: readonly Generation[];
  readonly parts: readonly SegmentPart[];
  /** Identities, 16 bytes each, of records that are left out, in memory and in segments: another node answers for them. */
  readonly except?: Uint8Array;
  /** Identities, 16 bytes each: no record besides these counts, in memory and in segments. Absent: any. */
  readonly only?: Uint8Array | undefined;
  /** Records that lie in no generation: interned for this scan, and dropped after it. Their bytes are copied before `scan` returns. */
  readonly records?: readonly InsertedRecord[] | undefined;
}

/** Results for segments and for rows in memory. A record that lies in both counts for segments. */
export interface ByPlace<T> {
  readonly segments: T;
  readonly head: T;
}

export interface ScanPartial {
  readonly recordCount: number;
  readonly identitySum: string;
  readonly names: NameTree | undefined;
  readonly locations: LocationTree | undefined;
  /** Set by a location scan: a pprof has a field for the duration. */
  readonly durations: PartialDurations | undefined;
  readonly period: bigint;
  readonly points: readonly PartialSeries[];
  readonly heatmap: readonly PartialHeatmap[];
  /** Set by a scan for a listing: the partial of its `LabelListing`. */
  readonly listing: Uint8Array | undefined;
  readonly cardinality: ByPlace<PartialCardinality> | undefined;
  /** The whole partial as bytes, on its way between threads or nodes (packed-partial.ts). The other fields then hold only the counts and the period. */
  readonly packed?: Uint8Array | undefined;
}

/** `form`: the format of the reply's body. */
export type FinishSpec =
  | { readonly kind: "flame-graph"; readonly maxNodes: number; readonly form: MessageForm }
  | { readonly kind: "tree-bytes"; readonly maxNodes: number; readonly form: MessageForm }
  /** The first `leftCount` partials are the left side's. */
  | { readonly kind: "diff"; readonly maxNodes: number; readonly leftCount: number; readonly profileType: ProfileType; readonly form: DiffForm }
  /** The first `graphCount` partials are the flame graph's, the others its timeline's. */
  | { readonly kind: "render"; readonly maxNodes: number; readonly graphCount: number; readonly profileType: ProfileType; readonly shape: PointsShape }
  | ({ readonly kind: "top-table"; readonly form: TopTableForm } & TopTableOptions)
  | {
      readonly kind: "pprof";
      readonly maxNodes: number;
      readonly goPgo: { readonly keepLocations: number; readonly aggregateCallees: boolean } | undefined;
      readonly profileType: ProfileType;
      readonly timeNs: bigint;
      readonly form: PprofForm;
    }
  | { readonly kind: "dot"; readonly maxNodes: number; readonly profileType: ProfileType; readonly timeNs: bigint; readonly form: DotForm }
  | { readonly kind: "points"; readonly shape: PointsShape; readonly limit: number; readonly form: MessageForm }
  | { readonly kind: "heatmap"; readonly shape: HeatmapShape; readonly limit: number; readonly form: MessageForm }
  | { readonly kind: "listing"; readonly listing: Listing; readonly bounds: ListingBounds; readonly limit: number; readonly form: ListingForm }
  | { readonly kind: "cardinality" };

/** Files of profiles that are drawn by themselves: nothing of them is kept. */
export interface DrawTask {
  /** One, or the left and the right side of a diff. Gzipped or not. */
  readonly files: readonly DrawnFile[];
  /** Undefined, or none that the file has: its first. */
  readonly profileType: string | undefined;
  readonly maxNodes: number;
  readonly limits: ProfileLimits;
  /** What the reply says beside the graph. Undefined: of a diff. */
  readonly reply: Omit<AdHocReply, "profileTypes"> | undefined;
  readonly form: MessageForm;
}

export interface DrawnFile {
  /** What it is called in errors, and a hint at its format. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** `bytes`: the reply's body. It is printed in a worker: the main thread neither reads nor copies anything as long as an answer. */
export type Finished =
  | { readonly kind: "reply"; readonly bytes: Uint8Array; readonly isSaturated: boolean }
  | { readonly kind: "listing"; readonly bytes: Uint8Array; readonly entryCount: number; readonly totalCount: number | undefined }
  /** `seriesCount`: series of segments and memory together, each counted once. */
  | { readonly kind: "cardinality"; readonly counts: ByPlace<Counts>; readonly seriesCount: number };

/** Where a worker that was started again gets its rows from: the head's records, and the generations that the flush keeps. */
export interface RowSource {
  /** Every record committed so far has a smaller seq, and was given to `Compute.insert` in the turn of its commit. */
  readonly nextSeq: number;
  /** See `Head.readLive`. */
  readLive(range: SeqRange, pageBytes: number, visit: (page: LivePage) => void): Promise<number | undefined>;
  /** See `Head.setAside`. */
  setAside(seq: number, reason: string): Promise<void>;
  /** The generation of a cut's rows, or of the open head's (no cut id); undefined where the cut is sealed: its rows are in segments. */
  generationOf(cutId: number | undefined): Generation | undefined;
  /** The open generation and those of cuts not yet sealed. The head holds all of their records. */
  readonly liveGenerations: readonly Generation[];
  /** No generation that was given so far is higher. */
  readonly lastGeneration: Generation;
}

export interface Compute {
  /** The records of one push. Their bytes are lent: `release` them once they are kept or refused. */
  encode(task: EncodeTask): Promise<readonly EncodedRecord[]>;
  /** Returns at once. Every later call that reads the same dataset sees the records. */
  insert(generation: Generation, records: readonly InsertedRecord[]): void;
  /** Takes back what `encode` lent: the bytes will be overwritten, and pre-interned rows that were not inserted are dropped. */
  release(records: readonly EncodedRecord[]): void;
  /** Resolves when every insert made before is done, or its rows will be read back. Replay awaits it, so that it reads no faster than workers intern. */
  settle(): Promise<void>;
  /** The encoded datasets of a window, one a service. */
  build(generation: Generation, tenant: string, windowStartMs: number): Promise<readonly DatasetInput[]>;
  drop(generation: Generation): void;
  /** A partial from each worker that had something to read. */
  scan(task: ScanTask, signal: AbortSignal): Promise<readonly ScanPartial[]>;
  /** Merges partials of scans of this spec into one, so that memory need not hold all of them until the end. */
  merge(spec: ScanSpec, partials: readonly ScanPartial[], signal: AbortSignal): Promise<ScanPartial>;
  finish(spec: FinishSpec, partials: readonly ScanPartial[], signal: AbortSignal): Promise<Finished>;
  /** Refuses what a push of the files would be refused for, and ADHOC_TYPES_DIFFER where the two sides of a diff have no type in common. */
  draw(task: DrawTask, signal: AbortSignal): Promise<Finished>;
  /** Gives the source of rows that a worker has lost. Call it once, after the replay and before the first commit. */
  readBackFrom(source: RowSource): void;
  stop(): Promise<void>;
}
