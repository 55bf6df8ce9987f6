/** querier.v1: field tables of the requests and responses of QuerierService, the same as `proto/querier/v1/querier.proto`. */
import type { Int64 } from "@pyromesh/profile";
import { PPROF } from "./pprof-v1.ts";
import type { PprofMessage } from "./pprof-v1.ts";
import { enumeration, message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";
import { AGGREGATIONS, EXEMPLAR_TYPES, HEATMAP_SERIES, LABELS, LISTING_LIMIT, PROFILE_TYPE, SERIES, STACK_TRACE_SELECTOR } from "./types-v1.ts";
import type { HeatmapSeriesMessage, LabelsMessage, ProfileTypeMessage, SeriesMessage, StackTraceSelectorMessage } from "./types-v1.ts";

export interface ProfileTypesRequest {
  readonly start: Int64;
  readonly end: Int64;
  /** 0: all. */
  readonly limit: Int64;
}

export const PROFILE_TYPES_REQUEST: MessageSchema<ProfileTypesRequest> = message("querier.v1.ProfileTypesRequest", [
  scalar(1, "start", "int64"),
  scalar(2, "end", "int64"),
  scalar(LISTING_LIMIT, "limit", "int64"),
]);

export interface ProfileTypesResponse {
  readonly profileTypes: readonly ProfileTypeMessage[];
}

export const PROFILE_TYPES_RESPONSE: MessageSchema<ProfileTypesResponse> = message("querier.v1.ProfileTypesResponse", [
  nested(1, "profile_types", PROFILE_TYPE, { isRepeated: true }),
]);

export interface SeriesRequest {
  readonly matchers: readonly string[];
  readonly labelNames: readonly string[];
  readonly start: Int64;
  readonly end: Int64;
  /** 0: all. */
  readonly limit: Int64;
}

export const SERIES_REQUEST: MessageSchema<SeriesRequest> = message("querier.v1.SeriesRequest", [
  scalar(1, "matchers", "string", { isRepeated: true }),
  scalar(2, "label_names", "string", { isRepeated: true }),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(LISTING_LIMIT, "limit", "int64"),
]);

export interface SeriesResponse {
  readonly labelsSet: readonly LabelsMessage[];
}

/** The only field has number 2. */
export const SERIES_RESPONSE: MessageSchema<SeriesResponse> = message("querier.v1.SeriesResponse", [nested(2, "labels_set", LABELS, { isRepeated: true })]);

export const ASYNC_FORCE = 1;
const ASYNC_QUERY_TYPES: readonly string[] = ["ASYNC_QUERY_TYPE_DISABLED", "ASYNC_QUERY_TYPE_FORCE"];

export interface AsyncQueryRequest {
  readonly requestId: string;
  readonly type: number;
}

const ASYNC_QUERY_REQUEST: MessageSchema<AsyncQueryRequest> = message("querier.v1.AsyncQueryRequest", [
  scalar(1, "request_id", "string"),
  enumeration(2, "type", "querier.v1.AsyncQueryType", ASYNC_QUERY_TYPES),
]);

const ASYNC_QUERY_STATUSES: readonly string[] = [
  "ASYNC_QUERY_STATUS_UNKNOWN",
  "ASYNC_QUERY_STATUS_IN_PROGRESS",
  "ASYNC_QUERY_STATUS_SUCCESS",
  "ASYNC_QUERY_STATUS_FAILURE",
];

interface AsyncQueryResponse {
  readonly requestId: string;
  readonly status: number;
  readonly errorMessage: string;
}

/** Never sent, since async queries are refused. The table is here to be complete. */
const ASYNC_QUERY_RESPONSE: MessageSchema<AsyncQueryResponse> = message("querier.v1.AsyncQueryResponse", [
  scalar(1, "request_id", "string"),
  enumeration(2, "status", "querier.v1.AsyncQueryStatus", ASYNC_QUERY_STATUSES),
  scalar(3, "error_message", "string"),
]);

export const FORMAT_TREE = 2;
export const FORMAT_DOT = 3;
export const FORMAT_PPROF = 4;
export const PROFILE_FORMATS: readonly string[] = [
  "PROFILE_FORMAT_UNSPECIFIED",
  "PROFILE_FORMAT_FLAMEGRAPH",
  "PROFILE_FORMAT_TREE",
  "PROFILE_FORMAT_DOT",
  "PROFILE_FORMAT_PPROF",
];

export interface SelectMergeStacktracesRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: Int64;
  readonly end: Int64;
  readonly maxNodes: Int64 | undefined;
  readonly format: number;
  readonly stackTraceSelector: StackTraceSelectorMessage | undefined;
  readonly profileIdSelector: readonly string[];
  readonly async: AsyncQueryRequest | undefined;
  readonly traceIdSelector: readonly string[];
  readonly spanSelector: readonly string[];
}

