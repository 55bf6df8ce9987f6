/**
 * What the head may still take in, so that its folders never hold more than the budget.
 *
 * Two reckonings, and the greater one counts: what is known to be kept (records, sealed segments) with what LevelDB needs beside it,
 * and what the folders were found to hold when they were last measured, with what was written since. On top of both comes room for
 * what is not written yet: the copies of the records that are here (disk-plan.ts). So a seal, which needs room to make room, always
 * finds it.
 */
import type { CodedError } from "@pyromesh/base";
import { formatSize, invalidArgument, unavailable } from "@pyromesh/base";
import type { DiskPlan } from "./disk-plan.ts";

/** What the folders hold. */
export interface DiskUse {
  /** LevelDB's own. */
  readonly storeBytes: number;
  /** Everything else: sealed segments, what was damaged and set aside. */
  readonly otherBytes: number;
}

/** What is kept, as the head knows it. */
export interface HeldBytes {
  /** Open, cut, and on their way. */
  readonly recordBytes: number;
  readonly sealedBytes: number;
}

export class DiskBudget {
  readonly budgetBytes: number;
  readonly #plan: DiskPlan;
  #use: DiskUse | undefined;
  /** Written, and not in `#use` yet. */
  #writtenBytes = 0;
  /** Of dead bytes; past it LevelDB is asked to merge. */
  #deadBytesMax: number;

  constructor(budgetBytes: number, plan: DiskPlan) {
    this.budgetBytes = budgetBytes;
    this.#plan = plan;
    this.#deadBytesMax = plan.overheadBytes;
  }

  /** Undefined until it was measured. */
  get measuredBytes(): number | undefined {
    return this.#use === undefined ? undefined : this.#use.storeBytes + this.#use.otherBytes;
  }

  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  /** Call when a measurement begins: what is written from then on may be in it or not. Give the result to `measured`. */
  beginMeasuring(): number {
    return this.#writtenBytes;
  }

  measured(use: DiskUse, writtenBefore: number): void {
    this.#use = use;
    this.#writtenBytes -= writtenBefore;
  }

  /** Measuring failed: what was found before says less with each write, and would refuse pushes for ever. */
  forgetMeasured(): void {
    this.#use = undefined;
  }

  /** After a measurement, while LevelDB merges nothing: whether it holds so much that is dead that it should be asked to merge. */
  askForMerge(recordBytes: number): boolean {
    if (this.#use === undefined) return false;
    const deadBytes = this.#use.storeBytes - recordBytes;
    const isDue = deadBytes > this.#deadBytesMax;
    // Where a merge did not help it is not asked for again and again; where it did, the next one is asked for as early as the first.
    const next = deadBytes + this.#plan.compactBytes;
    this.#deadBytesMax = Math.max(this.#plan.overheadBytes, isDue ? next : Math.min(this.#deadBytesMax, next));
    return isDue;
  }

  /** Why a record of this size is not taken; undefined: it is. */
  refusal(entryBytes: number, { recordBytes, sealedBytes }: HeldBytes): CodedError | undefined {
    const { overheadBytes, writeBufferBytes, copyCount } = this.#plan;
    const knownBytes = recordBytes + sealedBytes + overheadBytes;
    const foundBytes = this.#use === undefined ? 0 : this.#use.storeBytes + this.#use.otherBytes + this.#writtenBytes;
    // The write buffer's table is there before its log is gone.
    const roomBytes = copyCount * (recordBytes + entryBytes) + writeBufferBytes + entryBytes;
    if (Math.max(knownBytes, foundBytes) + roomBytes <= this.budgetBytes) return undefined;
    if (overheadBytes + writeBufferBytes + (copyCount + 1) * entryBytes > this.budgetBytes) {
      return invalidArgument(
        "RECORD_OVER_DISK_BUDGET",
        `a record of ${entryBytes} bytes does not fit into --head-disk-budget ${formatSize(this.budgetBytes)}, however empty the head is: push less at once, or raise it`,
      );
    }
    return unavailable(
      "HEAD_FULL",
      `the head holds ${Math.max(recordBytes + sealedBytes, foundBytes)} bytes, and needs room to seal them, of at most ${this.budgetBytes}: it empties when the bucket takes its segments; raise --head-disk-budget or mend the bucket`,
    );
  }
}
