/**
 * Measures the head's folders every so often, off the hot path. Between two measurements it waits ten times as long as one takes (up to
 * a bound, as on a busy machine any takes long), so that ten thousand sealed segments in an outage cost no more than one.
 */
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { DiskUse } from "./disk-budget.ts";

export interface DiskWatchModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly measure: () => Promise<DiskUse>;
  /** Called at the start of each measurement; what it returns is given to `onMeasured`. */
  readonly onBegin: () => number;
  readonly onMeasured: (use: DiskUse, begun: number) => void;
  readonly onFailed: () => void;
}

export class DiskWatch {
  readonly #modules: DiskWatchModules;
  #timer: Timer | undefined;
  #measuring: Promise<void> = Promise.resolve();
  #isHurried = false;
  #isStopped = false;
  /** Said once, until it is measured again. */
  #hasFailed = false;

  constructor(modules: DiskWatchModules) {
    this.#modules = modules;
  }

  /** Resolves when it was measured once. */
  async start(): Promise<void> {
    this.#measuring = this.#measure();
    await this.#measuring;
  }

  /** Someone was refused for want of room: the next measurement is soon. */
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
      if (!this.#hasFailed) logger.warn("the disk that the head holds could not be measured; until it can, only what is known to be kept counts", { error });
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
/** While pushes are refused for want of room. */
const HURRIED_MS = 100;
