/**
 * One worker as the main thread sees it: a queue of calls to a worker thread. Pushes go before queries (worker-queue.ts); a query sees every
 * insert that was made before it.
 *
 *   call --> queue --> batch (of pushes, of a listing and of a scan: one of each away at a time) --> worker --> outcomes
 *
 * Inserts and releases wait to travel with the next call, or until many of them wait: nobody awaits them.
 * A queue holds at most QUEUE_MAX calls; past it a call is refused with COMPUTE_BUSY (503). What nobody awaits is never refused:
 * there is as much of it as there were pushes and generations.
 *
 * When the thread is gone, what was with it is refused (WORKER_LOST, 503), and what waited goes to the next: who starts that one, and when,
 * says worker-supervisor.ts. Until it holds the rows of the one before, scans and builds of rows are held back; pushes go on. The epoch
 * rises: rows that the thread had made ready are gone (`isRowOf` of worker-protocol.ts), and settings are sent again.
 */
import { setMaxListeners } from "node:events";
import { CodedError, messageOf, unavailable } from "@pyromesh/base";
import type { EncodeSettings, Generation, InsertedRecord } from "./compute.ts";
import { WorkerQueue } from "./worker-queue.ts";
import type { Away, CallKind } from "./worker-queue.ts";
import { cancelCell, countOutcome, fromPlainError, isListing, isPush, isQuery, isRecords, queryCanceled, workerLost } from "./worker-protocol.ts";
import type { WorkerBatch, WorkerCall, WorkerOutcome, WorkerReply, WorkerStart } from "./worker-protocol.ts";
import type { ThreadEnd, WorkerThread, WorkerThreads } from "./worker-threads.ts";

const QUEUE_MAX = 4096;
/** Inserts and releases that wait. */
const DEFERRED_BYTES_MAX = 1 << 20;
const DEFERRED_ROWS_MAX = 256;
/** Settings a worker remembers. At the bound it forgets all of them, and those still in use are sent again. */
const SETTINGS_MAX = 256;

interface Pending {
  readonly call: WorkerCall;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly kind: CallKind;
  order: number;
  /** Called once, however it ends. */
  readonly onEnd: (() => void) | undefined;
  hasEnded: boolean;
}

type PendingList = { push(pending: Pending): void };

interface Batch {
  readonly number: number;
  readonly kind: CallKind;
  readonly pendings: readonly Pending[];
}

export interface ComputeWorkerModules {
  readonly threads: WorkerThreads;
  /** Called in the turn in which the thread is known to be gone. `start` begins another. */
  readonly onGone: (death: WorkerDeath) => void;
}

export interface WorkerDeath extends ThreadEnd {
  /** The calls that it had begun: a query, or a build, or a few short ones, and those that it did between two slices of a query. In the order in which it began them. */
  readonly atWork: readonly WorkerCall[];
  /** It held all of its rows, and was sent calls. */
  readonly hasServed: boolean;
}

export class ComputeWorker {
  readonly #start: Omit<WorkerStart, "canceled" | "begun" | "epoch">;
  readonly #modules: ComputeWorkerModules;
  /** Undefined while the last one is gone and the next one is not started: calls wait. */
  #thread: WorkerThread | undefined;
  /** Of all threads here: batches are numbered on, so that no thread takes a cancel for its own that was another's. */
  readonly #canceled = new BigInt64Array(new SharedArrayBuffer(16));
  readonly #begun = new BigInt64Array(new SharedArrayBuffer(8));
  #epoch = 0;
  readonly #waiting = new WorkerQueue<Pending>();
  #nextOrder = 0;
  /** By number. One of short calls: what arrives while a worker works travels together when it is done. (Two: measured 1.5 times the CPU a push.) */
  readonly #away = new Map<number, Batch>();
  /** Scans and builds that wait for rows to be read back. They count in `load`, and were sent to no thread. */
  #held: Pending[] = [];
  #batchNumber = 0;
  /** Calls that wait, are held or are away, and have not ended. */
  #load = 0;
  #generation: Generation = -1;
  #records: InsertedRecord[] = [];
  #recordBytes = 0;
  #rows: number[] = [];
  #released: number[] = [];
  readonly #settings = new Map<EncodeSettings, number>();
  #nextSettings = 1;
  /** Why nothing is taken any more: the node stops. */
  #refusal: CodedError | undefined;
  /** Set while a thread that cannot be trusted is being ended: it is sent nothing, and its answers are dropped. */
  #ending: ThreadEnd | undefined;
  /** The thread holds every row of its worker, of the generations that `#lacks` does not name. */
  #isWhole = true;
  /** Of the generations up to `#wholeUntil`, those whose rows were read back. Of later ones the thread got every insert. */
  #wholeGenerations: ReadonlySet<Generation> = new Set();
  #wholeUntil: Generation = -1;
  /** Set while the read-back takes too long: calls that need rows are refused with it instead of being held. */
  #rowsRefusal: (() => CodedError) | undefined;
  #isDiscarding = false;
  #hasServed = false;
  #isSendDue = false;
  #longCount = 0;

