/**
 * One lane as the main thread sees it: a queue of calls to a worker thread, done in the order in which they were made.
 *
 *   call --> queue --> batch (at most BATCHES_IN_FLIGHT away) --> worker --> outcomes
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
import { fromPlainError, queryCanceled } from "./lane-protocol.ts";
import type { LaneCall, LaneOutcome, LaneRequest, LaneStart } from "./lane-protocol.ts";

/** One: what arrives while a lane works travels together when it is done. (Two: measured 1.5 times the CPU a push.) */
const BATCHES_IN_FLIGHT = 1;
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
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly isLong: boolean;
  /** Called once, however it ends. */
  readonly onEnd?: () => void;
}

export class Lane {
  readonly #worker: Worker;
  readonly #canceled = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #onLost: (error: Error) => void;
  readonly #pending = new Map<number, Pending>();
  #waiting: LaneRequest[] = [];
  #generation: Generation = -1;
  #records: InsertedRecord[] = [];
  #recordBytes = 0;
  #rows: number[] = [];
  #released: number[] = [];
  readonly #settings = new Map<EncodeSettings, number>();
  #nextSettings = 1;
  #batchesInFlight = 0;
  #nextId = 1;
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
    return this.#pending.size;
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
    if (this.#pending.size >= QUEUE_MAX) {
      return Promise.reject(unavailable("COMPUTE_BUSY", `${QUEUE_MAX} tasks wait for a worker thread already: send less or add cores`));
    }
    this.#defer();
    return new Promise<T>((resolve, reject) => {
      const isLong = !isShort(call);
      if (isLong) this.#longCount++;
      const onAbort = (): void => this.#cancel(id);
      const id = this.#push(call, { resolve, reject, isLong, onEnd: () => signal?.removeEventListener("abort", onAbort) });
      if (signal !== undefined) {
        setMaxListeners(0, signal); // a query has a call for each window and lane; each takes its listener back
        signal.addEventListener("abort", onAbort, { once: true });
      }
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
    this.#waiting = [];
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(reason);
  }

  #push(call: LaneCall, pending: Pending): number {
    const id = this.#nextId++;
    this.#waiting.push({ id, call });
    this.#pending.set(id, pending);
    return id;
  }

  /** A call that nobody awaits. Should it fail, rows are missing, and answers would be wrong without a word. */
  #post(call: LaneCall): void {
    if (this.#refusal !== undefined) return;
    const reject = (error: Error): void => this.#lose(new Error(`an accepted record could not be interned: ${error.message}`, { cause: error }));
    this.#push(call, { resolve: () => {}, reject, isLong: false });
  }

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
    while (this.#batchesInFlight < BATCHES_IN_FLIGHT && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, batchLength(this.#waiting));
      this.#batchesInFlight++;
      this.#worker.postMessage(batch);
    }
  }

  #onOutcomes(outcomes: readonly LaneOutcome[]): void {
    this.#batchesInFlight--;
    this.#send();
    for (const outcome of outcomes) {
      const pending = this.#take(outcome.id);
      if (pending === undefined) continue; // cancelled meanwhile
      if ("error" in outcome) pending.reject(fromPlainError(outcome.error));
      else pending.resolve(outcome.value as never); // the lane answers each method with its own type
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending?.isLong === true) this.#longCount--;
    pending?.onEnd?.();
    return pending;
  }

  /** A call still waiting is taken back; one already with the worker is ended there, soon, and not heard. */
  #cancel(id: number): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    const waiting = this.#waiting.filter((request) => request.id !== id);
    if (waiting.length === this.#waiting.length) Atomics.store(this.#canceled, 0, BigInt(id));
    this.#waiting = waiting;
    pending.reject(queryCanceled());
  }
}

/** How many of the waiting calls travel next: short ones together, a long one alone. */
function batchLength(waiting: readonly LaneRequest[]): number {
  let length = 0;
  while (length < BATCH_CALLS_MAX && length < waiting.length && isShort(waiting[length]!.call)) length++;
  return Math.max(1, length);
}

function isShort({ method }: LaneCall): boolean {
  return method !== "build" && method !== "scan" && method !== "finish";
}
