/** The services of a node with their methods, for clients that ask for them; `proto/` has the same as `.proto` files. */
import * as adHoc from "./adhocprofiles-v1.ts";
import * as about from "./about-v1.ts";
import * as health from "./grpc-health-v1.ts";
import { EXPORT_PROFILES_REQUEST } from "./otlp-profiles-v1.ts";
import { EXPORT_PROFILES_RESPONSE } from "./otlp-v1.ts";
import { PPROF } from "./pprof-v1.ts";
import * as push from "./push-v1.ts";
import * as own from "./pyromesh-query-v1.ts";
import * as q from "./querier-v1.ts";
import type { MessageSchema } from "./schema.ts";
import * as t from "./types-v1.ts";

export interface ServiceMethod {
  readonly name: string;
  readonly request: MessageSchema<object>;
  readonly response: MessageSchema<object>;
  /** The answer is a stream of messages. */
  readonly isStream: boolean;
}

function method(name: string, request: MessageSchema<object>, response: MessageSchema<object>, isStream = false): ServiceMethod {
  return { name, request, response, isStream };
}

/** Name -> methods. */
export const SERVICES: ReadonlyMap<string, readonly ServiceMethod[]> = new Map([
  ["push.v1.PusherService", [method("Push", push.PUSH_REQUEST, push.PUSH_RESPONSE)]],
  [
    "querier.v1.QuerierService",
    [
      method("ProfileTypes", q.PROFILE_TYPES_REQUEST, q.PROFILE_TYPES_RESPONSE),
      method("LabelValues", t.LABEL_VALUES_REQUEST, t.LABEL_VALUES_RESPONSE),
      method("LabelNames", t.LABEL_NAMES_REQUEST, t.LABEL_NAMES_RESPONSE),
      method("Series", q.SERIES_REQUEST, q.SERIES_RESPONSE),
      method("SelectMergeStacktraces", q.SELECT_MERGE_STACKTRACES_REQUEST, q.SELECT_MERGE_STACKTRACES_RESPONSE),
      method("SelectMergeSpanProfile", q.SELECT_MERGE_SPAN_PROFILE_REQUEST, q.SELECT_MERGE_SPAN_PROFILE_RESPONSE),
      method("SelectMergeProfile", q.SELECT_MERGE_PROFILE_REQUEST, PPROF),
      method("SelectSeries", q.SELECT_SERIES_REQUEST, q.SELECT_SERIES_RESPONSE),
      method("SelectHeatmap", q.SELECT_HEATMAP_REQUEST, q.SELECT_HEATMAP_RESPONSE),
      method("Diff", q.DIFF_REQUEST, q.DIFF_RESPONSE),
      method("GetProfileStats", t.GET_PROFILE_STATS_REQUEST, t.GET_PROFILE_STATS_RESPONSE),
      method("AnalyzeQuery", q.ANALYZE_QUERY_REQUEST, q.ANALYZE_QUERY_RESPONSE),
    ],
  ],
  [
    "adhocprofiles.v1.AdHocProfileService",
    [
      method("Upload", adHoc.AD_HOC_UPLOAD_REQUEST, adHoc.AD_HOC_GET_RESPONSE),
      method("Get", adHoc.AD_HOC_GET_REQUEST, adHoc.AD_HOC_GET_RESPONSE),
      method("List", adHoc.AD_HOC_LIST_REQUEST, adHoc.AD_HOC_LIST_RESPONSE),
      method("Diff", adHoc.AD_HOC_DIFF_REQUEST, adHoc.AD_HOC_DIFF_RESPONSE),
    ],
  ],
  ["opentelemetry.proto.collector.profiles.v1development.ProfilesService", [method("Export", EXPORT_PROFILES_REQUEST, EXPORT_PROFILES_RESPONSE)]],
  ["pyromesh.query.v1.QueryService", [method("SelectTopTable", own.SELECT_TOP_TABLE_REQUEST, own.SELECT_TOP_TABLE_RESPONSE)]],
  ["version.v1.Version", [method("Version", about.VERSION_REQUEST, about.VERSION_RESPONSE)]],
  ["capabilities.v1.FeatureFlagsService", [method("GetFeatureFlags", about.GET_FEATURE_FLAGS_REQUEST, about.GET_FEATURE_FLAGS_RESPONSE)]],
  ["grpc.health.v1.Health", [method("Check", health.HEALTH_CHECK_REQUEST, health.HEALTH_CHECK_RESPONSE), method("Watch", health.HEALTH_CHECK_REQUEST, health.HEALTH_CHECK_RESPONSE, true)]],
]);
