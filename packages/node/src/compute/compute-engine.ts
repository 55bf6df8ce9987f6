/**
 * What one worker does: decodes pushes, holds the datasets that hash to it, builds their sections, scans them. Synchronous
 * and free of threads (worker-loop.ts).
 */
import { assert, CodedError } from "@pyromesh/base";
import type { Random } from "@pyromesh/base";
import { encodeDatasetInSteps } from "@pyromesh/block/segment";
import type { BodyFormat, EncodedRecord, Interrupt, PreparedRow, PushInput, RecordUse, RecordView } from "@pyromesh/profile";
import { Dataset, DatasetSnapshot, encodePush, namedRefusal, pruneInSteps, refusal, RecordDecoder, UNINTERRUPTED, windowStartOf } from "@pyromesh/profile";
import { readFormat } from "@pyromesh/profile/files";
import { keyInBody } from "./body-key.ts";
import { bodySizeLimit, openBody, tooLarge } from "./body-size.ts";
import type { BuiltDataset, DatasetKey, EncodeTask, Generation, InsertedRecord, ScanPartial, ScanTask } from "./compute.ts";
import { printDatasetKey } from "./compute.ts";
import { WorkerScan } from "./worker-scan.ts";
import { OpenDatasets } from "./open-datasets.ts";

interface HeldDataset {
  readonly key: DatasetKey;
  readonly dataset: Dataset;
  /** Pre-interned rows that are neither inserted nor dropped yet. */
  preInternedCount: number;
  /** Bytes of records whose pre-interned rows were dropped. Their symbols stay in the dataset, but do not reach a segment. */
  droppedBytes: number;
  /** True where a dropped row was the only one with some of its symbols: they are pruned before a build. */
  hasDroppedFirst: boolean;
}

/** A pre-interned row, between `encode` and `insertRows`. Pushes in flight bound how many there are. */
interface PreInternedRow {
  readonly generation: Generation;
  readonly held: HeldDataset;
  readonly row: PreparedRow;
  readonly sizeBytes: number;
}

/** Past it no more rows of the dataset are pre-interned: records are decoded when they are inserted, and those that are refused leave no symbols. */
const DROPPED_BYTES_MAX = 8 * 2 ** 20;
/** Like `DROPPED_BYTES_MAX`, but for all datasets of a generation together. It bounds a node that refuses every push: it makes no cut, so the generation does not end. */
const GENERATION_DROPPED_BYTES_MAX = 64 * 2 ** 20;

interface HeldGeneration {
  /** By printed key. */
  readonly datasets: Map<string, HeldDataset>;
  droppedBytes: number;
}

export interface EngineModules {
  readonly random: Random;
  /** Whether datasets of this record's tenant and service lie in this worker. */
  readonly isMine: (record: Pick<EncodedRecord, "tenant" | "service">) => boolean;
  /** The number of the first pre-interned row; 1 where it is not given. */
  readonly firstRow?: number;
}

export interface EncodedPush {
  readonly records: readonly EncodedRecord[];
  /** For each record the number of its pre-interned row, or 0. */
  readonly rows: readonly number[];
  /** Profiles of the body that were refused while the records are of the others. Absent: none were. */
  readonly refused?: readonly CodedError[];
}

export interface EngineOptions {
  /**
   * Bound of the opened segment datasets that are kept, so that a dashboard's repeated query decodes nothing twice: bytes as they lie in
   * memory. At the bound the one used longest ago is dropped; it can be opened again.
   */
  readonly openBytesMax: number;
}

export class ComputeEngine {
  readonly #modules: EngineModules;
  readonly #generations = new Map<Generation, HeldGeneration>();
  readonly #preInterned = new Map<number, PreInternedRow>();
  /** The latest generation that was built or dropped, but for those with a fraction. No rows are pre-interned for it and those before it. */
  #closed: Generation = -1;
  /** Builds under way. */
  readonly #builds = new Map<string, Generator<undefined, BuiltDataset[]>>();
  #nextRow: number;
  #rowBytes = 0;
  readonly #decoder = new RecordDecoder();
  readonly #open: OpenDatasets;
  /** For tables of ids that clients choose: nobody can make them collide on purpose. */
  readonly #hashSeed: number;

  constructor(options: EngineOptions, modules: EngineModules) {
    this.#modules = modules;
    this.#open = new OpenDatasets(options.openBytesMax);
    this.#nextRow = modules.firstRow ?? 1;
    this.#hashSeed = Math.floor(modules.random.float() * 2 ** 32);
  }

