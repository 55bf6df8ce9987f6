/**
 * Decides the next step of the flush on the way from the head to sealed segments: cut, seal a cut, or wait. Pure.
 *
 * What must stay true: a cut that cannot be sealed is tried again after its own pause and holds up no other; at most
 * `UNSEALED_COUNT_MAX` cuts are unsealed, so that memory and tries are bounded. At that bound the head is not cut and grows until its
 * disk budget refuses pushes.
 */

export interface FlushView {
  readonly nowMs: number;
  /** Of records that are not cut and that this store is to flush; the same for the next two. */
  readonly openBytes: number;
  readonly openCount: number;
  /** Monotonic age of the oldest; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** A `POST /flush` waits until the records that are not cut yet are flushed. */
  readonly isCutAsked: boolean;
  /** The next cut is not made before this time; 0 where the last one did not fail. */
  readonly cutRetryAtMs: number;
  /** Oldest first. The next try to seal is not made before `retryAtMs`; 0 where none has failed, or where `POST /flush` asked for a try now. */
  readonly unsealed: readonly { readonly cutId: number; readonly retryAtMs: number }[];
}

export interface FlushLimits {
  readonly intervalMs: number;
  readonly sizeBytes: number;
}

export type FlushStep =
  | { readonly kind: "seal"; readonly cutId: number }
  | { readonly kind: "cut"; readonly reason: "asked" | "size" | "age" }
  | { readonly kind: "wait"; readonly untilMs: number };

/** It bounds the rows in memory: each unsealed cut is a generation of at most `--flush-size` encoded bytes. */
export const UNSEALED_COUNT_MAX = 4;
/** The longest wait: how often the head's size and age are looked at. */
export const LOOK_INTERVAL_MS = 500;

export function planFlush(view: FlushView, limits: FlushLimits): FlushStep {
  const { nowMs, unsealed, cutRetryAtMs } = view;
  // The cut that has been due longest comes first. One that was not tried yet has been due since 0, so it comes before those that failed.
  const due = unsealed.filter(({ retryAtMs }) => retryAtMs <= nowMs).sort((a, b) => a.retryAtMs - b.retryAtMs)[0];
  if (due !== undefined) return { kind: "seal", cutId: due.cutId };
  const reason = unsealed.length < UNSEALED_COUNT_MAX ? cutReason(view, limits) : undefined;
  if (reason !== undefined && cutRetryAtMs <= nowMs) return { kind: "cut", reason };
  const times = [nowMs + LOOK_INTERVAL_MS, ...unsealed.map(({ retryAtMs }) => retryAtMs)];
  if (reason !== undefined) times.push(cutRetryAtMs);
  return { kind: "wait", untilMs: Math.min(...times) };
}

function cutReason(view: FlushView, limits: FlushLimits): "asked" | "size" | "age" | undefined {
  if (view.openCount === 0) return undefined;
  if (view.isCutAsked) return "asked";
  if (view.openBytes >= limits.sizeBytes) return "size";
  return view.oldestAgeMs >= limits.intervalMs ? "age" : undefined;
}
