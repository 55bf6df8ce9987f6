/**
 * Whether this node's wall clock may be believed where it decides what is deleted: a clock that jumps deletes nothing (design 9). Pure.
 *
 *   the bucket's Date, and the median of the other members    each that is known must be within AHEAD_MS_MAX of this clock
 *   there is none of either, as on one node with a folder     this clock must have run with the monotonic one since the start
 *
 * A machine that was suspended looks like a clock that jumped, since the monotonic clock stood still. Where others agree with this clock they
 * are believed; a node without any deletes nothing until it is started again. Where there are members and none says the time, nothing is deleted
 * unless the bucket agrees: a node that is cut off may be the one whose clock is wrong. What a node without any cannot notice is a clock
 * that was wrong already at its start.
 */
export const AHEAD_MS_MAX: number = 60_000;

/** Positive: the other clock is ahead of this one. */
export interface ClockReadings {
  /** Undefined: the bucket has no clock of its own. */
  readonly bucketAheadMs: number | undefined;
  /** The other members, whether they answered or not. */
  readonly memberCount: number;
  /** Of the members that said theirs. */
  readonly membersAheadMs: readonly number[];
  /** How far this clock came since the start beyond the monotonic one. */
  readonly jumpedMs: number;
}

/** Why nothing may be deleted; undefined: the clock is believed. */
export function clockProblem({ bucketAheadMs, memberCount, membersAheadMs, jumpedMs }: ClockReadings): string | undefined {
  if (bucketAheadMs !== undefined && isApart(bucketAheadMs)) return `the bucket's clock is ${apart(bucketAheadMs)}`;
  const medianMs = medianOf(membersAheadMs);
  if (medianMs !== undefined && isApart(medianMs)) return `the median clock of ${membersAheadMs.length} other members is ${apart(medianMs)}`;
  if (bucketAheadMs !== undefined || medianMs !== undefined) return undefined;
  if (memberCount > 0) return `none of the ${memberCount} other members says its time, and the bucket has no clock`;
  if (isApart(jumpedMs)) return `it jumped by ${seconds(jumpedMs)} s since the start, or the machine was suspended, and nobody else can say the time`;
  return undefined;
}

function isApart(aheadMs: number): boolean {
  return !(Math.abs(aheadMs) <= AHEAD_MS_MAX); // and no number is no agreement
}

/** Of an even number the one farther from this clock: half of the others may be as wrong as this one. */
function medianOf(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)]!, sorted[Math.floor(sorted.length / 2)]!];
  return Math.abs(low) > Math.abs(high) ? low : high;
}

function apart(aheadMs: number): string {
  return `${seconds(Math.abs(aheadMs))} s ${aheadMs > 0 ? "ahead of" : "behind"} this node's`;
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}
