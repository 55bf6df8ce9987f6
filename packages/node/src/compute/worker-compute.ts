/**
 * Compute on worker threads: which worker does what (compute-worker.ts is one worker).
 *
 * A push goes to the worker that holds its service's datasets, which interns the rows ahead while it has the decoded columns (pre-interned rows).
 * Where that worker is busy and another is free, the push goes to the other, and its records are decoded again on insert. `finish` goes to any worker.
 * Pushes that wait for the same worker are sent together: waking a thread costs as much as decoding a small push. They do not wait for a scan
 * that runs there (worker-queue.ts).
 * Builds run one at a time, so that, where there are several workers, one is always free for pushes.
 *
 * Where a worker dies, only the calls that it was working on are refused (worker-supervisor.ts). A call that was at work at two deaths is
 * refused before it reaches a third worker: queries by their shape (call-shape.ts), pushes by their content, builds by their tenant, window and cut.
 */
import { createHash } from "node:crypto";
import { claimedInflatedBytes, CodedError, isGzip, MemoryBudget, messageOf } from "@pyromesh/base";
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { DatasetInput, SectionInput } from "@pyromesh/block";
import { LABEL_SERVICE_NAME, recordFingerprint, recordIdentity, UNKNOWN_SERVICE } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { checkClaimedSize } from "./body-size.ts";
import { buildShape, drawShape, finishShape, mergeShape, scanShape, sidesOf } from "./call-shape.ts";
import type { Scanned } from "./call-shape.ts";
import type { BuiltDataset, Compute, DrawTask, EncodeTask, Finished, FinishSpec, Generation, InsertedRecord, RowSource, ScanPartial, ScanSpec, ScanTask, SegmentPart } from "./compute.ts";
import { DeadlyCalls } from "./deadly-calls.ts";
import type { ComputeWorker, WorkerDeath } from "./compute-worker.ts";
import { workerOf } from "./worker-of.ts";
import { RECORD_ENTRIES, fromPlainError, isPush, isQuery, isRowOf, packPush, unpackRecord } from "./worker-protocol.ts";
import type { HalfPush, PackedRecords, PartOfBody, UnpackedRecord } from "./worker-protocol.ts";
import { BufferPool } from "./buffer-pool.ts";
import { isLargeProfile, LargeSlot } from "./large-slot.ts";
import type { LentSlot } from "./large-slot.ts";
import { Mutex } from "./mutex.ts";
import { codecOf } from "./section-codec.ts";
import { sharedCopy } from "./shared-copy.ts";
import { nodeThreads } from "./node-threads.ts";
import type { WorkerThreads } from "./worker-threads.ts";
import type { WorkerMemory } from "../process/memory-plan.ts";
import { WorkerSupervisor } from "./worker-supervisor.ts";

/** How long a push that fits into no slot waits for memory. */
const ASIDE_WAIT_TIMEOUT_MS = 5_000;
/** A profile that inflates to more has a batch of its own: the records of all calls of a batch come back together, and their size is not known before. */
const APART_BYTES_MIN = 2 ** 20;

/** A worker with as many calls counts as busy: two batches. */
const WORKER_CALLS_MAX = 8;

export interface WorkerComputeOptions {
  readonly workerCount: number;
  /** Bound of the opened datasets that each worker keeps. */
  readonly openDatasetBytesMax: number;
  /** Bound of all profiles and records between the threads that lie in no slot. At the bound a push waits, then it is refused (503). Absent: no bound. */
  readonly pushBytesMax?: number;
  /** Pushes whose bytes lie in the buffer pool at once. Absent: as many as buffer-pool.ts says. */
  readonly slotCount?: number;
  /** Bound of the records of one profile together. Past it the profile is refused (400). Absent: what encode-push.ts allows. */
  readonly recordBytesMax?: number;
  readonly memory: WorkerMemory;
}

export interface WorkerComputeModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Called when a worker cannot be kept alive. Its rows are in no worker then, so the node must stop; the restart replays them. */
  readonly onHopeless: (error: Error) => void;
  /** Absent: those of Node. */
  readonly threads?: WorkerThreads;
}

