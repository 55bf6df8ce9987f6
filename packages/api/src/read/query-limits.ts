/**
 * Checks a query against the limits of its tenants (time range, number of nodes) before any work is done. The names and the default
 * numbers of nodes are Pyroscope's. Length and lookback are unlimited by default.
 */
import { invalidArgument } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import type { Int64, ListingBounds } from "@pyromesh/profile";

export interface QueryLimits {
  /** `limits.max_query_length`; 0: unlimited. */
  readonly maxQueryLengthMs: number;
  /** `limits.max_query_lookback`; 0: unlimited. An older range gets an empty answer, not an error: Grafana's health check queries 1970. */
  readonly maxQueryLookbackMs: number;
  /** `limits.max_flamegraph_nodes_default`. */
  readonly maxFlamegraphNodesDefault: number;
  /** `limits.max_flamegraph_nodes_max`; 0: unlimited. */
  readonly maxFlamegraphNodesMax: number;
  /** `limits.max_flamegraph_nodes_on_select_merge_profile`: the two limits above apply to a pprof too. */
  readonly isMergeProfileBounded: boolean;
  /** `limits.max_label_listing`: entries of an answer that lists labels, types or series; 0: unlimited. */
  readonly maxLabelListing: number;
  /** `limits.max_label_listing_bytes`: size of such an answer in JSON; 0: unlimited. */
  readonly maxLabelListingBytes: number;
  /** `limits.query_allow_partial`: every answer may lack what cannot be read, without `X-Pyromesh-Partial: allow`. */
  readonly isPartialAllowed: boolean;
}

export const DEFAULT_QUERY_LIMITS: QueryLimits = {
  maxQueryLengthMs: 0,
  maxQueryLookbackMs: 0,
  maxFlamegraphNodesDefault: 8192,
  maxFlamegraphNodesMax: 1_048_576,
  isMergeProfileBounded: false,
  maxLabelListing: 100_000,
  maxLabelListingBytes: 16 * 2 ** 20,
  isPartialAllowed: false,
};

/** The limits of a query over several tenants: the strictest of each. */
export function limitsOfAll(tenants: readonly TenantId[], limitsOf: (tenant: TenantId) => QueryLimits): QueryLimits {
  const all = tenants.map(limitsOf);
  const smallest = (pick: (limits: QueryLimits) => number): number => {
    const positive = all.map(pick).filter((value) => value > 0);
    return positive.length === 0 ? 0 : Math.min(...positive);
  };
  return {
    maxQueryLengthMs: smallest((limits) => limits.maxQueryLengthMs),
    maxQueryLookbackMs: smallest((limits) => limits.maxQueryLookbackMs),
    maxFlamegraphNodesDefault: smallest((limits) => limits.maxFlamegraphNodesDefault),
    maxFlamegraphNodesMax: smallest((limits) => limits.maxFlamegraphNodesMax),
    isMergeProfileBounded: all.some((limits) => limits.isMergeProfileBounded),
    maxLabelListing: smallest((limits) => limits.maxLabelListing),
    maxLabelListingBytes: smallest((limits) => limits.maxLabelListingBytes),
    isPartialAllowed: all.length > 0 && all.every((limits) => limits.isPartialAllowed),
  };
}

