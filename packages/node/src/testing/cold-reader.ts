/** The read path over a bucket that is full already, with nothing cached: queue, reader, object reader, and what bounds them. */
import type { MergeQuery } from "@pyromesh/api";
import { Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { Catalog, ObjectReader, PlacedSource } from "@pyromesh/block";
import type { Bucket, LocalFiles } from "@pyromesh/block";
import { FaultyBucket } from "@pyromesh/block/testing";
import type { ManualClock } from "@pyromesh/block/testing";
import { parseProfileType } from "@pyromesh/profile";
import type { Compute } from "../compute/compute.ts";
import { QueuedSource } from "../read/queued-source.ts";
import { ByteBudget } from "../read/read-ahead.ts";
import { Reader } from "../read/reader.ts";
import { recheckObject } from "../read/recheck-object.ts";
import { SegmentSource } from "../read/segment-source.ts";
import { UnreadableObjects } from "../read/unreadable-objects.ts";
import { openLocalCompute } from "./local-compute.ts";
import { graphTotal } from "./read-reply.ts";

export interface ColdReaderOptions {
  readonly readAheadBytes?: number;
  readonly queriesAtOnceMax?: number;
}

export class ColdReader {
  readonly bucket: FaultyBucket;
  readonly budget: ByteBudget;
  readonly metrics: Metrics = new Metrics();
  /** Plans whose objects are held still. */
  pinCount = 0;
  /** Scans that were begun. */
  scanCount = 0;
  readonly queries: QueuedSource;
  readonly #catalog: Catalog;
  readonly #unreadable: UnreadableObjects;

  static async open(stored: Bucket, clock: ManualClock, options: ColdReaderOptions = {}): Promise<ColdReader> {
    const reader = new ColdReader(stored, clock, options);
    await reader.#catalog.refresh(new AbortController().signal);
    reader.bucket.calls.length = 0;
    return reader;
  }

  private constructor(stored: Bucket, clock: ManualClock, { readAheadBytes = 2 ** 26, queriesAtOnceMax = 100 }: ColdReaderOptions) {
    const bucket = new FaultyBucket(stored, { clock });
    const catalog = new Catalog({}, { bucket, logger: silentLogger });
    const placed = new PlacedSource({ bucket, localFiles: {} as LocalFiles }); // nothing lies on local disk
    const objects = new ObjectReader({ cacheBytesMax: 2 ** 26 }, { source: placed });
    const modules = { clock, logger: silentLogger, metrics: this.metrics };
    this.bucket = bucket;
    this.budget = new ByteBudget(readAheadBytes);
    this.#catalog = catalog;
    this.#unreadable = new UnreadableObjects({ ...modules, forget: (key) => objects.forget(key), check: (damage, signal) => recheckObject(damage, { source: placed, catalog, objects, signal }) });
    const local = openLocalCompute({ random: seededRandom(1), clock });
    const compute: Compute = {
      ...local,
      scan: (task, signal) => {
        this.scanCount++;
        return local.scan(task, signal);
      },
    };
    const source = new Reader({
      clock,
      compute,
      segments: new SegmentSource({ objects, unreadable: this.#unreadable }),
      unreadable: this.#unreadable,
      readAheadBudget: this.budget,
      pin: (tenants, startMs, endMs) => {
        const { entries, floors, release } = catalog.acquire(tenants, startMs, endMs);
        this.pinCount++;
        return {
          entries,
          generations: [],
          floors,
          release: () => {
            this.pinCount--;
            release();
          },
        };
      },
      refresh: (signal) => catalog.refresh(signal).then(() => undefined),
      forgetHeard: () => {},
      queryBytesMaxOf: () => 0,
      quarantine: () => [],
      incompleteBecause: () => undefined,
      gapsWithin: () => [],
      objectSpan: (tenant) => catalog.spanOf(tenant),
      headSpan: () => undefined,
    aboveFloor: (_, span) => span,
    });
    this.queries = new QueuedSource({ runningMax: { scan: queriesAtOnceMax, listing: queriesAtOnceMax }, waitingMax: 10, waitMaxMs: 600_000 }, { ...modules, source: () => source });
  }

  /** The total of a flame graph. Two ranges are two questions, also where they cover the same objects. */
  async total(tenant: TenantId, range: Pick<MergeQuery, "startMs" | "endMs">, { signal, allowPartial = false }: { readonly signal?: AbortSignal; readonly allowPartial?: boolean } = {}): Promise<number> {
    const query = { ...mergeQuery(tenant, range), allowPartial, maxNodes: 100, form: "json" } as const;
    return graphTotal(await this.queries.flameGraph(query, signal ?? new AbortController().signal));
  }

  /** Reads of ranges so far, of all objects or of one. */
  readCount(key?: string): number {
    return this.bucket.calls.filter((call) => call.operation === "getRange" && (key === undefined || call.key === key)).length;
  }

  async metric(name: string): Promise<number> {
    return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await this.metrics.text())?.[1]);
  }

  stop(): void {
    this.#unreadable.stop();
  }
}

/** A query for everything that the tenant pushed in the range. */
export function mergeQuery(tenant: TenantId, range: Pick<MergeQuery, "startMs" | "endMs">): MergeQuery {
  const profileType = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");
  return { tenants: [tenant], ...range, allowPartial: false, profileType, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [] };
}
