/**
 * Timeouts of one length, which share one timer. A timer of its own for every request would cost more than the timeout is worth: hardly
 * any request reaches it.
 *
 * There are at most as many timeouts as requests at work.
 */
import type { Clock, Timer } from "@pyromesh/base";

export interface Waiting {
  /** Called when its time has passed, after it was removed. */
  onTimeout(): void;
}

export class Timeouts<Each extends Waiting = Waiting> {
  readonly #lengthMs: number;
  readonly #clock: Clock;
  /** When each one times out. All have the same length, so insertion order is also the order in which they time out. */
  readonly #waiting = new Map<Each, number>();
  #timer: Timer | undefined;

  constructor(options: { readonly lengthMs: number }, modules: { readonly clock: Clock }) {
    this.#lengthMs = options.lengthMs;
    this.#clock = modules.clock;
  }

  get lengthMs(): number {
    return this.#lengthMs;
  }

  add(waiting: Each): void {
    this.#waiting.set(waiting, this.#clock.monotonicMs() + this.#lengthMs);
    if (this.#timer === undefined) this.#wait(this.#lengthMs);
  }

  delete(waiting: Each): void {
    this.#waiting.delete(waiting);
  }

  /** The longest first. `visit` may delete the one that it is given. */
  forEach(visit: (waiting: Each, ageMs: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [waiting, deadlineMs] of this.#waiting) visit(waiting, nowMs + this.#lengthMs - deadlineMs);
  }

  /** Removes the timer: no timeout fires any more. */
  stop(): void {
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#expire());
  }

  #expire(): void {
    this.#timer = undefined;
    for (const [waiting, deadlineMs] of this.#waiting) {
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      // A timer may fire a little early. A wait below its resolution would fire early again, at once.
      if (leftMs > 0) return this.#wait(Math.max(1, leftMs));
      this.#waiting.delete(waiting);
      waiting.onTimeout();
    }
  }
}
