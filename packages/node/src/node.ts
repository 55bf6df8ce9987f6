/**
 * The node: composes engines, gives the API its ports, starts and stops everything in order.
 *
 * Made without touching disk or network: HTTP listens with its ports before it starts. Until the head is replayed they refuse with
 * NODE_STARTING, and `/ready` says how far it has come.
 *
 *   new ── replay: bucket and head opened, head read into the lanes, local segments in the catalog ── start: the bucket's LIST ── ready
 *
 * Stop, in reverse and at any of these steps: take no more, finish what is in flight, end the flush, close what was opened. What is
 * unflushed stays on disk.
 *
 * Clock, random, bucket, compute and the head's store are passed in; `serve` gives the real ones.
 */
import type { NodeAdmin, ProfileSink, ProfileSource, QuarantineEntry } from "@pyromesh/api";
import { assert, CodedError, messageOf, Turns, unavailable } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Random, TenantId } from "@pyromesh/base";
import type { Bucket, LocalFiles } from "@pyromesh/block";
import { Catalog, parseObjectKey } from "@pyromesh/block";
import type { Head, HeadModules } from "@pyromesh/head";
import type { BuildInfo } from "./build-info.ts";
import type { Compute } from "./compute/compute.ts";
import { writerLimitsOf } from "./config/api-limits.ts";
import type { Config } from "./config/config.ts";
import { limitsFor, printLimits } from "./config/limits.ts";
import type { LimitsInForce } from "./config/limits.ts";
import { printConfig, printRuntimeConfig } from "./config/print-config.ts";
import { GatedSource } from "./read/gated-source.ts";
import { Reader } from "./read/reader.ts";
import type { Pin } from "./read/reader.ts";
import { SegmentSource } from "./read/segment-source.ts";
import { StartProgress } from "./start-progress.ts";
import { Flusher } from "./tend/flusher.ts";
import { Generations } from "./tend/generations.ts";
import { decodeSealedEntry } from "./tend/sealed-entry.ts";
import { ActiveSeries } from "./write/active-series.ts";
import { ArrivalTimes } from "./write/arrival-times.ts";
import { placeOnSelf } from "./write/placement.ts";
import { Writer } from "./write/writer.ts";

/** The truth of the catalog is the bucket; it is listed this often. */
const LIST_INTERVAL_MS = 60_000;
/** Until the first LIST has succeeded. */
const LIST_RETRY_MS = 2_000;
/** What a node with data of its own gives the bucket to answer before it is ready without it. */
const FIRST_LIST_TIMEOUT_MS = 2_000;
/** Between two lines of the log about the replay. */
const REPLAY_LOG_INTERVAL_MS = 1_000;
const FLUSH_TIMEOUT_MS = 30_000;
/** Of dataset ranges kept in memory for queries. */
const SEGMENT_CACHE_BYTES = 64 * 2 ** 20;

export interface NodeModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly compute: Compute;
  readonly openBucket: () => Promise<Bucket>;
  readonly openLocal: () => Promise<LocalFiles>;
  /** The signal ends it, where the node is to stop before it is open. */
  readonly openHead: (modules: Pick<HeadModules, "onCommitted"> & { readonly signal: AbortSignal }) => Promise<Head>;
  readonly buildInfo: BuildInfo;
  /** Absent: the configuration's, for good. */
  readonly limits?: { readonly inForce: LimitsInForce };
}

/** For tests: a bucket and a folder that are open already. */
export interface OpenedNodeModules extends Omit<NodeModules, "openBucket" | "openLocal"> {
  readonly bucket: Bucket;
  readonly local: LocalFiles;
}

/** What there is once the head is replayed. */
interface Engines {
  readonly bucket: Bucket;
  readonly local: LocalFiles;
  readonly head: Head;
  readonly generations: Generations;
  readonly catalog: Catalog;
  readonly flusher: Flusher;
  readonly writer: Writer;
  readonly reader: Reader;
}

/** What the replay leaves behind. */
interface Replayed {
  readonly head: Head;
  readonly generations: Generations;
  readonly cutGenerations: ReadonlyMap<number, number>;
  readonly activeSeries: ActiveSeries;
  readonly arrivalTimes: ArrivalTimes;
}

export class Node {
  readonly sink: ProfileSink;
  readonly source: ProfileSource;
  readonly admin: NodeAdmin;
  readonly #config: Config;
  readonly #modules: NodeModules;
  readonly #progress: StartProgress;
  readonly #stopped = new AbortController();
  /** What was opened, to be closed in reverse. */
  readonly #closers: (() => Promise<void>)[] = [];
  /** Undefined until the head is replayed. */
  #engines: Engines | undefined;
  #phase: "starting" | "ready" | "stopping" = "starting";
  #replaying: Promise<Engines> | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  /** Why the catalog may lack objects; undefined once the bucket was listed. */
  #unlisted: string | undefined = "the bucket was not listed yet";