/** A record that `encode` returned, with the row, slot and memory that it holds until it is released. Copies of it hold none of these. */
class PooledRecord implements EncodedRecord {
  readonly identity: Uint8Array;
  readonly tenant: string;
  readonly service: string;
  readonly timeMs: number;
  readonly sampleCount: number;
  readonly fingerprint: bigint;
  readonly bytes: Uint8Array;
  readonly worker: ComputeWorker;
  readonly generation: Generation;
  /** The number of its pre-interned row; 0 where there is none any more. A row of a thread that died is recognised by its number (`isRowOf`). */
  row: number;
  slot: SlotLoan | undefined;
  /** Memory outside of the slots that it takes until it is released. */
  asideBytes: number;

  constructor({ bytes, service, timeMs, sampleCount, row }: UnpackedRecord, { tenant, generation }: EncodeTask, worker: ComputeWorker, slot: SlotLoan | undefined, asideBytes: number) {
    this.identity = recordIdentity(bytes);
    this.tenant = tenant;
    this.service = service;
    this.timeMs = timeMs;
    this.sampleCount = sampleCount;
    this.fingerprint = recordFingerprint(bytes);
    this.bytes = bytes;
    this.worker = worker;
    this.generation = generation;
    this.row = row;
    this.slot = slot;
    this.asideBytes = asideBytes;
  }
}

/** The slot that the records of one push share. */
interface SlotLoan {
  readonly at: number;
  recordCount: number;
}

export class WorkerCompute implements Compute {
  readonly #modules: WorkerComputeModules;
  readonly #threads: WorkerThreads;
  readonly #supervisors: WorkerSupervisor[];
  readonly #workers: ComputeWorker[];
  readonly #memory: BufferPool;
  /** One slot for each worker, so that large profiles for one worker keep none from another. */
  readonly #large: ReadonlyMap<ComputeWorker, LargeSlot>;
  /** Bounds what lies in no slot of the buffer pool. */
  readonly #aside: MemoryBudget;
  readonly #deadly = new DeadlyCalls();
  /** By tenant and content. A push that was at work when a worker died is sent alone the next time, which shows whether it is the cause. */
  readonly #deadlyPushes = new DeadlyCalls();
  /** The scan that made each partial: part of the shape of its merge. */
  readonly #scanned = new WeakMap<ScanPartial, Scanned>();
  /**
   * Bodies in other formats than pprof are encoded in steps, and take turns: of each worker one large body and one small one are under way, which
   * bounds the memory of what is half read. So a small one never waits for a large one.
   */
  readonly #bodies: ReadonlyMap<ComputeWorker, { readonly large: Mutex; readonly small: Mutex }>;
  #building: Promise<unknown> = Promise.resolve();

