/**
 * What the head may still take in, so that its folders never hold more than the budget in force: the configured one, or less where the disk
 * had less when the node started. It rises as space comes back and never falls (docs/decisions/0008-disk-budget.md).
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
import { planDisk } from "./disk-plan.ts";
import type { DiskPlan } from "./disk-plan.ts";

/** What the folders hold. */
export interface DiskUse {
  /** Bytes of LevelDB's files. */
  readonly storeBytes: number;
  /** Bytes of all other files: sealed segments, and what was damaged and set aside. */
  readonly otherBytes: number;
}

/** What the folders hold, and what is free of their file system. */
export interface DiskFound extends DiskUse {
  /** Undefined where nobody asked, and where the file system does not say. */
  readonly freeBytes?: number | undefined;
}

/** Bytes that the head knows to be on disk. */
export interface HeldBytes {
  /** Records in the open head, in cuts, and waiting for their commit. */
  readonly recordBytes: number;
  readonly sealedBytes: number;
}

export class DiskBudget {
  /** The configured budget. */
  readonly budgetBytes: number;
  #inForceBytes: number;
  #plan: DiskPlan;
  /** A larger record would not fit into an empty head that has all of the configured budget. */
  readonly #recordBytesMax: number;
  #use: DiskUse | undefined;
  /** Bytes written since `#use` was measured. */
  #writtenBytes = 0;
  /** LevelDB is asked to merge once it holds more dead bytes than this. */
  #deadBytesMax: number;

  /** `plan`: for `inForceBytes`, or for a larger budget where that is next to nothing. `inForceBytes` absent: the configured budget is in force. */
  constructor({ budgetBytes, inForceBytes = budgetBytes }: { readonly budgetBytes: number; readonly inForceBytes?: number }, plan: DiskPlan) {
    this.budgetBytes = budgetBytes;
    this.#inForceBytes = inForceBytes;
    this.#plan = plan;
    const { overheadBytes, writeBufferBytes, copyCount } = inForceBytes < budgetBytes ? planDisk(budgetBytes) : plan;
    this.#recordBytesMax = (budgetBytes - overheadBytes - writeBufferBytes) / (copyCount + 1);
    this.#deadBytesMax = plan.overheadBytes;
  }

  get plan(): DiskPlan {
    return this.#plan;
  }

  get inForceBytes(): number {
    return this.#inForceBytes;
  }

  /** True while the disk allows less than the configured budget. */
  get isShort(): boolean {
    return this.#inForceBytes < this.budgetBytes;
  }

  /** The disk allows this much now. A smaller figure than the one in force changes nothing. The store keeps its write buffer until it is opened again. */
  raise(usableBytes: number): void {
    const inForceBytes = Math.min(usableBytes, this.budgetBytes);
    if (inForceBytes <= this.#inForceBytes) return;
    this.#inForceBytes = inForceBytes;
    const { writeBufferBytes, cutBytesMax } = this.#plan;
    const next = planDisk(inForceBytes, writeBufferBytes);
    // The plan at the start may be that of a larger budget.
    if (next.cutBytesMax > cutBytesMax) this.#plan = next;
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
    const neededBytes = Math.max(knownBytes, foundBytes) + roomBytes;
    if (neededBytes <= this.#inForceBytes) return undefined;
    if (entryBytes > this.#recordBytesMax) {
      return invalidArgument(
        "RECORD_OVER_DISK_BUDGET",
        `a record of ${entryBytes} bytes does not fit into --head-disk-budget ${formatSize(this.budgetBytes)}, however empty the head is: push less at once, or raise it`,
      );
    }
    const heldBytes = Math.max(recordBytes + sealedBytes, foundBytes);
    if (this.isShort && neededBytes <= this.budgetBytes) {
      return unavailable(
        "HEAD_FULL",
        `the disk has no room: the head holds ${heldBytes} bytes and keeps room free to seal them; of --head-disk-budget ${formatSize(this.budgetBytes)} it may use ${this.#inForceBytes} bytes until space is free on the disk of its data dir`,
      );
    }
    return unavailable(
      "HEAD_FULL",
      `the head holds ${heldBytes} bytes and keeps room free to seal them; the budget is ${this.budgetBytes} bytes: it empties when the bucket takes its segments; raise --head-disk-budget, or see why the bucket takes nothing`,
    );
  }
}
