/**
 * The read path: what a query goes through between the API and its answer.
 *
 *   1. plan           memory generations and catalogued objects, pinned together in one turn of the loop
 *   2. fetch          footers, then the byte ranges of datasets that may match, a window at a time
 *   3. scan           in the lane that holds each dataset; identities decide what counts
 *   4. finish         partials merged, truncated last
 *
 * The pin of step 1 is what makes answers exact while a flush runs: a generation is dropped, and a local segment file
 * deleted, only when no query that planned it is left. A record seen in memory and in a segment is counted once.
 * An object that vanished under the plan means plan again, PLANS_MAX times, then refuse.
 */
import { CodedError, toHex, unavailable } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import type { Answer, HeatmapQuery, MergeQuery, PointsQuery, PprofQuery, ProfileSource, QueryAnalysis, Scope, SeriesQuery } from "@pyromesh/api";
import type { CatalogEntry } from "@pyromesh/block";
import { addIdentitySums, labelsKey, windowStartOf } from "@pyromesh/profile";
import type { FlameGraph, FlameGraphDiff, HeatmapSeries, Labels, Matcher, Receipt, TimeSeries } from "@pyromesh/profile";
import type { Compute, FinishSpec, Finished, Generation, PlainRowQuery, ScanPartial, ScanSpec, SegmentPart } from "../compute/compute.ts";
import type { QuarantinedSpan } from "./read-plan.ts";
import { mayHoldService, objectsByWindow, quarantinesWithin } from "./read-plan.ts";
import type { SegmentSource } from "./segment-source.ts";

const PLANS_MAX = 3;
/** A query that would read more is refused with QUERY_TOO_LARGE: narrow the range or the selector. */
const QUERY_BYTES_MAX = 4 * 2 ** 30;

/** Everything a query may read, held still until released. */
export interface Pin {
  readonly entries: readonly CatalogEntry[];
  readonly generations: readonly Generation[];
  release(): void;
}

export interface ReaderModules {
  readonly compute: Compute;
  readonly segments: SegmentSource;
  readonly pin: (tenants: readonly TenantId[], startMs: number, endMs: number) => Pin;
  /** Lists the bucket again. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
  readonly quarantine: () => readonly QuarantinedSpan[];
  /** Undefined while the catalog knows every object, else why it may not. */
  readonly incompleteBecause: () => string | undefined;
  /** Oldest and newest profile of a tenant that memory holds. */
  readonly headSpan: (tenant: TenantId) => { readonly oldestMs: number; readonly newestMs: number } | undefined;
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

  async series(query: SeriesQuery, signal: AbortSignal): Promise<Answer<readonly Labels[]>> {
    const spec: ScanSpec = {
      kind: "series",
      startNs: BigInt(query.startMs) * 1_000_000n,
      endNs: BigInt(query.endMs) * 1_000_000n + 999_999n,
      selectors: query.selectors.map(plain),
    };
    const scanned = await this.#scan(query, query.selectors, spec, signal);
    const found = new Map<string, Labels>();
    for (const { series } of scanned.partials) for (const labels of series) found.set(labelsKey(labels), labels);
    return { value: [...found.values()], receipt: scanned.receipt, missing: scanned.missing, isSaturated: false };
  }

