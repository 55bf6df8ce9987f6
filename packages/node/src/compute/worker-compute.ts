/**
 * Compute on worker threads.
 *
 *   caller --> lane queue --> batch (at most BATCHES_IN_FLIGHT away) --> worker --> outcomes
 *
 * Calls to a lane keep their order. Those that need no dataset (`encode`, `finish`) go to the first lane that is not at a long
 * task and has few calls waiting: pushes that meet in one lane travel together, and waking a thread costs as much as decoding
 * a small push. Builds run one at a time, so that a lane is always left for pushes.
 * Inserts wait to travel with the next call of their lane, or until INSERT_BYTES_MAX of them wait: nobody awaits an insert.
 * A lane queue holds at most QUEUE_MAX calls; past it a call is refused with COMPUTE_BUSY (503).
 */
import { Worker } from "node:worker_threads";
import { CodedError, unavailable } from "@pyromesh/base";
import type { Logger } from "@pyromesh/base";
import type { DatasetInput } from "@pyromesh/block";
import type { Compute, DatasetKey, Finished, Generation, InsertEntry, ScanPartial, ScanTask, SegmentPart } from "./compute.ts";
import { printDatasetKey } from "./compute.ts";
import type { EncodedRecord } from "@pyromesh/profile";
import { fromPlainError } from "./lane-protocol.ts";
import type { LaneCall, LaneOutcome, LaneRequest } from "./lane-protocol.ts";

/** One: what arrives while a lane works travels together when it is done. (Two: measured 1.5 times the CPU a push.) */
const BATCHES_IN_FLIGHT = 1;
/** A lane with more calls waiting than a batch holds has enough to do. */
const LANE_CALLS_MAX = 8;
/** Outcomes of a batch travel together, so a batch is short; what takes long travels alone. */
const BATCH_CALLS_MAX = 8;
const QUEUE_MAX = 4096;
const INSERT_BYTES_MAX = 1 << 20;

export interface WorkerComputeOptions {
  readonly laneCount: number;
}

export interface WorkerComputeModules {
  readonly logger: Logger;
  /** Called when a lane dies: its rows are gone, so the node must stop; a restart replays them. */
  readonly onLaneLost: (error: Error) => void;
}

export class WorkerCompute implements Compute {
  readonly #lanes: Lane[];
  #building: Promise<unknown> = Promise.resolve();

  constructor(options: WorkerComputeOptions, modules: WorkerComputeModules) {
    this.#lanes = Array.from({ length: options.laneCount }, () => new Lane(modules));
  }

  encode(task: Parameters<Compute["encode"]>[0]): Promise<readonly EncodedRecord[]> {
    // The caller gave the profile away with the buffer it lies in. (Node's small-buffer pool is copied, not moved.)
    const { buffer } = task.pprof;
    const transfer = buffer instanceof ArrayBuffer ? [buffer] : [];
    return this.#free().call<readonly EncodedRecord[]>({ method: "encode", task }, transfer);
  }

  insert(generation: Generation, entries: readonly InsertEntry[]): void {
    for (const entry of entries) this.#laneOf(entry).insert(generation, entry);
  }

