/**
 * What the API needs of the node, in the API's own words. `node` supplies both; tests supply fakes.
 *
 * Times are milliseconds since the epoch, both ends inclusive, already checked and clamped by the API.
 * Everything that waits takes an AbortSignal: a client that goes away cancels its query.
 */
import type { TenantId } from "@pyromesh/base";
import type { FoldedText, Label, Listing, ListingBounds, Matcher, ProfileType, Receipt, SampleType, TopTableOptions } from "@pyromesh/profile";
import type { DotForm, MessageForm, PprofForm } from "../print/graph-reply.ts";
import type { ListingForm } from "../print/listing-reply.ts";
import type { TopTableForm } from "../print/top-table-reply.ts";

// --- in -------------------------------------------------------------------------------------------------------------

/** One profile as it arrived, not yet decoded. Labels are as the client sent them: unsorted, perhaps doubled. */
export interface ArrivedProfile {
  readonly labels: readonly Label[];
  /** pprof, where gzip is told by its magic, or text where `folded` is set. Valid until the push settles: its memory is used again. */
  readonly pprof: Uint8Array;
  /** How the text becomes a pprof: done with the decoding, off the main thread. */
  readonly folded?: FoldedText | undefined;
  /** 16 bytes of the client's UUID; joins the identity and is kept for exemplars. */
  readonly profileId: Uint8Array | undefined;
  /** Used where the profile has no time of its own (or one in 1970 on /ingest). Undefined: when it came, the first time where it is named. */
  readonly fallbackTimeMs: number | undefined;
  /** From the `Idempotency-Key` header; joins the identity of a profile that has no clock of its own. */
  readonly idempotencyKey: string | undefined;
  /** How a pprof of /ingest names its types, and which client's quirks to repair; undefined on Push. */
  readonly ingest: IngestHints | undefined;
  /** What an item is called in an error: `series 0, profile 1`. */
  readonly describe: string;
}

export interface IngestHints {
  readonly spyName: string;
  /** From `sample_type_config`: pprof sample type -> how the client shows it. Undefined: none was sent. */
  readonly sampleTypes: Readonly<Record<string, { readonly displayName?: string; readonly units?: string }>> | undefined;
}

export interface PushOutcome {
  /** Profiles stored (or found to be stored already). */
  readonly acceptedCount: number;
  /** The others were stored. */
  readonly refused: readonly RefusedProfile[];
}

export interface RefusedProfile {
  /** Of the profile in the push. */
  readonly index: number;
  /** A CodedError that says what to change; its sentence begins with the profile's `describe`, unless one error refuses many. */
  readonly error: Error;
}

/** Who waits for an answer. An AbortSignal is one. */
export interface Caller {
  /** Throws why nobody waits any more, once that is so. */
  throwIfAborted(): void;
}

export interface ProfileSink {
  /** Resolves after everything accepted is synced. Rejects (kind `unavailable`) when nothing could be kept. */
  push(tenant: TenantId, profiles: readonly ArrivedProfile[], caller: Caller): Promise<PushOutcome>;
}

// --- out ------------------------------------------------------------------------------------------------------------

/** What every query names. Reads may name several tenants. */
export interface Scope {
  readonly tenants: readonly TenantId[];
  readonly startMs: number;
  readonly endMs: number;
  /** True: answer with what there is and name what is missing (`X-Pyromesh-Partial: allow`). */
  readonly allowPartial: boolean;
}

export interface SeriesQuery extends Scope {
  /** Any one of these selectors may match; empty: everything. */
  readonly selectors: readonly (readonly Matcher[])[];
}

/** What labels there are of the series that have a profile in the range. */
export interface ListingQuery extends SeriesQuery {
  readonly listing: Listing;
  /** The first entries in order; 0: all that the bounds let through. */
  readonly limit: number;
  readonly bounds: ListingBounds;
  readonly form: ListingForm;
}

export interface ListingReply {
  /** The reply's body, in the form that was asked for. */
  readonly bytes: Uint8Array;
  readonly entryCount: number;
  /** What `entryCount` would be without the limit; undefined where that is beyond the bounds, and was not counted. */
  readonly totalCount: number | undefined;
}

export interface MergeQuery extends Scope {
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
  /** Function names from the root: only stacktraces that begin so. Empty: all. */
  readonly callSite: readonly string[];
  /** UUIDs (16 bytes). Empty: all. */
  readonly profileIds: readonly Uint8Array[];
  /** 16 hex digits each. Empty: all. */
  readonly spanIds: readonly string[];
  /** 32 hex digits each. Empty: all. */
  readonly traceIds: readonly string[];
}

/** A merge of stacktraces by their names. */
export interface GraphQuery extends MergeQuery {
  /** 0: all nodes. */
  readonly maxNodes: number;
  readonly form: MessageForm;
}

export interface DotQuery extends MergeQuery {
  readonly maxNodes: number;
  readonly form: DotForm;
}

/** `render`: the JSON of `/pyroscope/render-diff`. */
export type DiffForm = MessageForm | "render";

export interface DiffOptions {
  readonly maxNodes: number;
  readonly form: DiffForm;
}

