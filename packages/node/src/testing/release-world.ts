/**
 * Members whose heads, flushes and releases run in one process, over one bucket in memory and a clock that moves when told. Writes and queries are left out: a test
 * puts records into the heads that it names, and looks into the bucket.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metrics, seededRandom, silentLogger, toHex } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { Catalog, FolderFiles, MemoryBucket, PlacedSource, readIdentities } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { MemoryCheckpoint, MemoryDisk, MemoryFile } from "@pyromesh/head/testing";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, PprofWriter } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { ClusterRelease } from "../member/cluster-release.ts";
import { Flusher } from "../background/flusher.ts";
import { Generations } from "../background/generations.ts";
import { rowSource } from "../background/row-source.ts";
import { SegmentMemory } from "../release/segment-memory.ts";
import type { Compute } from "../compute/compute.ts";
import { FakeClusterWorld } from "./fake-cluster.ts";
import type { FakeCluster } from "./fake-cluster.ts";
import { openLocalCompute } from "./local-compute.ts";
import { pass, passUntil, settle } from "./settle.ts";
import { NEWEST_VERSIONS } from "../cluster/version-gate.ts";

export const FLUSH_INTERVAL_MS = 10_000;
export const DUE_AFTER_MS = 20_000;
const NOW_MS = Date.UTC(2026, 2, 2, 14, 30);
const never = new AbortController().signal;
const TENANT = "shop" as TenantId; // one that the API would take
const CPU = { type: "cpu", unit: "nanoseconds" };

export class ReleaseWorld {
  readonly clock: ManualClock = new ManualClock(NOW_MS);
  readonly memory: MemoryBucket = new MemoryBucket({ clock: this.clock });
  readonly bucket: FaultyBucket = new FaultyBucket(this.memory, { clock: this.clock });
  readonly cluster: FakeClusterWorld;
  readonly #dir = mkdtempSync(join(tmpdir(), "pyromesh-release-"));
  readonly #members = new Map<string, ReleaseMember>();
  readonly #encoder: Compute;

  constructor(names: readonly string[]) {
    this.cluster = new FakeClusterWorld(names, { clock: this.clock });
    this.#encoder = openLocalCompute({ random: seededRandom(99), clock: this.clock });
    for (const [index, name] of names.entries()) this.#members.set(name, new ReleaseMember(this, this.cluster.of(name), join(this.#dir, name), index));
  }

  of(name: string): ReleaseMember {
    const member = this.#members.get(name);
    if (member === undefined) throw new Error(`no member ${name} in this test`);
    return member;
  }

  async start(): Promise<void> {
    for (const member of this.#members.values()) await member.start();
  }

  async stop(): Promise<void> {
    this.bucket.heal();
    for (const member of this.#members.values()) await member.stop();
    await this.#encoder.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** The same value is the same record. */
  async record(value: number, service = "api"): Promise<EncodedRecord> {
    const writer = new PprofWriter({ sampleTypes: [CPU], periodType: CPU, period: 1, timeNs: BigInt(NOW_MS + value) * 1_000_000n, durationNs: 0n });
    writer.sample([writer.frame("work"), writer.frame("main")], [value]);
    const labels = [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }];
    const settings = { ...DEFAULT_PROFILE_LIMITS, ...DEFAULT_ACCEPTANCE_WINDOW };
    const records = await this.#encoder.encode({ tenant: TENANT, labels, pprof: writer.finish(), format: undefined, profileId: undefined, fallbackTimeNs: 1n, idempotencyKey: undefined, nowMs: NOW_MS, ingest: undefined, settings, generation: 0 });
    const { identity, tenant, timeMs, sampleCount, fingerprint, bytes, service: ofRecord } = records[0]!; // one sample, one label set
    const copy = { identity: Uint8Array.from(identity), tenant, service: ofRecord, timeMs, sampleCount, fingerprint, bytes: Uint8Array.from(bytes) };
    this.#encoder.release(records);
    return copy;
  }

  /** Puts the records of these values into the heads of `list`, or of those among them in `only`. */
  async put(values: readonly number[], list: readonly string[], only: readonly string[] = list): Promise<void> {
    const stores = list.map((name) => this.of(name).storeId);
    for (const value of values) {
      const record = await this.record(value);
      for (const name of only) await this.of(name).head.append(record, stores);
    }
  }

  /** How often each value is in the bucket. */
  async inBucket(values: readonly number[]): Promise<number[]> {
    const counts = new Map<string, number>();
    for await (const page of this.memory.list("v1/", {}, never)) {
      for (const { key, sizeBytes } of page) {
        const source = { sizeBytes, read: (offset: number, lengthBytes: number) => this.memory.getRange(key, offset, lengthBytes, never) };
        for (const identity of await readIdentities(source, key, never)) counts.set(identity, (counts.get(identity) ?? 0) + 1);
      }
    }
    const records = await Promise.all(values.map((value) => this.record(value)));
    return records.map(({ identity }) => counts.get(Buffer.from(identity).toString("latin1")) ?? 0);
  }

  /** These members stop, answer nothing, and are dead in the view of every other one. */
  async kill(...names: string[]): Promise<void> {
    for (const name of names) {
      await this.of(name).stop();
      this.cluster.stop(name);
      this.cluster.updateMember(name, { state: "dead" });
    }
  }

  pass(ms: number): Promise<void> {
    return pass(this.clock, ms);
  }

  until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    return passUntil(this.clock, holds, what);
  }
}

