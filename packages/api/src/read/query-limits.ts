/**
 * Checks a query against the limits of its tenants (time range, number of nodes) before any work is done. The names and the default
 * numbers of nodes are Pyroscope's. Length and lookback are unlimited by default.
 */
import { invalidArgument } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import type { Int64, ListingBounds } from "@pyromesh/profile";

export interface QueryLimits {
  /** `limits.max_query_length`; 0: unlimited. */
  readonly queryLengthMs: number;
  /** `limits.max_query_lookback`; 0: unlimited. An older range gets an empty answer, not an error: Grafana's health check queries 1970. */
  readonly queryLookbackMs: number;
  /** `limits.max_flamegraph_nodes_default`. */
  readonly flameGraphNodesDefault: number;
  /** `limits.max_flamegraph_nodes_max`; 0: unlimited. */
  readonly flameGraphNodesMax: number;
  /** `limits.max_flamegraph_nodes_on_select_merge_profile`: the two limits above apply to a pprof too. */
  readonly isMergeProfileBounded: boolean;
  /** `limits.max_label_listing`: entries of an answer that lists labels, types or series; 0: unlimited. */
  readonly labelListingMax: number;
  /** `limits.max_label_listing_bytes`: size of such an answer in JSON; 0: unlimited. */
  readonly labelListingBytesMax: number;
  /** `limits.query_allow_partial`: every answer may lack what cannot be read, without `X-Pyromesh-Partial: allow`. */
  readonly isPartialAllowed: boolean;
}

export const DEFAULT_QUERY_LIMITS: QueryLimits = {
  queryLengthMs: 0,
  queryLookbackMs: 0,
  flameGraphNodesDefault: 8192,
  flameGraphNodesMax: 1_048_576,
  isMergeProfileBounded: false,
  labelListingMax: 100_000,
  labelListingBytesMax: 16 * 2 ** 20,
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
    queryLengthMs: smallest((limits) => limits.queryLengthMs),
    queryLookbackMs: smallest((limits) => limits.queryLookbackMs),
    flameGraphNodesDefault: smallest((limits) => limits.flameGraphNodesDefault),
    flameGraphNodesMax: smallest((limits) => limits.flameGraphNodesMax),
    isMergeProfileBounded: all.some((limits) => limits.isMergeProfileBounded),
    labelListingMax: smallest((limits) => limits.labelListingMax),
    labelListingBytesMax: smallest((limits) => limits.labelListingBytesMax),
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
  const oldestMs = limits.queryLookbackMs > 0 ? nowMs - limits.queryLookbackMs : 0;
  if (end < oldestMs || start > TIME_MS_MAX) return NOTHING;
  const startMs = Math.max(Number(start), oldestMs, 0);
  const endMs = Math.min(Number(end), TIME_MS_MAX);
  if (limits.queryLengthMs > 0 && endMs - startMs > limits.queryLengthMs) {
    throw invalidArgument(
      "QUERY_TOO_LONG",
      `the query spans ${Math.ceil((endMs - startMs) / 1000)}s, over the ${Math.floor(limits.queryLengthMs / 1000)}s of max_query_length: ask for less, or raise the limit`,
    );
  }
  return { startMs, endMs };
}

/** Absent or 0: the default. Throws MAX_NODES_INVALID. */
export function checkMaxNodes(asked: Int64 | undefined, limits: QueryLimits): number {
  const maxNodes = Number(asked ?? 0);
  if (maxNodes < 0) throw invalidArgument("MAX_NODES_INVALID", `max_nodes is ${maxNodes}: send a positive number, or none for the default`);
  if (maxNodes === 0) return limits.flameGraphNodesDefault;
  if (limits.flameGraphNodesMax > 0 && maxNodes > limits.flameGraphNodesMax) {
    throw invalidArgument("MAX_NODES_INVALID", `max_nodes is ${maxNodes}, over the limit of ${limits.flameGraphNodesMax} (max_flamegraph_nodes_max): ask for fewer`);
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
  for (const [name, lengthMsMax] of [["max_query_length", limits.queryLengthMs], ["max_query_lookback", limits.queryLookbackMs]] as const) {
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
  return { entryCountMax: limits.labelListingMax, bytesMax: limits.labelListingBytesMax };
}

function checkLimit(asked: Int64 | undefined, without: string): number {
  const limit = Number(asked ?? 0);
  if (limit < 0) throw invalidArgument("LIMIT_INVALID", `limit is ${limit}: send a positive number, or none for ${without}`);
  return limit;
}
