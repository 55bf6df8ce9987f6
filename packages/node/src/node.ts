/**
 * The node: composes engines, gives the API its ports, starts and stops everything in order.
 *
 * Start: bucket opened, head replayed into the lanes, HTTP, local segments and the bucket's LIST in the catalog; then it is ready.
 * Stop, in reverse: take no more, finish what is in flight, end the flush, close the head. What is unflushed stays on disk.
 *
 * Clock, random, bucket, compute and the head's store are passed in; `serve` gives the real ones.
 */
import type { NodeAdmin, ProfileSink, ProfileSource, QuarantineEntry } from "@pyromesh/api";
import { CodedError, messageOf } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Random, TenantId } from "@pyromesh/base";
import type { Bucket, LocalFiles } from "@pyromesh/block";
import { Catalog } from "@pyromesh/block";
import type { Head, HeadModules } from "@pyromesh/head";
import type { BuildInfo } from "./build-info.ts";
import type { Compute } from "./compute/compute.ts";
import { writerLimitsOf } from "./config/api-limits.ts";
import type { Config } from "./config/config.ts";
import { limitsFor, printLimits } from "./config/limits.ts";
import type { LimitsInForce } from "./config/limits.ts";
import { printConfig, printRuntimeConfig } from "./config/print-config.ts";
import { Reader } from "./read/reader.ts";
import type { Pin } from "./read/reader.ts";
import { SegmentSource } from "./read/segment-source.ts";
import { Flusher } from "./tend/flusher.ts";
import { Generations } from "./tend/generations.ts";
import { rowSource } from "./tend/row-source.ts";
import { ActiveSeries } from "./write/active-series.ts";
import { ArrivalTimes } from "./write/arrival-times.ts";
import { placeOnSelf } from "./write/placement.ts";
import { Writer } from "./write/writer.ts";

/** The truth of the catalog is the bucket; it is listed this often. */
const LIST_INTERVAL_MS = 60_000;
/** Until the first LIST has succeeded. */
const LIST_RETRY_MS = 2_000;
const FLUSH_TIMEOUT_MS = 30_000;
/** Of dataset ranges kept in memory for queries. */
const SEGMENT_CACHE_BYTES = 64 * 2 ** 20;

export interface NodeModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly bucket: Bucket;
  readonly compute: Compute;
  readonly local: LocalFiles;
  readonly openHead: (modules: Pick<HeadModules, "onCommitted" | "onCut" | "onSealed" | "onRenamed">) => Promise<Head>;
  readonly buildInfo: BuildInfo;
  /** Absent: the configuration's, for good. */
  readonly limits?: { readonly inForce: LimitsInForce };
}

/** What the replay leaves behind. */
interface Replayed {
  readonly head: Head;
  readonly generations: Generations;
  /** The head lost something: files that it does not name may be what it forgot. */
  readonly hasLoss: boolean;
  readonly activeSeries: ActiveSeries;
  readonly arrivalTimes: ArrivalTimes;
}

export class Node {
  readonly sink: ProfileSink;
  readonly source: ProfileSource;
  readonly admin: NodeAdmin;
  readonly #config: Config;
  readonly #modules: NodeModules;
  readonly #catalog: Catalog;
  readonly #generations: Generations;
  readonly #head: Head;
  readonly #hasLoss: boolean;
  readonly #writer: Writer;
  readonly #flusher: Flusher;
  readonly #stopped = new AbortController();
  #notReady: string | undefined = "starting";
  /** Why the catalog may lack objects; undefined once the bucket was listed. */
  #unlisted: string | undefined = "the bucket was not listed yet";
  #isStopping = false;

