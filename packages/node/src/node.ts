/**
 * The node: composes engines, gives the API its ports, starts and stops everything in order.
 *
 * Made without touching disk or network: HTTP listens with its ports before it starts. Until the head is replayed they refuse with
 * NODE_STARTING, and `/ready` says how far it has come.
 *
 *   new ── replay: bucket and head opened, head read into the workers, local segments in the catalog ── start: the bucket's LIST ── ready
 *
 * Stop, in reverse and at any of these steps: take no more, finish what is in flight, end the flush, close what was opened. What is
 * unflushed stays on disk.
 *
 * Clock, random, bucket, compute and the head's store are passed in; `serve` gives the real ones.
 */
import type { AdHocProfiles, NodeAdmin, ProfileSink, QuarantineEntry } from "@pyromesh/api";
import { assert, CodedError, toHex, Turns, unavailable, untilAborted } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Random, TenantId } from "@pyromesh/base";
import type { Bucket, LocalFiles } from "@pyromesh/block";
import { Catalog, ObjectReader, PlacedSource, readReplication } from "@pyromesh/block";
import type { FoundNotes, Head, HeadModules, HeldVersions } from "@pyromesh/head";
import { majorityOf } from "@pyromesh/ring";
import { KeptAdHocProfiles } from "./adhoc/adhoc-profiles.ts";
import { AdHocExpiry } from "./adhoc/expiry.ts";
import { BucketLink } from "./background/bucket-link.ts";
import { Flusher } from "./background/flusher.ts";
import { Generations } from "./background/generations.ts";
import { rowSource } from "./background/row-source.ts";
import { aloneCluster } from "./cluster/alone.ts";
import { BUILD_FORMATS, memberFormats } from "./process/build-formats.ts";
import type { BuildFormats } from "./process/build-formats.ts";
import type { FoundingFacts } from "./cluster/founding.ts";
import { FoundingWatch } from "./cluster/founding-watch.ts";
import { HeldAcks } from "./cluster/held-acks.ts";
import type { JoinedCluster, OwnStore } from "./cluster/joined-cluster.ts";
import { NodeClusterAdmin } from "./cluster/node-cluster-admin.ts";
import type { Cluster } from "./cluster/ports.ts";
import { VersionGate } from "./cluster/version-gate.ts";
import type { FoundHealth } from "./cluster/shown-health.ts";
import { composeMember } from "./compose-member.ts";
import type { Member, MemberModules } from "./compose-member.ts";
import type { Compute, InsertedRecord } from "./compute/compute.ts";
import type { Config } from "./config/config.ts";
import { limitsFor, printLimits } from "./config/limits.ts";
import type { LimitsInForce } from "./config/limits.ts";
import { printConfig, printConfigDiff, printDefaultConfig, printRuntimeConfig } from "./config/print-config.ts";
import { printAddress } from "./config/setting.ts";
import { dueAfterMsOf } from "./member/due-time.ts";
import type { BuildInfo } from "./process/build-info.ts";
import type { DiskSpace } from "./process/data-disk.ts";
import { AMPLE_MEMORY } from "./process/memory-plan.ts";
import type { MemoryPlan } from "./process/memory-plan.ts";
import { notReadyBecause } from "./process/readiness.ts";
import { StartProgress } from "./process/start-progress.ts";
import { sealedPeers } from "./read/heads/sealed-peers.ts";
import type { Pin } from "./read/query-scanner.ts";
import { QueuedSource } from "./read/queued-source.ts";
import { ByteBudget } from "./read/read-ahead.ts";
import { spanAbove } from "./read/read-plan.ts";
import { Reader } from "./read/reader.ts";
import { recheckObject } from "./read/recheck-object.ts";
import { SegmentSource } from "./read/segment-source.ts";
import { UnreadableObjects } from "./read/unreadable-objects.ts";
import { SegmentMemory } from "./release/segment-memory.ts";
import { ActiveSeries } from "./write/active-series.ts";
import { ArrivalTimes } from "./write/arrival-times.ts";
import { ClusterUsage } from "./write/cluster-usage.ts";
import { WriteHealth } from "./write/write-health.ts";
import { writePath } from "./write/write-path.ts";
import type { Writer } from "./write/writer.ts";

