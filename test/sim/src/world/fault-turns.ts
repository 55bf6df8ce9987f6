/**
 * Faults of members run at any time beside each other, but for those that bear no other one: what such a fault shows would be no mistake of the product if another member had
 * died meanwhile. A fault that comes while one runs alone waits for its end.
 */
import type { Scheduler } from "./scheduler.ts";

/** One that is to run alone is given up if the others last longer. */
const OTHERS_END_WITHIN_MS = 20_000;
const STEP_MS = 100;

export class FaultTurns {
  readonly #scheduler: Scheduler;
  #runningCount = 0;
  #isAlone = false;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  async beside(run: () => Promise<void>): Promise<void> {
    while (this.#isAlone) await this.#scheduler.wait(STEP_MS);
    this.#runningCount++;
    await run().finally(() => this.#runningCount--);
  }

  async alone(run: () => Promise<void>): Promise<void> {
    if (this.#isAlone) return;
    this.#isAlone = true;
    const endMs = this.#scheduler.nowMs + OTHERS_END_WITHIN_MS;
    while (this.#runningCount > 0 && this.#scheduler.nowMs < endMs) await this.#scheduler.wait(STEP_MS);
    if (this.#runningCount === 0) await run();
    this.#isAlone = false;
  }
}
