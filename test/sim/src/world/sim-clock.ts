/** Virtual time as the clock of one run of a node. Its timers are dropped when the run ends. */
import type { Clock } from "@pyromesh/base";
import type { Life, Scheduler } from "./scheduler.ts";

/** How long `nextTurn` takes: the time for which others have the thread. */
const TURN_MS = 0.05;

/** `epochMs` is the wall clock's time when the world began. */
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
