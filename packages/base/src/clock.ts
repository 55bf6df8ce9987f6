/**
 * Time as a module that is passed in, so that tests and the simulator can replace it. Only this file reads the real clock;
 * `scripts/check-imports.mjs` refuses `Date.now` and timers elsewhere.
 */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since the epoch. May jump. */
  nowMs(): number;
  /** Wall clock, nanoseconds since the epoch. May jump. */
  nowNs(): bigint;
  /** Milliseconds that never go back, for measuring and for timeouts. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`, unless it is cancelled. A pending timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Resolves when other work that is due on this thread has run: timers, answers of threads and disks, requests. */
  nextTurn(): Promise<void>;
  /** Resolves after `delayMs`; rejects with the signal's reason where it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowNs: () => BigInt(Date.now()) * 1_000_000n,
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    return startTimer(delayMs, run, { keepsProcess: false });
  },
  nextTurn: () => new Promise((resolve) => void setImmediate(resolve)),
  sleep: (delayMs, signal) => sleepBy((ms, run) => startTimer(ms, run, { keepsProcess: true }), delayMs, signal),
};

/** `sleep` of a clock whose `after` this is. */
export function sleepBy(after: Clock["after"], delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error); // abort() accepts anything as a reason
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The longest wait of a timer of Node.js, some 25 days. With a longer one it would fire after a millisecond. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A longer wait is made of several timers, one after another. */
function startTimer(delayMs: number, run: () => void, { keepsProcess }: { readonly keepsProcess: boolean }): Timer {
  let handle: NodeJS.Timeout;
  const wait = (leftMs: number): void => {
    handle = leftMs > TIMER_MS_MAX ? setTimeout(() => wait(leftMs - TIMER_MS_MAX), TIMER_MS_MAX) : setTimeout(run, leftMs);
    if (!keepsProcess) handle.unref();
  };
  wait(delayMs);
  return { cancel: () => clearTimeout(handle) };
}

/**
 * A clock whose monotonic time and waits pass `factor` times as fast; wall-clock time does not change. Tests use it for work that is done
 * once a minute.
 */
export function fasterClock(clock: Clock, factor: number): Clock {
  return {
    nowMs: () => clock.nowMs(),
    nowNs: () => clock.nowNs(),
    monotonicMs: () => clock.monotonicMs() * factor,
    after: (delayMs, run) => clock.after(delayMs / factor, run),
    nextTurn: () => clock.nextTurn(),
    sleep: (delayMs, signal) => clock.sleep(delayMs / factor, signal),
  };
}
