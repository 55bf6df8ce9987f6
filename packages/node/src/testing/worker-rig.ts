/** Workers over a head in memory, and generations as the flush turns them: what a test of workers that die needs of a node. */
import { Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { Head } from "@pyromesh/head";
import { listeningLogger, MemoryCheckpoint, MemoryDisk, MemoryFile } from "@pyromesh/head/testing";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, PprofWriter, windowStartOf } from "@pyromesh/profile";
import type { EncodedRecord, ProfileType } from "@pyromesh/profile";
import { Generations } from "../background/generations.ts";
import { rowSource } from "../background/row-source.ts";
import type { EncodeTask, Generation, PlainMatcher, RowSource, ScanTask } from "../compute/compute.ts";
import { WorkerCompute } from "../compute/worker-compute.ts";
import { workerOf } from "../compute/worker-of.ts";
import type { WorkerThreads } from "../compute/worker-threads.ts";
import type { WorkerMemory } from "../process/memory-plan.ts";
import { graphTotal } from "./read-reply.ts";

export const NOW_MS = 1_700_000_000_000;
export const SETTINGS: EncodeTask["settings"] = { ...DEFAULT_PROFILE_LIMITS, ...DEFAULT_ACCEPTANCE_WINDOW };
export const WORKER_COUNT = 2;
export const WORKER_MEMORY: WorkerMemory = { heapMb: 128, outsideBytesMax: 2 ** 28 };
const CPU = { type: "cpu", unit: "nanoseconds" };
export const PROFILE_TYPE: ProfileType = { name: "process_cpu", sampleType: CPU.type, sampleUnit: CPU.unit, periodType: CPU.type, periodUnit: CPU.unit };
const never = new AbortController().signal;

/** A service whose datasets lie in that worker. */
export function serviceOf(worker: number, prefix = "svc"): string {
  for (let i = 0; ; i++) if (workerOf({ tenant: "t1", service: `${prefix}-${i}` }, WORKER_COUNT) === worker) return `${prefix}-${i}`;
}

/** A push of one sample, whose value is `number`. */
export function taskOf(number: number, service: string, generation: Generation, tenant = "t1"): EncodeTask {
  const writer = new PprofWriter({ sampleTypes: [CPU], periodType: CPU, period: 1, timeNs: BigInt(NOW_MS + number) * 1_000_000n, durationNs: 0n });
  writer.sample([writer.frame(`f-${number}`)], [number]);
  return {
    tenant,
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }],
    pprof: writer.finish(),
    format: undefined,
    profileId: undefined,
    fallbackTimeNs: 1n,
    idempotencyKey: undefined,
    nowMs: NOW_MS,
    ingest: undefined,
    settings: SETTINGS,
    generation,
  };
}

export function scanOf(generations: readonly Generation[], selector: readonly PlainMatcher[] = []): ScanTask {
  const query = { startNs: 0n, endNs: 2n ** 62n, profileType: PROFILE_TYPE, selector, callSite: [], profileIds: [], spanIds: [], traceIds: [] };
  return { spec: { kind: "names", query }, tenants: ["t1"], firstWindowMs: 0, lastWindowMs: NOW_MS * 2, generations, parts: [] };
}

/** Records and the sum of their values. */
export interface Answered {
  readonly records: number;
  readonly sum: number;
}

export interface WorkerRigWorld<T extends WorkerThreads> {
  readonly threads: T;
  readonly clock: Clock;
  /** The head's clock, where it differs from `clock`: a real disk does not wait for a test's clock. */
  readonly headClock?: Clock;
  /** Absent: as in production. */
  readonly slotCount?: number;
}

export class WorkerRig<T extends WorkerThreads = WorkerThreads> {
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly file: MemoryFile = new MemoryFile();
  readonly checkpoint: MemoryCheckpoint = new MemoryCheckpoint();
  readonly threads: T;
  metrics: Metrics = new Metrics();
  /** What the workers' side logged. */
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  hopeless: Error | undefined;
  generations!: Generations;
  head!: Head;
  compute!: WorkerCompute;
  /** Awaited before each page that is read back. */
  beforePage: (() => Promise<void>) | undefined;
  /** The size of a page that is read back, instead of the one in read-back.ts. */
  pageBytes: number | undefined;
  readonly #world: WorkerRigWorld<T>;

