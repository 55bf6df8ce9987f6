/**
 * Splits long work on a shared thread into slices. Between its steps the work asks whether a slice is over, and then lets other work on
 * the thread run.
 *
 *   for (const step of steps) {
 *     if (turns.areDue) await turns.give();
 *     ...
 *   }
 *
 * What must stay true: a step is shorter than a slice; and after `give` the work must expect that what it has read before has changed.
 */
import type { Clock } from "./clock.ts";

/** The main thread may be held for 20 ms. A slice takes a quarter: a step, a garbage collection and other work come on top. */
const SLICE_MS = 5;

export class Turns {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  #sinceMs: number;

  constructor({ clock }: { readonly clock: Clock }, sliceMs: number = SLICE_MS) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#sinceMs = clock.monotonicMs();
  }

  get areDue(): boolean {
    return this.#clock.monotonicMs() - this.#sinceMs >= this.#sliceMs;
  }

  /** Resolves when other work that was due on this thread has run. */
  async give(): Promise<void> {
    await this.#clock.nextTurn();
    this.#sinceMs = this.#clock.monotonicMs();
  }
}
