/**
 * What waits for the store: appends, taken in groups, and jobs. A job goes before the appends that wait, and a group of appends before the job after it: a release of
 * thousands of records is many jobs in a row, and under load they would hold up every push for a second.
 *
 * What must stay true: one step is under way at a time; the next group takes everything that queued meanwhile; every append and
 * every job resolves or rejects once.
 *
 * A commit costs the same whatever it holds: a sync, two switches of thread, some five system calls. So a small group waits for
 * appends that are on their way (`announce`), and for nothing else: a caller alone never waits (docs/decisions/0013-head-entries.md).
 *
 * Bounds: past `queueBytesMax` the head refuses an append (`isFull`); a group takes what fits its bounds and leaves the rest to the
 * next. Jobs have no bound: the node's background work asks for one at a time and waits for it.
 */
import type { EncodedRecord } from "@pyromesh/profile";
import type { Clock, CodedError } from "@pyromesh/base";
import { assert } from "@pyromesh/base";
import type { RecordPlace } from "../entries/record-entry.ts";

export interface QueueLimits {
  /** Bytes that one commit takes at most. A larger record goes alone. */
  readonly commitBytesMax: number;
  readonly commitCountMax: number;
  /** Bytes that may wait for a commit. */
  readonly queueBytesMax: number;
  /** A group of this size does not wait for announced appends. */
  readonly gatherCountMax: number;
  /** How long the first of a group waits for others that were announced, at most. */
  readonly gatherMsMax: number;
}

export interface QueueSteps {
  /** Called before each step. An error refuses the step. "reopened": the store may hold appends that were refused before. */
  readonly prepare: () => Promise<"ready" | "reopened" | CodedError>;
  /** Makes the group durable and resolves with the seq of its first record. A rejection refuses the whole group. */
  readonly commit: (group: readonly PendingAppend[]) => Promise<number>;
  /** The answer for an append whose identity the head holds; undefined: it does not. */
  readonly duplicateOf: (append: PendingAppend) => Appended | undefined;
  /** Called for each append that is refused. */
  readonly onRefused: (append: PendingAppend) => void;
}

export interface Appended {
  readonly seq: number;
  /** The head held this identity already; no second copy was made. */
  readonly isDuplicate: boolean;
  /** Set where the head held it under another list of stores than the one given: that list, which stays. */
  readonly keptStores?: readonly Uint8Array[];
}

export interface PendingAppend {
  readonly record: EncodedRecord;
  readonly place: RecordPlace;
  readonly entryBytes: number;
  readonly promise: Promise<Appended>;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

export class WriteQueue {
  readonly #limits: QueueLimits;
  readonly #steps: QueueSteps;
  #appends: PendingAppend[] = [];
  #jobs: (() => Promise<void>)[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;
  /** Appends announced and not arrived. */
  #expectedCount = 0;
  /** Ends the wait for announced appends; set while a group waits. */
  #endGathering: (() => void) | undefined;
  readonly #clock: Clock;

  constructor(limits: QueueLimits, steps: QueueSteps, { clock }: { readonly clock: Clock }) {
    this.#limits = limits;
    this.#steps = steps;
    this.#clock = clock;
  }

  /** An append is being made ready. `arrived` follows once for each: the append was made, or will not come. */
  announce(): void {
    this.#expectedCount++;
  }

  arrived(): void {
    assert(this.#expectedCount > 0, "arrived() follows announce()");
    if (--this.#expectedCount === 0) this.#endGathering?.();
  }

  /** Bytes of the appends that wait or are being committed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a record of this size must be refused. One alone is always taken. */
  isFull(entryBytes: number): boolean {
    return this.#bytes > 0 && this.#bytes + entryBytes > this.#limits.queueBytesMax;
  }

  push(record: EncodedRecord, place: RecordPlace, entryBytes: number): PendingAppend {
    const append = pendingAppend(record, place, entryBytes);
    this.#appends.push(append);
    this.#bytes += entryBytes;
    if (this.#appends.length >= this.#limits.gatherCountMax) this.#endGathering?.();
    this.#run();
    return append;
  }

  /** Runs `job` before the appends that wait, or after one group of them where another job has just run. */
  job<T>(job: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push(async () => {
        const outcome = await this.#steps.prepare();
        if (typeof outcome !== "string") reject(outcome);
        else {
          if (outcome === "reopened") this.#releaseKept();
          await job().then(resolve, reject);
        }
      });
      this.#endGathering?.();
      this.#run();
    });
  }

  /** Resolves when nothing waits and nothing is under way. */
  async settle(): Promise<void> {
    await this.#running;
  }

  #run(): void {
    this.#running ??= this.#runUntilIdle();
  }

  async #runUntilIdle(): Promise<void> {
    await Promise.resolve(); // what is appended in the same turn goes into one commit
    let isAppendsTurn = false;
    for (;;) {
      const job = isAppendsTurn && this.#appends.length > 0 ? undefined : this.#jobs.shift();
      if (job !== undefined) {
        await job();
        isAppendsTurn = true;
      } else if (this.#appends.length > 0) {
        if (this.#expectedCount > 0 && this.#appends.length < this.#limits.gatherCountMax) await this.#gather();
        // A job that came meanwhile goes first.
        if (isAppendsTurn || this.#jobs.length === 0) await this.#commitSome();
        isAppendsTurn = false;
      } else {
        this.#running = undefined;
        return;
      }
    }
  }

  #gather(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#endGathering = undefined;
        resolve();
      };
      const timer = this.#clock.after(this.#limits.gatherMsMax, end);
      this.#endGathering = end;
    });
  }

  /** One group commit of what waits, up to the bounds; the rest waits for the next. */
  async #commitSome(): Promise<void> {
    const outcome = await this.#steps.prepare();
    if (outcome === "reopened") this.#releaseKept();
    const group = this.#takeGroup();
    if (group.length === 0) return;
    let firstSeq: number;
    try {
      if (typeof outcome !== "string") throw outcome;
      firstSeq = await this.#steps.commit(group);
    } catch (error) {
      for (const append of group) {
        this.#bytes -= append.entryBytes;
        this.#steps.onRefused(append);
        append.reject(error);
      }
      return;
    }
    for (let index = 0; index < group.length; index++) {
      const append = group[index]!;
      this.#bytes -= append.entryBytes;
      append.resolve({ seq: firstSeq + index, isDuplicate: false });
    }
  }

  #takeGroup(): PendingAppend[] {
    const { commitBytesMax, commitCountMax } = this.#limits;
    let bytes = 0;
    let count = 0;
    for (const { entryBytes } of this.#appends) {
      if (count > 0 && (count >= commitCountMax || bytes + entryBytes > commitBytesMax)) break;
      bytes += entryBytes;
      count++;
    }
    return this.#appends.splice(0, count);
  }

  /** A refused write turned out to be in the store. Its records may have been pushed again and wait here: they need no second copy. */
  #releaseKept(): void {
    this.#appends = this.#appends.filter((append) => {
      const duplicate = this.#steps.duplicateOf(append);
      if (duplicate === undefined) return true;
      this.#bytes -= append.entryBytes;
      append.resolve(duplicate);
      return false;
    });
    assert(this.#bytes >= 0, "what is released was queued");
  }
}

function pendingAppend(record: EncodedRecord, place: RecordPlace, entryBytes: number): PendingAppend {
  let resolve!: (appended: Appended) => void; // both are set before the constructor returns
  let reject!: (error: unknown) => void;
  const promise = new Promise<Appended>((resolveIt, rejectIt) => {
    resolve = resolveIt;
    reject = rejectIt;
  });
  return { record, place, entryBytes, promise, resolve, reject };
}