/** How often the log says how far the replay is. */
const REPLAY_LOG_INTERVAL_MS = 1_000;
const FLUSH_TIMEOUT_MS = 30_000;
/** What a member remembers of the identities in its own and others' segments: 16 bytes a record. Beyond it they are read again. */
const SEGMENT_IDENTITY_BYTES_MAX = 32 * 2 ** 20;
/** How many queries for labels run at once. More would be no faster, since the workers are busy, and each holds what it has listed so far. */
const LISTINGS_AT_ONCE_MAX = 8;

export interface NodeModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly compute: Compute;
  readonly openBucket: () => Promise<Bucket>;
  readonly openLocal: () => Promise<LocalFiles>;
  /** The signal ends it, where the node is to stop before it is open. */
  readonly openHead: (modules: Pick<HeadModules, "onCommitted" | "onCut" | "onReleased" | "onSealed" | "onRenamed"> & { readonly signal: AbortSignal }) => Promise<Head>;
  /** Absent: the node has no cluster. */
  readonly openCluster?: (store: OwnStore) => Promise<JoinedCluster>;
  /** Called once, when the cluster is known and before this node has joined. `isMember`: false where it has none. */
  readonly onCluster?: (cluster: Cluster, isMember: boolean) => void;
  /** Requests that were refused, in words, for the other members. */
  readonly lastRefusals?: () => readonly string[];
  /** Called once the node has left its cluster, by an operator's word: its process may end. */
  readonly onLeft?: () => void;
  /** The node cannot go on, and its process ends: the next start puts it right. */
  readonly onHopeless?: (error: Error) => void;
  readonly buildInfo: BuildInfo;
  /** Absent: those of this build. */
  readonly formats?: BuildFormats;
  /** Absent: that of a process that lacks no memory. */
  readonly memory?: MemoryPlan;
  /** Times LISTs, the age of the bucket's identity, and the pauses between tries of an upload. Absent: `clock`. */
  readonly bucketClock?: Clock;
  /** Times how often old ad hoc profiles are looked for. Absent: `clock`. */
  readonly expiryClock?: Clock;
  /** The data directory's. Absent: it has no disk that could be full. */
  readonly measureDisk?: () => Promise<DiskSpace | undefined>;
  /** Absent: the limits of the configuration, which do not change. */
  readonly limits?: { readonly inForce: LimitsInForce };
}

/** For tests: a bucket and a folder that are open already. */
export interface OpenedNodeModules extends Omit<NodeModules, "openBucket" | "openLocal"> {
  readonly bucket: Bucket;
  readonly local: LocalFiles;
}

/** The parts that exist once the head is replayed. */
interface Engines {
  readonly cluster: Cluster;
  readonly versions: VersionGate;
  /** Where the data directory may have notes of what leaves the head; before anything does. */
  readonly beginNotes: () => Promise<void>;
  /** Undefined: the node is alone. */
  readonly member: Member | undefined;
  readonly bucket: Bucket;
  readonly local: LocalFiles;
  readonly head: Head;
  readonly generations: Generations;
  readonly catalog: Catalog;
  readonly flusher: Flusher;
  readonly heldAcks: HeldAcks;
  readonly link: BucketLink;
  readonly objects: ObjectReader;
  readonly unreadable: UnreadableObjects;
  readonly writeHealth: WriteHealth;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly adHoc: KeptAdHocProfiles;
  readonly adHocExpiry: AdHocExpiry;
}

/** The rule allows it: what a node takes that is the only one is on its disk, and nobody promised more. But its operator expects more, where a DNS name or a file was not complete yet. */
const FOUNDS_ALONE =
  "this node founds the cluster alone, since join names no other address yet: until others join, each record is on its disk only. Where no push may be taken before others are there, stop it, and start it once join names them (for DNS: a headless service that publishes addresses of pods that are not ready)";

