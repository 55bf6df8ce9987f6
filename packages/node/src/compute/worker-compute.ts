/**
 * Compute on worker threads: which lane does what (lane.ts is one lane).
 *
 * A push goes to the lane where its service's datasets lie, which then makes the rows ready while it has the columns at hand;
 * where that lane is busy it goes to another, and its records are decoded again on insert. `finish` goes to any lane.
 * Pushes that meet in one lane travel together: waking a thread costs as much as decoding a small push.
 * Builds run one at a time, so that, where there are several lanes, one is always left for pushes.
 */
import { messageOf } from "@pyromesh/base";
import { encodeSectionAside } from "@pyromesh/block";
import type { DatasetInput, SectionInput } from "@pyromesh/block";
import { LABEL_SERVICE_NAME, recordIdentity, UNKNOWN_SERVICE } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import type { BuiltDataset, Compute, EncodeTask, Finished, Generation, InsertedRecord, ScanPartial, ScanSpec, ScanTask, SegmentPart } from "./compute.ts";
import { Lane } from "./lane.ts";
import { laneOf } from "./lane-of.ts";
import { packPush, RECORD_ENTRIES, unpackRecord } from "./lane-protocol.ts";
import type { PackedRecords, UnpackedRecord } from "./lane-protocol.ts";
import { LentMemory } from "./lent-memory.ts";
import { codecOf } from "./section-codec.ts";
import { sharedCopy } from "./shared-copy.ts";

/** A lane with two batches waiting has enough to do. */
const LANE_CALLS_MAX = 8;

export interface WorkerComputeOptions {
  readonly laneCount: number;
  /** Of opened datasets, in each lane. */
  readonly openDatasetBytesMax: number;
}

export interface WorkerComputeModules {
  /** Called when a lane dies, or rows cannot reach it: they are gone, so the node must stop; a restart replays them. */
  readonly onLaneLost: (error: Error) => void;
}

/** A record of `encode`, and what it holds until it is released. A copy of it holds nothing. */
class LentRecord implements EncodedRecord {
  readonly identity: Uint8Array;
  readonly tenant: string;
  readonly service: string;
  readonly timeMs: number;
  readonly sampleCount: number;
  readonly bytes: Uint8Array;
  readonly lane: Lane;
  readonly generation: Generation;
  /** 0: none, inserted already, or released. */
  row: number;
  slot: SlotLoan | undefined;

  constructor({ bytes, service, timeMs, sampleCount, row }: UnpackedRecord, { tenant, generation }: EncodeTask, lane: Lane, slot: SlotLoan | undefined) {
    this.identity = recordIdentity(bytes);
    this.tenant = tenant;
    this.service = service;
    this.timeMs = timeMs;
    this.sampleCount = sampleCount;
    this.bytes = bytes;
    this.lane = lane;
    this.generation = generation;
    this.row = row;
    this.slot = slot;
  }
}

/** One slot, shared by the records of a push. */
interface SlotLoan {
  readonly at: number;
  recordCount: number;
}

export class WorkerCompute implements Compute {
  readonly #lanes: Lane[];
  readonly #memory = new LentMemory();
  readonly #onLaneLost: (error: Error) => void;
  #building: Promise<unknown> = Promise.resolve();

  constructor({ laneCount, openDatasetBytesMax }: WorkerComputeOptions, modules: WorkerComputeModules) {
    this.#onLaneLost = modules.onLaneLost;
    const { shared } = this.#memory;
    this.#lanes = Array.from({ length: laneCount }, (_, lane) => new Lane({ lane, laneCount, openBytesMax: openDatasetBytesMax, shared }, modules.onLaneLost));
  }

