/**
 * What the head may still take in, so that its folders never hold more than the budget.
 *
 * There are two estimates of what the folders hold, and the greater one counts:
 *
 *   known       records and sealed segments, with what LevelDB needs beside them
 *   measured    what the folders held at the last measurement, with what was written since
 *
 * Either way, room is kept free for the copies of records that a merge or a seal will write, and for the copy of a sealed segment that a
 * rename writes (disk-plan.ts). So a head that is full can always be sealed and its segments renamed, which is what empties it.
 */
import type { CodedError } from "@pyromesh/base";
import { formatSize, invalidArgument, unavailable } from "@pyromesh/base";
import type { DiskPlan } from "./disk-plan.ts";

/** What the folders hold. */
export interface DiskUse {
  /** Bytes of LevelDB's files. */
  readonly storeBytes: number;
  /** Bytes of all other files: sealed segments, and what was damaged and set aside. */
  readonly otherBytes: number;
}

/** Bytes that the head knows to be on disk. */
export interface HeldBytes {
  /** Records in the open head, in cuts, and waiting for their commit. */
  readonly recordBytes: number;
  readonly sealedBytes: number;
}

export class DiskBudget {
  readonly budgetBytes: number;
  readonly #plan: DiskPlan;
  #use: DiskUse | undefined;
  /** Bytes written since `#use` was measured. */
  #writtenBytes = 0;
  /** LevelDB is asked to merge once it holds more dead bytes than this. */
  #deadBytesMax: number;

  constructor(budgetBytes: number, plan: DiskPlan) {
    this.budgetBytes = budgetBytes;
    this.#plan = plan;
    this.#deadBytesMax = plan.overheadBytes;
  }

  /** Undefined before the first measurement, and after one that failed. */
  get measuredBytes(): number | undefined {
    return this.#use === undefined ? undefined : this.#use.storeBytes + this.#use.otherBytes;
  }

  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  /** Call it when a measurement begins, and give what it returns to `measured`: what is written from then on may not be in the result. */
  beginMeasuring(): number {
    return this.#writtenBytes;
  }

  measured(use: DiskUse, writtenBefore: number): void {
    this.#use = use;
    this.#writtenBytes -= writtenBefore;
  }

  /** A measurement failed. The last one is dropped: it counts each later write and no deletion, so it would refuse pushes for ever. */
  forgetMeasured(): void {
    this.#use = undefined;
  }

  /** True where LevelDB holds enough dead bytes to be worth a merge. Call it after a measurement, while no merge runs. */
  askForMerge(recordBytes: number): boolean {
    if (this.#use === undefined) return false;
    const deadBytes = this.#use.storeBytes - recordBytes;
    const isDue = deadBytes > this.#deadBytesMax;
    // A merge that freed nothing raises the bound, so that it is not asked for again and again; one that did lets the bound fall back.
    const next = deadBytes + this.#plan.compactBytes;
    this.#deadBytesMax = Math.max(this.#plan.overheadBytes, isDue ? next : Math.min(this.#deadBytesMax, next));
    return isDue;
  }

  /** Why a record of this size is refused; undefined where it is taken. */
  refusal(entryBytes: number, { recordBytes, sealedBytes }: HeldBytes): CodedError | undefined {
    const { overheadBytes, writeBufferBytes, copyCount, renamedBytesMax } = this.#plan;
    const knownBytes = recordBytes + sealedBytes + overheadBytes;
    const foundBytes = this.#use === undefined ? 0 : this.#use.storeBytes + this.#use.otherBytes + this.#writtenBytes;
    // LevelDB writes its buffer into a table before it deletes the buffer's log.
    const roomBytes = copyCount * (recordBytes + entryBytes) + writeBufferBytes + entryBytes + Math.min(sealedBytes, renamedBytesMax);
    if (Math.max(knownBytes, foundBytes) + roomBytes <= this.budgetBytes) return undefined;
    if (overheadBytes + writeBufferBytes + (copyCount + 1) * entryBytes > this.budgetBytes) {
      return invalidArgument(
        "RECORD_OVER_DISK_BUDGET",
        `a record of ${entryBytes} bytes does not fit into --head-disk-budget ${formatSize(this.budgetBytes)}, however empty the head is: push less at once, or raise it`,
      );
    }
    return unavailable(
      "HEAD_FULL",
      `the head holds ${Math.max(recordBytes + sealedBytes, foundBytes)} bytes and keeps room free to seal them; the budget is ${this.budgetBytes} bytes: it empties when the bucket takes its segments; raise --head-disk-budget, or see why the bucket takes nothing`,
    );
  }
}