  constructor(start: Omit<WorkerStart, "canceled" | "begun" | "epoch">, modules: ComputeWorkerModules) {
    this.#start = start;
    this.#modules = modules;
    this.start();
  }

  /** Starts a thread, where there is none. It gets the calls that wait. */
  start(): void {
    if (this.#refusal !== undefined || this.#thread !== undefined) return;
    const epoch = this.#epoch;
    const events = {
      onReply: (reply: WorkerReply): void => {
        if (epoch === this.#epoch && this.#ending === undefined) this.#onReply(reply);
      },
      onGone: (end: ThreadEnd): void => {
        if (epoch === this.#epoch) this.#onGone(this.#ending ?? end);
      },
    };
    try {
      this.#thread = this.#modules.threads.start({ ...this.#start, epoch, canceled: this.#canceled, begun: this.#begun }, events);
      this.#sendSoon();
    } catch (error) {
      queueMicrotask(() => events.onGone({ reason: "crashed", message: messageOf(error) }));
    }
  }

  /** Rises by one when a thread dies. */
  get epoch(): number {
    return this.#epoch;
  }

  get isDown(): boolean {
    return this.#thread === undefined || this.#ending !== undefined;
  }

  /** Of the thread there is now. */
  get busyMs(): number {
    return this.#thread?.busyMs() ?? 0;
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
    if (this.#isDiscarding) return;
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

  /** By what number a push to this worker names its settings. */
  settingsNumber(settings: EncodeSettings): number {
    let number = this.#settings.get(settings);
    if (number !== undefined) return number;
    if (this.#settings.size >= SETTINGS_MAX) this.#settings.clear();
    number = this.#nextSettings++;
    this.#tellSettings(settings, number);
    return number;
  }

  #tellSettings(settings: EncodeSettings, number: number): void {
    this.#post({ method: "settings", number, settings, isFirst: this.#settings.size === 0 });
    this.#settings.set(settings, number);
  }

  /** `kind`: how it travels, where that is not how its like do (worker-queue.ts). */
  call<T>(call: WorkerCall, signal?: AbortSignal, kind: CallKind = kindOf(call)): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (signal?.aborted) return Promise.reject(queryCanceled());
    if (this.#load >= QUEUE_MAX) {
      return Promise.reject(unavailable("COMPUTE_BUSY", `${QUEUE_MAX} tasks wait for a worker thread already: send less or add cores`));
    }
    const isHeld = !this.#isWhole && needsRows(call);
    if (isHeld && this.#rowsRefusal !== undefined) return Promise.reject(this.#rowsRefusal());
    if (!isHeld && this.#lacks(call)) return Promise.reject(rowsGone());
    this.#defer();
    return new Promise<T>((resolve, reject) => {
      const queue: PendingList = isHeld ? this.#held : this.#waiting;
      if (signal === undefined) this.#push(queue, call, resolve, reject, undefined, kind);
      else this.#pushCancelable(queue, call, resolve, reject, signal);
      if (!isHeld) this.#sendSoon();
    });
  }

  /**
   * Resolves when every insert made before is done. Where the thread dies first, or rows are being read back already, it resolves without:
   * those inserts went with the thread, their records are read back, and scans and builds wait for that (`#held`).
   */
  async settle(): Promise<void> {
    if (!this.#isWhole) return;
    await this.call({ method: "barrier" }).catch((error: unknown) => {
      if (!(error instanceof CodedError) || error.code !== "WORKER_LOST") throw error;
    });
  }

  /** Never refused, however much waits: a generation that nobody drops stays in memory. */
  drop(generation: Generation): void {
    this.#defer();
    this.#post({ method: "drop", generation });
    this.#sendSoon();
  }

  // --- after a death -----------------------------------------------------------------------------------------------

  /** Whether inserts are dropped from now on, because their rows will be read back. */
  discard(isDiscarding: boolean): void {
    this.#isDiscarding = isDiscarding;
  }

  /** Inserts rows that the thread before held, in a batch of their own, so that it is known which records a thread dies of. */
  insertBack(generation: Generation, records: readonly InsertedRecord[]): { readonly call: WorkerCall; readonly done: Promise<void> } {
    const call: WorkerCall = { method: "insert", generation, records };
    this.#defer();
    const done = new Promise<void>((resolve, reject) => void this.#push(this.#waiting, call, resolve, reject, undefined, "alone"));
    this.#sendSoon();
    return { call, done };
  }

  /** The thread holds all rows of these generations, which are the live ones, and gets those of later ones. Held calls are sent. */
  makeWhole(generations: readonly Generation[]): void {
    this.#isWhole = true;
    this.#rowsRefusal = undefined;
    this.#wholeGenerations = new Set(generations);
    this.#wholeUntil = Math.max(-1, ...generations);
    const held = this.#held;
    this.#held = [];
    for (const pending of held) {
      if (this.#lacks(pending.call)) this.#refuse(pending, rowsGone());
      else this.#requeue(pending);
    }
    this.#sendSoon();
  }

  /** Refuses the calls that are held, and those that would be held from now on, until `makeWhole`. */
  refuseHeld(refusal: () => CodedError): void {
    this.#rowsRefusal = refusal;
    const held = this.#held;
    this.#held = [];
    for (const pending of held) this.#refuse(pending, refusal());
  }

  /** Ends a thread that failed at what must not fail, and can be trusted no more. */
  restart(message: string): void {
    if (this.#refusal !== undefined || this.#ending !== undefined) return;
    const end: ThreadEnd = { reason: "failed", message };
    this.#ending = end;
    this.#isWhole = false;
    const epoch = this.#epoch;
    // Without a thread, an insert failed after the last death: it counts as another one. In a later turn, since more inserts of the same commit may fail.
    if (this.#thread === undefined) queueMicrotask(() => epoch === this.#epoch && this.#onGone(end));
    else void this.#thread.end();
  }

  /** What still waits is refused: nobody would answer it. */
  async stop(reason: CodedError = unavailable("COMPUTE_STOPPED", "this node is stopping: ask another")): Promise<void> {
    this.#refusal ??= reason;
    const pendings = [...this.#callsAway(), ...this.#waiting.drain(), ...this.#held];
    this.#held = [];
    for (const pending of pendings) this.#refuse(pending, reason);
    await this.#thread?.end();
  }

  #onGone(end: ThreadEnd): void {
    if (this.#refusal !== undefined) return;
    const begun = Number(Atomics.load(this.#begun, 0));
    const atWork = this.#callsAway(({ number }) => number <= begun);
    // What the thread had not begun is sent to the next one.
    const waiting = [...this.#callsAway(({ number }) => number > begun), ...this.#waiting.drain()].sort((a, b) => a.order - b.order);
    const settings = [...this.#settings];
    const death: WorkerDeath = { ...end, atWork: atWork.map(({ call }) => call), hasServed: this.#hasServed };
    this.#epoch++;
    this.#thread = undefined;
    this.#ending = undefined;
    this.#isWhole = false;
    this.#hasServed = false;
    this.#away.clear();
    this.#records = [];
    this.#recordBytes = 0;
    this.#rows = [];
    this.#released = [];
    this.#settings.clear();
    for (const pending of atWork) this.#refuse(pending, workerLost(end.message, true));
    // 1. The next thread is sent the settings in use, then the calls that waited. Not inserts and drops: it starts empty, and the rows are read back.
    for (const [one, number] of settings) this.#tellSettings(one, number);
    const known = new Set(settings.map(([, number]) => number));
    for (const pending of waiting) {
      if (pending.hasEnded) continue;
      if (pending.reject === this.#onPostFailed) this.#end(pending);
      else if (isInsert(pending.call)) this.#refuse(pending, workerLost(end.message, false)); // a page that was read back: all are, once more
      else if (isPush(pending.call) && !known.has(pending.call[2])) this.#refuse(pending, workerLost(end.message, false));
      else if (needsRows(pending.call)) this.#held.push(pending);
      else this.#requeue(pending);
    }
    // 2. From this turn on inserts wait for it.
    this.#modules.onGone(death);
  }

  #refuse(pending: Pending, reason: CodedError): void {
    // Inserts and drops have no caller to refuse: their rows are read back.
    if (this.#end(pending) && pending.reject !== this.#onPostFailed) pending.reject(reason);
  }

  /** The call needs rows of a generation that was sealed before they could be read back. */
  #lacks(call: WorkerCall): boolean {
    if (this.#wholeUntil < 0 || isPush(call)) return false;
    const lacks = (generation: Generation): boolean => generation <= this.#wholeUntil && !this.#wholeGenerations.has(generation);
    return call.method === "scan" ? call.task.generations.some(lacks) : call.method === "build" && lacks(call.generation);
  }

  // --- the queue -----------------------------------------------------------------------------------------------------

  #push(queue: PendingList, call: WorkerCall, resolve: Pending["resolve"], reject: Pending["reject"], onEnd: Pending["onEnd"], kind: CallKind = kindOf(call)): Pending {
    const pending: Pending = { call, resolve, reject, kind, order: this.#nextOrder++, onEnd, hasEnded: false };
    queue.push(pending);
    this.#load++;
    if (pending.kind !== "short") this.#longCount++;
    return pending;
  }

  /** Behind all that waits now. */
  #requeue(pending: Pending): void {
    pending.order = this.#nextOrder++;
    this.#waiting.push(pending);
  }

  #pushCancelable(queue: PendingList, call: WorkerCall, resolve: Pending["resolve"], reject: Pending["reject"], signal: AbortSignal): void {
    const onAbort = (): void => this.#cancel(pending);
    const pending = this.#push(queue, call, resolve, reject, () => signal.removeEventListener("abort", onAbort));
    setMaxListeners(0, signal); // a query has a call for each window and worker; each takes its listener back
    signal.addEventListener("abort", onAbort, { once: true });
  }

  /** A call that nobody awaits. Should it fail, rows are missing, and answers would be wrong without a word. */
  #post(call: WorkerCall): void {
    if (this.#refusal === undefined) this.#push(this.#waiting, call, ignore, this.#onPostFailed, undefined);
  }

  readonly #onPostFailed = (error: Error): void => this.restart(`an accepted record could not be interned: ${error.message}`);

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
    if (this.#ending !== undefined) return;
    while (this.#thread !== undefined) {
      const pendings = this.#waiting.next(this.#kindsAway());
      if (pendings === undefined) return;
      const [first] = pendings as [Pending, ...Pending[]]; // a batch is never empty
      // A push that must be alone is overtaken by others: its settings may be forgotten by now.
      if (first.kind === "alone" && isPush(first.call) && !this.#knowsSettings(first.call[2])) {
        this.#refuse(first, unavailable("SETTINGS_CHANGED", "the limits changed while the push waited: send it again"));
        continue;
      }
      const number = ++this.#batchNumber;
      this.#away.set(number, { number, kind: first.kind, pendings });
      const batch: [number, ...WorkerCall[]] = [number];
      for (const { call } of pendings) batch.push(call);
      this.#thread.post(batch satisfies WorkerBatch);
    }
  }

  #kindsAway(): Away {
    const away = { short: false, listing: false, scan: false, alone: false };
    for (const { kind } of this.#away.values()) away[kind === "apart" ? "short" : kind] = true;
    return away;
  }

  #callsAway(isWanted: (batch: Batch) => boolean = () => true): Pending[] {
    return [...this.#away.values()].filter(isWanted).flatMap(({ pendings }) => pendings);
  }

  #knowsSettings(number: number): boolean {
    for (const known of this.#settings.values()) if (known === number) return true;
    return false;
  }

  #onReply([number, ...outcomes]: WorkerReply): void {
    const batch = this.#away.get(number);
    if (batch === undefined) return;
    this.#away.delete(number);
    this.#hasServed = this.#isWhole;
    this.#send();
    for (const [index, pending] of batch.pendings.entries()) this.#settle(pending, outcomes[index]);
  }

  #settle(pending: Pending, outcome: WorkerOutcome): void {
    countOutcome(outcome);
    if (!this.#end(pending)) return; // cancelled meanwhile
    // The worker answers each method with its own type.
    if (outcome === undefined || isRecords(outcome)) pending.resolve(outcome as never);
    else if ("error" in outcome) pending.reject(fromPlainError(outcome.error));
    else pending.resolve(outcome.value as never);
  }

  /** False: it had ended before. */
  #end(pending: Pending): boolean {
    if (pending.hasEnded) return false;
    pending.hasEnded = true;
    this.#load--;
    if (pending.kind !== "short") this.#longCount--;
    pending.onEnd?.();
    return true;
  }

  /** A call still waiting is taken back; one already with the worker is ended there, soon, and not heard. */
  #cancel(pending: Pending): void {
    if (!this.#end(pending)) return;
    const batch = [...this.#away.values()].find(({ pendings }) => pendings.includes(pending));
    if (batch !== undefined) Atomics.store(this.#canceled, cancelCell(pending.call), BigInt(batch.number));
    else {
      this.#waiting.remove(pending);
      this.#held = this.#held.filter((held) => held !== pending);
    }
    pending.reject(queryCanceled());
  }
}

function ignore(): void {}

function kindOf(call: WorkerCall): CallKind {
  if (isQuery(call)) return isListing(call) ? "listing" : "scan";
  return !isPush(call) && call.method === "build" ? "apart" : "short";
}

function isInsert(call: WorkerCall): boolean {
  return !isPush(call) && call.method === "insert";
}

/** Whether the call reads rows that the thread holds. */
function needsRows(call: WorkerCall): boolean {
  if (isPush(call)) return false;
  return call.method === "build" || (call.method === "scan" && call.task.generations.length > 0);
}

function rowsGone(): CodedError {
  return workerLost("the rows that this query planned are in segments by now", false);
}
