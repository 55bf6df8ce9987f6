/**
 * One lane as the main thread sees it: a queue of calls to a worker thread, done in the order in which they were made.
 *
 *   call --> queue --> batch (one away at a time) --> worker --> outcomes
 *
 * Inserts and releases wait to travel with the next call, or until many of them wait: nobody awaits them.
 * A queue holds at most QUEUE_MAX calls; past it a call is refused with COMPUTE_BUSY (503). What nobody awaits is never refused:
 * there is as much of it as there were pushes and generations.
 */
import { setMaxListeners } from "node:events";
import { Worker } from "node:worker_threads";
import type { CodedError } from "@pyromesh/base";
import { unavailable } from "@pyromesh/base";
import type { EncodeSettings, Generation, InsertedRecord } from "./compute.ts";
import { fromPlainError, isPush, isRecords, queryCanceled } from "./lane-protocol.ts";
import type { LaneBatch, LaneCall, LaneOutcome, LaneStart } from "./lane-protocol.ts";

/**
 * Outcomes of a batch travel together, so the first waits for the last; what takes long travels alone. (With 8 pushes in flight
 * the median p99 of several runs was 30 ms with 4 and 32 with 8, at the same CPU: one half is committed while the other is decoded.)
 */
const BATCH_CALLS_MAX = 4;
const QUEUE_MAX = 4096;
/** Inserts and releases that wait. */
const DEFERRED_BYTES_MAX = 1 << 20;
const DEFERRED_ROWS_MAX = 256;
/** Settings a lane remembers. At the bound it forgets all of them, and those still in use are sent again. */
const SETTINGS_MAX = 256;

interface Pending {
  readonly call: LaneCall;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly isLong: boolean;
  /** Called once, however it ends. */
  readonly onEnd: (() => void) | undefined;
  hasEnded: boolean;
}

export class Lane {
  readonly #worker: Worker;
  readonly #canceled = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #onLost: (error: Error) => void;
  #waiting: Pending[] = [];
  /** The batch that is away. One: what arrives while a lane works travels together when it is done. (Two: measured 1.5 times the CPU a push.) */
  #away: readonly Pending[] = [];
  #batchNumber = 0;
  /** Calls that wait or are away, and have not ended. */
  #load = 0;
  #generation: Generation = -1;
  #records: InsertedRecord[] = [];
  #recordBytes = 0;
  #rows: number[] = [];
  #released: number[] = [];
  readonly #settings = new Map<EncodeSettings, number>();
  #nextSettings = 1;
  /** Why nothing is taken any more: the thread died, or the node stops. */
  #refusal: CodedError | undefined;
  #isStopping = false;
  #isSendDue = false;
  #longCount = 0;

  /** `onLost`: the thread died, and its rows with it. */
  constructor(start: Omit<LaneStart, "canceled">, onLost: (error: Error) => void) {
    this.#onLost = onLost;
    this.#worker = new Worker(new URL("./lane.worker.js", import.meta.url), { workerData: { ...start, canceled: this.#canceled } satisfies LaneStart });
    this.#worker.on("message", (outcomes: readonly LaneOutcome[]) => this.#onOutcomes(outcomes));
    const lose = (error: Error): void => this.#lose(error);
    this.#worker.on("error", lose);
    this.#worker.on("exit", (code) => lose(new Error(`worker exited with ${code}`)));
  }

  get load(): number {
    return this.#load;
  }

  /** True while a task that takes long is waiting or at work here. */
  get isLong(): boolean {
    return this.#longCount > 0;
  }