/** The JSON of `/pyroscope/render`: a flame graph and its timeline. */
export interface RenderQuery extends MergeQuery {
  readonly maxNodes: number;
  readonly stepMs: number;
  /** The first one's values have a timeline each. */
  readonly groupBy: readonly string[];
  readonly aggregation: "sum" | "average";
}

export interface PointsQuery extends MergeQuery {
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly aggregation: "sum" | "average";
  /** The series with the greatest totals; 0: all. */
  readonly limit: number;
  readonly exemplars: "none" | "individual" | "span";
  readonly form: MessageForm;
}

export interface HeatmapQuery extends MergeQuery {
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly limit: number;
  readonly of: "individual" | "span";
  readonly exemplars: "none" | "individual" | "span";
  readonly form: MessageForm;
}

/** A location-level query that ends as pprof bytes. */
export interface PprofQuery extends MergeQuery {
  /** 0: all nodes. */
  readonly maxNodes: number;
  /** Go's profile-guided optimisation: keep this many leaf frames (0: all), and merge callees if asked. */
  readonly goPgo: { readonly keepLocations: number; readonly aggregateCallees: boolean } | undefined;
  readonly form: PprofForm;
}

/** Functions by their cost, of all stacktraces: nothing is truncated before they are added up. */
export interface TopTableQuery extends MergeQuery, Pick<TopTableOptions, "limit" | "sort" | "nameContains"> {
  readonly form: TopTableForm;
}

export interface Answer<T> {
  readonly value: T;
  readonly receipt: Receipt;
  /** What could not be read, in words; empty unless partial answers were allowed. */
  readonly missing: readonly string[];
  /** True when a sum went beyond int64 and was held at its end. */
  readonly isSaturated: boolean;
}

/**
 * Answers of any length come as the bytes of the reply's body, in the form that the query names: who answers prints them, off the main
 * thread. What prints them is in graph-reply.ts, series-reply.ts, render-reply.ts and listing-reply.ts.
 */
export interface ProfileSource {
  /** Of full label sets, with the type's own labels. */
  listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>>;
  flameGraph(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** Pyroscope's tree bytes (`PROFILE_FORMAT_TREE`), as the field of a response. */
  treeBytes(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  diff(left: MergeQuery, right: MergeQuery, options: DiffOptions, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** The receipt is the flame graph's; what either part missed is named. */
  render(query: RenderQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** google.v1.Profile. Where it is binary, it is not compressed. */
  pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** Graphviz text; "" when nothing matched. */
  dot(query: DotQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  points(query: PointsQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  stats(tenant: TenantId, signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined>;
  /** What the query would read, by where it lies. */
  analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>>;
}

export interface QueryAnalysis {
  readonly scopes: readonly {
    readonly componentType: string;
    readonly componentCount: number;
    readonly blockCount: number;
    readonly seriesCount: number;
    readonly profileCount: number;
    readonly sampleCount: number;
    readonly indexBytes: number;
    readonly profileBytes: number;
    readonly symbolBytes: number;
  }[];
  /** What the query would fetch; what a head holds in memory is not fetched. */
  readonly totalBytesInRange: number;
  readonly totalSeries: number;
}

// --- the node itself ------------------------------------------------------------------------------------------------

export interface QuarantineEntry {
  readonly id: string;
  readonly reason: string;
  /** Times of profiles that may be missing; undefined: any time. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly foundAtMs: number;
}

export type ConfigMode = "full" | "diff" | "default";

export interface NodeAdmin {
  /** Undefined when ready, else what it waits for, or why it takes no writes; of queries alone that does not count. */
  notReadyBecause(of?: "queries"): string | undefined;
  /** Cuts and uploads now; resolves when all that was accepted before is readable in the bucket. Rejects `FLUSH_TIMEOUT` after 30 s. */
  flush(signal: AbortSignal): Promise<{ readonly segmentCount: number; readonly bytes: number }>;
  quarantine(): readonly QuarantineEntry[];
  /** Acknowledges the loss: queries over it are answered again. Returns how many entries went. */
  acknowledgeQuarantine(): Promise<number>;
  metricsText(): Promise<string>;
  /** Settings as YAML, secrets hidden: those in force, of them what differs from the defaults, or the defaults. */
  configYaml(mode: ConfigMode): string;
  /** Per-tenant overrides in force, as YAML: complete limits, or what differs from the common ones. Absent: there are none. */
  runtimeConfigYaml?(mode: "full" | "diff"): string;
  buildInfo(): { readonly version: string; readonly revision: string; readonly buildDate: string; readonly nodeVersion: string };
  /** Per-tenant limits now in force, under Pyroscope's names. */
  tenantLimits(tenant: TenantId): Readonly<Record<string, number | boolean | string>>;
}

export type DebugProfileKind = "cpu" | "wall" | "heap";

/** Profiles of this very process, for who operates it. */
export interface DebugProfiler {
  /** A pprof of the time from now, gzipped. One at a time: rejects DEBUG_PROFILE_BUSY (503) beside another. */
  profile(kind: DebugProfileKind, seconds: number, signal: AbortSignal): Promise<Uint8Array>;
}

export type { SampleType };
