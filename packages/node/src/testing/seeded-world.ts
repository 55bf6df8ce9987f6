/**
 * A small world for tests of compute: deliveries happen in an order that a seed draws, and time passes only where nothing else is left to do.
 * The same seed gives the same history. (`test/sim` simulates a whole node.)
 */
import { seededRandom, sleepBy } from "@pyromesh/base";
import type { Clock, Random, Timer } from "@pyromesh/base";
import type { InPlaceWorld } from "./in-place-threads.ts";

/** Work that takes longer is stuck, and the test fails. */
const TIMEOUT_MS = 3_600_000;

export class SeededWorld implements Pick<InPlaceWorld, "random" | "deliver"> {
  readonly random: Random;
  readonly clock: WaitingClock = new WaitingClock((run) => this.deliver("a turn of the loop", run));
  /** What was delivered, in order. */
  readonly history: string[] = [];
  readonly #due: { readonly what: string; readonly run: () => void }[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  readonly deliver: InPlaceWorld["deliver"] = (what, run) => void this.#due.push({ what, run });

  /** Delivers until `work` is done, and rejects where it is not and nothing leads there any more. `onStep` is called before each delivery. */
  async run<T>(work: Promise<T>, onStep?: (step: number) => void): Promise<T> {
    let isDone = false;
    work.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    const endMs = this.clock.monotonicMs() + TIMEOUT_MS;
    for (let step = 0; ; step++) {
      await settled();
      if (isDone) return work;
      onStep?.(step);
      if (this.#due.length > 0) this.#deliverOne();
      else if (!this.clock.advanceToNext() || this.clock.monotonicMs() > endMs) throw new Error(`nothing is under way, and the work is not done; last: ${this.history.slice(-10).join(" | ")}`);
    }
  }

  /** Delivers what is under way, and what that causes, until nothing is. No time passes. */
  async deliverAll(): Promise<void> {
    for (;;) {
      await settled();
      if (this.#due.length === 0) return;
      this.#deliverOne();
    }
  }

  #deliverOne(): void {
    const [next] = this.#due.splice(Math.floor(this.random.float() * this.#due.length), 1);
    this.history.push(next!.what);
    next!.run();
  }
}

/** Stands still until it is told to go on to the next timer. */
class WaitingClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  readonly #later: (run: () => void) => void;

  constructor(later: (run: () => void) => void) {
    this.#later = later;
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#later(resolve));
  }

  nowMs(): number {
    return this.#nowMs;
  }

  nowNs(): bigint {
    return BigInt(this.#nowMs) * 1_000_000n;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepBy((ms, run) => this.after(ms, run), delayMs, signal);
  }

  /** False where no timer waits. Of timers of one time the one that was set first runs first. */
  advanceToNext(): boolean {
    let next: { readonly atMs: number; readonly run: () => void } | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer;
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.run();
    return true;
  }
}

/** All promises that need nothing from the world have gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
