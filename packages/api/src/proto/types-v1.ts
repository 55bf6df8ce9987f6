/** types.v1: field tables of messages that several services share, the same as `proto/types/v1/types.proto`. */
import type { Int64 } from "@pyromesh/profile";
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

interface LabelPairMessage {
  readonly name: string;
  readonly value: string;
}

export const LABEL_PAIR: MessageSchema<LabelPairMessage> = message("types.v1.LabelPair", [scalar(1, "name", "string"), scalar(2, "value", "string")]);

export interface LabelsMessage {
  readonly labels: readonly LabelPairMessage[];
}

export const LABELS: MessageSchema<LabelsMessage> = message("types.v1.Labels", [nested(1, "labels", LABEL_PAIR, { isRepeated: true })]);

export interface ProfileTypeMessage {
  readonly ID: string;
  readonly name: string;
  readonly sampleType: string;
  readonly sampleUnit: string;
  readonly periodType: string;
  readonly periodUnit: string;
}

/** Number 3 is unused. */
export const PROFILE_TYPE: MessageSchema<ProfileTypeMessage> = message("types.v1.ProfileType", [
  scalar(1, "ID", "string"),
  scalar(2, "name", "string"),
  scalar(4, "sample_type", "string"),
  scalar(5, "sample_unit", "string"),
  scalar(6, "period_type", "string"),
  scalar(7, "period_unit", "string"),
]);

/**
 * The field number of `limit` in requests that list labels. Pyroscope has no such field, so ours is far above its numbers and cannot
 * collide with a later one. In JSON its name is `limit`.
 */
export const LISTING_LIMIT = 1000;

export interface LabelValuesRequest {
  readonly name: string;
  readonly matchers: readonly string[];
  readonly start: Int64;
  readonly end: Int64;
  /** 0: all. */
  readonly limit: Int64;
}

export const LABEL_VALUES_REQUEST: MessageSchema<LabelValuesRequest> = message("types.v1.LabelValuesRequest", [
  scalar(1, "name", "string"),
  scalar(2, "matchers", "string", { isRepeated: true }),
  scalar(3, "start", "int64"),
  scalar(4, "end", "int64"),
  scalar(LISTING_LIMIT, "limit", "int64"),
]);

export interface NamesResponse {
  readonly names: readonly string[];
}

export const LABEL_VALUES_RESPONSE: MessageSchema<NamesResponse> = message("types.v1.LabelValuesResponse", [
  scalar(1, "names", "string", { isRepeated: true }),
]);

export interface LabelNamesRequest {
  readonly matchers: readonly string[];
  readonly start: Int64;
  readonly end: Int64;
  /** 0: all. */
  readonly limit: Int64;
}

export const LABEL_NAMES_REQUEST: MessageSchema<LabelNamesRequest> = message("types.v1.LabelNamesRequest", [
  scalar(1, "matchers", "string", { isRepeated: true }),
  scalar(2, "start", "int64"),
  scalar(3, "end", "int64"),
  scalar(LISTING_LIMIT, "limit", "int64"),
]);

export const LABEL_NAMES_RESPONSE: MessageSchema<NamesResponse> = message("types.v1.LabelNamesResponse", [
  scalar(1, "names", "string", { isRepeated: true }),
]);

export interface ProfileAnnotationMessage {
  readonly key: string;
  readonly value: string;
}

export const PROFILE_ANNOTATION: MessageSchema<ProfileAnnotationMessage> = message("types.v1.ProfileAnnotation", [
  scalar(1, "key", "string"),
  scalar(2, "value", "string"),
]);

export interface ExemplarMessage {
  readonly timestamp: Int64;
  readonly profileId: string;
  readonly spanId: string;
  readonly value: Int64;
  readonly labels: readonly LabelPairMessage[];
  readonly traceId: string;
}

export const EXEMPLAR: MessageSchema<ExemplarMessage> = message("types.v1.Exemplar", [
  scalar(1, "timestamp", "int64"),
  scalar(2, "profile_id", "string"),
  scalar(3, "span_id", "string"),
  scalar(4, "value", "int64"),
  nested(5, "labels", LABEL_PAIR, { isRepeated: true }),
  scalar(6, "trace_id", "string"),
]);