  async flameGraph(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<FlameGraph>> {
    const { finished, ...rest } = await this.#merge(query, "names", { kind: "flame-graph", maxNodes: query.maxNodes }, signal);
    return { value: expectKind(finished, "flame-graph").graph, ...rest };
  }

  async treeBytes(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { finished, ...rest } = await this.#merge(query, "names", { kind: "tree-bytes", maxNodes: query.maxNodes }, signal);
    return { value: expectKind(finished, "tree-bytes").bytes, ...rest };
  }

  async diff(left: MergeQuery, right: MergeQuery, maxNodes: number, signal: AbortSignal): Promise<Answer<FlameGraphDiff>> {
    const [a, b] = await Promise.all([left, right].map((query) => this.#scan(query, [query.selector], { kind: "names", query: plainQuery(query) }, signal)));
    const finished = await this.#modules.compute.finish({ kind: "diff", maxNodes, leftCount: a!.partials.length }, [...a!.partials, ...b!.partials], signal);
    const { graph, isSaturated } = expectKind(finished, "diff");
    return {
      value: graph,
      isSaturated,
      receipt: {
        recordCount: a!.receipt.recordCount + b!.receipt.recordCount,
        identitySum: addIdentitySums(a!.receipt.identitySum, b!.receipt.identitySum),
        objectCount: a!.receipt.objectCount + b!.receipt.objectCount,
        storeCount: 1,
      },
      missing: [...new Set([...a!.missing, ...b!.missing])],
    };
  }

  async pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const spec: FinishSpec = {
      kind: "pprof",
      maxNodes: query.maxNodes,
      goPgo: query.goPgo,
      profileType: query.profileType,
      timeNs: BigInt(query.endMs) * 1_000_000n,
    };
    const { finished, ...rest } = await this.#merge(query, "locations", spec, signal);
    return { value: expectKind(finished, "pprof").bytes, ...rest };
  }

  async dot(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<string>> {
    const spec: FinishSpec = { kind: "dot", maxNodes: query.maxNodes, profileType: query.profileType, timeNs: BigInt(query.endMs) * 1_000_000n };
    const { finished, ...rest } = await this.#merge(query, "locations", spec, signal);
    return { value: expectKind(finished, "dot").text, ...rest };
  }

  async points(query: PointsQuery, signal: AbortSignal): Promise<Answer<readonly TimeSeries[]>> {
    const { startMs, endMs, stepMs, groupBy, aggregation, exemplars, limit } = query;
    const shape = { startMs, endMs, stepMs, groupBy, aggregation, exemplars };
    // The first bucket, at start, holds what lies within one step before it.
    const wide = { ...query, startMs: startMs - stepMs + 1 };
    const scanned = await this.#scan(wide, [query.selector], { kind: "points", query: plainQuery(wide), shape }, signal);
    const finished = await this.#modules.compute.finish({ kind: "points", shape, limit }, scanned.partials, signal);
    return { value: expectKind(finished, "points").series, receipt: scanned.receipt, missing: scanned.missing, isSaturated: false };
  }

  async heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<readonly HeatmapSeries[]>> {
    const { startMs, endMs, stepMs, groupBy, exemplars, of, limit } = query;
    const shape = { startMs, endMs, stepMs, groupBy, exemplars, of };
    const wide = { ...query, startMs: startMs - stepMs + 1 };
    const scanned = await this.#scan(wide, [query.selector], { kind: "heatmap", query: plainQuery(wide), shape }, signal);
    const finished = await this.#modules.compute.finish({ kind: "heatmap", shape, limit }, scanned.partials, signal);
    return { value: expectKind(finished, "heatmap").series, receipt: scanned.receipt, missing: scanned.missing, isSaturated: false };
  }

  async stats(tenant: TenantId): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    const pin = this.#modules.pin([tenant], -8.64e15, 8.64e15);
    pin.release();
    const head = this.#modules.headSpan(tenant);
    const spans = [
      ...pin.entries.map(({ meta }) => ({ oldestMs: meta.minTimeMs, newestMs: meta.maxTimeMs })),
      ...(head === undefined ? [] : [head]),
    ];
    if (spans.length === 0) return undefined;
    return {
      oldestMs: spans.reduce((oldest, { oldestMs }) => Math.min(oldest, oldestMs), Infinity),
      newestMs: spans.reduce((newest, { newestMs }) => Math.max(newest, newestMs), -Infinity),
    };
  }

  /** Bytes are those of the objects in range: what the head holds is read without fetching anything. Rows are not counted: 0. */
  async analyze(query: SeriesQuery, signal: AbortSignal): Promise<QueryAnalysis> {
    const pin = this.#modules.pin(query.tenants, query.startMs, query.endMs);
    try {
      const totalBytesInRange = pin.entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const { value } = await this.series(query, signal);
      return {
        scopes: [
          {
            componentType: "store",
            componentCount: 1,
            blockCount: pin.entries.length,
            seriesCount: value.length,
            profileCount: 0,
            sampleCount: 0,
            indexBytes: 0,
            profileBytes: totalBytesInRange,
            symbolBytes: 0,
          },
        ],
        totalBytesInRange,
        totalSeries: value.length,
      };
    } finally {
      pin.release();
    }
  }

  async #merge(
    query: MergeQuery,
    kind: "names" | "locations",
    spec: FinishSpec,
    signal: AbortSignal,
  ): Promise<{ finished: Finished; receipt: Receipt; missing: readonly string[]; isSaturated: boolean }> {
    const scanned = await this.#scan(query, [query.selector], { kind, query: plainQuery(query) }, signal);
    const finished = await this.#modules.compute.finish(spec, scanned.partials, signal);
    const isSaturated = "isSaturated" in finished && finished.isSaturated;
    return { finished, receipt: scanned.receipt, missing: scanned.missing, isSaturated };
  }

  /** `selectors`: one of them must admit a service for its bytes to be read; none: all are. */
  async #scan(scope: Scope, selectors: readonly (readonly Matcher[])[], spec: ScanSpec, signal: AbortSignal): Promise<Scanned> {
    for (let plan = 1; ; plan++) {
      try {
        return await this.#scanOnce(scope, selectors, spec, signal);
      } catch (error) {
        const vanished = error instanceof CodedError && error.code === "BUCKET_NOT_FOUND";
        if (!vanished || plan === PLANS_MAX) throw error;
        await this.#modules.refresh(signal);
      }
    }
  }

