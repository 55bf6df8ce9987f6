/**
 * What one tenant may do. Names, units and defaults in settings are Pyroscope's own, except that queries have no greatest
 * length or lookback here (its 24h and 7d cut off what is kept), that a burst is 8 MB (its 2 lies below its own limit
 * on one profile), and that `max_adhoc_profiles`, `max_adhoc_profiles_bytes`, `max_adhoc_profile_age`, `max_query_bytes`, `query_allow_partial`, `service_spread`, `repair_truncated_go_stacktraces` and the `max_label_listing` ones are ours. 0 lifts a limit.
 */
import { DEFAULT_QUERY_LIMITS } from "@pyromesh/api";
import type { QueryLimits, WriteLimits } from "@pyromesh/api";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS } from "@pyromesh/profile";
import type { AdHocLimits } from "../adhoc/adhoc-profiles.ts";
import type { WriterLimits } from "../write/writer.ts";
import { booleanKind, countKind, durationKind, megabytesKind } from "./setting.ts";
import type { Setting } from "./setting.ts";

/** Each limit is declared where it is enforced, and this one object is what all of them are asked of: no limit has a second name or unit. */
export interface TenantLimits extends WriteLimits, WriterLimits, QueryLimits, Pick<AdHocLimits, "adHocBytesMax" | "adHocCountMax"> {
  /** The stored bytes of segments that one query may read. */
  readonly queryBytesMax: number;
  /** How many members of a cluster keep this tenant's records. 0: all. */
  readonly tenantShardSize: number;
  /** Over how many members the series of one service are spread. 0, or fewer than keep a record: as many as keep a record. */
  readonly serviceSpread: number;
  /** How long ad hoc profiles are kept. 0: for ever. */
  readonly adHocAgeMs: number;
}