export const SELECT_MERGE_STACKTRACES_REQUEST: MessageSchema<SelectMergeStacktracesRequest> = message("querier.v1.SelectMergeStacktracesRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(5, "max_nodes", "int64", { isOptional: true }),
  enumeration(6, "format", "querier.v1.ProfileFormat", PROFILE_FORMATS),
  nested(7, "stack_trace_selector", STACK_TRACE_SELECTOR, { isOptional: true }),
  scalar(8, "profile_id_selector", "string", { isRepeated: true }),
  nested(9, "async", ASYNC_QUERY_REQUEST, { isOptional: true }),
  scalar(10, "trace_id_selector", "string", { isRepeated: true }),
  scalar(11, "span_selector", "string", { isRepeated: true }),
]);

interface LevelMessage {
  readonly values: readonly Int64[];
}

export const LEVEL: MessageSchema<LevelMessage> = message("querier.v1.Level", [scalar(1, "values", "int64", { isRepeated: true })]);

export interface FlameGraphMessage {
  readonly names: readonly string[];
  readonly levels: readonly LevelMessage[];
  readonly total: Int64;
  readonly maxSelf: Int64;
}

const FLAME_GRAPH: MessageSchema<FlameGraphMessage> = message("querier.v1.FlameGraph", [
  scalar(1, "names", "string", { isRepeated: true }),
  nested(2, "levels", LEVEL, { isRepeated: true }),
  scalar(3, "total", "int64"),
  scalar(4, "max_self", "int64"),
]);

interface PprofProfileMessage {
  /** In replies: the encoded bytes. */
  readonly profile: Uint8Array | PprofMessage | undefined;
}

const PPROF_PROFILE: MessageSchema<PprofProfileMessage> = message("querier.v1.PprofProfile", [nested(1, "profile", PPROF)]);

export interface SelectMergeStacktracesResponse {
  readonly flamegraph?: FlameGraphMessage | undefined;
  readonly tree?: Uint8Array;
  readonly dot?: string;
  readonly async?: AsyncQueryResponse | undefined;
  readonly pprof?: PprofProfileMessage | undefined;
}

export const SELECT_MERGE_STACKTRACES_RESPONSE: MessageSchema<SelectMergeStacktracesResponse> = message("querier.v1.SelectMergeStacktracesResponse", [
  nested(1, "flamegraph", FLAME_GRAPH),
  scalar(2, "tree", "bytes"),
  scalar(3, "dot", "string"),
  nested(4, "async", ASYNC_QUERY_RESPONSE, { isOptional: true }),
  nested(5, "pprof", PPROF_PROFILE),
]);

export interface SelectMergeSpanProfileRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly spanSelector: readonly string[];
  readonly start: Int64;
  readonly end: Int64;
  readonly maxNodes: Int64 | undefined;
  readonly format: number;
}

export const SELECT_MERGE_SPAN_PROFILE_REQUEST: MessageSchema<SelectMergeSpanProfileRequest> = message("querier.v1.SelectMergeSpanProfileRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "span_selector", "string", { isRepeated: true }),
  scalar(4, "start", "int64"),
  scalar(5, "end", "int64"),
  scalar(6, "max_nodes", "int64", { isOptional: true }),
  enumeration(7, "format", "querier.v1.ProfileFormat", PROFILE_FORMATS),
]);

