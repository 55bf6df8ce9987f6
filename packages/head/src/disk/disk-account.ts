/**
 * The disk that the head takes: what it knows that it keeps there, what its folders were found to hold, and what it may still take in.
 */
import type { Clock, CodedError, Logger, Metrics } from "@pyromesh/base";
import { DiskBudget } from "./disk-budget.ts";
import type { DiskUse, HeldBytes } from "./disk-budget.ts";
import type { DiskPlan } from "./disk-plan.ts";
import { DiskWatch } from "./disk-watch.ts";

export interface DiskAccountModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Measures what the folders hold. Absent: only what is known counts. */
  readonly measure?: (() => Promise<DiskUse>) | undefined;
  /** Bytes of records in the head, and on their way into it. */
  readonly recordBytes: () => number;
  /** False while the store merges: the old and new tables that lie side by side then are not dead bytes. */
  readonly canMerge: () => boolean;
  /** Has the store merge its dead bytes away. */
  readonly merge: () => void;
}

export class DiskAccount {
  readonly plan: DiskPlan;
  readonly #budget: DiskBudget;
  readonly #watch: DiskWatch | undefined;
  readonly #modules: DiskAccountModules;
  /** What the folders held when this was made. */
  readonly #use: DiskUse | undefined;
  #sealedBytes = 0;

  constructor({ budgetBytes, plan, use }: { readonly budgetBytes: number; readonly plan: DiskPlan; readonly use: DiskUse | undefined }, modules: DiskAccountModules) {
    this.plan = plan;
    this.#use = use;
    this.#modules = modules;
    this.#budget = new DiskBudget(budgetBytes, plan);
    this.#watch = modules.measure === undefined ? undefined : this.#watchOver(modules.measure);
    const { metrics } = modules;
    metrics.gauge("pyromesh_head_disk_bytes", "Bytes that the folders of the head and of sealed segments hold, measured each second.", [], (gauge) => gauge.set({}, this.#budget.measuredBytes ?? this.knownBytes));
    metrics.gauge("pyromesh_head_disk_budget_bytes", "Bytes that the folders of the head and of sealed segments may hold: --head-disk-budget, or less where the disk has less.", [], (gauge) => gauge.set({}, budgetBytes));
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
  }

  setSealedBytes(bytes: number): void {
    this.#budget.wrote(Math.max(0, bytes - this.#sealedBytes));
    this.#sealedBytes = bytes;
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
      measure,
      onBegin: () => this.#budget.beginMeasuring(),
      onMeasured: (use, begun) => {
        this.#budget.measured(use, begun);
        if (canMerge() && this.#budget.askForMerge(this.#modules.recordBytes())) merge();
      },
      onFailed: () => this.#budget.forgetMeasured(),
    });
  }
}