  /** Replays the head. The node answers queries and takes writes once it has resolved. */
  static async open(config: Config, modules: NodeModules): Promise<Node> {
    const { clock, compute, logger } = modules;
    const activeSeries = new ActiveSeries({}, modules);
    const arrivalTimes = new ArrivalTimes({});
    const generations = new Generations((generation) => compute.drop(generation));
    // Until it is there nothing is cut, sealed or renamed.
    let flusher: Flusher | undefined;
    const head = await modules.openHead({
      onCommitted: (entries) => {
        compute.insert(
          generations.open,
          entries.map(({ record }) => record),
        );
      },
      onCut: ({ cutId }) => flusher?.noteCut(cutId),
      onSealed: (sealed) => flusher?.noteSealed(sealed),
      onRenamed: (renamed) => flusher?.noteRenamed(renamed),
    });
    let cutId: number | undefined;
    let interned: Promise<void> = Promise.resolve();
    const { quarantinedCount } = await head.replay(
      async (batch) => {
        // Records come in the order they were taken in, so a cut's records come together, before the open ones.
        for (const record of batch) {
          if (record.cutId !== cutId) {
            if (cutId !== undefined) generations.turn(cutId);
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
      ({ recordCount, bytes }) => logger.info("replaying", { recordCount, bytes }),
    );
    if (cutId !== undefined) generations.turn(cutId);
    await interned;
    // A cut of which nothing could be read back is sealed empty.
    for (const cut of head.cuts()) if (generations.of(cut.cutId) === undefined) generations.turn(cut.cutId);
    const node = new Node(config, modules, { head, generations, hasLoss: quarantinedCount > 0, activeSeries, arrivalTimes });
    flusher = node.#flusher;
    return node;
  }

  private constructor(config: Config, modules: NodeModules, { head, generations, hasLoss, activeSeries, arrivalTimes }: Replayed) {
    const { bucket, clock, compute, local, logger, metrics } = modules;
    this.#config = config;
    this.#modules = modules;
    this.#head = head;
    this.#hasLoss = hasLoss;
    this.#generations = generations;
    this.#catalog = new Catalog({}, { bucket, localFiles: local, logger });
    this.#flusher = new Flusher(
      { intervalMs: config.flushIntervalMs, sizeBytes: config.flushSizeBytes },
      { head, compute, bucket, local, catalog: this.#catalog, generations, clock, logger, metrics },
    );
    this.#writer = new Writer({
      activeSeries,
      arrivalTimes,
      compute,
      head,
      clock,
      placement: placeOnSelf(() => head.storeId),
      limitsFor: (tenant) => writerLimitsOf(this.#limits, tenant),
      openGeneration: () => generations.open,
      refusesBecause: () => (this.#isStopping ? "it is stopping" : undefined),
    });
    this.sink = this.#writer;
    const segments = new SegmentSource({ cacheBytesMax: SEGMENT_CACHE_BYTES }, { catalog: this.#catalog });
    this.source = new Reader({
      compute,
      segments,
      pin: (tenants, startMs, endMs) => this.#pin(tenants, startMs, endMs),
      refresh: (signal) => this.#refresh(signal),
      queryBytesMaxOf: (tenant) => limitsFor(this.#limits, tenant).queryBytesMax,
      quarantine: () => head.quarantine(),
      incompleteBecause: () => this.#unlisted,
      headSpan: (tenant) => head.spanOf(tenant),
    });
    this.admin = this.#makeAdmin();
    compute.readBackFrom(rowSource(head, generations));
  }

  /** Catalogues what is on local disk and in the bucket, then starts the background work. */
  async start(): Promise<void> {
    const { local, logger } = this.#modules;
    const sealed = new Set<string>();
    const onDisk = await local.list();
    for (const segment of this.#head.sealed()) {
      sealed.add(segment.key);
      this.#flusher.resumeSealed(segment);
    }
    // A local file that no entry names was left by a crash: before its seal it is built again, after its unseal it is in the bucket.
    // Unless the head forgot an entry: then it may be the only copy, and is kept for people.
    for (const { key } of onDisk) {
      if (sealed.has(key)) continue;
      if (!this.#hasLoss) await local.delete(key);
      else logger.error("a sealed segment's file that the head does not know was set aside", { key, path: await local.setAside(key) });
    }
    await this.#listFirst();
    this.#notReady = undefined;
    this.#flusher.start();
    this.#listLater();
    logger.info("ready", { segments: this.#catalog.entryCount, store: Buffer.from(this.#head.storeId).toString("hex") });
  }

  /** Takes no more, finishes what is in flight, closes. Unflushed records stay on disk. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#notReady = "stopping";
    await this.#writer.settle();
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    await this.#flusher.stop();
    await this.#head.close();
    await this.#modules.compute.stop();
    await this.#modules.local.close();
    await this.#modules.bucket.close();
  }

  #pin(tenants: readonly TenantId[], startMs: number, endMs: number): Pin {
    // Both in one turn of the loop: a row is in one of the two at least.
    const catalog = this.#catalog.acquire(tenants, startMs, endMs);
    const memory = this.#generations.pin();
    return {
      entries: catalog.entries,
      generations: memory.generations,
      release: () => {
        catalog.release();
        memory.release();
      },
    };
  }

  /** Waits for a bucket that cannot be reached; refuses a fresh data dir whose bucket says no. */
  async #listFirst(): Promise<void> {
    const { bucket, clock, logger } = this.#modules;
    const hasData = this.#head.stats.openCount > 0 || this.#catalog.entryCount > 0;
    for (let waitMs = 500; ; waitMs = Math.min(10_000, waitMs * 2)) {
      try {
        await bucket.check(this.#stopped.signal);
        await this.#refresh(this.#stopped.signal);
        return;
      } catch (error) {
        if (this.#stopped.signal.aborted) throw error;
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
        this.#notReady = `waiting for the bucket: ${messageOf(error)}`;
        await clock.sleep(waitMs, this.#stopped.signal);
      }
    }
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
    await this.#catalog.refresh(signal);
    this.#unlisted = undefined;
  }

  get #limits(): LimitsInForce {
    return this.#modules.limits?.inForce ?? this.#config;
  }

  #makeAdmin(): NodeAdmin {
    return {
      notReadyBecause: () => this.#notReady,
      flush: (signal) => this.#flusher.flush(FLUSH_TIMEOUT_MS, signal),
      quarantine: (): readonly QuarantineEntry[] => this.#head.quarantine(),
      acknowledgeQuarantine: () => this.#head.acknowledgeQuarantine(),
      metricsText: () => this.#modules.metrics.text(),
      configYaml: () => printConfig({ ...this.#config, ...this.#limits }),
      runtimeConfigYaml: (mode) => printRuntimeConfig(this.#limits, mode),
      buildInfo: () => this.#modules.buildInfo,
      tenantLimits: (tenant) => printLimits(limitsFor(this.#limits, tenant)),
    };
  }
}