  async #scanOnce(scope: Scope, selectors: readonly (readonly Matcher[])[], spec: ScanSpec, signal: AbortSignal): Promise<Scanned> {
    const missing = this.#gapsOf(scope);
    const pin = this.#modules.pin(scope.tenants, scope.startMs, scope.endMs);
    try {
      const partials: ScanPartial[] = [];
      let objectCount = 0;
      let readBytes = 0;
      const base = { spec, tenants: scope.tenants, generations: pin.generations };
      for (const group of objectsByWindow(pin.entries)) {
        const parts: SegmentPart[] = [];
        for (const entry of group) {
          const fetched = await this.#fetch(entry, scope, selectors, missing, signal);
          if (fetched.length > 0) objectCount++;
          for (const part of fetched) {
            readBytes += part.bytes.byteLength;
            parts.push(part);
          }
          if (readBytes > QUERY_BYTES_MAX) throw tooLarge();
        }
        const { windowStartMs, tenant } = group[0]!.meta;
        // Memory of the same tenant and window is read with its objects: that is where copies meet.
        partials.push(
          ...(await this.#modules.compute.scan({ ...base, tenants: [tenant], firstWindowMs: windowStartMs, lastWindowMs: windowStartMs, parts }, signal)),
        );
      }
      partials.push(...(await this.#scanMemoryBetween(base, scope, pin.entries, signal)));
      return { partials, receipt: receiptOf(partials, objectCount), missing };
    } finally {
      pin.release();
    }
  }

  /** Memory of tenants and windows that no object covers. */
  async #scanMemoryBetween(
    base: { readonly spec: ScanSpec; readonly tenants: readonly TenantId[]; readonly generations: readonly Generation[] },
    scope: Scope,
    entries: readonly CatalogEntry[],
    signal: AbortSignal,
  ): Promise<ScanPartial[]> {
    const partials: ScanPartial[] = [];
    if (base.generations.length === 0) return partials;
    for (const tenant of scope.tenants) {
      const covered = [...new Set(entries.filter(({ meta }) => meta.tenant === tenant).map(({ meta }) => meta.windowStartMs))].sort((a, b) => a - b);
      let first = windowStartOf(scope.startMs);
      const last = windowStartOf(scope.endMs);
      for (const window of [...covered, last + 1]) {
        if (window > first) {
          const task = { ...base, tenants: [tenant], firstWindowMs: first, lastWindowMs: Math.min(window - 1, last), parts: [] };
          partials.push(...(await this.#modules.compute.scan(task, signal)));
        }
        first = Math.max(first, window + 1);
      }
    }
    return partials;
  }

  async #fetch(
    entry: CatalogEntry,
    scope: Scope,
    selectors: readonly (readonly Matcher[])[],
    missing: string[],
    signal: AbortSignal,
  ): Promise<SegmentPart[]> {
    try {
      return await this.#modules.segments.parts(
        entry,
        (dataset) =>
          dataset.maxTimeMs >= scope.startMs &&
          dataset.minTimeMs <= scope.endMs &&
          (selectors.length === 0 || selectors.some((selector) => mayHoldService(selector, dataset.service))),
        signal,
      );
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof CodedError && error.code === "BUCKET_NOT_FOUND") throw error;
      const reason = error instanceof Error ? error.message : String(error);
      if (scope.allowPartial) {
        missing.push(`${entry.key}: ${reason}`);
        return [];
      }
      throw unavailable("OBJECT_UNREADABLE", `the answer would lack ${entry.key} (${reason}); try again, or send X-Pyromesh-Partial: allow to do without it`, error);
    }
  }

  #gapsOf(scope: Scope): string[] {
    const unknown = this.#modules.incompleteBecause();
    if (unknown !== undefined && !scope.allowPartial) {
      throw unavailable("CATALOG_INCOMPLETE", `the answer could lack segments that this node does not know of yet (${unknown}): try again, or send X-Pyromesh-Partial: allow`);
    }
    const gaps = unknown === undefined ? [] : [unknown];
    const spans = quarantinesWithin(this.#modules.quarantine(), scope.startMs, scope.endMs);
    if (spans.length === 0) return gaps;
    const named = spans.map(({ id, reason }) => `quarantine ${id}: ${reason}`);
    if (scope.allowPartial) return [...gaps, ...named];
    throw unavailable(
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

function tooLarge(): CodedError {
  return new CodedError({
    code: "QUERY_TOO_LARGE",
    kind: "resource_exhausted",
    message: `the query would read more than ${QUERY_BYTES_MAX} bytes of segments: narrow its time range or its selector`,
  });
}