/** What the replay leaves behind. */
interface Replayed {
  readonly head: Head;
  readonly generations: Generations;
  readonly activeSeries: ActiveSeries;
  readonly arrivalTimes: ArrivalTimes;
  /** What left it, as far as it remembers. Undefined: the node is alone. */
  readonly notes: FoundNotes | undefined;
}

export class Node {
  readonly sink: ProfileSink;
  readonly source: QueuedSource;
  readonly adHoc: AdHocProfiles;
  readonly admin: NodeAdmin;
  /** What this node takes of limits that hold for the cluster. */
  readonly usage: ClusterUsage;
  readonly #activeSeries: ActiveSeries;
  readonly #config: Config;
  readonly #modules: NodeModules;
  readonly #progress: StartProgress;
  readonly #stopped = new AbortController();
  /** What was opened, to be closed in reverse. */
  readonly #closers: (() => Promise<void>)[] = [];
  /** Undefined until the head is replayed. */
  #engines: Engines | undefined;
  #phase: "starting" | "ready" | "stopping" = "starting";
  /** The data directory wrote to its bucket before this start. */
  #wasMarked = false;
  #founding: FoundingWatch | undefined;
  #replaying: Promise<Engines> | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(config: Config, modules: NodeModules) {
    this.#config = config;
    this.#modules = modules;
    this.#progress = new StartProgress(modules);
    this.#closers.push(() => modules.compute.stop());
    this.sink = {
      push: (tenant, profiles, caller) => (this.#engines === undefined ? Promise.reject(this.#refusal()) : this.#engines.writer.push(tenant, profiles, caller)),
    };
    this.adHoc = {
      upload: async (tenant, upload, signal) => this.#replayed.adHoc.upload(tenant, upload, signal),
      get: async (tenant, query, signal) => this.#replayed.adHoc.get(tenant, query, signal),
      list: async (tenant, signal) => this.#replayed.adHoc.list(tenant, signal),
      diff: async (tenant, query, signal) => this.#replayed.adHoc.diff(tenant, query, signal),
    };
    this.#activeSeries = new ActiveSeries({ elsewhere: (tenant) => this.usage.seriesElsewhere(tenant) }, modules);
    this.usage = new ClusterUsage({ ...modules, series: this.#activeSeries });
    const { queriesAtOnceMax } = modules.memory ?? AMPLE_MEMORY;
    this.source = new QueuedSource(
      {
        runningMax: { scan: config.queriesAtOnceMax || queriesAtOnceMax, listing: LISTINGS_AT_ONCE_MAX },
        waitingMax: config.queuedQueriesMax,
        waitMaxMs: config.queryQueueTimeoutMs,
      },
      { ...modules, source: () => this.#replayed.reader, isAlone: modules.openCluster === undefined },
    );
    this.admin = this.#makeAdmin();
  }

  /** A node whose head is replayed: what tests begin with. `start` comes next. */
  static async open(config: Config, { bucket, local, ...modules }: OpenedNodeModules): Promise<Node> {
    const node = new Node(config, { ...modules, openBucket: () => Promise.resolve(bucket), openLocal: () => Promise.resolve(local) });
    await node.replay();
    return node;
  }

  /** Opens bucket and head and reads the head. Then the node takes writes, and answers queries that need no bucket. */
  async replay(): Promise<void> {
    await (this.#replaying ??= this.#replay());
  }

  /** Replays, then lists the bucket and starts the background work. Rejects `STOPPING` when `stop` comes first. */
  start(): Promise<void> {
    return (this.#starting ??= this.#start());
  }

  /** Takes no more, finishes what is in flight, closes. Unflushed records stay on disk. Safe at any time, and again. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #start(): Promise<void> {
    const { logger } = this.#modules;
    if (this.#config.retentionMs > 0) logger.warn("this version deletes no segments, whatever --retention says: the bucket grows; --retention 0 ends this warning");
    await this.replay();
    const { adHocExpiry, catalog, flusher, head, link, member, writeHealth } = this.#replayed;
    await writeHealth.start();
    this.#wasMarked = head.bucketMark !== undefined;
    await link.start((words) => this.#progress.begin(words), this.#stopped.signal);
    if (member !== undefined && this.#stopping === undefined) await this.#join(member);
    // A stop that began meanwhile goes on: it must not find the node taking pushes again.
    if (this.#stopping !== undefined) return;
    this.#phase = "ready";
    flusher.start();
    adHocExpiry.start();
    logger.info("ready", { segments: catalog.entryCount, store: Buffer.from(head.storeId).toString("hex") });
  }

  /** Resolves when this node is a full member of its cluster. */
  async #join({ cluster, release }: Member): Promise<void> {
    const { clock, logger } = this.#modules;
    const { link } = this.#replayed;
    this.#checkStore();
    this.#progress.begin(`joining the cluster ${cluster.view.clusterName}: a majority of its members must know this node`);
    cluster.start({ bucket: link.guarded, onRolledBack: (reason) => void this.#takeNewStore(reason) });
    this.#founding = new FoundingWatch(
      { clock, logger, mayFound: () => cluster.mayFound, readFacts: (signal) => this.#readFoundingFacts(signal), found: () => this.#found(cluster) },
      this.#stopped.signal,
    );
    await this.#founding.look();
    release.start();
    await cluster.joined(this.#stopped.signal);
    await untilAborted(this.#replayed.versions.start(), this.#stopped.signal);
  }

  /** What decides whether this node is the first of its cluster. Rejects where the bucket does not answer. */
  async #readFoundingFacts(signal: AbortSignal): Promise<FoundingFacts> {
    const { bucket, head, link } = this.#engines!;
    return {
      isInit: this.#config.isBucketInit,
      founder: link.founder,
      wasMarked: this.#wasMarked,
      hasJoins: this.#config.join.length > 0,
      hasData: head.storeCountMin !== undefined || head.givenOrdinalCount > 0,
      bucketReplication: await readReplication(bucket, signal),
    };
  }

  #found(cluster: JoinedCluster): void {
    const { join, replication } = this.#config;
    cluster.found();
    if (join.length > 0 && replication > 1 && cluster.view.acks === 1) this.#modules.logger.warn(FOUNDS_ALONE, { join, replication });
  }

  /** The store lost what it had acknowledged. Under a new id it is another one, and what it lost counts as lost with the former. */
  async #takeNewStore(reason: string): Promise<void> {
    const { logger } = this.#modules;
    logger.error("this store lacks what it acknowledged before, and takes a new id: its former one counts as lost", { reason });
    try {
      await this.#engines?.flusher.renumber(reason);
      this.#checkStore();
    } catch (error) {
      // Not compared, it acknowledges and answers nothing; the next start compares again.
      logger.error("a new store id could not be taken; the node takes no requests until it is started again", { error });
    }
  }

  /** A loss in the head, or a copied data directory, makes the store take another id. For the other members that is another store, which joins anew: at the next start. */
  #checkStore(): void {
    const { head, member } = this.#engines ?? {};
    if (head === undefined || member === undefined || toHex(head.storeId) === member.cluster.view.self.storeId) return;
    const error = unavailable("STORE_ID_CHANGED", `the store has a new id (${toHex(head.storeId)}), and the cluster knows it under its former one: the node must be started again`);
    this.#modules.logger.error("the store has a new id; the process ends, and its next start joins the cluster under it", { error });
    this.#modules.onHopeless?.(error);
  }

  async #stop(): Promise<void> {
    this.#phase = "stopping";
    await this.#engines?.writer.settle();
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    this.#engines?.link.stop();
    this.#engines?.unreadable.stop();
    await this.#engines?.adHocExpiry.stop();
    await this.#engines?.writeHealth.stop();
    // What is being opened can only be closed once it is open. Its failure is reported to whoever started it.
    await this.#replaying?.catch(() => undefined);
    await this.#starting?.catch(() => undefined);
    await this.#engines?.member?.release.stop();
    await this.#engines?.flusher.stop();
    for (const close of this.#closers.reverse()) await close();
  }

  async #replay(): Promise<Engines> {
    const { openBucket, openHead, openLocal, clock, compute, logger } = this.#modules;
    const { signal } = this.#stopped;
    signal.throwIfAborted();
    this.#progress.begin("opening the bucket");
    const bucket = await openBucket();
    this.#closers.push(() => bucket.close());
    const local = await openLocal();
    this.#closers.push(() => local.close());

    this.#progress.begin("opening the head");
    const activeSeries = this.#activeSeries;
    const arrivalTimes = new ArrivalTimes({});
    const generations = new Generations((generation) => compute.drop(generation));
    signal.throwIfAborted();
    // The engines need the head and the head's hooks need the engines. Nothing is cut, sealed or renamed before both exist.
    const late: { engines?: Engines } = {};
    const head = await openHead({
      signal,
      onCommitted: (entries) => {
        late.engines?.member?.cluster.noteCommitted();
        // What another store is to flush (rank above 0) is interned when a query or a takeover asks for it.
        const records: InsertedRecord[] = [];
        for (const { rank, record } of entries) if (rank === 0) records.push(record);
        compute.insert(generations.open, records);
        late.engines?.heldAcks.refresh();
        for (const { record } of entries) this.source.onCommitted(record.tenant);
      },
      onCut: (cut) => late.engines?.flusher.noteCut(cut),
      onReleased: () => {
        late.engines?.heldAcks.refresh();
        late.engines?.member?.release.noteReleased();
      },
      onSealed: (sealed) => {
        late.engines?.heldAcks.noteSealed(sealed.segments.map(({ key }) => key));
        late.engines?.flusher.noteSealed(sealed);
      },
      onRenamed: (renamed) => {
        const { catalog, flusher, heldAcks, objects } = late.engines ?? {};
        heldAcks?.noteRenamed(renamed.fromKey, renamed.segment.key);
        flusher?.noteRenamed(renamed);
        // The bucket may hold another segment under the former key: drop what is cached, and again when no query reads the old file any more.
        objects?.forget(renamed.fromKey);
        catalog?.whenUnused(() => objects?.forget(renamed.fromKey));
      },
    });
    this.#closers.push(() => head.close());
    // Each cut has a generation before any record comes, all of them before the open one: records of several cuts may alternate.
    for (const cutId of head.cutIds) generations.turn(cutId);
    let interned: Promise<void> = Promise.resolve();
    const turns = new Turns(this.#modules);
    let loggedMs = clock.monotonicMs();
    const { quarantinedCount } = await head.replay(
      async (batch) => {
        signal.throwIfAborted();
        for (const { cutId, rank, tenant, service, timeMs, bytes } of batch) {
          if (turns.areDue) await turns.give();
          activeSeries.resume(tenant, bytes);
          arrivalTimes.resume(bytes, clock.nowMs());
          if (rank > 0) continue;
          const generation = cutId === undefined ? generations.open : generations.of(cutId);
          assert(generation !== undefined, "every cut has its generation");
          compute.insert(generation, [{ tenant, service, timeMs, bytes }]);
        }
        // One batch ahead: the workers intern while the next is read, and no more than two batches are ever held.
        const before = interned;
        interned = compute.settle();
        await before;
      },
      (progress) => {
        this.#progress.replayed(progress);
        if (clock.monotonicMs() - loggedMs < REPLAY_LOG_INTERVAL_MS) return;
        loggedMs = clock.monotonicMs();
        logger.info("replaying", { ...progress });
      },
    );
    await interned;
    // The rows of a takeover's cut are read when it is sealed.
    for (const { cutId, isTakeover } of head.cuts()) if (isTakeover) generations.leave(cutId);

    this.#progress.begin("reading which segments wait for the bucket");
    signal.throwIfAborted();
    const joined = await this.#modules.openCluster?.({
      storeId: head.storeId,
      heldAcks: head.storeCountMin === undefined ? Infinity : majorityOf(head.storeCountMin),
      hasSealed: head.sealed().length > 0,
      bucketId: () => head.bucketMark?.bucketId ?? "",
      lastCommit: () => head.lastCommit,
      isNew: head.isNewStore,
      formats: memberFormats(this.#modules.formats ?? BUILD_FORMATS, head.heldVersions),
    });
    if (joined !== undefined) this.#closers.push(() => joined.stop());
    const notes = joined && head.foundNotes;
    // What leaves the head of a node alone is not noted: nobody asks for it. Where it becomes a member again, its memory begins anew.
    if (joined === undefined) await head.endNotes();
    const engines = this.#compose(bucket, local, { head, generations, activeSeries, arrivalTimes, notes }, joined);
    await engines.beginNotes();
    late.engines = engines;
    // After a loss in the head, a file that it does not name may be the only copy of its records.
    await this.#resumeSealed(engines, { hasLoss: quarantinedCount > 0 });
    signal.throwIfAborted();
    this.#engines = engines;
    return engines;
  }

  #compose(bucket: Bucket, local: LocalFiles, { head, generations, activeSeries, arrivalTimes, notes }: Replayed, joined: JoinedCluster | undefined): Engines {
    const { clock, bucketClock = clock, expiryClock = clock, compute, logger, metrics, random } = this.#modules;
    const config = this.#config;
    const httpAddress = printAddress(config.httpAddress);
    const cluster: Cluster =
      joined ??
      aloneCluster(
        { name: httpAddress, clusterName: config.clusterName ?? "", bootId: toHex(random.bytes(16)), httpAddress, build: this.#modules.buildInfo.version, formats: this.#modules.formats },
        () => head.storeId,
      );
    this.#modules.onCluster?.(cluster, joined !== undefined);
    const beginNotes = async (): Promise<void> => {
      if (segmentMemory !== undefined && head.mayNote) await head.beginNotes(segmentMemory.releasedInto.beginNoting());
    };
    const holdVersions = async (held: HeldVersions): Promise<void> => {
      await head.holdVersions(held);
      await beginNotes();
    };
    const versions = new VersionGate({ ...this.#modules, cluster, head: { holdVersions }, promise: joined && ((formats) => joined.promise(formats)) });
    this.#closers.push(() => Promise.resolve(versions.stop()));
    const catalog = new Catalog({}, { bucket, logger });
    const { objectCacheBytes, readAheadBytes, windowBytesMax } = this.#modules.memory ?? AMPLE_MEMORY;
    const source = new PlacedSource({ bucket, localFiles: local, ...(joined !== undefined && { peers: sealedPeers({ clock, cluster: () => cluster }) }) });
    const objects = new ObjectReader({ cacheBytesMax: objectCacheBytes }, { source });
    const unreadable = new UnreadableObjects({
      clock,
      logger,
      metrics,
      forget: (key) => objects.forget(key),
      check: (damage, signal) => recheckObject(damage, { source, catalog, objects, signal }),
    });
    const link = new BucketLink(
      { setting: config.bucket, clusterName: config.clusterName, isInit: config.isBucketInit, isCreatable: !config.bucket.startsWith("s3://") },
      { bucket, catalog, head, clock: bucketClock, answerClock: clock, random, logger, metrics, renumber: (reason) => flusher.renumber(reason), forgetObject: (key) => objects.forget(key), onListed: () => this.#onListed() },
    );
    const segmentMemory = joined && new SegmentMemory({ identityBytesMax: SEGMENT_IDENTITY_BYTES_MAX, ...(notes && { found: notes }) }, { clock });
    const flusher = new Flusher(
      {
        intervalMs: config.flushIntervalMs,
        // Asked each time: the largest cut grows with the disk budget in force.
        get sizeBytes() {
          return Math.min(config.flushSizeBytes, head.cutBytesMax);
        },
      },
      { head, compute, bucket: link.guarded, local, catalog, generations, versions, ...(segmentMemory && { listener: segmentMemory }), clock, uploadClock: bucketClock, logger, metrics },
    );
    const writing = writePath({
      ...this.#modules,
      activeSeries,
      arrivalTimes,
      cluster,
      head,
      versions,
      limitsFor: (tenant) => limitsFor(this.#limits, tenant),
      floorOf: (tenant) => catalog.floorOf(tenant),
      openGeneration: () => generations.open,
      refusesBecause: () => (this.#phase === "stopping" ? "it is stopping" : link.waitsBecause),
    });
    this.#closers.push(() => Promise.resolve(writing.stop()));
    const heldAcks = new HeldAcks(head.sealed().map(({ key }) => key), { cluster, head });
    flusher.onProgress(() => heldAcks.refresh());
    if (joined !== undefined) this.usage.start(joined);
    this.#closers.push(() => Promise.resolve(this.usage.stop()));
    const member = joined && segmentMemory && this.#composeMember(joined, { segmentMemory, catalog, flusher, generations, head, link, local, source, versions });
    const reader = new Reader({
      clock,
      heads: member?.heads,
      compute,
      segments: new SegmentSource({ objects, unreadable }),
      unreadable,
      readAheadBudget: new ByteBudget(readAheadBytes, { groupBytesMax: windowBytesMax }),
      pin: (tenants, startMs, endMs) => this.#pin(tenants, startMs, endMs),
      refresh: (signal, fromMs) => link.refreshForReader(signal, fromMs),
      forgetHeard: (key) => void catalog.forgetHeard(key),
      queryBytesMaxOf: (tenant) => limitsFor(this.#limits, tenant).queryBytesMax,
      quarantine: () => head.quarantine(),
      incompleteBecause: () => link.incompleteBecause,
      objectSpan: (tenant) => catalog.spanOf(tenant),
      gapsWithin: (tenants, startMs, endMs) => link.gapsWithin(tenants, startMs, endMs),
      headSpan: (tenant) => spanAbove(catalog.floorOf(tenant), head.spanOf(tenant)),
      aboveFloor: (tenant, span) => spanAbove(catalog.floorOf(tenant), span),
    });
    compute.readBackFrom(rowSource(head, generations));
    const writeHealth = new WriteHealth({ head, clock, logger, measureDisk: this.#modules.measureDisk ?? (() => Promise.resolve(undefined)) });
    const ensureOurs = (signal: AbortSignal): Promise<void> => link.ensureOurs(signal);
    const adHoc = new KeptAdHocProfiles({ bucket, guarded: link.guarded, ensureOurs, clock, compute, limitsOf: (tenant) => limitsFor(this.#limits, tenant), random });
    const adHocExpiry = new AdHocExpiry({ bucket, clock, lookClock: expiryClock, cluster, logger, metrics, ageMsOf: (tenant) => limitsFor(this.#limits, tenant).adHocAgeMs, ensureOurs });
    return { adHoc, adHocExpiry, cluster, versions, beginNotes, member, bucket, local, head, generations, catalog, flusher, heldAcks, link, objects, unreadable, writeHealth, writer: writing.writer, reader };
  }

  #composeMember(cluster: JoinedCluster, parts: Pick<MemberModules, "catalog" | "flusher" | "generations" | "head" | "link" | "local" | "segmentMemory" | "source" | "versions">): Member {
    const { flushIntervalMs, flushSizeBytes } = this.#config;
    const member = composeMember(
      { dueAfterMs: dueAfterMsOf(flushIntervalMs), cutBytesMax: () => Math.min(flushSizeBytes, parts.head.cutBytesMax) },
      { ...this.#modules, ...parts, cluster, isWritable: () => this.#notReadyBecause(undefined) === undefined, onLeft: () => this.#modules.onLeft?.(), stopped: this.#stopped.signal },
    );
    this.#closers.push(() => Promise.resolve(member.stopReading()));
    return member;
  }

  #onListed(): void {
    this.#engines?.member?.cluster.onListed();
    this.#engines?.member?.release.onListed();
    void this.#founding?.look();
    this.#checkStore();
  }

  /** Catalogues what earlier processes sealed and did not bring to the bucket. */
  async #resumeSealed({ flusher, head, local }: Engines, { hasLoss }: { readonly hasLoss: boolean }): Promise<void> {
    const { logger } = this.#modules;
    const sealed = new Set<string>();
    const onDisk = await local.list();
    const turns = new Turns(this.#modules);
    for (const segment of head.sealed()) {
      if (turns.areDue) await turns.give(); // there may be thousands
      sealed.add(segment.key);
      flusher.resumeSealed(segment);
    }
    // A local file that no entry names was left by a crash: before its seal it is built again, after its unseal it is in the bucket.
    // Unless the head forgot an entry: then it may be the only copy, and is kept for people.
    for (const { key } of onDisk) {
      if (sealed.has(key)) continue;
      if (!hasLoss) await local.delete(key);
      else logger.error("the file of a sealed segment that the head does not name was set aside", { key, path: await local.setAside(key) });
    }
  }

  /** Throws `NODE_STARTING` until the head is replayed. */
  get #replayed(): Engines {
    if (this.#engines === undefined) throw this.#refusal();
    return this.#engines;
  }

  #refusal(): CodedError {
    return this.#phase === "stopping" ? unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second") : this.#progress.refusal();
  }

  #pin(tenants: readonly TenantId[], startMs: number, endMs: number): Pin {
    // Both in one turn of the loop: a row is in one of the two at least.
    const { catalog: known, generations } = this.#replayed;
    const catalog = known.acquire(tenants, startMs, endMs);
    const memory = generations.pin();
    return {
      entries: catalog.entries,
      generations: memory.generations,
      floors: catalog.floors,
      release: () => {
        catalog.release();
        memory.release();
      },
    };
  }

  /** Of a node alone. */
  #health(): FoundHealth {
    const { cluster, flusher, head } = this.#replayed;
    const { openCount, cutCount } = head.stats;
    const said = { ownRecords: openCount + cutCount, keptRecords: 0, backlogBytes: flusher.backlog.bytes, takeovers: 0, lastRefusals: this.#modules.lastRefusals?.() ?? [] };
    return { mayStopOne: true, because: [], notes: [], members: [{ name: cluster.view.self.name, said, problems: [] }] };
  }

  get #limits(): LimitsInForce {
    return this.#modules.limits?.inForce ?? this.#config;
  }

  #notReadyBecause(of: "queries" | undefined): string | undefined {
    if (this.#phase === "stopping") return "stopping";
    const refusal = this.#engines?.member?.cluster.refusedBecause;
    const withRefusal = (reason: string): string => (refusal === undefined ? reason : `${reason}; the last that was tried: ${refusal}`);
    if (this.#phase === "starting") return withRefusal(this.#progress.words);
    const { link, member, writeHealth } = this.#replayed;
    const reason = notReadyBecause(of, { view: member?.cluster.view, ownReason: link.waitsBecause ?? writeHealth.refusesBecause ?? member?.cluster.isolatedBecause });
    return reason === undefined ? undefined : withRefusal(reason);
  }

  #makeAdmin(): NodeAdmin {
    return {
      notReadyBecause: (of) => this.#notReadyBecause(of),
      flush: async (signal) => (this.#replayed.member?.release.flush ?? this.#replayed.flusher).flush(FLUSH_TIMEOUT_MS, signal),
      quarantine: (): readonly QuarantineEntry[] => this.#replayed.head.quarantine(),
      acknowledgeQuarantine: async () => {
        const { head, link } = this.#replayed;
        const count = await head.acknowledgeQuarantine();
        await link.onQuarantineAcknowledged();
        return count;
      },
      metricsText: () => this.#modules.metrics.text(),
      configYaml: (mode) => {
        const config = { ...this.#config, ...this.#limits };
        return mode === "default" ? printDefaultConfig() : mode === "diff" ? printConfigDiff(config) : printConfig(config);
      },
      runtimeConfigYaml: (mode) => printRuntimeConfig(this.#limits, mode),
      buildInfo: () => this.#modules.buildInfo,
      tenantLimits: (tenant) => printLimits(limitsFor(this.#limits, tenant)),
      cluster: new NodeClusterAdmin({
        cluster: () => this.#replayed.cluster,
        formats: () => this.#replayed.versions.inForce,
        commands: this.#modules.openCluster === undefined ? undefined : () => this.#replayed.member!.commands, // a node with `openCluster` has it once it is replayed
        health: (signal) => this.#replayed.member?.release.health.ask(signal) ?? Promise.resolve(this.#health()),
      }),
    };
  }
}