export interface SelectMergeSpanProfileResponse {
  readonly flamegraph?: FlameGraphMessage | undefined;
  readonly tree?: Uint8Array;
}

export const SELECT_MERGE_SPAN_PROFILE_RESPONSE: MessageSchema<SelectMergeSpanProfileResponse> = message("querier.v1.SelectMergeSpanProfileResponse", [
  nested(1, "flamegraph", FLAME_GRAPH),
  scalar(2, "tree", "bytes"),
]);

export interface DiffRequest {
  readonly left: SelectMergeStacktracesRequest | undefined;
  readonly right: SelectMergeStacktracesRequest | undefined;
}

export const DIFF_REQUEST: MessageSchema<DiffRequest> = message("querier.v1.DiffRequest", [
  nested(1, "left", SELECT_MERGE_STACKTRACES_REQUEST),
  nested(2, "right", SELECT_MERGE_STACKTRACES_REQUEST),
]);

interface FlameGraphDiffMessage extends FlameGraphMessage {
  readonly leftTicks: Int64;
  readonly rightTicks: Int64;
}

const FLAME_GRAPH_DIFF: MessageSchema<FlameGraphDiffMessage> = message("querier.v1.FlameGraphDiff", [
  scalar(1, "names", "string", { isRepeated: true }),
  nested(2, "levels", LEVEL, { isRepeated: true }),
  scalar(3, "total", "int64"),
  scalar(4, "max_self", "int64"),
  scalar(5, "leftTicks", "int64"),
  scalar(6, "rightTicks", "int64"),
]);

export interface DiffResponse {
  readonly flamegraph: FlameGraphDiffMessage | undefined;
}

export const DIFF_RESPONSE: MessageSchema<DiffResponse> = message("querier.v1.DiffResponse", [nested(1, "flamegraph", FLAME_GRAPH_DIFF)]);

export interface SelectMergeProfileRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: Int64;
  readonly end: Int64;
  readonly maxNodes: Int64 | undefined;
  readonly stackTraceSelector: StackTraceSelectorMessage | undefined;
  readonly profileIdSelector: readonly string[];
  readonly traceIdSelector: readonly string[];
}

export const SELECT_MERGE_PROFILE_REQUEST: MessageSchema<SelectMergeProfileRequest> = message("querier.v1.SelectMergeProfileRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(5, "max_nodes", "int64", { isOptional: true }),
  nested(6, "stack_trace_selector", STACK_TRACE_SELECTOR, { isOptional: true }),
  scalar(7, "profile_id_selector", "string", { isRepeated: true }),
  scalar(8, "trace_id_selector", "string", { isRepeated: true }),
]);

export interface SelectSeriesRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: Int64;
  readonly end: Int64;
  readonly groupBy: readonly string[];
  /** Seconds. */
  readonly step: number;
  readonly aggregation: number | undefined;
  readonly stackTraceSelector: StackTraceSelectorMessage | undefined;
  readonly limit: Int64 | undefined;
  readonly exemplarType: number;
}

export const SELECT_SERIES_REQUEST: MessageSchema<SelectSeriesRequest> = message("querier.v1.SelectSeriesRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(5, "group_by", "string", { isRepeated: true }),
  scalar(6, "step", "double"),
  enumeration(7, "aggregation", "types.v1.TimeSeriesAggregationType", AGGREGATIONS, { isOptional: true }),
  nested(8, "stack_trace_selector", STACK_TRACE_SELECTOR, { isOptional: true }),
  scalar(9, "limit", "int64", { isOptional: true }),
  enumeration(10, "exemplar_type", "types.v1.ExemplarType", EXEMPLAR_TYPES),
]);

export interface SelectSeriesResponse {
  readonly series: readonly SeriesMessage[];
}

export const SELECT_SERIES_RESPONSE: MessageSchema<SelectSeriesResponse> = message("querier.v1.SelectSeriesResponse", [
  nested(1, "series", SERIES, { isRepeated: true }),
]);

