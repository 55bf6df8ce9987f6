/**
 * Long work on a thread that others need too, in slices: between its steps it asks whether the others are due, and lets them go first.
 *
 *   for (const step of steps) {
 *     if (turns.areDue) await turns.give();
 *     ...
 *   }
 *
 * What must stay true: no step between two questions takes longer than a slice, and what the work has read before it gave a turn may
 * have changed after it.
 */
import type { Clock } from "./clock.ts";

/** Of the 20 ms that the main thread may be held: what a step takes, a collection of garbage, and the others' own work come on top. */
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

  /** Resolves after what else was due on this thread has run. */
  async give(): Promise<void> {
    await this.#clock.nextTurn();
    this.#sinceMs = this.#clock.monotonicMs();
  }
}
