/** How many series of a tenant may be active on this node, and what is said when one more is not taken. Pure. */
import { CodedError } from "@pyromesh/base";

/** 0 lifts a limit. */
export interface SeriesLimits {
  /** `max_local_series_per_tenant`: of one node. */
  readonly localSeriesMax: number;
  /** `max_global_series_per_tenant`: of all nodes together. */
  readonly globalSeriesMax: number;
}

/**
 * The lower of the two; undefined: no limit. One node has all series of a tenant, so its share of the global limit is the
 * whole; a cluster's node takes global x replication / members.
 */
export function seriesCountMax({ localSeriesMax, globalSeriesMax }: SeriesLimits): number | undefined {
  if (localSeriesMax === 0) return globalSeriesMax === 0 ? undefined : globalSeriesMax;
  return globalSeriesMax === 0 ? localSeriesMax : Math.min(localSeriesMax, globalSeriesMax);
}

/** Whether a record of these series may be kept: none that is active is refused, and no new one goes past the limit. */
export function isAdmitted({ newCount, activeCount, countMax }: { readonly newCount: number; readonly activeCount: number; readonly countMax: number | undefined }): boolean {
  return newCount === 0 || countMax === undefined || activeCount + newCount <= countMax;
}

/**
 * Whether label sets that are not known yet may be worked on. Each brings one series at least, so a tenant that has no room for so many
 * is refused before anything is decoded. `unattributedCount`: active series that may turn out to be theirs (after a start). Where all of
 * them may have one of these, none is refused: more series may be active than the limit allows, since it can be lowered.
 */
export function hasRoom({ newCount, arrivingCount, activeCount, unattributedCount, countMax }: Room): boolean {
  return newCount === 0 || arrivingCount + newCount <= unattributedCount || activeCount - unattributedCount + arrivingCount + newCount <= countMax;
}

export interface Room {
  readonly newCount: number;
  /** Of other pushes, which are being worked on. */
  readonly arrivingCount: number;
  readonly activeCount: number;
  readonly unattributedCount: number;
  readonly countMax: number;
}

/** Idle series leave once a minute, so there is no room before. */
const RETRY_AFTER_SECONDS = 60;

export interface SeriesRefusal {
  readonly limits: SeriesLimits;
  readonly activeCount: number;
  /** Of the profile's records. */
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

/** One refusal for all new label sets of a push. More than may ever be active at once is the caller's to change: waiting helps nobody. */
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
