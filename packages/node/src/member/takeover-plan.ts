/**
 * Decides what becomes of a record that another store should have flushed by now. Pure.
 *
 * It takes the record over when each store of a lower rank leaves it to others:
 *
 *   a lower rank says                  then
 *   it is in a segment                 read it there (match); the record leaves once that is in the bucket
 *   buffered                           wait: it flushes it
 *   nothing (no answer)                wait
 *   held for another                   of rank 0: it leaves it to others. Of another rank: wait, since that one takes it over
 *   unknown                            it leaves it to others: it never had it
 *   -  (dead, left, lost, or gone)     it leaves it to others
 *
 * Late, three due times after it came for rank 1 and one more for each further rank, a store takes the record over whatever it hears: two stores may each believe that the other
 * is rank 0, and one may be silent for ever. Two that take over at once put two copies into the bucket, which are counted once.
 */
import type { RecordStatus } from "../cluster/status-message.ts";

export interface OverdueRecord {
  readonly rank: number;
  readonly dueAtMs: number;
}

export interface TakeoverView {
  readonly nowMs: number;
  readonly dueAfterMs: number;
}

/** What the store of a lower rank said; `silent`: it is live and did not answer; `gone`: nobody live has it. */
export type FlusherStatus = RecordStatus | { readonly kind: "silent" | "gone" };

export type TakeoverReason = "gone" | "unknown" | "late";

export type TakeoverStep = { readonly kind: "wait" } | { readonly kind: "take"; readonly reason: TakeoverReason };

/** `said`: by rank, of the stores below this one. One of which nothing is known is silent. */
export function planTakeover({ rank, dueAtMs }: OverdueRecord, said: readonly (FlusherStatus | undefined)[], { nowMs, dueAfterMs }: TakeoverView): TakeoverStep {
  if (nowMs >= dueAtMs + (LATE_DUE_TIMES + rank - 2) * dueAfterMs) return { kind: "take", reason: "late" };
  for (let lower = 0; lower < rank; lower++) {
    const kind = said[lower]?.kind ?? "silent";
    if (kind === "segment" || kind === "buffered" || kind === "silent" || (kind === "held" && lower > 0)) return WAIT;
  }
  return { kind: "take", reason: said[0]?.kind === "gone" ? "gone" : "unknown" };
}

/** Design 7: after three due times the next rank flushes anyway. One due time counts up to `dueAtMs`. */
const LATE_DUE_TIMES = 3;
const WAIT: TakeoverStep = { kind: "wait" };
