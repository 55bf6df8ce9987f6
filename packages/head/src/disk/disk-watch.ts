/**
 * Measures the head's folders each second, off the hot path. After a measurement that took longer than 100 ms (ten thousand sealed segments
 * in an outage) the next one waits ten times as long, 5 s at most.
 */
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { DiskFound, DiskUse } from "./disk-budget.ts";

export interface DiskWatchModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly measure: () => Promise<DiskFound>;
  /** Called at the start of each measurement; what it returns is given to `onMeasured`. */
  readonly onBegin: () => number;
  readonly onMeasured: (found: DiskFound, begun: number) => void;
  readonly onFailed: () => void;
}

export class DiskWatch {
  readonly #modules: DiskWatchModules;
  #timer: Timer | undefined;
  #measuring: Promise<void> = Promise.resolve();
  #isHurried = false;
  #isStopped = false;
  /** The log says so once, until a measurement succeeds. */
  #hasFailed = false;

  constructor(modules: DiskWatchModules) {
    this.#modules = modules;
  }

  /** `use`: what the folders hold, where that was measured just before. Else it resolves after the first measurement. */
  async start(use?: DiskUse): Promise<void> {
    if (use !== undefined) {
      this.#modules.onMeasured(use, this.#modules.onBegin());
      this.#schedule(INTERVAL_MS);
      return;
    }
    this.#measuring = this.#measure();
    await this.#measuring;
  }

  /** A push was refused because the disk budget is used up: measure again soon. */
  hurry(): void {
    if (this.#isHurried || this.#isStopped) return;
    this.#isHurried = true;
    if (this.#timer !== undefined) this.#schedule(HURRIED_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#measuring;
  }

  async #measure(): Promise<void> {
    const { clock, logger, measure, onBegin, onFailed, onMeasured } = this.#modules;
    const startMs = clock.monotonicMs();
    try {
      const begun = onBegin();
      const use = await measure();
      if (!this.#isStopped) onMeasured(use, begun);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) logger.warn("the head's folders could not be measured; until they can, the disk budget counts records and sealed segments only", { error });
      this.#hasFailed = true;
      onFailed();
    }
    if (this.#isStopped) return;
    const tookMs = clock.monotonicMs() - startMs;
    this.#schedule(this.#isHurried ? Math.max(HURRIED_MS, tookMs) : Math.max(INTERVAL_MS, Math.min(INTERVAL_MS_MAX, 10 * tookMs)));
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#modules.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#isHurried = false;
      this.#measuring = this.#measure();
    });
  }
}

const INTERVAL_MS = 1000;
const INTERVAL_MS_MAX = 5000;
/** The interval while pushes are refused because the disk budget is used up. */
const HURRIED_MS = 100;
