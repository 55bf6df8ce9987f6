/**
 * Stores of several members with one bucket, for tests of queries over all of them: heads, catalogs, matchers and readers are the shipped ones; a test takes each
 * step of a push and of a flush itself, one by one and in any order. Members know of each other what the test says (fake-cluster.ts).
 *
 *   const world = new HeadsWorld(["a", "b", "c"]);
 *   await world.start();
 *   await world.push(0, ["a", "b", "c"]);              record 0 is kept by these, a is rank 0
 *   await world.of("a").seal(); await world.of("a").upload();
 *   await world.query("b");                            which records the answer counts
 *
 * The value of record n is a digit of the answer's sum, so a sum says which records were counted, and how often.
 */
import type { Answer } from "@pyromesh/api";
import { Metrics, silentLogger, toHex } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { buildSegment, Catalog, describeGap, markKey, MemoryBucket, ObjectReader, parseObjectKey, PlacedSource, segmentKey } from "@pyromesh/block";
import type { SegmentKey, SegmentMeta } from "@pyromesh/block";
import { FaultyBucket } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { MemoryCheckpoint, MemoryDisk, MemoryFile } from "@pyromesh/head/testing";
import type { EncodedRecord } from "@pyromesh/profile";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, parseProfileType, PprofWriter, WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import { Generations } from "../background/generations.ts";
import { MatchMemory } from "../release/match-memory.ts";
import { Matcher } from "../release/matcher.ts";
import { ReleasedInto } from "../release/released-into.ts";
import { toldSegment } from "../background/told-segment.ts";
import type { Compute } from "../compute/compute.ts";
import { WorkerCompute } from "../compute/worker-compute.ts";
import { AMPLE_MEMORY } from "../process/memory-plan.ts";
import { ByteBudget } from "../read/read-ahead.ts";
import { spanAbove } from "../read/read-plan.ts";
import { Reader } from "../read/reader.ts";
import { SegmentSource } from "../read/segment-source.ts";
import { UnreadableObjects } from "../read/unreadable-objects.ts";
import { clusterReading } from "../read/heads/cluster-reading.ts";
import type { Holder } from "../read/heads/holder.ts";
import { NEWEST_VERSIONS } from "../cluster/version-gate.ts";
import { serveHolder } from "../read/heads/holder-requests.ts";
import { sealedPeers } from "../read/heads/sealed-peers.ts";
import { FakeClusterWorld } from "./fake-cluster.ts";
import type { FakeCluster } from "./fake-cluster.ts";
import { InPlaceThreads } from "./in-place-threads.ts";
import { MemoryFiles } from "./memory-files.ts";
import { readJson } from "./read-reply.ts";
import { SeededWorld } from "./seeded-world.ts";

const never = new AbortController().signal;
const OWN_RANK = { ranks: new Set([0]) };
/** A digit of the sum says how often a record was counted: 0 to 3. */
const BASE = 4;
/** As many digits as a sum has that floats hold exactly. */
export const RECORDS_MAX = 26;
const PROFILE_TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const SETTINGS = { ...DEFAULT_PROFILE_LIMITS, ...DEFAULT_ACCEPTANCE_WINDOW, rejectOlderThanMs: 0, rejectNewerThanMs: 0 };

export interface QueryOutcome {
  /** How often each record was counted that was. */
  readonly counts: ReadonlyMap<number, number>;
  readonly answer: Answer<Uint8Array>;
}

export class HeadsWorld {
  readonly tenant = "shop" as TenantId; // one that the API would take
  readonly seeded: SeededWorld;
  readonly bucket: FaultyBucket;
  readonly cluster: FakeClusterWorld;
  queryBytesMax = 0;
  readonly #members = new Map<string, StoreMember>();
  readonly #records = new Map<number, EncodedRecord>();
  readonly #encoder: Compute;
  #isRunning = false;

  constructor(names: readonly string[], { seed = 1, replication }: { readonly seed?: number; readonly replication?: number } = {}) {
    this.seeded = new SeededWorld(seed);
    const { clock } = this.seeded;
    this.bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    this.cluster = new FakeClusterWorld(names, { clock, ...(replication === undefined ? {} : { replication }) });
    this.#encoder = this.makeCompute();
    for (const name of names) this.#members.set(name, new StoreMember(name, this));
  }