  /** `record.bytes` lie in shared memory and stay as they are. */
  insert(generation: Generation, record: InsertedRecord): void {
    this.#turnTo(generation);
    this.#records.push(record);
    this.#recordBytes += record.bytes.byteLength;
    if (this.#recordBytes >= DEFERRED_BYTES_MAX) this.#flush();
  }

  /** A row that a push made ready here, in this generation. */
  insertRow(generation: Generation, row: number): void {
    this.#turnTo(generation);
    this.#rows.push(row);
    if (this.#rows.length >= DEFERRED_ROWS_MAX) this.#flush();
  }

  /** A row that was made ready and will not be inserted. */
  releaseRow(row: number): void {
    this.#released.push(row);
    if (this.#released.length >= DEFERRED_ROWS_MAX) this.#flush();
  }

  /** By what number a push to this lane names its settings. */
  settingsNumber(settings: EncodeSettings): number {
    let number = this.#settings.get(settings);
    if (number !== undefined) return number;
    if (this.#settings.size >= SETTINGS_MAX) this.#settings.clear();
    number = this.#nextSettings++;
    this.#post({ method: "settings", number, settings, isFirst: this.#settings.size === 0 });
    this.#settings.set(settings, number);
    return number;
  }

  call<T>(call: LaneCall, signal?: AbortSignal): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (signal?.aborted) return Promise.reject(queryCanceled());
    if (this.#load >= QUEUE_MAX) {
      return Promise.reject(unavailable("COMPUTE_BUSY", `${QUEUE_MAX} tasks wait for a worker thread already: send less or add cores`));
    }
    this.#defer();
    return new Promise<T>((resolve, reject) => {
      if (signal === undefined) this.#push(call, resolve, reject, undefined);
      else this.#pushCancelable(call, resolve, reject, signal);
      this.#sendSoon();
    });
  }

  /** Never refused, however much waits: a generation that nobody drops stays in memory. */
  drop(generation: Generation): void {
    this.#defer();
    this.#post({ method: "drop", generation });
    this.#sendSoon();
  }

  /** What still waits is refused: nobody would answer it. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#refuseAll(unavailable("COMPUTE_STOPPED", "this node is stopping: ask another"));
    await this.#worker.terminate();
  }

  #lose(error: Error): void {
    if (this.#isStopping || this.#refusal !== undefined) return;
    this.#refuseAll(unavailable("COMPUTE_LANE_LOST", `a worker thread died (${error.message}): the node restarts and replays its rows`, error));
    this.#onLost(error);
  }

  /** From now on, too. */
  #refuseAll(reason: CodedError): void {
    this.#refusal ??= reason;
    const pendings = [...this.#away, ...this.#waiting];
    this.#waiting = [];
    for (const pending of pendings) if (this.#end(pending)) pending.reject(reason);
  }

  #push(call: LaneCall, resolve: Pending["resolve"], reject: Pending["reject"], onEnd: Pending["onEnd"]): Pending {
    const pending: Pending = { call, resolve, reject, isLong: !isShort(call), onEnd, hasEnded: false };
    this.#waiting.push(pending);
    this.#load++;
    if (pending.isLong) this.#longCount++;
    return pending;
  }

  #pushCancelable(call: LaneCall, resolve: Pending["resolve"], reject: Pending["reject"], signal: AbortSignal): void {
    const onAbort = (): void => this.#cancel(pending);
    const pending = this.#push(call, resolve, reject, () => signal.removeEventListener("abort", onAbort));
    setMaxListeners(0, signal); // a query has a call for each window and lane; each takes its listener back
    signal.addEventListener("abort", onAbort, { once: true });
  }

  /** A call that nobody awaits. Should it fail, rows are missing, and answers would be wrong without a word. */
  #post(call: LaneCall): void {
    if (this.#refusal === undefined) this.#push(call, ignore, this.#onPostFailed, undefined);
  }

  readonly #onPostFailed = (error: Error): void => this.#lose(new Error(`an accepted record could not be interned: ${error.message}`, { cause: error }));

  #turnTo(generation: Generation): void {
    if (generation !== this.#generation) this.#defer();
    this.#generation = generation;
  }

  #flush(): void {
    this.#defer();
    this.#sendSoon();
  }

  /** Queues the inserts and releases that wait. */
  #defer(): void {
    const generation = this.#generation;
    if (this.#records.length > 0) {
      this.#post({ method: "insert", generation, records: this.#records });
      this.#records = [];
      this.#recordBytes = 0;
    }
    if (this.#rows.length > 0) {
      this.#post({ method: "rows", generation, rows: this.#rows });
      this.#rows = [];
    }
    if (this.#released.length > 0) {
      this.#post({ method: "release", rows: this.#released });
      this.#released = [];
    }
  }

  /** At the end of this turn of the loop: what arrives together travels together. */
  #sendSoon(): void {
    if (this.#isSendDue) return;
    this.#isSendDue = true;
    queueMicrotask(() => {
      this.#isSendDue = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#away.length > 0 || this.#waiting.length === 0) return;
    this.#away = this.#waiting.splice(0, batchLength(this.#waiting));
    const batch: [number, ...LaneCall[]] = [++this.#batchNumber];
    for (const { call } of this.#away) batch.push(call);
    this.#worker.postMessage(batch satisfies LaneBatch);
  }

  #onOutcomes(outcomes: readonly LaneOutcome[]): void {
    const pendings = this.#away;
    this.#away = [];
    this.#send();
    for (let index = 0; index < pendings.length; index++) {
      const pending = pendings[index]!;
      if (!this.#end(pending)) continue; // cancelled meanwhile
      const outcome = outcomes[index];
      // The lane answers each method with its own type.
      if (outcome === undefined || isRecords(outcome)) pending.resolve(outcome as never);
      else if ("error" in outcome) pending.reject(fromPlainError(outcome.error));
      else pending.resolve(outcome.value as never);
    }
  }

  /** False: it had ended before. */
  #end(pending: Pending): boolean {
    if (pending.hasEnded) return false;
    pending.hasEnded = true;
    this.#load--;
    if (pending.isLong) this.#longCount--;
    pending.onEnd?.();
    return true;
  }

  /** A call still waiting is taken back; one already with the worker is ended there, soon, and not heard. */
  #cancel(pending: Pending): void {
    if (!this.#end(pending)) return;
    if (this.#away.includes(pending)) Atomics.store(this.#canceled, 0, BigInt(this.#batchNumber));
    else this.#waiting = this.#waiting.filter((waiting) => waiting !== pending);
    pending.reject(queryCanceled());
  }
}

function ignore(): void {}

/** How many of the waiting calls travel next: short ones together, a long one alone. */
function batchLength(waiting: readonly Pending[]): number {
  let length = 0;
  while (length < BATCH_CALLS_MAX && length < waiting.length && !waiting[length]!.isLong) length++;
  return Math.max(1, length);
}

function isShort(call: LaneCall): boolean {
  return isPush(call) || (call.method !== "build" && call.method !== "scan" && call.method !== "merge" && call.method !== "finish");
}
