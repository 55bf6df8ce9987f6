/**
 * Measures the head's folders each second, off the hot path. After a measurement that took longer than 100 ms (ten thousand sealed segments
 * in an outage) the next one waits ten times as long, 5 s at most.
 *
 * It rests where nothing is written and a few measurements found the same: then it looks every 10 s only, until the head writes again.
 */
import type { Clock, Logger, Timer } from "@pyromesh/base";
import type { DiskFound, DiskUse } from "./disk-budget.ts";

export interface DiskWatchModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly measure: () => Promise<DiskFound>;
  /** False while what is found matters although the head writes nothing. */
  readonly mayRest: () => boolean;
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
  /** The last measurement, and how many in a row found the same without a write before them. */
  #found: DiskFound | undefined;
  #sameCount = 0;
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

  /** The head wrote or deleted something. */
  noteWrite(): void {
    const isResting = this.#isResting;
    this.#sameCount = 0;
    if (isResting && this.#timer !== undefined && !this.#isHurried && !this.#isStopped) this.#schedule(INTERVAL_MS);
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
      const found = await measure();
      this.#compare(found);
      if (!this.#isStopped) onMeasured(found, begun);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) logger.warn("the head's folders could not be measured; until they can, the disk budget counts records and sealed segments only", { error });
      this.#hasFailed = true;
      this.#sameCount = 0;
      onFailed();
    }
    if (this.#isStopped) return;
    const tookMs = clock.monotonicMs() - startMs;
    if (this.#isHurried) return this.#schedule(Math.max(HURRIED_MS, tookMs));
    this.#schedule(this.#isResting ? REST_MS : Math.max(INTERVAL_MS, Math.min(INTERVAL_MS_MAX, 10 * tookMs)));
  }

  #compare(found: DiskFound): void {
    const before = this.#found;
    this.#found = found;
    this.#sameCount = before?.storeBytes === found.storeBytes && before.otherBytes === found.otherBytes ? this.#sameCount + 1 : 0;
  }

  get #isResting(): boolean {
    return this.#sameCount >= SAME_COUNT && this.#modules.mayRest();
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
/** Measurements that find the same before it rests: LevelDB goes on merging for a while after the last write. */
const SAME_COUNT = 5;
const REST_MS = 10_000;
/** The interval while pushes are refused because the disk budget is used up. */
const HURRIED_MS = 100;
