/**
 * Decides what becomes of a record that another store should have flushed by now. Pure.
 *
 *   rank 0 says                        then
 *   it is in a segment                 read it there (match); the record leaves once that is in the bucket
 *   buffered                           wait: it flushes it
 *   nothing (no answer)                wait
 *   held for another, or unknown       the next live rank takes it over
 *   -  (dead, left, lost, or gone)     the next live rank takes it over
 *
 * Late, three due times after it came for rank 1 and one more for each further rank, a store takes the record over whatever it hears: two stores may each believe that the other
 * is rank 0, and one may be silent for ever. Two that take over at once put two copies into the bucket, which are counted once.
 */
import type { RecordStatus } from "../cluster/status-message.ts";

export interface OverdueRecord {
  readonly rank: number;
  /** Store ids in the order of their ranks. */
  readonly stores: readonly string[];
  readonly dueAtMs: number;
}

export interface TakeoverView {
  readonly nowMs: number;
  readonly dueAfterMs: number;
  /** A member that is active or leaving has this store. */
  readonly isLive: (storeId: string) => boolean;
}

/** What the store of rank 0 said; `silent`: it is live and did not answer; `gone`: nobody live has it. */
export type FlusherStatus = RecordStatus | { readonly kind: "silent" | "gone" };

export type TakeoverReason = "gone" | "unknown" | "late";

export type TakeoverStep = { readonly kind: "wait" } | { readonly kind: "take"; readonly reason: TakeoverReason };

export function planTakeover({ rank, stores, dueAtMs }: OverdueRecord, status: FlusherStatus, { nowMs, dueAfterMs, isLive }: TakeoverView): TakeoverStep {
  if (nowMs >= dueAtMs + (LATE_DUE_TIMES + rank - 2) * dueAfterMs) return { kind: "take", reason: "late" };
  if (status.kind === "segment" || status.kind === "buffered" || status.kind === "silent") return WAIT;
  for (let lower = 1; lower < rank; lower++) if (isLive(stores[lower]!)) return WAIT;
  return { kind: "take", reason: status.kind === "gone" ? "gone" : "unknown" };
}

/** Design 7: after three due times the next rank flushes anyway. One due time counts up to `dueAtMs`. */
const LATE_DUE_TIMES = 3;
const WAIT: TakeoverStep = { kind: "wait" };
