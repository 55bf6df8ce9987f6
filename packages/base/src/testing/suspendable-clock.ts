/** The clock of a machine that can be suspended: while it is, its clocks stand still, both of them, and nothing on it runs. Time comes from the clock that it is made over. */
import { sleepBy } from "../clock.ts";
import type { Clock, Timer } from "../clock.ts";

export class SuspendableClock implements Clock {
  readonly #time: Clock;
  /** How long it has stood still, all times together. */
  #stoodMs = 0;
  /** By `#time`; undefined: it runs. */
  #sinceMs: number | undefined;
  readonly #onWake = new Set<() => void>();

  constructor(time: Clock) {
    this.#time = time;
  }

  get isSuspended(): boolean {
    return this.#sinceMs !== undefined;
  }

  nowMs(): number {
    return this.#time.nowMs() - this.#time.monotonicMs() + this.monotonicMs();
  }

  nowNs(): bigint {
    return BigInt(this.nowMs()) * 1_000_000n;
  }

  monotonicMs(): number {
    return (this.#sinceMs ?? this.#time.monotonicMs()) - this.#stoodMs;
  }

  suspend(): void {
    this.#sinceMs ??= this.#time.monotonicMs();
  }

  wake(): void {
    if (this.#sinceMs === undefined) return;
    this.#stoodMs += this.#time.monotonicMs() - this.#sinceMs;
    this.#sinceMs = undefined;
    const waiting = [...this.#onWake];
    this.#onWake.clear();
    for (const go of waiting) go();
  }

  after(delayMs: number, run: () => void): Timer {
    const dueMs = this.monotonicMs() + delayMs;
    let timer: Timer;
    const go = (): void => {
      if (this.isSuspended) return void this.#onWake.add(go);
      const leftMs = dueMs - this.monotonicMs();
      if (leftMs <= 0) run();
      else timer = this.#time.after(leftMs, go);
    };
    timer = this.#time.after(delayMs, go);
    return {
      cancel: () => {
        timer.cancel();
        this.#onWake.delete(go);
      },
    };
  }

  nextTurn(): Promise<void> {
    return this.#time.nextTurn();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepBy((ms, run) => this.after(ms, run), delayMs, signal);
  }
}