  /** About how many bytes rows have taken so far, dropped ones included: it only rises. */
  get rowBytes(): number {
    return this.#rowBytes;
  }

  /** Datasets in memory, of all generations. */
  get datasetCount(): number {
    let count = 0;
    for (const { datasets } of this.#generations.values()) count += datasets.size;
    return count;
  }

  /** `room` returns memory for a record's bytes. It is called after the pprof was read, so it may return the memory that holds the pprof. */
  encode(task: EncodeTask, room: (lengthBytes: number) => Uint8Array): EncodedPush {
    if (task.format !== undefined) return wholeOf(this.encodeBody(task, task.format, room));
    const rows: number[] = [];
    const { tenant, labels, profileId, fallbackTimeNs, idempotencyKey, nowMs, ingest, settings } = task;
    try {
      const nonce = this.#modules.random.bytes(16);
      // Fields are named one by one, here and along this path: an object spread makes V8 create a hidden class a push.
      const input: PushInput = { tenant, labels, pprof: this.#inflate(task), profileId, fallbackTimeNs, idempotencyKey, nonce, nowMs, ingest, limits: settings, window: settings, recordVersion: settings.recordVersion };
      return { records: encodePush(input, this.#use(task, room, rows)), rows };
    } catch (error) {
      this.releaseRows(rows);
      throw error;
    }
  }

  #use({ generation }: EncodeTask, room: RecordUse["room"], rows: number[]): RecordUse {
    return { room, onRecord: (record, view) => void rows.push(this.#preIntern(generation, record, view)) };
  }

  /**
   * Encodes each profile of a body in another format than pprof, in steps: a body of 16 MB may have thousands of profiles, and other pushes go in
   * between. Each step takes some STEP_BYTES of pprofs and records, and one profile more at most. Whoever ends early calls `return`.
   *
   * The key of each profile tells it from the others of the body. Where the format keeps the rest,
   * a profile that is refused leaves no record and no row (each goes to `rows`), and the body is refused only where all of its profiles are.
   * Those of one name are the series of one profile that the client sent: it is told as refused once, with the sentence of the first of them.
   */
  *encodeBody(task: EncodeTask, format: BodyFormat, room: (lengthBytes: number) => Uint8Array): Generator<undefined, EncodedPush> {
    const { tenant, labels, profileId, fallbackTimeNs, idempotencyKey, nowMs, settings } = task;
    const rows: number[] = [];
    const use = this.#use(task, room, rows);
    const records: EncodedRecord[] = [];
    let isWhole = false;
    try {
      const body = readFormat(format, this.#inflate(task), { labels, limits: settings, fallbackTimeNs });
      const refused = new Map<string, CodedError>();
      let recordBytes = 0;
      let stepBytes = 0;
      let keptCount = 0;
      let index = 0;
      for (const profile of body.profiles) {
        if (stepBytes >= STEP_BYTES) {
          stepBytes = 0;
          yield;
        }
        stepBytes += PROFILE_STEP_BYTES + profile.pprof.length;
        const sizeBytesMax = settings.profileSizeBytesMax;
        const rowCount = rows.length;
        try {
          if (sizeBytesMax > 0 && profile.pprof.length > sizeBytesMax) throw tooLarge(sizeBytesMax);
          const key = keyInBody(idempotencyKey, index);
          const nonce = this.#modules.random.bytes(16);
          const encoded = encodePush({ tenant, labels: profile.labels, pprof: profile.pprof, profileId, fallbackTimeNs, idempotencyKey: key, nonce, nowMs, ingest: profile.ingest, limits: settings, window: settings, recordVersion: settings.recordVersion }, use);
          for (const record of encoded) {
            recordBytes += record.bytes.length;
            stepBytes += record.bytes.length;
            records.push(record);
          }
          keptCount++;
        } catch (thrown) {
          // What is short of memory is short of it for the other profiles, too: only a refusal of this profile leaves them.
          if (body.keepsRest !== true || !(thrown instanceof CodedError) || thrown.kind !== "invalid_argument") throw thrown;
          this.releaseRows(rows.splice(rowCount));
          const name = profile.name ?? `profile ${index}`;
          if (!refused.has(name)) refused.set(name, namedRefusal(name, thrown));
        }
        if (recordBytes > BODY_RECORD_BYTES_MAX) {
          throw refusal("profile_size_limit", `the body's first ${index + 1} profiles take more than ${BODY_RECORD_BYTES_MAX} bytes: record for a shorter time, or with fewer labels`);
        }
        index++;
      }
      const all = [...(body.refused ?? []), ...refused.values()];
      const [first] = all;
      if (first !== undefined && keptCount === 0) throw all.length === 1 ? first : allRefused(all);
      isWhole = true;
      return first === undefined ? { records, rows } : { records, rows, refused: all };
    } finally {
      if (!isWhole) this.releaseRows(rows);
    }
  }

  insert(generation: Generation, records: readonly InsertedRecord[]): void {
    for (const record of records) {
      const { dataset } = this.#hold(generation, record);
      const row = this.#decoder.decode(record.bytes, "record");
      this.#counting(dataset, () => dataset.insert(row));
    }
  }

  /** Inserts rows that `encode` pre-interned for this generation. */
  insertRows(generation: Generation, rows: readonly number[]): void {
    for (const id of rows) {
      const interned = this.#preInterned.get(id);
      assert(interned !== undefined && interned.generation === generation, "a pre-interned row is inserted once, into the generation it was made for");
      this.#preInterned.delete(id);
      interned.held.preInternedCount--;
      const { dataset } = interned.held;
      this.#counting(dataset, () => dataset.add(interned.row));
    }
  }

  /** Drops pre-interned rows that were not inserted. */
  releaseRows(rows: readonly number[]): void {
    for (const id of rows) {
      const interned = this.#preInterned.get(id);
      if (interned === undefined) continue;
      this.#preInterned.delete(id);
      const { generation, held, row, sizeBytes } = interned;
      held.preInternedCount--;
      held.droppedBytes += sizeBytes;
      if (row.isFirstWithSome) held.hasDroppedFirst = true;
      const owner = this.#generations.get(generation);
      if (owner === undefined) continue;
      owner.droppedBytes += sizeBytes;
      // Without this, a client that is refused and names another service each time would leave a dataset for each.
      if (held.dataset.rowCount === 0 && held.preInternedCount === 0) owner.datasets.delete(printDatasetKey(held.key));
    }
  }

  /** The number of the pre-interned row; 0 where the dataset is another worker's, is being built, or has dropped too much already. */
  #preIntern(generation: Generation, record: EncodedRecord, view: RecordView): number {
    // A push that was on its way when its generation ended comes here late: a dataset that is being built must not change, nor one that was
    // dropped come back.
    if (!this.#modules.isMine(record) || generation <= this.#closed) return 0;
    if ((this.#generations.get(generation)?.droppedBytes ?? 0) > GENERATION_DROPPED_BYTES_MAX) return 0;
    const held = this.#hold(generation, record);
    if (held.droppedBytes > DROPPED_BYTES_MAX) return 0;
    const id = this.#nextRow++;
    const row = this.#counting(held.dataset, () => held.dataset.prepare(view));
    this.#preInterned.set(id, { generation, held, row, sizeBytes: record.bytes.length });
    held.preInternedCount++;
    return id;
  }

  #counting<T>(dataset: Dataset, work: () => T): T {
    const beforeBytes = dataset.sizeBytes;
    const result = work();
    this.#rowBytes += dataset.sizeBytes - beforeBytes;
    return result;
  }

  #hold(generation: Generation, { tenant, service, timeMs }: InsertedRecord): HeldDataset {
    let owner = this.#generations.get(generation);
    if (owner === undefined) this.#generations.set(generation, (owner = { datasets: new Map(), droppedBytes: 0 }));
    const { datasets } = owner;
    const key = { tenant, service, windowStartMs: windowStartOf(timeMs) };
    const printed = printDatasetKey(key);
    let held = datasets.get(printed);
    if (held === undefined) datasets.set(printed, (held = { key, dataset: new Dataset(service, this.#hashSeed), preInternedCount: 0, droppedBytes: 0, hasDroppedFirst: false }));
    return held;
  }

  /** The body, inflated where it is gzip, within its limit. Never in memory that `room` may return. */
  #inflate({ pprof, format, settings }: EncodeTask): Uint8Array {
    return openBody(pprof, bodySizeLimit(format, settings));
  }

  /** Does a millisecond or two of the build, so that pushes get their turn. Returns undefined until it is done: call it again with the same arguments. */
  build(generation: Generation, tenant: string, windowStartMs: number): BuiltDataset[] | undefined {
    const key = printDatasetKey({ tenant, windowStartMs, service: String(generation) });
    let steps = this.#builds.get(key);
    if (steps === undefined) this.#builds.set(key, (steps = this.#buildSteps(generation, tenant, windowStartMs)));
    this.#close(generation);
    try {
      const step = steps.next();
      if (step.done !== true) return undefined;
      this.#builds.delete(key);
      return step.value;
    } catch (error) {
      this.#builds.delete(key);
      throw error;
    }
  }

  *#buildSteps(generation: Generation, tenant: string, windowStartMs: number): Generator<undefined, BuiltDataset[]> {
    const built: BuiltDataset[] = [];
    for (const held of this.#generations.get(generation)?.datasets.values() ?? []) {
      const { key, dataset } = held;
      if (key.tenant !== tenant || key.windowStartMs !== windowStartMs || dataset.rowCount === 0) continue;
      // Nothing of a refused push may reach the bucket, not even a name that no row refers to.
      const sections = yield* encodeDatasetInSteps(this.#holdsMoreThanRows(held) ? yield* pruneInSteps(dataset) : dataset);
      yield;
      built.push({
        service: key.service,
        recordCount: dataset.rowCount,
        minTimeMs: Number(dataset.minTimeNs / 1_000_000n),
        maxTimeMs: Number(dataset.maxTimeNs / 1_000_000n),
        sections,
      });
    }
    return built;
  }

  /** Pre-interned rows of pushes on their way count as well: they come too late for this build, and may still be refused. */
  #holdsMoreThanRows(held: HeldDataset): boolean {
    if (held.hasDroppedFirst) return true;
    if (held.preInternedCount === 0) return false;
    for (const interned of this.#preInterned.values()) if (interned.held === held && interned.row.isFirstWithSome) return true;
    return false;
  }

  #close(generation: Generation): void {
    if (Number.isInteger(generation)) this.#closed = Math.max(this.#closed, generation);
  }

  drop(generation: Generation): void {
    this.#generations.delete(generation);
    this.#close(generation);
    for (const [id, interned] of this.#preInterned) if (interned.generation === generation) this.#preInterned.delete(id);
  }

  /**
   * A scan that is interrupted leaves the datasets as they were. Other calls may run at its interrupts, except another scan of rows; it reads
   * each dataset as that was when it came to it.
   */
  scan(task: ScanTask, interrupt: Interrupt = UNINTERRUPTED): ScanPartial {
    const scan = new WorkerScan(task, interrupt);
    for (const part of task.parts) this.#open.use(part, (dataset) => scan.read(dataset));
    for (const generation of task.generations) {
      for (const { key, dataset } of [...(this.#generations.get(generation)?.datasets.values() ?? [])]) {
        if (!task.tenants.includes(key.tenant)) continue;
        if (key.windowStartMs < task.firstWindowMs || key.windowStartMs > task.lastWindowMs) continue;
        scan.read(new DatasetSnapshot(dataset));
      }
    }
    for (const dataset of this.#internAside(task.records ?? [], interrupt)) scan.read(dataset);
    return scan.partial();
  }

  /** Datasets of these records alone, which are not kept. */
  #internAside(records: readonly InsertedRecord[], interrupt: Interrupt): Iterable<Dataset> {
    const datasets = new Map<string, Dataset>();
    for (const { tenant, service, timeMs, bytes } of records) {
      const key = printDatasetKey({ tenant, service, windowStartMs: windowStartOf(timeMs) });
      let dataset = datasets.get(key);
      if (dataset === undefined) datasets.set(key, (dataset = new Dataset(service, this.#hashSeed)));
      const row = this.#decoder.decode(bytes, "record");
      const into = dataset;
      this.#counting(into, () => into.insert(row));
      interrupt.after(bytes.length);
    }
    return datasets.values();
  }
}

function wholeOf(steps: Generator<undefined, EncodedPush>): EncodedPush {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Bytes of pprofs and records of one step of a body: some 10 to 20 ms. */
const STEP_BYTES = 256 * 1024;
/** What a profile costs beside its bytes, in bytes that cost as much: thousands of empty ones take time, too. */
const PROFILE_STEP_BYTES = 1024;

/** Refusals that one error tells of; the others are only counted. */
const REFUSALS_TOLD_MAX = 20;

function allRefused(refused: readonly CodedError[]): CodedError {
  const [first] = refused;
  const told = refused.slice(0, REFUSALS_TOLD_MAX).map(({ message }) => message);
  if (refused.length > told.length) told.push(`and ${refused.length - told.length} more`);
  return new CodedError({ code: first!.code, kind: first!.kind, message: `all ${refused.length} profiles were refused: ${told.join("; ")}`, details: first!.details, cause: first });
}

/** Bytes of all records of one body of several profiles. Each profile's are bounded by themselves (profile/src/record/encode-push.ts). */
const BODY_RECORD_BYTES_MAX = 64 * 2 ** 20;
