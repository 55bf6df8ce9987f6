/** Virtual time as the node's clock. Its timers end with the life they belong to. */
import type { Clock } from "@pyromesh/base";
import type { Life, Scheduler } from "./scheduler.ts";

/** How long others have the thread when someone gives them a turn. */
const TURN_MS = 0.05;

/** `epochMs`: what the wall clock showed when the world began. */
export function simClock(scheduler: Scheduler, life: Life, epochMs: number): Clock {
  const nowMs = (): number => Math.floor(epochMs + scheduler.nowMs);
  return {
    nowMs,
    nowNs: () => BigInt(nowMs()) * 1_000_000n,
    monotonicMs: () => scheduler.nowMs,
    after: (delayMs, run) => scheduler.after(delayMs, life, run),
    nextTurn: () => new Promise((resolve) => scheduler.after(TURN_MS, life, resolve)),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason as Error);
        const onAbort = (): void => {
          timer.cancel();
          reject(signal?.reason as Error);
        };
        const timer = scheduler.after(delayMs, life, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