export const HEATMAP_OF_SPANS = 2;
const HEATMAP_QUERY_TYPES: readonly string[] = ["HEATMAP_QUERY_TYPE_UNSPECIFIED", "HEATMAP_QUERY_TYPE_INDIVIDUAL", "HEATMAP_QUERY_TYPE_SPAN"];

export interface SelectHeatmapRequest {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly start: Int64;
  readonly end: Int64;
  /** Seconds. */
  readonly step: number;
  readonly groupBy: readonly string[];
  readonly queryType: number;
  readonly exemplarType: number;
  readonly limit: Int64 | undefined;
}

export const SELECT_HEATMAP_REQUEST: MessageSchema<SelectHeatmapRequest> = message("querier.v1.SelectHeatmapRequest", [
  scalar(1, "profile_typeID", "string", { jsonName: "profileTypeID" }),
  scalar(2, "label_selector", "string"),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(5, "step", "double"),
  scalar(6, "group_by", "string", { isRepeated: true }),
  enumeration(7, "query_type", "querier.v1.HeatmapQueryType", HEATMAP_QUERY_TYPES),
  enumeration(8, "exemplar_type", "types.v1.ExemplarType", EXEMPLAR_TYPES),
  scalar(9, "limit", "int64", { isOptional: true }),
]);

export interface SelectHeatmapResponse {
  readonly series: readonly HeatmapSeriesMessage[];
}

export const SELECT_HEATMAP_RESPONSE: MessageSchema<SelectHeatmapResponse> = message("querier.v1.SelectHeatmapResponse", [
  nested(1, "series", HEATMAP_SERIES, { isRepeated: true }),
]);

export interface AnalyzeQueryRequest {
  readonly start: Int64;
  readonly end: Int64;
  readonly query: string;
}

/** Number 1 is unused. */
export const ANALYZE_QUERY_REQUEST: MessageSchema<AnalyzeQueryRequest> = message("querier.v1.AnalyzeQueryRequest", [
  scalar(2, "start", "int64"),
  scalar(3, "end", "int64"),
  scalar(4, "query", "string"),
]);

interface QueryScopeMessage {
  readonly componentType: string;
  readonly componentCount: Int64;
  readonly blockCount: Int64;
  readonly seriesCount: Int64;
  readonly profileCount: Int64;
  readonly sampleCount: Int64;
  readonly indexBytes: Int64;
  readonly profileBytes: Int64;
  readonly symbolBytes: Int64;
}

const QUERY_SCOPE: MessageSchema<QueryScopeMessage> = message("querier.v1.QueryScope", [
  scalar(1, "component_type", "string"),
  scalar(2, "component_count", "uint64"),
  scalar(3, "block_count", "uint64"),
  scalar(4, "series_count", "uint64"),
  scalar(5, "profile_count", "uint64"),
  scalar(6, "sample_count", "uint64"),
  scalar(7, "index_bytes", "uint64"),
  scalar(8, "profile_bytes", "uint64"),
  scalar(9, "symbol_bytes", "uint64"),
]);

interface QueryImpactMessage {
  readonly totalBytesInTimeRange: Int64;
  readonly totalQueriedSeries: Int64;
  readonly deduplicationNeeded: boolean;
}

/** Number 1 is unused. */
const QUERY_IMPACT: MessageSchema<QueryImpactMessage> = message("querier.v1.QueryImpact", [
  scalar(2, "total_bytes_in_time_range", "uint64"),
  scalar(3, "total_queried_series", "uint64"),
  scalar(4, "deduplication_needed", "bool"),
]);

export interface AnalyzeQueryResponse {
  readonly queryScopes: readonly QueryScopeMessage[];
  readonly queryImpact: QueryImpactMessage | undefined;
}

export const ANALYZE_QUERY_RESPONSE: MessageSchema<AnalyzeQueryResponse> = message("querier.v1.AnalyzeQueryResponse", [
  nested(1, "query_scopes", QUERY_SCOPE, { isRepeated: true }),
  nested(2, "query_impact", QUERY_IMPACT),
]);