  get names(): readonly string[] {
    return [...this.#members.keys()];
  }

  async start(): Promise<void> {
    for (const member of this.#members.values()) await member.start();
    for (const member of this.#members.values()) await member.list();
  }

  of(name: string): StoreMember {
    const member = this.#members.get(name);
    if (member === undefined) throw new Error(`no member ${name} in this test`);
    return member;
  }

  /** Runs the world until the work is done; time passes only where nothing else happens. Work that is begun meanwhile is done by the same run. */
  async run<T>(work: Promise<T>): Promise<T> {
    if (this.#isRunning) return work;
    this.#isRunning = true;
    try {
      return await this.seeded.run(work);
    } finally {
      this.#isRunning = false;
    }
  }

  pass(ms: number): Promise<void> {
    return this.run(this.seeded.clock.sleep(ms));
  }

  makeCompute(): Compute {
    const { clock } = this.seeded;
    const threads = new InPlaceThreads(this.seeded);
    return new WorkerCompute(
      { workerCount: 2, slotCount: 4, openDatasetBytesMax: 2 ** 20, memory: AMPLE_MEMORY.worker },
      { clock, logger: silentLogger, metrics: new Metrics(), threads, onHopeless: (error) => { throw error; } },
    );
  }

  /** The same number is the same record. Two services, three series each; every fifth record lies in the window before. */
  async record(number: number): Promise<EncodedRecord> {
    const known = this.#records.get(number);
    if (known !== undefined) return known;
    const { clock } = this.seeded;
    const timeMs = windowStartOf(clock.nowMs()) + 1000 + number - (number % 5 === 4 ? WINDOW_MS : 0);
    const writer = new PprofWriter({ sampleTypes: [{ type: "cpu", unit: "nanoseconds" }], periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, durationNs: 0n });
    writer.sample([writer.frame("work"), writer.frame("main")], [BASE ** number]);
    const labels = Object.entries({ __name__: "process_cpu", service_name: serviceOf(number), pod: `pod-${number % 3}` }).map(([name, value]) => ({ name, value }));
    const records = await this.run(
      this.#encoder.encode({ tenant: this.tenant, labels, pprof: writer.finish(), format: undefined, profileId: undefined, fallbackTimeNs: BigInt(timeMs) * 1_000_000n, idempotencyKey: undefined, nowMs: timeMs, ingest: undefined, settings: SETTINGS, generation: 0 }),
    );
    const [record] = records.map(({ identity, tenant, service, timeMs: at, sampleCount, fingerprint, bytes }) => ({ identity: Uint8Array.from(identity), tenant, service, timeMs: at, sampleCount, fingerprint, bytes: Uint8Array.from(bytes) }));
    this.#encoder.release(records);
    this.#records.set(number, record!);
    return record!;
  }

  /** Appends the record at each of `at`; `stores` are those that its list names, in the order of their ranks. */
  async push(number: number, stores: readonly string[], at: readonly string[] = stores): Promise<void> {
    const record = await this.record(number);
    const list = stores.map((name) => this.of(name).head.storeId);
    await this.run(Promise.all(at.map((name) => this.of(name).head.append(record, list))));
  }

  /** Rejects where the query is refused. */
  async query(name: string, { selector = [], allowPartial = false }: { readonly selector?: Parameters<Reader["flameGraph"]>[0]["selector"]; readonly allowPartial?: boolean } = {}): Promise<QueryOutcome> {
    const nowMs = this.seeded.clock.nowMs();
    const query = { tenants: [this.tenant], startMs: nowMs - 5 * WINDOW_MS, endMs: nowMs + WINDOW_MS, allowPartial, profileType: parseProfileType(PROFILE_TYPE), selector, callSite: [], profileIds: [], spanIds: [], traceIds: [], maxNodes: 100, form: "json" } as const;
    const answer = await this.run(this.of(name).reader.flameGraph(query, never));
    let rest = BigInt(readJson<{ readonly flamegraph: { readonly total?: string } }>(answer).flamegraph.total ?? 0);
    const counts = new Map<number, number>();
    for (let number = 0; rest > 0n; number++, rest /= BigInt(BASE)) if (rest % BigInt(BASE) > 0n) counts.set(number, Number(rest % BigInt(BASE)));
    return { counts, answer };
  }

  /** The error's code, or the records that were counted, in order. */
  async ask(name: string, options: Parameters<HeadsWorld["query"]>[1] = {}): Promise<string | number[]> {
    try {
      const { counts, answer } = await this.query(name, options);
      const numbers = [...counts].flatMap(([number, count]) => Array.from({ length: count }, () => number));
      if (numbers.length !== answer.receipt.recordCount) throw new Error(`the receipt says ${answer.receipt.recordCount} records, and ${numbers.length} were counted`);
      return numbers;
    } catch (error) {
      return (error as { readonly code?: string }).code ?? Promise.reject(error as Error);
    }
  }
}

/** One member's store, and its reader. */
export class StoreMember {
  readonly name: string;
  readonly cluster: FakeCluster;
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly files: MemoryFiles = new MemoryFiles();
  readonly #world: HeadsWorld;
  readonly #checkpoint = new MemoryCheckpoint();
  readonly #quarantineFile = new MemoryFile();
  #startCount = 0;
  bootId = "";
  head!: Head; // each of these is set by `start`
  catalog!: Catalog;
  holder!: Holder;
  matcher!: Matcher;
  releasedInto!: ReleasedInto;
  reader!: Reader;
  #generations!: Generations;
  #compute!: Compute;
  #listBeganMs = -Infinity;

  constructor(name: string, world: HeadsWorld) {
    this.name = name;
    this.cluster = world.cluster.of(name);
    this.#world = world;
  }

  /** Also again, after `crash`. */
  async start(): Promise<void> {
    const { bucket, seeded } = this.#world;
    const { clock, random } = seeded;
    const { cluster, files } = this;
    const modules = { clock, random, logger: silentLogger, metrics: new Metrics() };
    this.bootId = `boot ${++this.#startCount} of ${this.name}`;
    const compute = (this.#compute = this.#world.makeCompute());
    const generations = (this.#generations = new Generations((generation) => compute.drop(generation)));
    const catalog = (this.catalog = new Catalog({}, { bucket, logger: silentLogger }));
    this.#listBeganMs = -Infinity;
    const opening = Head.open(
      { diskBudgetBytes: 2 ** 30, gatherMsMax: 0 },
      {
        ...modules,
        opener: this.disk,
        checkpoint: this.#checkpoint,
        quarantineFile: this.#quarantineFile,
        onCommitted: (entries) => compute.insert(generations.open, entries.filter(({ rank }) => rank === 0).map(({ record }) => record)),
        onCut: ({ cutId, isTakeover }) => {
          if (!isTakeover) generations.turn(cutId);
        },
        onSealed: ({ cutId, segments }) => {
          for (const { key, bytes } of segments) this.#noteSealed(key, Number(Buffer.from(bytes).toString()));
          generations.leave(cutId);
        },
      },
    );
    this.head = await this.#world.run(opening);
    for (const cutId of this.head.cutIds) generations.turn(cutId);
    await this.#world.run(
      this.head.replay(async (batch) => {
        for (const { cutId, rank, tenant: of, service, timeMs, bytes } of batch) if (rank === 0) compute.insert(cutId === undefined ? generations.open : generations.of(cutId)!, [{ tenant: of, service, timeMs, bytes }]);
        await compute.settle();
      }),
    );
    const releasedInto = (this.releasedInto = new ReleasedInto({ found: this.head.foundNotes }, { clock }));
    await this.#world.run(this.head.beginNotes(releasedInto.beginNoting()));
    for (const { key, bytes } of this.head.sealed()) this.#noteSealed(key, Number(Buffer.from(bytes).toString()));
    const head = this.head;
    const storeId = toHex(head.storeId);
    this.#world.cluster.updateMember(this.name, { storeId });
    if (this.#startCount === 1) this.#world.cluster.updateMember(this.name, { bootId: this.bootId });

    const source = new PlacedSource({ bucket, localFiles: files, peers: sealedPeers({ clock, cluster: () => cluster }) });
    const objects = new ObjectReader({ cacheBytesMax: 2 ** 20 }, { source });
    const unreadable = new UnreadableObjects({ ...modules, forget: (key) => objects.forget(key), check: () => Promise.resolve() });
    this.matcher = new Matcher({ ...modules, head, catalog, source, memory: new MatchMemory({ bytesMax: 2 ** 20 }), releasedInto, onRelease: () => {} });
    const reading = clusterReading(
      { bootId: this.bootId },
      { ...modules, cluster, compute, head, generations, catalog, localFiles: files, matcher: { match: (objects, signal) => this.matcher.match(objects, signal) }, releasedInto, refresh: () => this.#list(), listBeganMs: () => this.#listBeganMs },
    );
    this.holder = reading.holder;
    serveHolder({ peers: cluster.peers, versions: NEWEST_VERSIONS, holder: () => reading.holder, sealedReads: () => reading.sealedReads });
    const { heads } = reading;
    this.reader = new Reader({
      clock,
      compute,
      segments: new SegmentSource({ objects, unreadable }),
      unreadable,
      readAheadBudget: new ByteBudget(2 ** 26),
      pin: (tenants, startMs, endMs) => {
        const snapshot = catalog.acquire(tenants, startMs, endMs);
        const memory = generations.pin();
        return { ...snapshot, generations: memory.generations, release: () => { snapshot.release(); memory.release(); } };
      },
      heads,
      refresh: () => this.#list(),
      forgetHeard: (key) => void catalog.forgetHeard(key),
      queryBytesMaxOf: () => this.#world.queryBytesMax,
      quarantine: () => head.quarantine(),
      incompleteBecause: () => (this.#listBeganMs === -Infinity ? "the bucket was not listed yet" : undefined),
      objectSpan: (of) => catalog.spanOf(of),
      gapsWithin: (tenants, startMs, endMs) => catalog.gapsWithin(tenants, startMs, endMs).map(describeGap),
      headSpan: (of) => head.spanOf(of),
      aboveFloor: (of, span) => spanAbove(catalog.floorOf(of), span),
    });
  }

  /** A loss that nobody has acknowledged, over all times. */
  quarantine(): Promise<void> {
    return this.#world.run(this.head.addQuarantine("a gap in the commits"));
  }

  /** kill -9 and power loss: what was not synced is gone. The member answers nothing until `start`. */
  async crash(): Promise<void> {
    this.#world.cluster.stop(this.name);
    this.disk.crash();
    await this.matcher.stop();
    await this.#world.run(this.#compute.stop());
  }

  async restart(): Promise<void> {
    await this.crash();
    await this.start();
    this.#world.cluster.resume(this.name);
  }

  /** It ran alone for a while, and noted nothing. */
  forgetNotes(): Promise<void> {
    return this.#world.run(this.head.endNotes());
  }

  get storeId(): string {
    return toHex(this.head.storeId);
  }

  /** Cuts what is of rank 0 and seals it. False where there is nothing. */
  async seal(): Promise<boolean> {
    const { head } = this;
    const cut = await this.#world.run(head.cut(OWN_RANK));
    if (cut === undefined) return false;
    const ordinals = (await this.#world.run(head.nextOrdinals(cut.cutId))) ?? [];
    const segments: { storeId: string; tenant: string; windowStartMs: number; ordinal: number; key: string; bytes: Uint8Array }[] = [];
    for (const name of ordinals) {
      const { storeId, tenant, windowStartMs, ordinal } = name;
      const datasets = await this.#world.run(this.#compute.build(this.#generations.of(cut.cutId)!, tenant, windowStartMs));
      const meta: SegmentMeta = {
        tenant: tenant as TenantId, // of a record
        windowStartMs,
        windowMs: WINDOW_MS,
        level: 0,
        storeId,
        ordinal,
        minTimeMs: Math.min(...datasets.map(({ minTimeMs }) => minTimeMs)),
        maxTimeMs: Math.max(...datasets.map(({ maxTimeMs }) => maxTimeMs)),
        recordCount: datasets.reduce((sum, { recordCount }) => sum + recordCount, 0),
        sources: [{ storeId, firstOrdinal: ordinal, lastOrdinal: ordinal }],
      };
      const bytes = buildSegment(meta, datasets);
      const key = segmentKey(meta);
      await this.files.write(key, bytes);
      segments.push({ ...name, key, bytes: Buffer.from(String(bytes.length)) });
    }
    await this.#world.run(head.seal(cut.cutId, segments));
    return true;
  }

  /** Tells a member of the segments that wait here. It does not read them before it is asked. */
  tell(to: string): void {
    const { catalog } = this.#world.of(to);
    for (const { key } of this.head.sealed()) catalog.addByMeta(toldSegment(parseSegment(key), { sizeBytes: this.catalog.get(key)!.sizeBytes, isUploaded: false }), { storeId: this.storeId });
  }

  /**
   * Tells a member of a segment that never is: of times of records `from` to `to`, under the ordinal that the next one here gets. Returns its key.
   * As where its seal failed.
   */
  async tellOfNone(member: string, from: number, to: number): Promise<string> {
    const { tenant } = this.#world;
    const [{ timeMs: minTimeMs }, { timeMs: maxTimeMs }] = [await this.#world.record(from), await this.#world.record(to)];
    const windowStartMs = windowStartOf(minTimeMs);
    const { storeId, ordinal } = await this.#world.run(this.head.nextOrdinal(tenant, windowStartMs));
    const meta: SegmentKey = { kind: "segment", tenant, windowStartMs, level: 0, minTimeMs, maxTimeMs, storeId, ordinal };
    const told = toldSegment(meta, { sizeBytes: 1_000, isUploaded: false });
    this.#world.of(member).catalog.addByMeta(told, { storeId });
    return told.key;
  }

  /** The file of the first segment that waits here is gone, and its upload has found that out: its records may be lost, which is noted, and a mark takes its ordinal. False where none waits. */
  async lose(): Promise<boolean> {
    const sealed = this.#firstSealed();
    if (sealed === undefined) return false;
    const meta = parseSegment(sealed.key);
    await this.#world.run(this.head.addQuarantine("a sealed file is gone", meta.minTimeMs, meta.maxTimeMs));
    await this.#world.run(this.#world.bucket.put(markKey({ ...meta, mark: "void" }), new Uint8Array(1), {}, never));
    this.catalog.remove(sealed.key);
    this.releasedInto.forget(sealed.key);
    await this.files.delete(sealed.key);
    await this.#world.run(this.head.unseal(sealed.key));
    return true;
  }

  /** The key and the bytes of the first segment that waits here. */
  async firstFile(): Promise<{ readonly key: string; readonly bytes: Uint8Array }> {
    const { key } = this.#firstSealed()!; // the test has sealed one
    return { key, bytes: await this.files.read(key, 0, this.catalog.get(key)!.sizeBytes, never) };
  }

  /** Puts the segment that was sealed first into the bucket. False where none waits. */
  async upload(): Promise<boolean> {
    const sealed = this.#firstSealed();
    if (sealed === undefined) return false;
    const entry = this.catalog.get(sealed.key)!; // since it was sealed
    const bytes = await this.files.read(sealed.key, 0, entry.sizeBytes, never);
    await this.#world.run(this.#world.bucket.put(sealed.key, bytes, {}, never));
    this.catalog.replace({ ...entry, place: "bucket" });
    this.#noted(sealed.key, entry.sizeBytes, true);
    await this.#world.run(this.head.unseal(sealed.key, this.releasedInto.noteOf(toldSegment(parseSegment(sealed.key), { sizeBytes: entry.sizeBytes, isUploaded: true }))));
    return true;
  }

  #firstSealed(): { readonly key: string } | undefined {
    return [...this.head.sealed()].sort((a, b) => parseSegment(a.key).ordinal - parseSegment(b.key).ordinal)[0];
  }

  async flush(): Promise<void> {
    await this.seal();
    while (await this.upload());
  }

  list(): Promise<void> {
    return this.#world.run(this.#list());
  }

  /** Matches what the catalog knows with the head. */
  async release(): Promise<void> {
    const { tenant } = this.#world;
    await this.#world.run(this.matcher.match(this.catalog.plan([tenant], 0, 8.64e15).filter(({ place }) => place === "bucket"), never).then(() => undefined));
  }

  /** How many records it holds that are not sealed. */
  get heldCount(): number {
    return this.head.stats.openCount + this.head.stats.cutCount;
  }

  async #list(): Promise<void> {
    const beganMs = this.#world.seeded.clock.monotonicMs();
    await this.catalog.refresh(never, { own: () => ({ stores: this.head.ordinals(), currentStoreId: undefined, pendingKeys: this.head.sealed().map(({ key }) => key), exemptStoreIds: new Set() }) });
    this.#listBeganMs = beganMs;
  }

  #noteSealed(key: string, sizeBytes: number): void {
    const named = parseSegment(key);
    this.catalog.add({ key, meta: named, sizeBytes, place: "local", path: this.files.pathOf(key) });
    this.#noted(key, sizeBytes, false);
  }

  #noted(key: string, sizeBytes: number, isUploaded: boolean): void {
    this.releasedInto.note(toldSegment(parseSegment(key), { sizeBytes, isUploaded }));
  }
}

function parseSegment(key: string): SegmentKey {
  const named = parseObjectKey(key);
  if (named?.kind !== "segment") throw new Error(`${key} is no segment`);
  return named;
}

export function serviceOf(number: number): string {
  return number % 2 === 0 ? "api" : "web";
}
