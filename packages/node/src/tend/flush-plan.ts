/** When the head is cut: pure. */

export interface FlushView {
  readonly openBytes: number;
  readonly openCount: number;
  /** Monotonic age of the oldest record not yet cut; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** Cuts not yet sealed: a second one waits for the first, so that memory holds at most two generations. */
  readonly unsealedCount: number;
}

export interface FlushLimits {
  readonly intervalMs: number;
  readonly sizeBytes: number;
}

export type FlushReason = "age" | "size";

export function planFlush(view: FlushView, limits: FlushLimits): FlushReason | undefined {
  if (view.openCount === 0 || view.unsealedCount > 0) return undefined;
  if (view.openBytes >= limits.sizeBytes) return "size";
  if (view.oldestAgeMs >= limits.intervalMs) return "age";
  return undefined;
}
