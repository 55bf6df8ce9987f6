/**
 * The read path: what a query goes through between the API and its answer.
 *
 *   1. plan           memory generations and catalogued objects, pinned together in one turn of the loop
 *   2. fetch          footers, then the byte ranges of datasets that may match, many at once and in the order of the plan
 *   3. scan           window by window as they come, in the worker that holds each dataset; identities decide what counts
 *   4. finish         partials merged, on the way where there are many, and truncated last
 *
 * The pin of step 1 is what makes answers exact while a flush runs: a generation is dropped, and a local segment file
 * deleted, only when no query that planned it is left. A record seen in memory and in a segment is counted once.
 * An object that vanished under the plan means plan again, PLANS_MAX times, then refuse. A query that would read more bytes
 * than its tenant may is refused before it reads any; one whose caller went away reads no further. What is damaged is refused, or left
 * out and named: that dataset, or that object, and nothing else.
 */
import { CodedError, formatSize, invalidArgument, toHex, Turns } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import type {
  Answer,
  DiffOptions,
  DotQuery,
  GraphQuery,
  HeatmapQuery,
  ListingQuery,
  ListingReply,
  MergeQuery,
  PointsQuery,
  PprofQuery,
  ProfileSource,
  QueryAnalysis,
  RenderQuery,
  Scope,
  SeriesQuery,
  TopTableQuery,
} from "@pyromesh/api";
import { NO_FLOOR_MS } from "@pyromesh/block";
import type { CatalogEntry, SegmentFooter } from "@pyromesh/block";
import { addIdentitySums, WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import type { Matcher, Receipt } from "@pyromesh/profile";
import type { Compute, FinishSpec, Finished, Generation, PlainRowQuery, ScanPartial, ScanSpec, ScanTask, SegmentPart } from "../compute/compute.ts";
import { addSizes, NO_BYTES, sizesOf } from "./dataset-sizes.ts";
import type { DatasetSizes } from "./dataset-sizes.ts";
import { Gathered } from "./gathered.ts";
import { readAhead } from "./read-ahead.ts";
import type { ByteBudget, JobContext } from "./read-ahead.ts";
import type { QuarantinedSpan } from "./read-plan.ts";
import { datasetFilter, objectsByWindow, quarantinesWithin, specAbove, windowsCovered } from "./read-plan.ts";
import { isDamaged, isVanished, namedReason } from "./segment-source.ts";
import type { ObjectParts, SegmentSource } from "./segment-source.ts";
import { isDamage } from "./unreadable-objects.ts";
import type { Damage, UnreadableObjects } from "./unreadable-objects.ts";

const PLANS_MAX = 3;

/**
 * Turns of the event loop between a query and its plan, so that a query whose caller has left already is not planned, which takes some
 * 10 ms. After three turns that is known: in the first the end of the caller's stream is read, in the second ours is shut, in the third
 * the connection is closed.
 */
export const TURNS_BEFORE_PLAN = 3;

/** What a query reads. */
interface Sources {
  readonly entries: readonly CatalogEntry[];
  readonly generations: readonly Generation[];
  /** Of each tenant of the query: its records below are left out. */
  readonly floors: ReadonlyMap<TenantId, number>;
}

/** Everything a query may read, held still until released. */
export interface Pin extends Sources {
  release(): void;
}

export interface ReaderModules {
  readonly clock: Clock;
  readonly compute: Compute;
  readonly segments: SegmentSource;
  readonly unreadable: UnreadableObjects;
  /** Bounds what all queries read ahead. */
  readonly readAheadBudget: ByteBudget;
  readonly pin: (tenants: readonly TenantId[], startMs: number, endMs: number) => Pin;
  /** Lists the bucket again. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
  /** Bytes of segments that one query of the tenant may read; 0: any. Of several tenants the smallest holds. */
  readonly queryBytesMaxOf: (tenant: TenantId) => number;
  readonly quarantine: () => readonly QuarantinedSpan[];
  /** Undefined while the catalog knows every object, else why it may not. */
  readonly incompleteBecause: () => string | undefined;
  /** Segments that are missing from the windows of these tenants that the range touches, in words that name no tenant. */
  readonly gapsWithin: (tenants: readonly TenantId[], startMs: number, endMs: number) => readonly string[];
  /** Oldest and newest profile of a tenant that objects hold. */
  readonly objectSpan: (tenant: TenantId) => { readonly oldestMs: number; readonly newestMs: number } | undefined;
  /** Oldest and newest profile of a tenant that memory holds. */
  readonly headSpan: (tenant: TenantId) => { readonly oldestMs: number; readonly newestMs: number } | undefined;
}

/** An object that could not be read, though it may be whole: the bucket did not answer, for instance. */
interface Failed {
  readonly failure: { readonly text: string; readonly cause: unknown };
}

interface Scanned {
  readonly partials: readonly ScanPartial[];
  readonly receipt: Receipt;
  readonly missing: readonly string[];
}

export class Reader implements ProfileSource {
  readonly #modules: ReaderModules;

  constructor(modules: ReaderModules) {
    this.#modules = modules;
  }

  async listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>> {
    const { listing, bounds, limit, form } = query;
    const { partials, receipt, missing } = await this.#scan(query, query.selectors, { kind: "listing", ...selectorsSpec(query), listing, bounds }, signal);
    const finished = await this.#modules.compute.finish({ kind: "listing", listing, bounds, limit, form }, partials, signal);
    const { bytes, entryCount, totalCount } = expectKind(finished, "listing");
    return { value: { bytes, entryCount, totalCount }, receipt, missing, isSaturated: false };
  }

  flameGraph(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { maxNodes, form } = query;
    return this.#merge(query, "names", { kind: "flame-graph", maxNodes, form }, signal);
  }

  treeBytes(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { maxNodes, form } = query;
    return this.#merge(query, "names", { kind: "tree-bytes", maxNodes, form }, signal);
  }

  async diff(left: MergeQuery, right: MergeQuery, { maxNodes, form }: DiffOptions, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const [a, b] = await Promise.all([left, right].map((query) => this.#scan(query, [query.selector], { kind: "names", query: plainQuery(query) }, signal)));
    const spec: FinishSpec = { kind: "diff", maxNodes, leftCount: a!.partials.length, profileType: left.profileType, form };
    return this.#finish(spec, [...a!.partials, ...b!.partials], signal, {
      receipt: {
        recordCount: a!.receipt.recordCount + b!.receipt.recordCount,
        identitySum: addIdentitySums(a!.receipt.identitySum, b!.receipt.identitySum),
        objectCount: a!.receipt.objectCount + b!.receipt.objectCount,
        storeCount: 1,
      },
      missing: [...new Set([...a!.missing, ...b!.missing])],
    });
  }

  topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { limit, sort, nameContains, callSite, form } = query;
    return this.#merge(query, "names", { kind: "top-table", limit, sort, nameContains, callSite, form }, signal);
  }

  async render(query: RenderQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { startMs, endMs, stepMs, groupBy, aggregation, maxNodes, profileType } = query;
    const shape = { startMs, endMs, stepMs, groupBy, aggregation, exemplars: "none" } as const;
    const wide = withFirstBucket(query);
    const [graph, timeline] = await Promise.all([
      this.#scan(query, [query.selector], { kind: "names", query: plainQuery(query) }, signal),
      this.#scan(wide, [query.selector], { kind: "points", query: plainQuery(wide), shape }, signal),
    ]);
    const spec: FinishSpec = { kind: "render", maxNodes, graphCount: graph.partials.length, profileType, shape };
    const missing = [...new Set([...graph.missing, ...timeline.missing])];
    return this.#finish(spec, [...graph.partials, ...timeline.partials], signal, { receipt: graph.receipt, missing });
  }

  pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { maxNodes, goPgo, profileType, form } = query;
    return this.#merge(query, "locations", { kind: "pprof", maxNodes, goPgo, profileType, timeNs: BigInt(query.endMs) * 1_000_000n, form }, signal);
  }

  dot(query: DotQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { maxNodes, profileType, form } = query;
    return this.#merge(query, "locations", { kind: "dot", maxNodes, profileType, timeNs: BigInt(query.endMs) * 1_000_000n, form }, signal);
  }

  async points(query: PointsQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { startMs, endMs, stepMs, groupBy, aggregation, exemplars, limit, form } = query;
    const shape = { startMs, endMs, stepMs, groupBy, aggregation, exemplars };
    const wide = withFirstBucket(query);
    const scanned = await this.#scan(wide, [query.selector], { kind: "points", query: plainQuery(wide), shape }, signal);
    return this.#finish({ kind: "points", shape, limit, form }, scanned.partials, signal, scanned);
  }

  async heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { startMs, endMs, stepMs, groupBy, exemplars, of, limit, form } = query;
    const shape = { startMs, endMs, stepMs, groupBy, exemplars, of };
    const wide = withFirstBucket(query);
    const scanned = await this.#scan(wide, [query.selector], { kind: "heatmap", query: plainQuery(wide), shape }, signal);
    return this.#finish({ kind: "heatmap", shape, limit, form }, scanned.partials, signal, scanned);
  }

  /** Refused while objects may be unknown: "no data" would send a reader away. */
  async stats(tenant: TenantId): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    const unknown = this.#modules.incompleteBecause();
    if (unknown !== undefined) throw incomplete(unknown);
    const missing = this.#modules.gapsWithin([tenant], -8.64e15, 8.64e15);
    if (missing.length > 0) throw segmentsMissing(missing);
    const spans = [this.#modules.objectSpan(tenant), this.#modules.headSpan(tenant)].filter((span) => span !== undefined);
    if (spans.length === 0) return undefined;
    return { oldestMs: Math.min(...spans.map(({ oldestMs }) => oldestMs)), newestMs: Math.max(...spans.map(({ newestMs }) => newestMs)) };
  }

  /**
   * Over one pin: bytes and objects from the footers of what the query would fetch; series, profiles and samples are counted by a
   * scan, in each scope apart, and a record that lies in both in segments only. The head's bytes are none: it is read where it
   * lies, in memory.
   */
  async analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>> {
    const spec: ScanSpec = { kind: "cardinality", ...selectorsSpec(query) };
    const { scanned, sizes, blockCount } = await this.#planned(query, signal, async (pin, missing) => {
      const found = await this.#scanPinned(pin, missing, query, query.selectors, spec, signal);
      return { scanned: found, ...(await this.#sizesWithin(pin, missing, query, signal)) };
    });
    const { counts, seriesCount } = expectKind(await this.#modules.compute.finish({ kind: "cardinality" }, scanned.partials, signal), "cardinality");
    return {
      value: {
        scopes: [
          { componentType: "head", componentCount: 1, ...counts.head, ...NO_BYTES, blockCount: 0 },
          { componentType: "segments", componentCount: 1, ...counts.segments, ...sizes, blockCount },
        ],
        totalBytesInRange: sizes.indexBytes + sizes.profileBytes + sizes.symbolBytes,
        totalSeries: seriesCount,
      },
      receipt: scanned.receipt,
      missing: [...new Set(scanned.missing)], // an object that cannot be read is found out twice
      isSaturated: false,
    };
  }

  /** What a query would fetch of the pinned objects, and of how many. */
  async #sizesWithin({ entries }: Sources, missing: string[], query: SeriesQuery, signal: AbortSignal): Promise<{ readonly sizes: DatasetSizes; readonly blockCount: number }> {
    let sizes = NO_BYTES;
    let blockCount = 0;
    for await (const footer of this.#footers(entries, signal)) {
      if ("failure" in footer || isDamaged(footer)) {
        this.#miss(footer, query, missing);
        continue;
      }
      const wanted = footer.datasets.filter(datasetFilter(query, query.selectors));
      if (wanted.length === 0) continue;
      blockCount++;
      sizes = addSizes(sizes, sizesOf(footer, wanted));
    }
    return { sizes, blockCount };
  }

  async #merge(query: MergeQuery, kind: "names" | "locations", spec: FinishSpec, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const scanned = await this.#scan(query, [query.selector], { kind, query: plainQuery(query) }, signal);
    return this.#finish(spec, scanned.partials, signal, scanned);
  }

  /** `partials` are more than those of `scanned` where a query scans twice. */
  async #finish(spec: FinishSpec, partials: readonly ScanPartial[], signal: AbortSignal, scanned: Pick<Scanned, "receipt" | "missing">): Promise<Answer<Uint8Array>> {
    const { bytes, isSaturated } = expectKind(await this.#modules.compute.finish(spec, partials, signal), "reply");
    return { value: bytes, receipt: scanned.receipt, missing: scanned.missing, isSaturated };
  }

  /** `selectors`: one of them must admit a service for its bytes to be read; none: all are. */
  #scan(scope: Scope, selectors: readonly (readonly Matcher[])[], spec: ScanSpec, signal: AbortSignal): Promise<Scanned> {
    return this.#planned(scope, signal, (pin, missing) => this.#scanPinned(pin, missing, scope, selectors, spec, signal));
  }

  /** Runs over all that the scope may read, pinned together; where an object vanished under the pin, over another one. */
  async #planned<T>(scope: Scope, signal: AbortSignal, run: (pin: Sources, missing: string[]) => Promise<T>): Promise<T> {
    const turns = new Turns(this.#modules);
    for (let plan = 1; ; plan++) {
      for (let turn = 0; turn < TURNS_BEFORE_PLAN && !signal.aborted; turn++) await turns.give();
      signal.throwIfAborted();
      const missing = this.#gapsOf(scope);
      const pin = this.#modules.pin(scope.tenants, scope.startMs, scope.endMs);
      try {
        return await run(pin, missing);
      } catch (error) {
        if (!isVanished(error) || plan === PLANS_MAX) throw error;
      } finally {
        pin.release();
      }
      await this.#modules.refresh(signal);
    }
  }

  async #scanPinned(
    { entries, generations, floors }: Sources,
    missing: string[],
    scope: Scope,
    selectors: readonly (readonly Matcher[])[],
    spec: ScanSpec,
    signal: AbortSignal,
  ): Promise<Scanned> {
    await this.#checkBytes(entries, scope, selectors, signal);
    const { compute, readAheadBudget: budget, segments } = this.#modules;
    const gathered = new Gathered(spec, { compute, signal });
    let objectCount = 0;
    const base = { spec, tenants: scope.tenants, generations };
    const floorOf = (tenant: TenantId): number => floors.get(tenant) ?? NO_FLOOR_MS;
    const wants = datasetFilter(scope, selectors);
    const windows = objectsByWindow(entries);
    const read = (entry: CatalogEntry, context: JobContext): Promise<ObjectParts | Failed> => orFailed(entry, () => segments.parts(entry, wants, context), context.signal);
    const take = (objects: readonly (ObjectParts | Failed)[]): SegmentPart[] => {
      const parts: SegmentPart[] = [];
      for (const object of objects) {
        if ("failure" in object) {
          this.#miss(object, scope, missing);
          continue;
        }
        for (const damage of object.damages) this.#miss(damage, scope, missing);
        if (object.parts.length > 0) objectCount++;
        parts.push(...object.parts);
      }
      return parts;
    };
    let at = 0;
    for await (const objects of readAhead(windows, read, { budget, signal })) {
      const { windowStartMs, tenant } = windows[at++]![0]!.meta;
      // Memory of the same tenant and window is read with its objects: that is where copies meet.
      const task = { ...base, spec: specAbove(floorOf(tenant), spec), tenants: [tenant], firstWindowMs: windowStartMs, lastWindowMs: windowStartMs };
      // The parts have no name here: this frame would keep their bytes in memory while the next window is waited for.
      await gathered.add(await this.#scanIntact({ ...task, parts: take(objects) }, scope, missing, signal));
      signal.throwIfAborted();
    }
    await this.#scanMemoryBetween(base, scope, floorOf, windows, gathered, signal);
    const { partials } = gathered;
    return { partials, receipt: receiptOf(partials, objectCount), missing };
  }

  /** Damage inside a dataset shows when a worker opens it. Where partial answers are allowed it is left out, one dataset at a time, until the rest is whole. */
  async #scanIntact(task: ScanTask, scope: Scope, missing: string[], signal: AbortSignal): Promise<readonly ScanPartial[]> {
    let { parts } = task;
    for (;;) {
      try {
        return await this.#modules.compute.scan({ ...task, parts }, signal);
      } catch (error) {
        if (signal.aborted || !isDamage(error)) throw error;
        const { object, service } = error.details;
        const damaged = parts.find((part) => part.object === object && part.service === service);
        if (damaged === undefined) throw error;
        const damage = { key: damaged.object, service: damaged.service, reason: error.message };
        this.#modules.unreadable.report(damage);
        this.#miss(damage, scope, missing);
        parts = parts.filter((part) => part !== damaged);
      }
    }
  }

  /**
   * Refuses a query before it reads more than its tenants may. Objects that are small together need no closer look; else
   * footers say how much of them the selector leaves.
   */
  async #checkBytes(entries: readonly CatalogEntry[], scope: Scope, selectors: readonly (readonly Matcher[])[], signal: AbortSignal): Promise<void> {
    const bounds = scope.tenants.map((tenant) => this.#modules.queryBytesMaxOf(tenant)).filter((bound) => bound > 0);
    const bytesMax = Math.min(...bounds);
    if (entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) <= bytesMax) return;
    const wants = datasetFilter(scope, selectors);
    let bytes = 0;
    for await (const footer of this.#footers(entries, signal)) {
      // What is unreadable is said, or left out, where it is read.
      if ("failure" in footer || isDamaged(footer)) continue;
      for (const dataset of footer.datasets) if (wants(dataset)) bytes += dataset.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
    }
  }

  /** Of each entry, in order. */
  async *#footers(entries: readonly CatalogEntry[], signal: AbortSignal): AsyncGenerator<SegmentFooter | Damage | Failed> {
    const { readAheadBudget: budget, segments } = this.#modules;
    const read = (entry: CatalogEntry, context: JobContext): Promise<SegmentFooter | Damage | Failed> => orFailed(entry, () => segments.footer(entry, context), context.signal);
    for await (const footers of readAhead(entries.map((entry) => [entry]), read, { budget, signal })) yield* footers;
  }

  /** Memory of tenants and windows that no object covers. */
  async #scanMemoryBetween(
    base: { readonly spec: ScanSpec; readonly tenants: readonly TenantId[]; readonly generations: readonly Generation[] },
    scope: Scope,
    floorOf: (tenant: TenantId) => number,
    windows: readonly (readonly CatalogEntry[])[],
    gathered: Gathered,
    signal: AbortSignal,
  ): Promise<void> {
    if (base.generations.length === 0) return;
    for (const tenant of scope.tenants) {
      const covered = windowsCovered(windows, tenant);
      const floorMs = floorOf(tenant);
      const spec = specAbove(floorMs, base.spec);
      let first = windowStartOf(Math.max(scope.startMs, floorMs));
      const last = windowStartOf(scope.endMs);
      for (const window of [...covered, last + WINDOW_MS]) {
        if (window > first) {
          signal.throwIfAborted();
          const task = { ...base, spec, tenants: [tenant], firstWindowMs: first, lastWindowMs: Math.min(window - 1, last), parts: [] };
          await gathered.add(await this.#modules.compute.scan(task, signal));
        }
        first = Math.max(first, window + WINDOW_MS);
      }
    }
  }

  /** Refuses what the answer would lack, or names it where partial answers are allowed. */
  #miss(lost: Damage | Failed, scope: Scope, missing: string[]): void {
    const { text, cause } = "failure" in lost ? lost.failure : { text: lost.reason, cause: undefined };
    if (!scope.allowPartial) throw unreadable(text, cause, "failure" in lost ? undefined : this.#modules.unreadable.retryAfterSeconds(lost));
    missing.push(text);
  }

  #gapsOf(scope: Scope): string[] {
    const unknown = this.#modules.incompleteBecause();
    if (unknown !== undefined && !scope.allowPartial) throw incomplete(unknown);
    const missing = this.#modules.gapsWithin(scope.tenants, scope.startMs, scope.endMs);
    if (missing.length > 0 && !scope.allowPartial) throw segmentsMissing(missing);
    const gaps = [...(unknown === undefined ? [] : [unknown]), ...missing.map((gap) => `segments missing from the bucket: ${gap}`)];
    const spans = quarantinesWithin(this.#modules.quarantine(), scope.startMs, scope.endMs);
    if (spans.length === 0) return gaps;
    const named = spans.map(({ id, reason }) => `quarantine ${id}: ${reason}`);
    if (scope.allowPartial) return [...gaps, ...named];
    throw partly(
      "QUARANTINED",
      `profiles of this time may be lost (${named.join("; ")}): acknowledge with POST /admin/quarantine, or send X-Pyromesh-Partial: allow`,
    );
  }
}