  async settle(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.call({ method: "drop", generation: -1 })));
  }

  build(generation: Generation, tenant: string, windowStartMs: number): Promise<readonly DatasetInput[]> {
    const run = async (): Promise<readonly DatasetInput[]> => {
      const inputs: DatasetInput[] = [];
      for (const lane of this.#lanes) {
        inputs.push(...(await lane.call<readonly DatasetInput[]>({ method: "build", generation, tenant, windowStartMs })));
      }
      return inputs;
    };
    const built = this.#building.then(run, run);
    this.#building = built.catch(() => undefined);
    return built;
  }

  drop(generation: Generation): void {
    for (const lane of this.#lanes) lane.call({ method: "drop", generation }).catch(() => undefined); // a lost lane says so itself
  }

  async scan(task: ScanTask, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    const parts = new Map<Lane, SegmentPart[]>(this.#lanes.map((lane) => [lane, []]));
    for (const part of task.parts) parts.get(this.#laneOf(part))!.push(part);
    const busy = this.#lanes.filter((lane) => task.generations.length > 0 || parts.get(lane)!.length > 0);
    return Promise.all(busy.map((lane) => lane.call<ScanPartial>({ method: "scan", task: { ...task, parts: parts.get(lane)! } }, [], signal)));
  }

  finish(spec: Parameters<Compute["finish"]>[0], partials: readonly ScanPartial[], signal: AbortSignal): Promise<Finished> {
    return this.#free().call<Finished>({ method: "finish", spec, partials }, [], signal);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  #free(): Lane {
    let best = this.#lanes[0]!;
    for (const lane of this.#lanes) {
      if (!lane.isLong && lane.load < LANE_CALLS_MAX) return lane;
      if (Number(lane.isLong) - Number(best.isLong) < 0 || (lane.isLong === best.isLong && lane.load < best.load)) best = lane;
    }
    return best;
  }

  #laneOf(key: DatasetKey): Lane {
    const text = printDatasetKey(key);
    let hash = 0;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return this.#lanes[(hash >>> 0) % this.#lanes.length]!;
  }
}

interface Waiting {
  readonly request: LaneRequest;
  readonly transfer: readonly ArrayBuffer[];
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly isLong: boolean;
}

class Lane {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #waiting: Waiting[] = [];
  #inserts: InsertEntry[] = [];
  #insertGeneration: Generation = -1;
  #insertBytes = 0;
  #batchesInFlight = 0;
  #nextId = 1;
  #lost: Error | undefined;
  #isStopping = false;
  #isSendDue = false;
  #longCount = 0;
  readonly #onLaneLost: (error: Error) => void;

  constructor(modules: WorkerComputeModules) {
    this.#onLaneLost = modules.onLaneLost;
    this.#worker = new Worker(new URL("./lane.worker.js", import.meta.url));
    this.#worker.on("message", (outcomes: readonly LaneOutcome[]) => this.#onOutcomes(outcomes));
    const lose = (error: Error): void => this.#lose(error);
    this.#worker.on("error", lose);
    this.#worker.on("exit", (code) => lose(new Error(`worker exited with ${code}`)));
  }

  #lose(error: Error): void {
    if (this.#isStopping || this.#lost !== undefined) return;
    this.#lost = unavailable("COMPUTE_LANE_LOST", `a worker thread died (${error.message}): the node restarts and replays its rows`, error);
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#pending.clear();
    this.#onLaneLost(error);
  }

  get load(): number {
    return this.#pending.size;
  }

  /** True while a task that takes long is waiting or at work here. */
  get isLong(): boolean {
    return this.#longCount > 0;
  }

  insert(generation: Generation, entry: InsertEntry): void {
    if (generation !== this.#insertGeneration) this.#flushInserts();
    this.#insertGeneration = generation;
    this.#inserts.push(entry);
    this.#insertBytes += entry.bytes.byteLength;
    if (this.#insertBytes >= INSERT_BYTES_MAX) {
      this.#flushInserts();
      this.#sendSoon();
    }
  }

  call<T>(call: LaneCall, transfer: readonly ArrayBuffer[] = [], signal?: AbortSignal): Promise<T> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (signal?.aborted) return Promise.reject(canceled());
    if (this.#pending.size >= QUEUE_MAX) {
      return Promise.reject(unavailable("COMPUTE_BUSY", `${QUEUE_MAX} tasks wait for a worker thread already: send less or add cores`));
    }
    this.#flushInserts();
    return new Promise<T>((resolve, reject) => {
      const isLong = !isShort(call);
      if (isLong) this.#longCount++;
      const id = this.#push(call, transfer, { resolve, reject, isLong });
      signal?.addEventListener("abort", () => this.#cancel(id), { once: true });
      this.#sendSoon();
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#worker.terminate();
  }

  #push(call: LaneCall, transfer: readonly ArrayBuffer[], pending: Pending): number {
    const id = this.#nextId++;
    this.#waiting.push({ request: { id, call }, transfer });
    this.#pending.set(id, pending);
    return id;
  }

  #flushInserts(): void {
    if (this.#inserts.length === 0) return;
    const entries = this.#inserts;
    this.#inserts = [];
    this.#insertBytes = 0;
    const transfer = entries.map(({ bytes }) => bytes).filter((bytes) => bytes.buffer.byteLength === bytes.byteLength);
    // Rows that could not be interned would make answers wrong without a word.
    const failed = (error: Error): void => this.#lose(new Error(`an accepted record could not be interned: ${error.message}`, { cause: error }));
    const buffers = transfer.map((bytes) => bytes.buffer).filter((buffer) => buffer instanceof ArrayBuffer);
    this.#push({ method: "insert", generation: this.#insertGeneration, entries }, buffers, { resolve: () => {}, reject: failed, isLong: false });
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
      this.#worker.postMessage(
        batch.map(({ request }) => request),
        batch.flatMap(({ transfer }) => [...transfer]),
      );
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
    return pending;
  }

  /** A call still waiting is taken back; one already with the worker ends there and is not heard. */
  #cancel(id: number): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    this.#waiting = this.#waiting.filter(({ request }) => request.id !== id);
    pending.reject(canceled());
  }
}

function canceled(): CodedError {
  return new CodedError({ code: "QUERY_CANCELED", kind: "canceled", message: "the caller went away" });
}

/** How many of the waiting calls travel next: short ones together, a long one alone. */
function batchLength(waiting: readonly Waiting[]): number {
  let length = 0;
  while (length < BATCH_CALLS_MAX && length < waiting.length && isShort(waiting[length]!.request.call)) length++;
  return Math.max(1, length);
}

function isShort(call: LaneCall): boolean {
  return call.method === "encode" || call.method === "insert" || call.method === "drop";
}