  constructor(config: Config, modules: NodeModules) {
    this.#config = config;
    this.#modules = modules;
    this.#progress = new StartProgress(modules);
    this.#closers.push(() => modules.compute.stop());
    this.sink = {
      push: (tenant, profiles, caller) => (this.#engines === undefined ? Promise.reject(this.#refusal()) : this.#engines.writer.push(tenant, profiles, caller)),
    };
    this.source = new GatedSource(() => this.#replayed.reader);
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
    await this.replay();
    const { catalog, flusher, head } = this.#replayed;
    await this.#listFirst();
    this.#phase = "ready";
    flusher.start();
    this.#listLater();
    this.#modules.logger.info("ready", { segments: catalog.entryCount, store: Buffer.from(head.storeId).toString("hex") });
  }

  async #stop(): Promise<void> {
    this.#phase = "stopping";
    await this.#engines?.writer.settle();
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    // What is being opened must be open before it can be closed. Whoever started it hears of its failure.
    await this.#replaying?.catch(() => undefined);
    await this.#starting?.catch(() => undefined);
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
    const activeSeries = new ActiveSeries({}, this.#modules);
    const arrivalTimes = new ArrivalTimes({});
    const generations = new Generations((generation) => compute.drop(generation));
    signal.throwIfAborted();
    const head = await openHead({
      signal,
      onCommitted: (entries) => {
        compute.insert(
          generations.open,
          entries.map(({ record }) => record),
        );
      },
    });
    this.#closers.push(() => head.close());
    const cutGenerations = new Map<number, number>();
    let cutId: number | undefined;
    let interned: Promise<void> = Promise.resolve();
    const turns = new Turns(this.#modules);
    let loggedMs = clock.monotonicMs();
    await head.replay(
      async (batch) => {
        signal.throwIfAborted();
        // Records come in the order they were taken in, so a cut's records come together, before the open ones.
        for (const record of batch) {
          if (turns.areDue) await turns.give();
          if (record.cutId !== cutId) {
            if (cutId !== undefined) cutGenerations.set(cutId, generations.turn());
            cutId = record.cutId;
          }
          const { tenant, service, timeMs, bytes } = record;
          activeSeries.resume(tenant, bytes);
          arrivalTimes.resume(bytes, clock.nowMs());
          compute.insert(generations.open, [{ tenant, service, timeMs, bytes }]);
        }
        // One batch ahead: the lanes intern while the next is read, and no more than two batches are ever held.
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
    if (cutId !== undefined) cutGenerations.set(cutId, generations.turn());
    await interned;
    // A cut of which nothing could be read back is sealed empty.
    for (const cut of head.cuts()) if (!cutGenerations.has(cut.cutId)) cutGenerations.set(cut.cutId, generations.turn());

    this.#progress.begin("reading which segments wait for the bucket");
    const engines = this.#compose(bucket, local, { head, generations, cutGenerations, activeSeries, arrivalTimes });
    await this.#resumeSealed(engines);
    signal.throwIfAborted();
    this.#engines = engines;
    return engines;
  }

  #compose(bucket: Bucket, local: LocalFiles, { head, generations, cutGenerations, activeSeries, arrivalTimes }: Replayed): Engines {
    const { clock, compute, logger, metrics } = this.#modules;
    const config = this.#config;
    const catalog = new Catalog({}, { bucket, localFiles: local, logger });
    const flusher = new Flusher(
      { intervalMs: config.flushIntervalMs, sizeBytes: Math.min(config.flushSizeBytes, head.cutBytesMax) },
      { head, compute, bucket, local, catalog, generations, clock, logger, metrics },
    );
    for (const [cutId, generation] of cutGenerations) flusher.resumeCut(cutId, generation);
    const writer = new Writer({
      activeSeries,
      arrivalTimes,
      compute,
      head,
      clock,
      placement: placeOnSelf(head.storeId),
      limitsFor: (tenant) => writerLimitsOf(this.#limits, tenant),
      openGeneration: () => generations.open,
      refusesBecause: () => (this.#phase === "stopping" ? "it is stopping" : undefined),
    });
    const segments = new SegmentSource({ cacheBytesMax: SEGMENT_CACHE_BYTES }, { catalog });
    const reader = new Reader({
      compute,
      segments,
      pin: (tenants, startMs, endMs) => this.#pin(tenants, startMs, endMs),
      refresh: (signal) => this.#refresh(signal),
      queryBytesMaxOf: (tenant) => limitsFor(this.#limits, tenant).queryBytesMax,
      quarantine: () => head.quarantine(),
      incompleteBecause: () => this.#unlisted,
      headSpan: (tenant) => head.spanOf(tenant),
    });
    return { bucket, local, head, generations, catalog, flusher, writer, reader };
  }

  /** Catalogues what earlier processes sealed and did not bring to the bucket. */
  async #resumeSealed({ catalog, flusher, head, local }: Engines): Promise<void> {
    const sealed = new Set<string>();
    const onDisk = await local.list();
    for (const { key, bytes } of head.sealed()) {
      sealed.add(key);
      const meta = parseObjectKey(key);
      assert(meta !== undefined, "the head names a segment by a key that the flusher made");
      const entry = decodeSealedEntry(bytes);
      catalog.add({ key, meta, sizeBytes: entry.sizeBytes, place: "local", path: local.pathOf(key) });
      flusher.resumeSealed(key, entry);
    }
    // A local file that no entry names was left by a crash: before its seal it is built again, after its unseal it is in the bucket.
    for (const { key } of onDisk) if (!sealed.has(key)) await local.delete(key);
    head.setSealedBytes(flusher.backlogBytes);
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
      release: () => {
        catalog.release();
        memory.release();
      },
    };
  }

  /** Waits for a bucket that cannot be reached, with data of its own only so long; refuses a fresh data dir whose bucket says no. */
  async #listFirst(): Promise<void> {
    const { clock, logger } = this.#modules;
    const { bucket, catalog, head } = this.#replayed;
    const { signal } = this.#stopped;
    const { openCount, cutCount } = head.stats;
    const hasData = openCount + cutCount + catalog.entryCount > 0;
    this.#progress.begin("waiting for the bucket: it was asked for what it holds and has not answered yet");
    for (let waitMs = 500; ; waitMs = Math.min(10_000, waitMs * 2)) {
      try {
        if (hasData) await within(FIRST_LIST_TIMEOUT_MS, { clock, signal }, (inTime) => this.#checkAndList(bucket, inTime));
        else await this.#checkAndList(bucket, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const isRefused = error instanceof CodedError && ["BUCKET_FORBIDDEN", "BUCKET_MISSING"].includes(error.code);
        this.#unlisted = `the bucket could not be listed: ${messageOf(error)}`;
        if (isRefused && !hasData) {
          throw new CodedError({
            code: "BUCKET_REFUSED",
            kind: "failed_precondition",
            message: `--bucket ${this.#config.bucket}: ${messageOf(error)}: check the bucket's name and the credentials`,
            cause: error,
          });
        }
        logger.warn("the bucket does not answer as it should", { bucket: bucket.name, reason: messageOf(error), retryMs: waitMs });
        // With data on disk the node is ready without it: pushes go on, and a query that needs an object says so.
        if (hasData) return;
        this.#progress.begin(`waiting for the bucket: ${messageOf(error)}`);
        await clock.sleep(waitMs, signal);
      }
    }
  }

  async #checkAndList(bucket: Bucket, signal: AbortSignal): Promise<void> {
    await bucket.check(signal);
    await this.#refresh(signal);
  }

  #listLater(): void {
    const { clock, logger } = this.#modules;
    clock.after(this.#unlisted === undefined ? LIST_INTERVAL_MS : LIST_RETRY_MS, () => {
      if (this.#stopped.signal.aborted) return;
      this.#refresh(this.#stopped.signal)
        .catch((error: unknown) => logger.warn("the bucket could not be listed", { reason: messageOf(error) }))
        .finally(() => this.#listLater());
    });
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    await this.#replayed.catalog.refresh(signal);
    this.#unlisted = undefined;
  }

  get #limits(): LimitsInForce {
    return this.#modules.limits?.inForce ?? this.#config;
  }

  #makeAdmin(): NodeAdmin {
    return {
      notReadyBecause: () => (this.#phase === "ready" ? undefined : this.#phase === "stopping" ? "stopping" : this.#progress.words),
      flush: async (signal) => this.#replayed.flusher.flush(FLUSH_TIMEOUT_MS, signal),
      quarantine: (): readonly QuarantineEntry[] => this.#replayed.head.quarantine(),
      acknowledgeQuarantine: async () => this.#replayed.head.acknowledgeQuarantine(),
      metricsText: () => this.#modules.metrics.text(),
      configYaml: () => printConfig({ ...this.#config, ...this.#limits }),
      runtimeConfigYaml: (mode) => printRuntimeConfig(this.#limits, mode),
      buildInfo: () => this.#modules.buildInfo,
      tenantLimits: (tenant) => printLimits(limitsFor(this.#limits, tenant)),
    };
  }
}

/** Rejects `BUCKET_SLOW` where `work` takes longer. It is told to end then, and not waited for: it may not listen. */
async function within<T>(timeoutMs: number, { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }, work: (inTime: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const late = clock.sleep(timeoutMs, either).then(() => {
    throw unavailable("BUCKET_SLOW", `it did not answer within ${timeoutMs / 1000} s`);
  });
  const working = work(either);
  // Who comes second has nobody to tell.
  late.catch(() => undefined);
  working.catch(() => undefined);
  try {
    return await Promise.race([working, late]);
  } finally {
    ended.abort();
  }
}
