/**
 * Many waits of one length, on one timer: a timer for each request costs more than all that is asked of it, which is nothing,
 * since hardly a request ever takes too long.
 *
 * As many wait as there are requests at work.
 */
import type { Clock, Timer } from "@pyromesh/base";

export interface Waiting {
  /** Its time is up; it waits no more. */
  onTimeout(): void;
}

export class Timeouts {
  readonly #lengthMs: number;
  readonly #clock: Clock;
  /** When the time of each is up; all wait equally long, so the first to come is the first to go. */
  readonly #waiting = new Map<Waiting, number>();
  #timer: Timer | undefined;

  constructor(options: { readonly lengthMs: number }, modules: { readonly clock: Clock }) {
    this.#lengthMs = options.lengthMs;
    this.#clock = modules.clock;
  }

  get lengthMs(): number {
    return this.#lengthMs;
  }

  add(waiting: Waiting): void {
    this.#waiting.set(waiting, this.#clock.monotonicMs() + this.#lengthMs);
    if (this.#timer === undefined) this.#wait(this.#lengthMs);
  }

  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  /** Nobody's time will be up any more. */
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
      // A timer may come a little early; one that waits for less than it can tell would come at once, and again.
      if (leftMs > 0) return this.#wait(Math.max(1, leftMs));
      this.#waiting.delete(waiting);
      waiting.onTimeout();
    }
  }
}
