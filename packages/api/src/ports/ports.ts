/**
 * The interfaces that the API needs from the node. The package `node` implements them; tests have fakes.
 *
 * Times are milliseconds since the epoch, both ends inclusive, and the API has checked and clamped them. Everything that waits takes an
 * AbortSignal: a client that goes away cancels its query.
 */
import type { TenantId } from "@pyromesh/base";
import type { BodyFormat, Label, Listing, ListingBounds, Matcher, ProfileType, Receipt, SampleType, TopTableOptions } from "@pyromesh/profile";
import type { DotForm, MessageForm, PprofForm } from "../print/graph-reply.ts";
import type { ListingForm } from "../print/listing-reply.ts";
import type { TopTableForm } from "../print/top-table-reply.ts";
import type { ClusterAdmin } from "./cluster.ts";
import type { ScrapeAdmin } from "./scraping.ts";

// --- write path -----------------------------------------------------------------------------------------------------

/** One profile as it arrived, not yet decoded. The labels are as the client sent them: they may be unsorted or repeated. */
export interface ArrivedProfile {
  readonly labels: readonly Label[];
  /**
   * A pprof, or a body of another format where `format` is set; gzipped or not, as its magic bytes say. It is valid until the push settles,
   * when its buffer is reused.
   */
  readonly pprof: Uint8Array;
  /** What the body is, where it is no pprof. It is read by the worker that decodes, not on the main thread. */
  readonly format?: BodyFormat | undefined;
  /** The 16 bytes of the client's UUID. They are part of the record's identity and kept for exemplars. */
  readonly profileId: Uint8Array | undefined;
  /**
   * The time of a profile that has none of its own (on /ingest also of one in 1970). Undefined: its time of arrival, or of its first
   * arrival where an idempotency key or a profile id tells that it came before.
   */
  readonly fallbackTimeMs: number | undefined;
  /** The `Idempotency-Key` header. It is part of the identity of a profile that has no time of its own. */
  readonly idempotencyKey: string | undefined;
  /** How a pprof sent to /ingest names its sample types, and which client's known faults to correct. Undefined for Push. */
  readonly ingest: IngestHints | undefined;
  /** The name of this profile in errors: `series 0, profile 1`. */
  readonly describe: string;
}

export interface IngestHints {
  readonly spyName: string;
  /** From `sample_type_config`: pprof sample type -> how the client shows it. Undefined: none was sent. */
  readonly sampleTypes: Readonly<Record<string, { readonly displayName?: string; readonly units?: string }>> | undefined;
}

export interface PushOutcome {
  /** Profiles that were stored now or had been stored before. */
  readonly acceptedCount: number;
  /** All other profiles of the push were stored. */
  readonly refused: readonly RefusedProfile[];
  /** Of a body that held several profiles, those that were refused while the others of the body were stored. Absent: there are none. */
  readonly parts?: readonly RefusedProfile[];
}

export interface RefusedProfile {
  /** The position of the profile in the push. */
  readonly index: number;
  /**
   * A CodedError whose message says what to change. It begins with the profile's `describe`, unless the same error refuses several
   * profiles.
   */
  readonly error: Error;
}

/** The one who waits for an answer, as long work sees it: it calls `throwIfAborted` now and then. An AbortSignal is a Caller. */
export interface Caller {
  /** Throws the reason once nobody waits any more. */
  throwIfAborted(): void;
}

export interface ProfileSink {
  /** Resolves once every accepted profile is synced to disk. Rejects (kind `unavailable`) where none could be kept. */
  push(tenant: TenantId, profiles: readonly ArrivedProfile[], caller: Caller): Promise<PushOutcome>;
}

// --- read path ------------------------------------------------------------------------------------------------------

/** What every query has. A read may name several tenants. */
export interface Scope {
  readonly tenants: readonly TenantId[];
  readonly startMs: number;
  readonly endMs: number;
  /** True: the answer may lack what cannot be read, and names it (`X-Pyromesh-Partial: allow`). */
  readonly allowPartial: boolean;
}

export interface SeriesQuery extends Scope {
  /** A series matches where any one of these selectors does. Empty: every series matches. */
  readonly selectors: readonly (readonly Matcher[])[];
}

/** Asks for the labels of the series that have a profile in the range. */
export interface ListingQuery extends SeriesQuery {
  readonly listing: Listing;
  /** How many entries, in their order. 0: as many as `bounds` allow. */
  readonly limit: number;
  readonly bounds: ListingBounds;
  readonly form: ListingForm;
}

export interface ListingReply {
  /** The body of the reply, in the form that the query names. */
  readonly bytes: Uint8Array;
  readonly entryCount: number;
  /** What `entryCount` would be without the limit. Undefined beyond `bounds`, where nothing is counted. */
  readonly totalCount: number | undefined;
}

export interface MergeQuery extends Scope {
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
  /** Function names from the root: only stacktraces that begin with these count. Empty: all. */
  readonly callSite: readonly string[];
  /** UUIDs (16 bytes). Empty: all. */
  readonly profileIds: readonly Uint8Array[];
  /** 16 hex digits each. Empty: all. */
  readonly spanIds: readonly string[];
  /** 32 hex digits each. Empty: all. */
  readonly traceIds: readonly string[];
}

