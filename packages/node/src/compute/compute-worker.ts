/**
 * One worker as the main thread sees it: a queue of calls to a worker thread. Pushes go before queries (worker-queue.ts); a query sees every
 * insert that was made before it.
 *
 *   call --> queue --> batch (one batch of pushes, one of a listing and one of a scan are away at a time) --> worker --> outcomes
 *
 * Nobody awaits inserts and releases, so they are sent with the next call, or when many of them wait.
 * A queue holds at most QUEUE_MAX calls; past it a call is refused with COMPUTE_BUSY (503). Inserts, releases and drops are never refused:
 * pushes and generations bound how many there are.
 *
 * When the thread dies, calls that it had begun are refused (WORKER_LOST, 503), and calls that it had not begun go to the next thread.
 * worker-supervisor.ts decides when that one starts. Until it holds the rows of the thread before it, scans and builds of rows are held; pushes go on.
 * The epoch rises: pre-interned rows of the dead thread are void (`isRowOf` of worker-protocol.ts), and settings are sent again.
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
/** Inserts and releases are sent without a call once as many wait. */
const DEFERRED_BYTES_MAX = 1 << 20;
const DEFERRED_ROWS_MAX = 256;
/** Settings that a worker remembers. At the bound it forgets all of them, and those still in use are sent again. */
const SETTINGS_MAX = 256;

interface Pending {
  readonly call: WorkerCall;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly kind: CallKind;
  order: number;
  /** Called once, whether the call is answered, refused or cancelled. */
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
  /** Called in the turn in which the death of the thread is reported. `start` begins another thread. */
  readonly onGone: (death: WorkerDeath) => void;
}

export interface WorkerDeath extends ThreadEnd {
  /** The calls that it had begun, in that order: a query, a build or a few short calls; beside a query also those that it did between two slices. */
  readonly atWork: readonly WorkerCall[];
  /** It had answered a call while it held all of its rows. */
  readonly hasServed: boolean;
}

export class ComputeWorker {
  readonly #start: Omit<WorkerStart, "canceled" | "begun" | "epoch">;
  readonly #modules: ComputeWorkerModules;
  /** Undefined between the death of one thread and the start of the next: calls wait. */
  #thread: WorkerThread | undefined;
  /** Shared by all threads of this worker, one after the other. Batch numbers go on rising, so no thread mistakes a cancel of an earlier thread's batch for its own. */
  readonly #canceled = new BigInt64Array(new SharedArrayBuffer(16));
  readonly #begun = new BigInt64Array(new SharedArrayBuffer(8));
  #epoch = 0;
  readonly #waiting = new WorkerQueue<Pending>();
  #nextOrder = 0;
  /**
   * In the order of their numbers. At most one batch of short calls: what arrives while the worker is busy is sent together afterwards
   * (docs/decisions/0006-workers.md). With one each of the other kinds they are a handful, so a list is searched.
   */
  #away: Batch[] = [];
  /** Scans and builds that wait for rows to be read back. They count in `load`. */
  #held: Pending[] = [];
  #batchNumber = 0;
  /** Calls that wait, are held or are with the thread. */
  #load = 0;
  #generation: Generation = -1;
  #records: InsertedRecord[] = [];
  #recordBytes = 0;
  #rows: number[] = [];
  #released: number[] = [];
  readonly #settings = new Map<EncodeSettings, number>();
  #nextSettings = 1;
  /** Set once the node stops or the worker is given up: every call is refused with it. */
  #refusal: CodedError | undefined;
  /** Set while a thread that failed is being ended: it is sent nothing, and its answers are dropped. */
  #ending: ThreadEnd | undefined;
  /** The thread holds all rows of its worker, except of generations that were sealed before they could be read back (`#lacks`). */
  #isWhole = true;
  /** The generations up to `#wholeUntil` whose rows were read back. Of later generations the thread got every insert. */
  #wholeGenerations: ReadonlySet<Generation> = new Set();
  #wholeUntil: Generation = -1;
  /** Set once the read-back has taken too long: calls that need rows are refused with it and not held. */
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

  /** Starts a thread where there is none, and sends it the calls that wait. */
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