function expectKind<K extends Finished["kind"]>(finished: Finished, kind: K): Extract<Finished, { kind: K }> {
  if (finished.kind !== kind) throw new Error(`asked for ${kind}, got ${finished.kind}`);
  return finished as Extract<Finished, { kind: K }>; // compared just above
}

function receiptOf(partials: readonly ScanPartial[], objectCount: number): Receipt {
  let recordCount = 0;
  let identitySum = "0".repeat(32);
  for (const partial of partials) {
    recordCount += partial.recordCount;
    identitySum = addIdentitySums(identitySum, partial.identitySum);
  }
  return { recordCount, identitySum, objectCount, storeCount: 1 };
}

function plain(selector: readonly Matcher[]): { name: string; operator: Matcher["operator"]; value: string }[] {
  return selector.map(({ name, operator, value }) => ({ name, operator, value }));
}

/** The first bucket, at start, holds what lies within one step before it. */
function withFirstBucket<T extends MergeQuery & { readonly stepMs: number }>(query: T): T {
  return { ...query, startMs: query.startMs - query.stepMs + 1 };
}

function plainQuery(query: MergeQuery): PlainRowQuery {
  return {
    startNs: BigInt(Math.trunc(query.startMs)) * 1_000_000n,
    endNs: BigInt(Math.trunc(query.endMs)) * 1_000_000n + 999_999n,
    profileType: query.profileType,
    selector: plain(query.selector),
    callSite: query.callSite,
    profileIds: query.profileIds.map((id) => toHex(id)),
    spanIds: query.spanIds.map((id) => id.toLowerCase()),
    traceIds: query.traceIds.map((id) => id.toLowerCase()),
  };
}