  constructor(world: WorkerRigWorld<T>) {
    this.#world = world;
    this.threads = world.threads;
  }

  async start(): Promise<void> {
    const { threads, clock, headClock = clock, slotCount } = this.#world;
    this.metrics = new Metrics();
    const options = { workerCount: WORKER_COUNT, openDatasetBytesMax: 2 ** 20, memory: WORKER_MEMORY, ...(slotCount === undefined ? {} : { slotCount }) };
    this.compute = new WorkerCompute(options, { clock, logger: listeningLogger(this.lines), metrics: this.metrics, threads, onHopeless: (error) => (this.hopeless = error) });
    this.generations = new Generations((generation) => this.compute.drop(generation));
    const modules = { clock: headClock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics(), opener: this.disk, checkpoint: this.checkpoint, quarantineFile: this.file };
    this.head = await Head.open({ diskBudgetBytes: 2 ** 30 }, {
      ...modules,
      onCommitted: (entries) => this.compute.insert(this.open, entries.map(({ record }) => record)),
      onCut: ({ cutId }) => this.generations.turn(cutId),
      onSealed: ({ cutId }) => this.generations.leave(cutId),
    });
    await this.head.replay(async (batch) => {
      this.compute.insert(this.open, batch);
      await this.compute.settle();
    });
    this.compute.readBackFrom(this.#rowSource());
  }

  #rowSource(): RowSource {
    const rows = rowSource(this.head, this.generations);
    return {
      get nextSeq() {
        return rows.nextSeq;
      },
      readLive: async (range, pageBytes, visit) => {
        await this.beforePage?.();
        return rows.readLive(range, this.pageBytes ?? pageBytes, visit);
      },
      setAside: (seq, reason) => rows.setAside(seq, reason),
      generationOf: (cutId) => rows.generationOf(cutId),
      get lastGeneration() {
        return rows.lastGeneration;
      },
      get liveGenerations() {
        return rows.liveGenerations;
      },
    };
  }

  async stop(): Promise<void> {
    await this.compute.stop();
    await this.head.close();
  }

  async push(number: number, service: string): Promise<void> {
    await this.keep(await this.compute.encode(taskOf(number, service, this.open)));
  }

  async keep(records: readonly EncodedRecord[]): Promise<void> {
    try {
      await Promise.all(records.map((record) => this.head.append(record)));
    } finally {
      this.compute.release(records);
    }
  }

  async cut(): Promise<{ cutId: number; generation: Generation }> {
    const cut = (await this.head.cut())!; // something was pushed
    return { cutId: cut.cutId, generation: this.generations.of(cut.cutId)! };
  }

  async seal(cutId: number): Promise<void> {
    await this.head.seal(cutId, []);
  }

  get open(): Generation {
    return this.generations.open;
  }

  get live(): readonly Generation[] {
    const pin = this.generations.pin();
    pin.release();
    return pin.generations;
  }

  /** Over what is live. */
  async answer(generations: readonly Generation[] = this.live): Promise<Answered> {
    const partials = await this.compute.scan(scanOf(generations), never);
    const records = partials.reduce((sum, { recordCount }) => sum + recordCount, 0);
    const finished = await this.compute.finish({ kind: "flame-graph", maxNodes: 1000, form: "json" }, partials, never);
    return { records, sum: finished.kind === "reply" ? graphTotal({ value: finished.bytes }) : NaN };
  }

  /** Records that a segment of that generation would hold. */
  async built(generation: Generation): Promise<number> {
    const datasets = await this.compute.build(generation, "t1", windowStartOf(NOW_MS));
    return datasets.reduce((sum, { recordCount }) => sum + recordCount, 0);
  }

  async restarts(reason: string): Promise<number> {
    const found = new RegExp(`pyromesh_worker_restarts_total\\{reason="${reason}"\\} (\\d+)`).exec(await this.metrics.text());
    return Number(found![1]); // each reason is there from the start
  }
}