/** A flame graph or a tree: stacktraces merged by function name. */
export interface GraphQuery extends MergeQuery {
  /** 0: all nodes. */
  readonly maxNodes: number;
  readonly form: MessageForm;
}

export interface DotQuery extends MergeQuery {
  readonly maxNodes: number;
  readonly form: DotForm;
}

/** `render` is the JSON of `/pyroscope/render-diff`. */
export type DiffForm = MessageForm | "render";

export interface DiffOptions {
  readonly maxNodes: number;
  readonly form: DiffForm;
}

/** A flame graph with its timeline: the JSON of `/pyroscope/render`. */
export interface RenderQuery extends MergeQuery {
  readonly maxNodes: number;
  readonly stepMs: number;
  /** Each value of the first label gets a timeline of its own. */
  readonly groupBy: readonly string[];
  readonly aggregation: "sum" | "average";
}

export interface PointsQuery extends MergeQuery {
  readonly stepMs: number;
  readonly groupBy: readonly string[];
  readonly aggregation: "sum" | "average";
  /** How many series: those with the greatest totals. 0: all. */
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

/** A merge by location, not by function name, whose answer is a pprof. */
export interface PprofQuery extends MergeQuery {
  /** 0: all nodes. */
  readonly maxNodes: number;
  /** For Go's profile-guided optimisation: keep this many leaf frames (0: all), and merge callees where asked. */
  readonly goPgo: { readonly keepLocations: number; readonly aggregateCallees: boolean } | undefined;
  readonly form: PprofForm;
}

/** Functions by their cost, added up over all stacktraces before anything is truncated. */
export interface TopTableQuery extends MergeQuery, Pick<TopTableOptions, "limit" | "sort" | "nameContains"> {
  readonly form: TopTableForm;
}

export interface Answer<T> {
  readonly value: T;
  readonly receipt: Receipt;
  /** What could not be read, in words. Empty unless partial answers are allowed. */
  readonly missing: readonly string[];
  /** A sum left the range of int64 and was clamped to its end. */
  readonly isSaturated: boolean;
}

/**
 * Long answers are returned as the bytes of the reply, in the form that the query names, so that the main thread only sends them. Workers
 * print them with graph-reply.ts, series-reply.ts, render-reply.ts and listing-reply.ts.
 */
export interface ProfileSource {
  /** Labels are complete: those of the profile type are among them. */
  listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>>;
  flameGraph(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** Pyroscope's tree bytes (`PROFILE_FORMAT_TREE`): the field of the response that holds them. */
  treeBytes(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  diff(left: MergeQuery, right: MergeQuery, options: DiffOptions, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** The receipt is the one of the flame graph; `missing` names what either part could not read. */
  render(query: RenderQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** A google.v1.Profile. The binary form is not compressed. */
  pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  /** Graphviz text. "" where nothing matched. */
  dot(query: DotQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  points(query: PointsQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>>;
  stats(tenant: TenantId, signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined>;
  /** How much the query would read, by where the data lies. */
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
  /** Bytes that the query would fetch. Data in memory is not fetched. */
  readonly totalBytesInRange: number;
  readonly totalSeries: number;
}

// --- the node itself ------------------------------------------------------------------------------------------------

export interface QuarantineEntry {
  readonly id: string;
  readonly reason: string;
  /** The time range in which profiles may be missing. Undefined: at any time. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly foundAtMs: number;
}

export type ConfigMode = "full" | "diff" | "default";

export interface NodeAdmin {
  /**
   * Undefined when the node is ready. Otherwise what it waits for, or why it refuses writes. `queries`: readiness for queries, where
   * refused writes do not count.
   */
  notReadyBecause(of?: "queries"): string | undefined;
  /** Flushes at once. Resolves when everything accepted before can be read from the bucket. Rejects `FLUSH_TIMEOUT` after 30 s. */
  flush(signal: AbortSignal): Promise<{ readonly segmentCount: number; readonly bytes: number }>;
  quarantine(): readonly QuarantineEntry[];
  /** Accepts the loss: queries over it are answered again. Returns how many entries were removed. */
  acknowledgeQuarantine(): Promise<number>;
  metricsText(): Promise<string>;
  /** Settings as YAML without secrets: those in force, only those that differ from the defaults, or the defaults. */
  configYaml(mode: ConfigMode): string;
  /** Overrides per tenant as YAML: all limits of each tenant, or only what differs from the common ones. Absent: there are no overrides. */
  runtimeConfigYaml?(mode: "full" | "diff"): string;
  buildInfo(): { readonly version: string; readonly revision: string; readonly buildDate: string; readonly nodeVersion: string };
  /** The limits of a tenant now, under Pyroscope's names. */
  tenantLimits(tenant: TenantId): Readonly<Record<string, number | boolean | string>>;
  /** Absent: there are no routes of the cluster. */
  readonly cluster?: ClusterAdmin;
  /** Absent: there are no routes of scraped targets. */
  readonly scraping?: ScrapeAdmin;
}

export type DebugProfileKind = "cpu" | "wall" | "heap";

/** Profiles of this process itself, for its operator. */
export interface DebugProfiler {
  /** A gzipped pprof of the next `seconds`. Rejects DEBUG_PROFILE_BUSY (503) while another one is taken. */
  profile(kind: DebugProfileKind, seconds: number, signal: AbortSignal): Promise<Uint8Array>;
}

export type { SampleType };