  constructor({ workerCount, openDatasetBytesMax, memory, pushBytesMax = Infinity, slotCount, recordBytesMax = Infinity }: WorkerComputeOptions, modules: WorkerComputeModules) {
    this.#modules = modules;
    this.#memory = new BufferPool(slotCount);
    this.#aside = new MemoryBudget({ bytesMax: pushBytesMax, waitTimeoutMs: ASIDE_WAIT_TIMEOUT_MS }, modules);
    const { clock, logger, metrics, onHopeless, threads = nodeThreads } = modules;
    this.#threads = threads;
    const { shared } = this.#memory;
    const { heapMb, outsideBytesMax } = memory;
    const restarts = metrics.counter("pyromesh_worker_restarts_total", "Worker threads that died and were started again, by why they died.", ["reason"]);
    for (const reason of ["out_of_memory", "crashed", "failed"]) restarts.add({ reason }, 0);
    this.#supervisors = Array.from({ length: workerCount }, (_, worker) => {
      const onDeath = (death: WorkerDeath): void => this.#onDeath(worker, death);
      return new WorkerSupervisor({ worker, workerCount, openBytesMax: openDatasetBytesMax, shared, heapMb, outsideBytesMax, recordBytesMax }, { threads, clock, logger, restarts, onHopeless, onDeath });
    });
    this.#workers = this.#supervisors.map(({ worker }) => worker);
    this.#large = new Map(this.#workers.map((worker) => [worker, new LargeSlot()]));
    this.#bodies = new Map(this.#workers.map((worker) => [worker, { large: new Mutex(), small: new Mutex() }]));
    metrics.readCounter("pyromesh_worker_busy_seconds_total", "Time that a worker thread was at work; from 0 again where it was started again.", () =>
      this.#workers.map((worker, number) => ({ labels: { worker: String(number) }, value: worker.busyMs / 1000 })),
    );
  }

  async encode(task: EncodeTask): Promise<readonly EncodedRecord[]> {
    checkClaimedSize(task); // before the pprof is copied
    const name = this.#deadlyPushes.isEmpty ? undefined : pushName(task);
    const isSuspect = name !== undefined && this.#deadlyPushes.isSuspect(name, this.#modules.clock.monotonicMs());
    if (isSuspect) this.#refuseDeadlyPush(name);
    if (task.format === undefined) return this.#encodeBy(undefined, task, name, isSuspect);
    const worker = this.#workerFor(task);
    const { large, small } = this.#bodies.get(worker)!; // each worker has its own
    const end = await (isLarge(task) ? large : small).lock();
    try {
      return await this.#encodeBy(worker, task, name, isSuspect);
    } finally {
      end();
    }
  }

  /** `chosen` undefined: the worker is chosen when the push is sent. */
  async #encodeBy(chosen: ComputeWorker | undefined, task: EncodeTask, name: string | undefined, isSuspect: boolean): Promise<readonly EncodedRecord[]> {
    const at = this.#memory.lend(task.pprof);
    const slot = at === undefined ? undefined : { at, recordCount: 0 };
    const copyBytes = at === undefined ? task.pprof.length : 0;
    if (copyBytes > 0) await this.#takeAside(copyBytes);
    let large: LentSlot | undefined;
    try {
      const worker = chosen ?? this.#workerFor(task);
      if (at === undefined && isLargeProfile(task.pprof)) large = await this.#large.get(worker)!.lend(task.pprof); // each worker has its own
      const settings = worker.settingsNumber(task.settings);
      const kind = isSuspect ? "alone" : isLarge(task) ? "apart" : undefined;
      let outcome = await worker.call<PackedRecords | PartOfBody | HalfPush>(packPush(task, at ?? large?.copy ?? sharedCopy(task.pprof), settings), undefined, kind);
      // One step a call: what waits for the worker meanwhile goes in between.
      while ("half" in outcome) outcome = await worker.call<PackedRecords | PartOfBody | HalfPush>({ method: "resume", push: outcome.half }, undefined, isSuspect ? "alone" : undefined);
      const packed = "refused" in outcome ? outcome.records : outcome;
      if ("refused" in outcome) task.onRefused?.(outcome.refused.map(fromPlainError));
      const records: PooledRecord[] = [];
      for (let entry = 0; entry < packed.length; entry += RECORD_ENTRIES) {
        // The records exist already, so they are counted past the bound if need be: no other push begins until there is room again.
        const asideBytes = typeof packed[entry] === "number" ? 0 : (packed[entry + 1] as number); // as unpackRecord reads them
        this.#aside.add(asideBytes);
        records.push(new PooledRecord(unpackRecord(packed, entry, this.#view), task, worker, slot, asideBytes));
      }
      if (slot !== undefined) slot.recordCount = records.length;
      if (isSuspect && name !== undefined) this.#deadlyPushes.clear(name);
      return records;
    } catch (error) {
      if (wasAtWork(error)) this.#deadlyPushes.note(name ?? pushName(task), this.#modules.clock.monotonicMs());
      throw error;
    } finally {
      this.#aside.give(copyBytes);
      large?.giveBack();
      // Safe where the worker died, too: its calls are refused only after its thread is gone, and nothing writes to the slot then.
      if (slot?.recordCount === 0) this.#memory.takeBack(slot.at);
    }
  }

  /** Throws PUSHES_TOO_MANY. */
  async #takeAside(sizeBytes: number): Promise<void> {
    // A push larger than the whole budget waits until it would be alone. Its size was bounded before it came here.
    const askedBytes = Math.min(sizeBytes, this.#aside.bytesMax);
    if (!this.#aside.tryBegin(askedBytes, false) && !(await this.#aside.wait(askedBytes, false).outcome)) throw pushesTooMany();
    this.#aside.add(sizeBytes - askedBytes);
  }

  readonly #view = (at: number, lengthBytes: number): Uint8Array => this.#memory.view(at, lengthBytes);

  insert(generation: Generation, records: readonly InsertedRecord[]): void {
    for (const record of records) this.#insert(generation, record);
  }

  #insert(generation: Generation, record: InsertedRecord): void {
    if (record instanceof PooledRecord && record.generation === generation && isRowOf(record.worker.epoch, record.row)) {
      record.worker.insertRow(generation, record.row);
      record.row = 0;
      return;
    }
    const { tenant, service, timeMs, bytes } = record;
    const worker = this.#workers[workerOf(record, this.#workers.length)]!;
    try {
      worker.insert(generation, { tenant, service, timeMs, bytes: sharedCopy(bytes) });
    } catch (error) {
      // Out of memory, for instance. Answers would silently lack a record that is durable and not interned, so the worker is restarted and its rows are read back.
      worker.restart(`an accepted record could not be handed to it: ${messageOf(error)}`);
    }
  }

  release(records: readonly EncodedRecord[]): void {
    for (const record of records) {
      if (!(record instanceof PooledRecord)) continue;
      if (isRowOf(record.worker.epoch, record.row)) record.worker.releaseRow(record.row);
      record.row = 0;
      if (record.slot !== undefined && --record.slot.recordCount === 0) this.#memory.takeBack(record.slot.at);
      record.slot = undefined;
      this.#aside.give(record.asideBytes);
      record.asideBytes = 0;
    }
  }

  async settle(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.settle()));
  }

  build(generation: Generation, tenant: string, windowStartMs: number): Promise<readonly DatasetInput[]> {
    const run = async (): Promise<readonly DatasetInput[]> => {
      const inputs: DatasetInput[] = [];
      for (const [number, worker] of this.#workers.entries()) {
        this.#refuseDeadlyBuild(number, generation, tenant, windowStartMs);
        // One step a call: pushes that wait for the worker go in between.
        let built: readonly BuiltDataset[] | undefined;
        while (built === undefined) built = await worker.call<readonly BuiltDataset[] | undefined>({ method: "build", generation, tenant, windowStartMs });
        for (const dataset of built) {
          const sections: SectionInput[] = [];
          // One section at a time, so that the other threads of the pool stay free for commits.
          for (const section of dataset.sections) sections.push(await this.#threads.encodeSection(section.tag, section.raw, ...codecOf(section)));
          inputs.push({ ...dataset, sections });
        }
      }
      return inputs;
    };
    const done = this.#building.then(run, run);
    this.#building = done.catch(() => undefined);
    return done;
  }

  drop(generation: Generation): void {
    for (const worker of this.#workers) worker.drop(generation);
  }

  async scan(task: ScanTask, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    this.#refuseDeadlyQuery(() => scanShape(task));
    const parts = new Map<ComputeWorker, SegmentPart[]>(this.#workers.map((worker) => [worker, []]));
    for (const part of task.parts) parts.get(this.#workers[workerOf(part, this.#workers.length)]!)!.push(part);
    const records = this.#recordsByWorker(task.records);
    const busy = this.#workers.filter((worker) => task.generations.length > 0 || parts.get(worker)!.length > 0 || records?.has(worker) === true);
    // Copied once, for all workers.
    const except = task.except === undefined ? {} : { except: sharedCopy(task.except) };
    const only = task.only === undefined ? {} : { only: sharedCopy(task.only) };
    const taskOf = (worker: ComputeWorker): ScanTask => ({ ...task, ...except, ...only, parts: parts.get(worker)!, records: records?.get(worker) });
    const partials = await Promise.all(busy.map((worker) => worker.call<ScanPartial>({ method: "scan", task: taskOf(worker) }, signal)));
    const scanned = { spec: task.spec, tenants: task.tenants };
    for (const partial of partials) this.#scanned.set(partial, scanned);
    return partials;
  }

  #recordsByWorker(records: readonly InsertedRecord[] | undefined): ReadonlyMap<ComputeWorker, InsertedRecord[]> | undefined {
    if (records === undefined || records.length === 0) return undefined;
    const byWorker = new Map<ComputeWorker, InsertedRecord[]>();
    for (const { tenant, service, timeMs, bytes } of records) {
      const worker = this.#workers[workerOf({ tenant, service }, this.#workers.length)]!;
      const own = { tenant, service, timeMs, bytes: sharedCopy(bytes) };
      const list = byWorker.get(worker);
      if (list === undefined) byWorker.set(worker, [own]);
      else list.push(own);
    }
    return byWorker;
  }

  async merge(spec: ScanSpec, partials: readonly ScanPartial[], signal: AbortSignal): Promise<ScanPartial> {
    const scanned = this.#scannedFor(partials);
    this.#refuseDeadlyQuery(() => mergeShape(spec, scanned));
    const merged = await this.#free().call<ScanPartial>({ method: "merge", spec, partials }, signal);
    if (scanned !== undefined) this.#scanned.set(merged, scanned);
    return merged;
  }

  async finish(spec: FinishSpec, partials: readonly ScanPartial[], signal: AbortSignal): Promise<Finished> {
    this.#refuseDeadlyQuery(() => this.#finishShape(spec, partials));
    return this.#free().call<Finished>({ method: "finish", spec, partials }, signal);
  }

  async draw(task: DrawTask, signal: AbortSignal): Promise<Finished> {
    for (const { bytes } of task.files) checkClaimedSize({ pprof: bytes, format: undefined, settings: task.limits }); // before it is copied
    this.#refuseDeadlyQuery(() => drawShape(task, contentOf), DEADLY_FILE);
    const files = task.files.map(({ name, bytes }) => ({ name, bytes: sharedCopy(bytes) }));
    return this.#free().call<Finished>({ method: "draw", task: { ...task, files } }, signal);
  }

  readBackFrom(source: RowSource): void {
    for (const worker of this.#supervisors) worker.readBackFrom(source);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#supervisors.map((worker) => worker.stop()));
  }

  /**
   * Counts the death against the query that was at work (of two, the one begun last); where there was no query, against the call at work, if
   * it was alone. A push or build that ran between two slices of a query is not blamed, since the query may have filled the memory. If it is the cause
   * after all, a worker dies of it again, without a query beside it.
   */
  #onDeath(worker: number, { reason, atWork }: WorkerDeath): void {
    const call = atWork.findLast(isQuery) ?? (atWork.length === 1 ? atWork[0] : undefined);
    if (reason === "failed" || call === undefined || isPush(call)) return;
    const nowMs = this.#modules.clock.monotonicMs();
    if (call.method === "scan") this.#deadly.note(scanShape(call.task), nowMs);
    else if (call.method === "merge") this.#deadly.note(mergeShape(call.spec, this.#scannedFor(call.partials)), nowMs);
    else if (call.method === "finish") this.#deadly.note(this.#finishShape(call.spec, call.partials), nowMs);
    else if (call.method === "draw") this.#deadly.note(drawShape(call.task, contentOf), nowMs);
    else if (call.method === "build") this.#deadly.note(buildShape(worker, call.generation, call.tenant, call.windowStartMs), nowMs);
  }

  #finishShape(spec: FinishSpec, partials: readonly ScanPartial[]): string {
    return finishShape(spec, sidesOf(spec, partials).map((side) => this.#scannedFor(side)));
  }

  #scannedFor([partial]: readonly ScanPartial[]): Scanned | undefined {
    return partial === undefined ? undefined : this.#scanned.get(partial);
  }

  #refuseDeadlyQuery(shapeOf: () => string, { what, advice } = DEADLY_QUERY): void {
    if (this.#deadly.isEmpty) return;
    const seconds = this.#refusedForSeconds(shapeOf());
    if (seconds === 0) return;
    throw new CodedError({
      code: "QUERY_KILLS_WORKERS",
      // 400: a client that tries again, here or elsewhere, would kill another.
      kind: "failed_precondition",
      message: `${what} ended two worker threads, so it is refused for another ${seconds} s: ${advice}, or give the node more memory`,
      details: { refusedForSeconds: seconds },
    });
  }

  /** The rows stay in memory and queries still find them; the flush tries the build again. */
  #refuseDeadlyBuild(worker: number, generation: Generation, tenant: string, windowStartMs: number): void {
    if (this.#deadly.isEmpty) return;
    const seconds = this.#refusedForSeconds(buildShape(worker, generation, tenant, windowStartMs));
    if (seconds === 0) return;
    throw new CodedError({
      code: "BUILD_KILLS_WORKERS",
      kind: "unavailable",
      message: `building the segment of tenant ${tenant}, window ${windowStartMs}, ended two threads of worker ${worker}; it is tried again in ${seconds} s: give the node more memory, or a smaller --flush-size`,
      details: { retryAfterSeconds: seconds },
    });
  }

  #refusedForSeconds(shape: string): number {
    return Math.ceil(this.#deadly.refusedForMs(shape, this.#modules.clock.monotonicMs()) / 1000);
  }

  #refuseDeadlyPush(name: string): void {
    const forMs = this.#deadlyPushes.refusedForMs(name, this.#modules.clock.monotonicMs());
    if (forMs === 0) return;
    throw new CodedError({
      code: "PUSH_KILLS_WORKERS",
      kind: "invalid_argument",
      message: `decoding this profile ended two worker threads, so it is refused: send a smaller one`,
      details: { reason: "kills_workers", refusedForSeconds: Math.ceil(forMs / 1000) },
    });
  }

  #workerFor({ tenant, labels }: EncodeTask): ComputeWorker {
    const service = labels.find(({ name }) => name === LABEL_SERVICE_NAME)?.value ?? UNKNOWN_SERVICE;
    const home = this.#workers[workerOf({ tenant, service }, this.#workers.length)]!;
    if (isFree(home)) return home;
    const other = this.#free();
    // Where none is free the push waits as long in one as in another, and in its own worker its rows are pre-interned.
    return isFree(other) || home.isDown || home.load >= WORKER_CALLS_MAX ? other : home;
  }

  #free(): ComputeWorker {
    let best = this.#workers[0]!;
    for (const worker of this.#workers) {
      if (isFree(worker)) return worker;
      const byState = busynessOf(worker) - busynessOf(best);
      if (byState < 0 || (byState === 0 && worker.load < best.load)) best = worker;
    }
    return best;
  }
}

