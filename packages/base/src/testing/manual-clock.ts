/** A clock that moves only when a test moves it. Timers run in the order of their times. */
import { sleepBy } from "../clock.ts";
import type { Clock, Timer } from "../clock.ts";

interface Pending {
  readonly delayMs: number;
  readonly atMs: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  /** How far `jumpWall` has moved the wall clock. */
  #wallOffsetMs = 0;
  readonly #pending = new Set<Pending>();
  readonly #onTimerSet = new Set<() => void>();

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  nowNs(): bigint {
    return BigInt(this.nowMs()) * 1_000_000n;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { delayMs, atMs: this.#nowMs + delayMs, run };
    this.#pending.add(timer);
    for (const onTimerSet of this.#onTimerSet) onTimerSet();
    return { cancel: () => this.#pending.delete(timer) };
  }

  /** The turns of the event loop go on: promises and files do. */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve));
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepBy((ms, run) => this.after(ms, run), delayMs, signal);
  }

  get timerCount(): number {
    return this.#pending.size;
  }

  /** Resolves when a timer that was set for `delayMs` is pending: whatever a test waits for has come so far. */
  untilTimer(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (![...this.#pending].some((timer) => timer.delayMs === delayMs)) return;
        this.#onTimerSet.delete(check);
        resolve();
      };
      this.#onTimerSet.add(check);
      check();
    });
  }

  /** The wall clock is set to another time; no timer is due by it. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Time passes and no timer runs, as while the process is stopped. Those that are due then run late, at the next `advance`. */
  standStill(byMs: number): void {
    this.#nowMs += byMs;
  }

  /** Runs the timers that are due by then. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const [next] = [...this.#pending].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }
}