/** 400, as a query that is too long: the same question again is refused again. */
function tooLarge(bytesMax: number): CodedError {
  return invalidArgument(
    "QUERY_TOO_LARGE",
    `the query would read more than the ${formatSize(bytesMax)} of max_query_bytes from segments: narrow its time range or name a service in its selector, or raise the limit`,
  );
}

/** Turns a failed read of one object into an outcome: the query is refused, or leaves it out, when its window is scanned. */
async function orFailed<T>(entry: CatalogEntry, read: () => Promise<T>, signal: AbortSignal): Promise<T | Failed> {
  try {
    return await read();
  } catch (error) {
    if (signal.aborted || isVanished(error)) throw error;
    return { failure: { text: namedReason(entry.key, error), cause: error } };
  }
}

function segmentsMissing(missing: readonly string[]): CodedError {
  return partly(
    "SEGMENTS_MISSING",
    `the answer would lack segments that are missing from the bucket (${missing.join("; ")}): restore them, or accept the loss with pyromesh bucket forget TENANT WINDOW STORE ORDINALS, or send X-Pyromesh-Partial: allow`,
  );
}

function unreadable(lost: string, cause: unknown, retryAfterSeconds: number | undefined): CodedError {
  const again = retryAfterSeconds === undefined ? "try again" : `it is read again in ${retryAfterSeconds} s`;
  const message = `the answer would lack what cannot be read (${lost}): ${again}, or send X-Pyromesh-Partial: allow to do without it`;
  return partly("OBJECT_UNREADABLE", message, cause, retryAfterSeconds);
}

/** An error that a caller who allows partial answers does not get. Has `retryAfterSeconds` only where a time is known. */
function partly(code: string, message: string, cause?: unknown, retryAfterSeconds?: number): CodedError {
  const details = { canBePartial: true, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  return new CodedError({ code, kind: "unavailable", message, details, cause });
}

function incomplete(reason: string): CodedError {
  return partly("CATALOG_INCOMPLETE", `the answer could lack segments that this node does not know of yet (${reason}): try again, or send X-Pyromesh-Partial: allow`);
}

function selectorsSpec(query: SeriesQuery): Pick<Extract<ScanSpec, { readonly kind: "cardinality" }>, "startNs" | "endNs" | "selectors"> {
  return {
    startNs: BigInt(query.startMs) * 1_000_000n,
    endNs: BigInt(query.endMs) * 1_000_000n + 999_999n,
    selectors: query.selectors.map(plain),
  };
}
