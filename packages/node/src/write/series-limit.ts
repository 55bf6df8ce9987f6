/** Decides how many series of a tenant may be active on this node, and words the refusal of one more. Pure. */
import { CodedError } from "@pyromesh/base";

/** Both limits of a tenant; 0 lifts a limit. */
export interface SeriesLimits {
  /** `max_local_series_per_tenant`: series of the tenant on one node. */
  readonly localSeriesMax: number;
  /** `max_global_series_per_tenant`: series of the tenant on all nodes together. */
  readonly globalSeriesMax: number;
}

/** Part of the global limit that a cluster may exceed it by: it lets series that are active on one node move to another. */
const MOVING_PART = 0.1;

/**
 * The lower of the two limits; undefined where both are lifted. `elsewhereCount`: active series that only other members of the cluster have; they take their
 * part of the global limit.
 */
export function seriesCountMax({ localSeriesMax, globalSeriesMax }: SeriesLimits, elsewhereCount = 0): number | undefined {
  const globalMax = elsewhereCount === 0 ? globalSeriesMax : Math.max(0, Math.floor(globalSeriesMax * (1 + MOVING_PART)) - elsewhereCount);
  if (localSeriesMax === 0) return globalSeriesMax === 0 ? undefined : globalMax;
  return globalSeriesMax === 0 ? localSeriesMax : Math.min(localSeriesMax, globalMax);
}

/** True where a record of these series may be kept: an active series is never refused, and a new one only where the limit has no room. */
export function isAdmitted({ newCount, activeCount, countMax }: { readonly newCount: number; readonly activeCount: number; readonly countMax: number | undefined }): boolean {
  return newCount === 0 || countMax === undefined || activeCount + newCount <= countMax;
}

/**
 * True where label sets that are not known yet may be worked on. Each brings at least one series, so where the limit has no room for so many the
 * push is refused before anything is decoded. `unattributedCount` series, active since the start, may turn out to belong to these label sets.
 * Where there are as many of them as new label sets none is refused, also while more series are active than the limit allows: it may have been lowered.
 */
export function hasRoom({ newCount, arrivingCount, activeCount, unattributedCount, countMax }: Room): boolean {
  return newCount === 0 || arrivingCount + newCount <= unattributedCount || activeCount - unattributedCount + arrivingCount + newCount <= countMax;
}

export interface Room {
  readonly newCount: number;
  /** Label sets that other pushes under way have announced. */
  readonly arrivingCount: number;
  readonly activeCount: number;
  readonly unattributedCount: number;
  readonly countMax: number;
}

/** Idle series leave once a minute, so there is no room earlier. */
const RETRY_AFTER_SECONDS = 60;

export interface SeriesRefusal {
  readonly limits: SeriesLimits;
  readonly activeCount: number;
  /** How many of the profile's records were refused. */
  readonly refusedCount: number;
  readonly recordCount: number;
}

export function seriesLimited({ limits, activeCount, refusedCount, recordCount }: SeriesRefusal): CodedError {
  const countMax = seriesCountMax(limits) ?? 0;
  const name = limitName(limits);
  const kept = recordCount - refusedCount;
  const what = kept === 0 ? "the profile would begin a new series" : `${refusedCount} of the ${recordCount} label sets of the profile would begin a new series and are not stored (the other ${kept} are)`;
  return new CodedError({
    code: "SERIES_LIMIT",
    kind: "resource_exhausted",
    message: `${what}: the tenant has ${activeCount} active series of at most ${countMax} (limit ${name}): send fewer labels or values, wait until series are idle for 10 minutes, or raise the limit`,
    details: { reason: "series_limit", activeCount, seriesCountMax: countMax, retryAfterSeconds: RETRY_AFTER_SECONDS },
  });
}

export interface LabelSetRefusal {
  readonly limits: SeriesLimits;
  readonly activeCount: number;
  /** Label sets of the push that are not active yet; none of them is stored. */
  readonly newCount: number;
  /** Label sets of the push, each once. */
  readonly labelSetCount: number;
}

/** One refusal for all new label sets of a push. It has no time to try again where the push has more label sets than may ever be active at once: waiting does not help then. */
export function labelSetsLimited({ limits, activeCount, newCount, labelSetCount }: LabelSetRefusal): CodedError {
  const countMax = seriesCountMax(limits) ?? 0;
  const name = limitName(limits);
  const details = { reason: "series_limit", activeCount, seriesCountMax: countMax };
  const sets = newCount === 1 ? "the profile would begin a new series" : `the push would begin ${newCount} new series or more`;
  if (labelSetCount > countMax) {
    return new CodedError({
      code: "PUSH_SERIES_ABOVE_LIMIT",
      kind: "invalid_argument",
      message: `${sets} and has ${labelSetCount} label sets, above the ${countMax} that a tenant may have active at once (limit ${name}): send fewer labels or values, or raise the limit`,
      details,
    });
  }
  return new CodedError({
    code: "SERIES_LIMIT",
    kind: "resource_exhausted",
    message: `${sets}: the tenant has ${activeCount} active series of at most ${countMax} (limit ${name}): send fewer labels or values, wait until series are idle for 10 minutes, or raise the limit`,
    details: { ...details, retryAfterSeconds: RETRY_AFTER_SECONDS },
  });
}

function limitName(limits: SeriesLimits): string {
  return seriesCountMax(limits) === limits.localSeriesMax ? "max_local_series_per_tenant" : "max_global_series_per_tenant";
}
