/**
 * The disk that the head takes: what it knows that it keeps there, what its folders were found to hold, and what it may still take in.
 */
import type { Clock, CodedError, Logger, Metrics } from "@pyromesh/base";
import { DiskBudget } from "./disk-budget.ts";
import type { DiskFound, DiskUse, HeldBytes } from "./disk-budget.ts";
import { usableBudget } from "./disk-plan.ts";
import type { DiskPlan } from "./disk-plan.ts";
import { DiskWatch } from "./disk-watch.ts";

export interface DiskAccountModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Measures what the folders hold. Absent: only what is known counts. */
  readonly measure?: (() => Promise<DiskUse>) | undefined;
  /** What is free of the file system that the folders are on. Asked only while the disk allows less than the configured budget; absent: never. */
  readonly measureFree?: (() => Promise<number | undefined>) | undefined;
  /** Bytes of records in the head, and on their way into it. */
  readonly recordBytes: () => number;
  /** False while the store merges: the old and new tables that lie side by side then are not dead bytes. */
  readonly canMerge: () => boolean;
  /** Has the store merge its dead bytes away. */
  readonly merge: () => void;
}

export interface DiskAccountOptions {
  /** The configured budget, and what the disk allows of it at the start. */
  readonly budgetBytes: number;
  readonly inForceBytes: number;
  readonly plan: DiskPlan;
  readonly use: DiskUse | undefined;
}

export class DiskAccount {
  readonly #budget: DiskBudget;
  readonly #watch: DiskWatch | undefined;
  readonly #modules: DiskAccountModules;
  /** What the folders held when this was made. */
  readonly #use: DiskUse | undefined;
  #sealedBytes = 0;

  constructor({ plan, use, ...budget }: DiskAccountOptions, modules: DiskAccountModules) {
    this.#use = use;
    this.#modules = modules;
    this.#budget = new DiskBudget(budget, plan);
    this.#watch = modules.measure === undefined ? undefined : this.#watchOver(modules.measure);
    const { metrics } = modules;
    metrics.gauge("pyromesh_head_disk_bytes", "Bytes that the folders of the head and of sealed segments hold, measured each second while it writes.", [], (gauge) => gauge.set({}, this.#budget.measuredBytes ?? this.knownBytes));
    metrics.gauge("pyromesh_head_disk_budget_bytes", "Bytes that the folders of the head and of sealed segments may hold: --head-disk-budget, or less until the disk has room for it.", [], (gauge) => gauge.set({}, this.#budget.inForceBytes));
  }

  /** For the budget in force. */
  get plan(): DiskPlan {
    return this.#budget.plan;
  }

  /** Bytes of deleted records that are worth a merge. */
  get compactBytes(): number {
    return this.plan.compactBytes;
  }

  get sealedBytes(): number {
    return this.#sealedBytes;
  }

  /** Records and sealed segments. */
  get knownBytes(): number {
    return this.#modules.recordBytes() + this.#sealedBytes;
  }

  /** What one commit may take, and what the store may take to open again after a refused write. */
  get needs(): { readonly commitBytes: number; readonly reopenBytes: number } {
    const { commitBytesMax, writeBufferBytes } = this.plan;
    return { commitBytes: commitBytesMax, reopenBytes: commitBytesMax + writeBufferBytes };
  }

  /** Records of this size in total were written. */
  wroteRecords(bytes: number): void {
    this.#budget.wrote(bytes);
    this.#watch?.noteWrite();
  }

  setSealedBytes(bytes: number): void {
    this.#budget.wrote(Math.max(0, bytes - this.#sealedBytes));
    this.#sealedBytes = bytes;
    this.#watch?.noteWrite();
  }

  /** Why a record of this size is refused; undefined where it is taken. */
  refusal(entryBytes: number): CodedError | undefined {
    return this.#budget.refusal(entryBytes, this.#held);
  }

  /** A record was refused: measures soon, so that the next one is taken as early as may be. */
  hurry(): void {
    this.#watch?.hurry();
  }

  /** Resolves after the first measurement, or at once where the folders were measured before. */
  async start(): Promise<void> {
    await this.#watch?.start(this.#use);
  }

  async stop(): Promise<void> {
    await this.#watch?.stop();
  }

  get #held(): HeldBytes {
    return { recordBytes: this.#modules.recordBytes(), sealedBytes: this.#sealedBytes };
  }

  #watchOver(measure: () => Promise<DiskUse>): DiskWatch {
    const { canMerge, clock, logger, merge } = this.#modules;
    return new DiskWatch({
      clock,
      logger,
      measure: () => this.#find(measure),
      mayRest: () => !this.#budget.isShort,
      onBegin: () => this.#budget.beginMeasuring(),
      onMeasured: (found, begun) => {
        this.#budget.measured(found, begun);
        this.#raise(found);
        if (canMerge() && this.#budget.askForMerge(this.#modules.recordBytes())) merge();
      },
      onFailed: () => this.#budget.forgetMeasured(),
    });
  }

  async #find(measure: () => Promise<DiskUse>): Promise<DiskFound> {
    const use = await measure();
    return this.#budget.isShort ? { ...use, freeBytes: await this.#modules.measureFree?.() } : use;
  }

  /** Takes what came free since the start into the budget in force. */
  #raise({ storeBytes, otherBytes, freeBytes }: DiskFound): void {
    if (freeBytes === undefined || !this.#budget.isShort) return;
    const { budgetBytes } = this.#budget;
    this.#budget.raise(usableBudget({ budgetBytes, heldBytes: storeBytes + otherBytes, freeBytes }));
    if (!this.#budget.isShort) this.#modules.logger.info("the disk has room for all of the head's budget again", { budgetBytes });
  }
}