interface PointMessage {
  readonly value: number;
  readonly timestamp: Int64;
  readonly annotations: readonly ProfileAnnotationMessage[];
  readonly exemplars: readonly ExemplarMessage[];
}

const POINT: MessageSchema<PointMessage> = message("types.v1.Point", [
  scalar(1, "value", "double"),
  scalar(2, "timestamp", "int64"),
  nested(3, "annotations", PROFILE_ANNOTATION, { isRepeated: true }),
  nested(4, "exemplars", EXEMPLAR, { isRepeated: true }),
]);

export interface SeriesMessage {
  readonly labels: readonly LabelPairMessage[];
  readonly points: readonly PointMessage[];
}

export const SERIES: MessageSchema<SeriesMessage> = message("types.v1.Series", [
  nested(1, "labels", LABEL_PAIR, { isRepeated: true }),
  nested(2, "points", POINT, { isRepeated: true }),
]);

interface HeatmapSlotMessage {
  readonly timestamp: Int64;
  readonly yMin: readonly number[];
  readonly counts: readonly number[];
  readonly exemplars: readonly ExemplarMessage[];
}

const HEATMAP_SLOT: MessageSchema<HeatmapSlotMessage> = message("types.v1.HeatmapSlot", [
  scalar(1, "timestamp", "int64"),
  scalar(2, "y_min", "double", { isRepeated: true }),
  scalar(3, "counts", "int32", { isRepeated: true }),
  nested(4, "exemplars", EXEMPLAR, { isRepeated: true }),
]);

export interface HeatmapSeriesMessage {
  readonly labels: readonly LabelPairMessage[];
  readonly slots: readonly HeatmapSlotMessage[];
}

export const HEATMAP_SERIES: MessageSchema<HeatmapSeriesMessage> = message("types.v1.HeatmapSeries", [
  nested(1, "labels", LABEL_PAIR, { isRepeated: true }),
  nested(2, "slots", HEATMAP_SLOT, { isRepeated: true }),
]);

interface LocationMessage {
  readonly name: string;
}

export const LOCATION: MessageSchema<LocationMessage> = message("types.v1.Location", [scalar(1, "name", "string")]);

interface GoPgoMessage {
  readonly keepLocations: number;
  readonly aggregateCallees: boolean;
}

const GO_PGO: MessageSchema<GoPgoMessage> = message("types.v1.GoPGO", [
  scalar(1, "keep_locations", "uint32"),
  scalar(2, "aggregate_callees", "bool"),
]);

export interface StackTraceSelectorMessage {
  readonly callSite: readonly LocationMessage[];
  readonly goPgo: GoPgoMessage | undefined;
}

export const STACK_TRACE_SELECTOR: MessageSchema<StackTraceSelectorMessage> = message("types.v1.StackTraceSelector", [
  nested(1, "call_site", LOCATION, { isRepeated: true }),
  nested(2, "go_pgo", GO_PGO),
]);

interface GetProfileStatsRequest {
  readonly nothing?: undefined;
}

export const GET_PROFILE_STATS_REQUEST: MessageSchema<GetProfileStatsRequest> = message("types.v1.GetProfileStatsRequest", []);

export interface GetProfileStatsResponse {
  readonly dataIngested: boolean;
  readonly oldestProfileTime: Int64;
  readonly newestProfileTime: Int64;
}

export const GET_PROFILE_STATS_RESPONSE: MessageSchema<GetProfileStatsResponse> = message("types.v1.GetProfileStatsResponse", [
  scalar(1, "data_ingested", "bool"),
  scalar(2, "oldest_profile_time", "int64"),
  scalar(3, "newest_profile_time", "int64"),
]);

export const AGGREGATION_AVERAGE = 1;
export const AGGREGATIONS: readonly string[] = ["TIME_SERIES_AGGREGATION_TYPE_SUM", "TIME_SERIES_AGGREGATION_TYPE_AVERAGE"];

export const EXEMPLARS_INDIVIDUAL = 2;
export const EXEMPLARS_SPAN = 3;
export const EXEMPLAR_TYPES: readonly string[] = ["EXEMPLAR_TYPE_UNSPECIFIED", "EXEMPLAR_TYPE_NONE", "EXEMPLAR_TYPE_INDIVIDUAL", "EXEMPLAR_TYPE_SPAN"];
