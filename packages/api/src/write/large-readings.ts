/** Large bodies are parsed in steps, one body at a time. */
import type { Clock } from "@pyromesh/base";
import { Turns } from "@pyromesh/base";
import type { Caller } from "../ports/ports.ts";

/** A parse in steps, which returns what was read. */
export type Reading<T> = Generator<undefined, T>;

/**
 * Parses large bodies one at a time, and gives other requests a turn between the steps: twenty parses in turn would hold the thread for
 * twenty steps. At most as many wait as handlers run.
 */
export class LargeReadings {
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  run<T>(reading: Reading<T>, caller: Caller): Promise<T> {
    const run = (): Promise<T> => this.#run(reading, caller);
    const done = this.#last.then(run, run);
    this.#last = done.then(ignore, ignore); // the next one waits for this one, and must not hold its body
    return done;
  }

  async #run<T>(reading: Reading<T>, caller: Caller): Promise<T> {
    const turns = new Turns({ clock: this.#clock });
    for (;;) {
      caller.throwIfAborted();
      const step = reading.next();
      if (step.done === true) return step.value;
      if (turns.areDue) await turns.give();
    }
  }
}

function ignore(): void {}