export const LIMITS: { readonly [K in keyof TenantLimits]: Setting<TenantLimits[K]> } = {
  ingestionRateBytesPerSecond: limit("ingestion_rate_mb", megabytesKind, 4 * 2 ** 20, "uncompressed MB a second that a tenant may push"),
  ingestionBurstBytes: limit("ingestion_burst_size_mb", megabytesKind, 8 * 2 ** 20, "MB that may come at once above the rate"),
  ingestionBodyBytesMax: limit("ingestion_body_limit_mb", megabytesKind, 256 * 2 ** 20, "MB of one request, and of what it unpacks to"),
  pushProfilesAtOnceMax: limit("push_max_concurrency", countKind, 256, "profiles of one push worked on at once, the others wait their turn; 256 at most"),
  labelCountMax: limit("max_label_names_per_series", countKind, DEFAULT_PROFILE_LIMITS.labelCountMax, "labels of one series"),
  labelNameLengthBytesMax: limit("max_label_name_length", countKind, DEFAULT_PROFILE_LIMITS.labelNameLengthBytesMax, "bytes of a label's name"),
  labelValueLengthBytesMax: limit("max_label_value_length", countKind, DEFAULT_PROFILE_LIMITS.labelValueLengthBytesMax, "bytes of a label's value"),
  sessionsPerSeriesMax: limit("max_sessions_per_series", countKind, 0, "values of __session_id__ kept apart per series; 0 drops the label"),
  localSeriesMax: limit("max_local_series_per_tenant", countKind, 0, "active series of a tenant on one node; a series is active until 10m after its last push"),
  globalSeriesMax: limit("max_global_series_per_tenant", countKind, 5000, "active series of a tenant on all nodes together"),
  profileSizeBytesMax: limit("max_profile_size_bytes", countKind, DEFAULT_PROFILE_LIMITS.profileSizeBytesMax, "bytes of one profile, unpacked; 16 MiB at most, also where it is 0"),
  sampleCountMax: limit("max_profile_stacktrace_samples", countKind, DEFAULT_PROFILE_LIMITS.sampleCountMax, "samples of one profile"),
  sampleLabelCountMax: limit("max_profile_stacktrace_sample_labels", countKind, DEFAULT_PROFILE_LIMITS.sampleLabelCountMax, "labels of one sample"),
  stacktraceDepthMax: limit("max_profile_stacktrace_depth", countKind, DEFAULT_PROFILE_LIMITS.stacktraceDepthMax, "frames of a stacktrace; deeper ones are cut at the leaf"),
  symbolLengthBytesMax: limit("max_profile_symbol_value_length", countKind, DEFAULT_PROFILE_LIMITS.symbolLengthBytesMax, "bytes of a symbol; longer ones keep their end"),
  repairsGoStacktraces: limit("repair_truncated_go_stacktraces", booleanKind, DEFAULT_PROFILE_LIMITS.repairsGoStacktraces, "give Go stacktraces that the runtime cut off the frames before their root back, as Pyroscope does"),
  rejectOlderThanMs: limit("reject_older_than", durationKind, DEFAULT_ACCEPTANCE_WINDOW.rejectOlderThanMs, "refuse profiles older than this"),
  rejectNewerThanMs: limit("reject_newer_than", durationKind, DEFAULT_ACCEPTANCE_WINDOW.rejectNewerThanMs, "refuse profiles this far in the future"),
  queryLookbackMs: limit("max_query_lookback", durationKind, DEFAULT_QUERY_LIMITS.queryLookbackMs, "how far back a query may start"),
  queryLengthMs: limit("max_query_length", durationKind, DEFAULT_QUERY_LIMITS.queryLengthMs, "longest range of one query"),
  queryBytesMax: limit("max_query_bytes", countKind, 4 * 2 ** 30, "bytes of segments that one query may read; of other members, by themselves, the same"),
  flameGraphNodesDefault: limit("max_flamegraph_nodes_default", countKind, DEFAULT_QUERY_LIMITS.flameGraphNodesDefault, "flame graph nodes where the query names none"),
  flameGraphNodesMax: limit("max_flamegraph_nodes_max", countKind, DEFAULT_QUERY_LIMITS.flameGraphNodesMax, "flame graph nodes, and functions of a top table, a query may ask for"),
  isMergeProfileBounded: limit("max_flamegraph_nodes_on_select_merge_profile", booleanKind, DEFAULT_QUERY_LIMITS.isMergeProfileBounded, "apply both to SelectMergeProfile"),
  labelListingMax: limit("max_label_listing", countKind, DEFAULT_QUERY_LIMITS.labelListingMax, "names, values, types or series that one answer lists, the first in order; an answer that was cut says so"),
  labelListingBytesMax: limit("max_label_listing_bytes", countKind, DEFAULT_QUERY_LIMITS.labelListingBytesMax, "bytes of such an answer, as JSON and uncompressed"),
  tenantShardSize: limit("ingestion_tenant_shard_size", countKind, 0, "members of a cluster that keep this tenant's records; 0: all"),
  serviceSpread: limit("service_spread", countKind, 0, "members over which the series of one service are spread, for a service too large for a few; 0: as many as hold a record"),
  adHocCountMax: limit("max_adhoc_profiles", countKind, 1000, "ad hoc profiles that a tenant may keep; 10,000 at most, also where it is 0"),
  adHocBytesMax: limit("max_adhoc_profiles_bytes", countKind, 2 ** 30, "bytes of them in the bucket"),
  adHocAgeMs: limit("max_adhoc_profile_age", durationKind, 31 * 86_400_000, "ad hoc profiles older than this are deleted; 0 keeps them"),
  isPartialAllowed: limit("query_allow_partial", booleanKind, DEFAULT_QUERY_LIMITS.isPartialAllowed, "answer without what cannot be read, as if each query sent X-Pyromesh-Partial: allow"),
};

/** All limits at one moment. What asks holds no copy: they change while the node runs (live-limits.ts). */
export interface LimitsInForce {
  readonly limits: TenantLimits;
  /** Tenant id -> its own limits, complete (what the override leaves out is filled from `limits`). */
  readonly overrides: ReadonlyMap<string, TenantLimits>;
}

/** The tenant's own limits where `overrides:` names it, else the common ones. */
export function limitsFor(inForce: LimitsInForce, tenant: string): TenantLimits {
  return inForce.overrides.get(tenant) ?? inForce.limits;
}

/** Under Pyroscope's names, in the units those names carry: what `/api/v1/tenant_limits` shows. */
export function printLimits(limits: TenantLimits): Record<string, number | boolean | string> {
  const printed: Record<string, number | boolean | string> = {};
  for (const [name, { key, kind }] of Object.entries(LIMITS) as [keyof TenantLimits, Setting<unknown>][]) {
    // Every kind of a limit prints one value: none is a list, none may be absent.
    printed[key.slice("limits.".length)] = kind.print(limits[name]) as number | boolean | string;
  }
  return printed;
}

function limit<T>(name: string, kind: Setting<T>["kind"], byDefault: T, help: string): Setting<T> {
  return { key: `limits.${name}`, kind, default: byDefault, help };
}