function isFree(worker: ComputeWorker): boolean {
  return !worker.isLong && worker.load < WORKER_CALLS_MAX && !worker.isDown;
}

function busynessOf(worker: ComputeWorker): number {
  return Number(worker.isDown) * 2 + Number(worker.isLong);
}

function wasAtWork(error: unknown): boolean {
  return error instanceof CodedError && error.code === "WORKER_LOST" && error.details["wasAtWork"] === true;
}

function isLarge(task: EncodeTask): boolean {
  return inflatedBytes(task) >= APART_BYTES_MIN;
}

function inflatedBytes({ pprof }: EncodeTask): number {
  return isGzip(pprof) ? claimedInflatedBytes(pprof) : pprof.length;
}

function pushesTooMany(): CodedError {
  const retryAfterSeconds = ASIDE_WAIT_TIMEOUT_MS / 1000;
  return new CodedError({
    code: "PUSHES_TOO_MANY",
    kind: "unavailable",
    message: `profiles and records on their way to the disk take as much memory as they may: try again in ${retryAfterSeconds} s`,
    details: { retryAfterSeconds },
  });
}

const DEADLY_QUERY = { what: "this query", advice: "ask for less (half the time range, one service in the selector, fewer nodes)" };
const DEADLY_FILE = { what: "the drawing of this file", advice: "profile for a shorter time" };

/** A push that is sent again has the same name. */
function pushName({ tenant, pprof }: EncodeTask): string {
  return `${tenant}\0${contentOf(pprof)}`;
}

function contentOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