  /** How long the present thread was at work. */
  get busyMs(): number {
    return this.#thread?.busyMs() ?? 0;
  }

  get load(): number {
    return this.#load;
  }

  /** True while a call that takes long waits or is at work here. */
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

  /** Inserts a row that was pre-interned here for this generation. */
  insertRow(generation: Generation, row: number): void {
    this.#turnTo(generation);
    this.#rows.push(row);
    if (this.#rows.length >= DEFERRED_ROWS_MAX) this.#flush();
  }

  /** Drops a pre-interned row that will not be inserted. */
  releaseRow(row: number): void {
    this.#released.push(row);
    if (this.#released.length >= DEFERRED_ROWS_MAX) this.#flush();
  }

  /** The number by which a push to this worker names its settings. They are sent to it before, where it does not know them. */
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

  /** `kind`: where it is not the one that such calls have (worker-queue.ts). */
  call<T>(call: WorkerCall, signal?: AbortSignal, kind: CallKind = kindOf(call)): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (signal?.aborted) return Promise.reject(queryCanceled());
    // A push that has begun goes on: it holds memory until it has ended.
    if (this.#load >= QUEUE_MAX && !isResume(call)) {
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

  /** Never refused: a generation that is not dropped would stay in memory. */
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

  /** Inserts records that are read back, in a batch of their own, which shows what records a thread dies of. */
  insertBack(generation: Generation, records: readonly InsertedRecord[]): { readonly call: WorkerCall; readonly done: Promise<void> } {
    const call: WorkerCall = { method: "insert", generation, records };
    this.#defer();
    const done = new Promise<void>((resolve, reject) => void this.#push(this.#waiting, call, resolve, reject, undefined, "alone"));
    this.#sendSoon();
    return { call, done };
  }

  /** The thread now holds all rows of these generations, which are the live ones, and will get every insert of those after `last`. Held calls are sent. */
  makeWhole(generations: readonly Generation[], last: Generation): void {
    this.#isWhole = true;
    this.#rowsRefusal = undefined;
    this.#wholeGenerations = new Set(generations);
    this.#wholeUntil = last;
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

  /** Ends a thread that failed to intern an accepted record: its rows are incomplete. */
  restart(message: string): void {
    if (this.#refusal !== undefined || this.#ending !== undefined) return;
    const end: ThreadEnd = { reason: "failed", message };
    this.#ending = end;
    this.#isWhole = false;
    const epoch = this.#epoch;
    // Without a thread, an insert failed after the last death. It counts as another death, in a later turn, since more inserts of the same commit may fail.
    if (this.#thread === undefined) queueMicrotask(() => epoch === this.#epoch && this.#onGone(end));
    else void this.#thread.end();
  }

  /** Refuses all calls that have not ended, and ends the thread. */
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
    // Calls that the thread had not begun are sent to the next one.
    const waiting = [...this.#callsAway(({ number }) => number > begun), ...this.#waiting.drain()].sort((a, b) => a.order - b.order);
    const settings = [...this.#settings];
    const death: WorkerDeath = { ...end, atWork: atWork.map(({ call }) => call), hasServed: this.#hasServed };
    this.#epoch++;
    this.#thread = undefined;
    this.#ending = undefined;
    this.#isWhole = false;
    this.#hasServed = false;
    this.#away = [];
    this.#records = [];
    this.#recordBytes = 0;
    this.#rows = [];
    this.#released = [];
    this.#settings.clear();
    for (const pending of atWork) this.#refuse(pending, workerLost(end.message, true));
    // 1. The next thread is sent the settings in use, then the calls that waited; no inserts and drops: it starts empty, and all rows are read back.
    for (const [one, number] of settings) this.#tellSettings(one, number);
    const known = new Set(settings.map(([, number]) => number));
    for (const pending of waiting) {
      if (pending.hasEnded) continue;
      if (pending.reject === this.#onPostFailed) this.#end(pending);
      else if (isInsert(pending.call)) this.#refuse(pending, workerLost(end.message, false)); // a page of the last read-back: all pages are read again
      else if (isResume(pending.call)) this.#refuse(pending, workerLost(end.message, false)); // what it had begun went with the thread
      else if (isPush(pending.call) && !known.has(pending.call[2])) this.#refuse(pending, workerLost(end.message, false));
      else if (needsRows(pending.call)) this.#held.push(pending);
      else this.#requeue(pending);
    }
    // 2. From this turn on inserts wait for the next thread.
    this.#modules.onGone(death);
  }

  #refuse(pending: Pending, reason: CodedError): void {
    // Nobody awaits inserts and drops; their rows are read back.
    if (this.#end(pending) && pending.reject !== this.#onPostFailed) pending.reject(reason);
  }

  /** True where the call needs rows of a generation that was sealed before they could be read back. */
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

  /** Puts the call behind all that wait now. */
  #requeue(pending: Pending): void {
    pending.order = this.#nextOrder++;
    this.#waiting.push(pending);
  }

  #pushCancelable(queue: PendingList, call: WorkerCall, resolve: Pending["resolve"], reject: Pending["reject"], signal: AbortSignal): void {
    const onAbort = (): void => this.#cancel(pending);
    const pending = this.#push(queue, call, resolve, reject, () => signal.removeEventListener("abort", onAbort));
    setMaxListeners(0, signal); // a query makes a call for each window and worker; each removes its listener
    signal.addEventListener("abort", onAbort, { once: true });
  }

  /** Queues a call that nobody awaits. Should it fail, rows would be missing from answers without anyone noticing, so the thread is restarted. */
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

  /** Sends at the end of this turn: calls that arrive in one turn are sent in one batch. */
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
      // Later pushes overtake one that must be alone, so its settings may be forgotten by now.
      if (first.kind === "alone" && isPush(first.call) && !this.#knowsSettings(first.call[2])) {
        this.#refuse(first, unavailable("SETTINGS_CHANGED", "the limits changed while the push waited: send it again"));
        continue;
      }
      const number = ++this.#batchNumber;
      this.#away.push({ number, kind: first.kind, pendings });
      const batch: [number, ...WorkerCall[]] = [number];
      for (const { call } of pendings) batch.push(call);
      this.#thread.post(batch satisfies WorkerBatch);
    }
  }

  #kindsAway(): Away {
    const away = { short: false, listing: false, scan: false, alone: false };
    for (const { kind } of this.#away) away[kind === "apart" ? "short" : kind] = true;
    return away;
  }

  #callsAway(isWanted: (batch: Batch) => boolean = () => true): Pending[] {
    return this.#away.filter(isWanted).flatMap(({ pendings }) => pendings);
  }

  #knowsSettings(number: number): boolean {
    for (const known of this.#settings.values()) if (known === number) return true;
    return false;
  }

  #onReply([number, ...outcomes]: WorkerReply): void {
    const at = this.#away.findIndex((batch) => batch.number === number);
    const batch = this.#away[at];
    if (batch === undefined) return;
    this.#away.splice(at, 1);
    this.#hasServed = this.#isWhole;
    this.#send();
    for (const [index, pending] of batch.pendings.entries()) this.#settle(pending, outcomes[index]);
  }

  #settle(pending: Pending, outcome: WorkerOutcome): void {
    countOutcome(outcome);
    if (!this.#end(pending)) return; // cancelled meanwhile
    // The caller's type says what the worker answers to its method.
    if (outcome === undefined || isRecords(outcome)) pending.resolve(outcome as never);
    else if ("error" in outcome) pending.reject(fromPlainError(outcome.error));
    else pending.resolve(outcome.value as never);
  }

  /** False where it had ended before. */
  #end(pending: Pending): boolean {
    if (pending.hasEnded) return false;
    pending.hasEnded = true;
    this.#load--;
    if (pending.kind !== "short") this.#longCount--;
    pending.onEnd?.();
    return true;
  }

  /** Removes a call that waits. One that is with the worker ends there at its next slice, and its outcome is ignored. */
  #cancel(pending: Pending): void {
    if (!this.#end(pending)) return;
    const batch = this.#away.find(({ pendings }) => pendings.includes(pending));
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
  return !isPush(call) && (call.method === "build" || call.method === "resume") ? "apart" : "short";
}

function isResume(call: WorkerCall): boolean {
  return !isPush(call) && call.method === "resume";
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