export class ReleaseMember {
  readonly cluster: FakeCluster;
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly #world: ReleaseWorld;
  readonly #dir: string;
  readonly #checkpoint = new MemoryCheckpoint();
  readonly #file = new MemoryFile();
  readonly #seed: number;
  #startCount = 0;
  #closers: (() => Promise<void>)[] = [];
  head!: Head;
  catalog!: Catalog;
  flusher!: Flusher;
  release!: ClusterRelease;
  segments!: SegmentMemory;
  metrics!: Metrics;

  constructor(world: ReleaseWorld, cluster: FakeCluster, dir: string, index: number) {
    this.#world = world;
    this.cluster = cluster;
    this.#dir = dir;
    this.#seed = 100 * (index + 1);
  }

  get name(): string {
    return this.cluster.view.self.name;
  }

  get storeId(): Uint8Array {
    return this.head.storeId;
  }

  /** Values of the records that it holds, open or cut. */
  async held(values: readonly number[]): Promise<number[]> {
    const records = await Promise.all(values.map((value) => this.#world.record(value)));
    return values.filter((_, index) => this.head.has(records[index]!.identity));
  }

  /** As a LIST once a minute does. */
  list(): Promise<void> {
    return this.catalog.refresh(never).then(() => this.release.onListed());
  }

  async takeovers(): Promise<number> {
    const text = await this.metrics.text();
    return [...text.matchAll(/^pyromesh_takeover_records_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async start(): Promise<void> {
    const { bucket, clock, cluster } = this.#world;
    const modules = { clock, random: seededRandom(this.#seed + this.#startCount++), logger: silentLogger, metrics: new Metrics() };
    this.metrics = modules.metrics;
    const compute = openLocalCompute(modules);
    const generations = new Generations((generation) => compute.drop(generation));
    const local = await FolderFiles.open({ dir: this.#dir }, modules);
    let isOpen = false;
    this.head = await Head.open({ diskBudgetBytes: 2 ** 30, dueAfterMs: DUE_AFTER_MS }, {
      ...modules,
      opener: this.disk,
      checkpoint: this.#checkpoint,
      quarantineFile: this.#file,
      onCommitted: (entries) => compute.insert(generations.open, entries.flatMap(({ rank, record }) => (rank === 0 ? [record] : []))),
      onCut: (cut) => this.flusher.noteCut(cut),
      onSealed: (sealed) => this.flusher.noteSealed(sealed),
      onRenamed: (renamed) => this.flusher.noteRenamed(renamed),
      onReleased: () => {
        if (isOpen) this.release.noteReleased();
      },
    });
    for (const cutId of this.head.cutIds) generations.turn(cutId);
    await this.head.replay(async (batch) => {
      for (const record of batch) if (record.rank === 0) compute.insert(record.cutId === undefined ? generations.open : generations.of(record.cutId)!, [record]);
      await compute.settle();
    });
    for (const { cutId, isTakeover } of this.head.cuts()) if (isTakeover) generations.leave(cutId);
    compute.readBackFrom(rowSource(this.head, generations));
    this.segments = new SegmentMemory({ identityBytesMax: 2 ** 20, found: this.head.foundNotes }, modules);
    await this.head.beginNotes(this.segments.releasedInto.beginNoting());
    cluster.updateMember(this.name, { storeId: toHex(this.head.storeId), bootId: `boot ${this.#startCount} of ${this.name}` });

    this.catalog = new Catalog({}, { bucket, logger: silentLogger });
    this.flusher = new Flusher({ intervalMs: FLUSH_INTERVAL_MS, sizeBytes: 2 ** 26 }, { ...modules, head: this.head, compute, bucket, local, catalog: this.catalog, generations, versions: NEWEST_VERSIONS, listener: this.segments, uploadClock: clock });
    for (const segment of this.head.sealed()) this.flusher.resumeSealed(segment);
    this.release = new ClusterRelease(
      { dueAfterMs: DUE_AFTER_MS, cutBytesMax: () => 2 ** 20 },
      {
        ...modules,
        cluster: this.cluster,
        head: this.head,
        flusher: this.flusher,
        catalog: this.catalog,
        local,
        source: new PlacedSource({ bucket, localFiles: local }),
        segments: this.segments,
        list: () => this.list(),
        isWritable: () => true,
      },
    );
    isOpen = true;
    this.flusher.start();
    this.release.start();
    this.#closers = [() => this.release.stop(), () => this.flusher.stop(), () => this.head.close(), () => compute.stop(), () => local.close()];
    await settle();
  }

  async stop(): Promise<void> {
    const closers = this.#closers;
    this.#closers = [];
    for (const close of closers) await close();
  }

  /** Power loss: what was not synced is gone. `start` comes next. */
  async crash(): Promise<void> {
    this.disk.crash();
    const closers = this.#closers;
    this.#closers = [];
    for (const close of closers) await close().catch(() => undefined);
    this.disk.crash();
  }
}
