/** Virtual time as the clock of one run of a node. Its timers are dropped when the run ends. */
import { sleepBy } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import type { Life, Scheduler } from "./scheduler.ts";

/** How long `nextTurn` takes: the time for which others have the thread. */
const TURN_MS = 0.05;

/** What a machine's clocks show. */
export interface MachineTime {
  /** The wall clock's time when the world began. A jump of the wall clock changes it. */
  epochMs: number;
  /** For how long the machine was suspended so far: its clocks stood still. */
  suspendedMs: number;
}

export function simClock(scheduler: Scheduler, life: Life, time: MachineTime): Clock {
  const monotonicMs = (): number => scheduler.nowMs - time.suspendedMs;
  const nowMs = (): number => Math.floor(time.epochMs + monotonicMs());
  const after: Clock["after"] = (delayMs, run) => scheduler.after(delayMs, life, run);
  return {
    nowMs,
    nowNs: () => BigInt(nowMs()) * 1_000_000n,
    monotonicMs,
    after,
    nextTurn: () => new Promise((resolve) => scheduler.after(TURN_MS, life, resolve)),
    sleep: (delayMs, signal) => sleepBy(after, delayMs, signal),
  };
}