  async encode(task: EncodeTask): Promise<readonly EncodedRecord[]> {
    const lane = this.#laneFor(task);
    const settings = lane.settingsNumber(task.settings);
    const at = this.#memory.lend(task.pprof);
    const slot = at === undefined ? undefined : { at, recordCount: 0 };
    try {
      const packed = await lane.call<PackedRecords>(packPush(task, at ?? sharedCopy(task.pprof), settings));
      const records: LentRecord[] = [];
      for (let entry = 0; entry < packed.length; entry += RECORD_ENTRIES) records.push(new LentRecord(unpackRecord(packed, entry, this.#view), task, lane, slot));
      if (slot !== undefined) slot.recordCount = records.length;
      return records;
    } finally {
      if (slot?.recordCount === 0) this.#memory.takeBack(slot.at);
    }
  }

  readonly #view = (at: number, lengthBytes: number): Uint8Array => this.#memory.view(at, lengthBytes);

  insert(generation: Generation, records: readonly InsertedRecord[]): void {
    try {
      for (const record of records) this.#insert(generation, record);
    } catch (error) {
      // Out of memory, for instance. Rows that are durable and not interned would be missing from answers without a word.
      this.#onLaneLost(new Error(`an accepted record could not be handed to a lane: ${messageOf(error)}`, { cause: error }));
    }
  }

  #insert(generation: Generation, record: InsertedRecord): void {
    if (record instanceof LentRecord && record.row !== 0 && record.generation === generation) {
      record.lane.insertRow(generation, record.row);
      record.row = 0;
      return;
    }
    const { tenant, service, timeMs, bytes } = record;
    this.#lanes[laneOf(record, this.#lanes.length)]!.insert(generation, { tenant, service, timeMs, bytes: sharedCopy(bytes) });
  }

  release(records: readonly EncodedRecord[]): void {
    for (const record of records) {
      if (!(record instanceof LentRecord)) continue;
      if (record.row !== 0) record.lane.releaseRow(record.row);
      record.row = 0;
      if (record.slot !== undefined && --record.slot.recordCount === 0) this.#memory.takeBack(record.slot.at);
      record.slot = undefined;
    }
  }

  async settle(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.call({ method: "drop", generation: -1 })));
  }

  build(generation: Generation, tenant: string, windowStartMs: number): Promise<readonly DatasetInput[]> {
    const run = async (): Promise<readonly DatasetInput[]> => {
      const inputs: DatasetInput[] = [];
      for (const lane of this.#lanes) {
        // A step at a time: pushes that wait in the lane go in between.
        let built: readonly BuiltDataset[] | undefined;
        while (built === undefined) built = await lane.call<readonly BuiltDataset[] | undefined>({ method: "build", generation, tenant, windowStartMs });
        for (const dataset of built) {
          const sections: SectionInput[] = [];
          // One after the other: the other threads of the pool stay free for commits.
          for (const section of dataset.sections) sections.push(await encodeSectionAside(section.tag, section.raw, ...codecOf(section)));
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
    for (const lane of this.#lanes) lane.drop(generation);
  }

  async scan(task: ScanTask, signal: AbortSignal): Promise<readonly ScanPartial[]> {
    const parts = new Map<Lane, SegmentPart[]>(this.#lanes.map((lane) => [lane, []]));
    for (const part of task.parts) parts.get(this.#lanes[laneOf(part, this.#lanes.length)]!)!.push(part);
    const busy = this.#lanes.filter((lane) => task.generations.length > 0 || parts.get(lane)!.length > 0);
    return Promise.all(busy.map((lane) => lane.call<ScanPartial>({ method: "scan", task: { ...task, parts: parts.get(lane)! } }, signal)));
  }

  merge(spec: ScanSpec, partials: readonly ScanPartial[], signal: AbortSignal): Promise<ScanPartial> {
    return this.#free().call<ScanPartial>({ method: "merge", spec, partials }, signal);
  }

  finish(spec: Parameters<Compute["finish"]>[0], partials: readonly ScanPartial[], signal: AbortSignal): Promise<Finished> {
    return this.#free().call<Finished>({ method: "finish", spec, partials }, signal);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  #laneFor({ tenant, labels }: EncodeTask): Lane {
    const service = labels.find(({ name }) => name === LABEL_SERVICE_NAME)?.value ?? UNKNOWN_SERVICE;
    const home = this.#lanes[laneOf({ tenant, service }, this.#lanes.length)]!;
    return !home.isLong && home.load < LANE_CALLS_MAX ? home : this.#free();
  }

  #free(): Lane {
    let best = this.#lanes[0]!;
    for (const lane of this.#lanes) {
      if (!lane.isLong && lane.load < LANE_CALLS_MAX) return lane;
      if (Number(lane.isLong) - Number(best.isLong) < 0 || (lane.isLong === best.isLong && lane.load < best.load)) best = lane;
    }
    return best;
  }
}