export interface TimeRange {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * Replaces a range that lies wholly before the lookback. No profile has this time (one without a time gets another), so each endpoint
 * gives its own form of an empty answer.
 */
const NOTHING: TimeRange = { startMs: 0, endMs: 0 };

/** The last millisecond whose nanoseconds fit int64. */
const TIME_MS_MAX = 9_223_372_036_854;

/** Throws TIME_RANGE_MISSING, TIME_RANGE_BACKWARDS or QUERY_TOO_LONG. */
export function checkRange(start: Int64, end: Int64, nowMs: number, limits: QueryLimits): TimeRange {
  if (Number(start) === 0 || Number(end) === 0) {
    throw invalidArgument("TIME_RANGE_MISSING", "missing time range in the query: send start and end, in milliseconds since 1970");
  }
  if (start > end) throw invalidArgument("TIME_RANGE_BACKWARDS", "query start time is after end time: swap them");
  const oldestMs = limits.maxQueryLookbackMs > 0 ? nowMs - limits.maxQueryLookbackMs : 0;
  if (end < oldestMs || start > TIME_MS_MAX) return NOTHING;
  const startMs = Math.max(Number(start), oldestMs, 0);
  const endMs = Math.min(Number(end), TIME_MS_MAX);
  if (limits.maxQueryLengthMs > 0 && endMs - startMs > limits.maxQueryLengthMs) {
    throw invalidArgument(
      "QUERY_TOO_LONG",
      `the query spans ${Math.ceil((endMs - startMs) / 1000)}s, over the ${Math.floor(limits.maxQueryLengthMs / 1000)}s of max_query_length: ask for less, or raise the limit`,
    );
  }
  return { startMs, endMs };
}

/** Absent or 0: the default. Throws MAX_NODES_INVALID. */
export function checkMaxNodes(asked: Int64 | undefined, limits: QueryLimits): number {
  const maxNodes = Number(asked ?? 0);
  if (maxNodes < 0) throw invalidArgument("MAX_NODES_INVALID", `max_nodes is ${maxNodes}: send a positive number, or none for the default`);
  if (maxNodes === 0) return limits.maxFlamegraphNodesDefault;
  if (limits.maxFlamegraphNodesMax > 0 && maxNodes > limits.maxFlamegraphNodesMax) {
    throw invalidArgument("MAX_NODES_INVALID", `max_nodes is ${maxNodes}, over the limit of ${limits.maxFlamegraphNodesMax} (max_flamegraph_nodes_max): ask for fewer`);
  }
  return maxNodes;
}

/** All nodes (0), unless the caller asks for fewer, or the tenant's limits apply to pprof. */
export function checkPprofNodes(asked: Int64 | undefined, limits: QueryLimits): number {
  if (limits.isMergeProfileBounded) return checkMaxNodes(asked, limits);
  const maxNodes = Number(asked ?? 0);
  if (maxNodes < 0) throw invalidArgument("MAX_NODES_INVALID", `max_nodes is ${maxNodes}: send a positive number, or none for the whole profile`);
  return maxNodes;
}

/** The step is in seconds. Throws STEP_INVALID, or QUERY_TOO_LONG: the first point reads one step before the range. */
export function checkStep(stepSeconds: number, limits: QueryLimits): number {
  // Without the addend 0.07 s * 1000 is 70.00000000000001, and other products are just below a whole number.
  const stepMs = Math.floor(stepSeconds * 1000 + 1e-6);
  if (!Number.isFinite(stepSeconds) || stepMs < 1) throw invalidArgument("STEP_INVALID", "step must be >= 1ms: send it in seconds, for example 15");
  for (const [name, lengthMsMax] of [["max_query_length", limits.maxQueryLengthMs], ["max_query_lookback", limits.maxQueryLookbackMs]] as const) {
    if (lengthMsMax > 0 && stepMs > lengthMsMax) {
      throw invalidArgument("QUERY_TOO_LONG", `a step of ${stepSeconds}s is over the ${Math.floor(lengthMsMax / 1000)}s of ${name}: ask for a shorter one, or raise the limit`);
    }
  }
  return Math.min(stepMs, TIME_MS_MAX);
}

/** 0: all series, also where it is absent. Throws LIMIT_INVALID. */
export function checkSeriesLimit(asked: Int64 | undefined): number {
  return checkLimit(asked, "all series");
}

/** 0: as many as `listingBounds` allow, also where it is absent. Throws LIMIT_INVALID. */
export function checkListingLimit(asked: Int64 | undefined): number {
  return checkLimit(asked, "as many as max_label_listing allows");
}

export function listingBounds(limits: QueryLimits): ListingBounds {
  return { entryCountMax: limits.maxLabelListing, bytesMax: limits.maxLabelListingBytes };
}

function checkLimit(asked: Int64 | undefined, without: string): number {
  const limit = Number(asked ?? 0);
  if (limit < 0) throw invalidArgument("LIMIT_INVALID", `limit is ${limit}: send a positive number, or none for ${without}`);
  return limit;
}
