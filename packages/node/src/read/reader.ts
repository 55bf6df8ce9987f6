/**
 * The read path, from a question of the API to its answer: each question is one scan or two, and what they find becomes the reply.
 *
 *   question ──► ScanSpec ──► query-scanner.ts: plan, fetch, scan ──► partial answers ──► FinishSpec ──► compute.finish ──► reply
 *
 * A worker finishes: it merges the partial answers, cuts the result to the wanted number of nodes last, and encodes the reply's bytes.
 */
import { toHex } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
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
  SeriesQuery,
  TopTableQuery,
} from "@pyromesh/api";
import { addIdentitySums } from "@pyromesh/profile";
import type { Matcher } from "@pyromesh/profile";
import type { FinishSpec, Finished, PlainRowQuery, ScanPartial, ScanSpec } from "../compute/compute.ts";
import { both } from "./both.ts";
import { NO_BYTES } from "./dataset-sizes.ts";
import { incomplete, segmentsMissing } from "./query-refusals.ts";
import { QueryScanner } from "./query-scanner.ts";
import type { QueryScannerModules, Scanned } from "./query-scanner.ts";

/** The last millisecond that a `Date` can hold. */
const TIME_MS_MAX = 8.64e15;

interface Span {
  readonly oldestMs: number;
  readonly newestMs: number;
}

export interface ReaderModules extends QueryScannerModules {
  /** Oldest and newest profile of a tenant that objects hold. */
  readonly objectSpan: (tenant: TenantId) => Span | undefined;
  /** Oldest and newest profile of a tenant that memory holds. */
  readonly headSpan: (tenant: TenantId) => Span | undefined;
  /** The part of a span that lies above the tenant's floor. */
  readonly aboveFloor: (tenant: TenantId, span: Span | undefined) => Span | undefined;
}

export class Reader implements ProfileSource {
  readonly #modules: ReaderModules;
  readonly #scanner: QueryScanner;

  constructor(modules: ReaderModules) {
    this.#modules = modules;
    this.#scanner = new QueryScanner(modules);
  }

  async listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>> {
    const { listing, bounds, limit, form } = query;
    const { partials, receipt, missing } = await this.#scanner.scan(query, query.selectors, { kind: "listing", ...selectorsSpec(query), listing, bounds }, signal);
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
    const sideOf = (query: MergeQuery) => (own: AbortSignal) => this.#scanner.scan(query, [query.selector], { kind: "names", query: plainQuery(query) }, own);
    const [a, b] = await both(sideOf(left), sideOf(right), signal);
    const spec: FinishSpec = { kind: "diff", maxNodes, leftCount: a.partials.length, profileType: left.profileType, form };
    return this.#finish(spec, [...a.partials, ...b.partials], signal, {
      receipt: {
        recordCount: a.receipt.recordCount + b.receipt.recordCount,
        identitySum: addIdentitySums(a.receipt.identitySum, b.receipt.identitySum),
        objectCount: a.receipt.objectCount + b.receipt.objectCount,
        storeCount: Math.max(a.receipt.storeCount, b.receipt.storeCount),
        ...(a.receipt.nodes === undefined ? {} : { nodes: a.receipt.nodes }),
      },
      missing: [...new Set([...a.missing, ...b.missing])],
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
    const [graph, timeline] = await both(
      (own) => this.#scanner.scan(query, [query.selector], { kind: "names", query: plainQuery(query) }, own),
      (own) => this.#scanner.scan(wide, [query.selector], { kind: "points", query: plainQuery(wide), shape }, own),
      signal,
    );
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
    const scanned = await this.#scanner.scan(wide, [query.selector], { kind: "points", query: plainQuery(wide), shape }, signal);
    return this.#finish({ kind: "points", shape, limit, form }, scanned.partials, signal, scanned);
  }

  async heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const { startMs, endMs, stepMs, groupBy, exemplars, of, limit, form } = query;
    const shape = { startMs, endMs, stepMs, groupBy, exemplars, of };
    const wide = withFirstBucket(query);
    const scanned = await this.#scanner.scan(wide, [query.selector], { kind: "heatmap", query: plainQuery(wide), shape }, signal);
    return this.#finish({ kind: "heatmap", shape, limit, form }, scanned.partials, signal, scanned);
  }

  /** Refused while the catalog may lack objects: "no data" would be a wrong answer then. */
  async stats(tenant: TenantId, signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    const unknown = this.#modules.incompleteBecause();
    if (unknown !== undefined) throw incomplete(unknown);
    const missing = this.#modules.gapsWithin([tenant], -TIME_MS_MAX, TIME_MS_MAX);
    if (missing.length > 0) throw segmentsMissing(missing);
    const spans = [await this.#headSpan(tenant, signal), this.#modules.objectSpan(tenant)].filter((span) => span !== undefined);
    if (spans.length === 0) return undefined;
    return { oldestMs: Math.min(...spans.map(({ oldestMs }) => oldestMs)), newestMs: Math.max(...spans.map(({ newestMs }) => newestMs)) };
  }

  /** Of the heads of all stores, where the node has a cluster. */
  #headSpan(tenant: TenantId, signal: AbortSignal): ReturnType<QueryScanner["headsSpan"]> {
    const { aboveFloor, headSpan, heads } = this.#modules;
    if (heads === undefined) return Promise.resolve(headSpan(tenant));
    return this.#scanner.headsSpan({ tenants: [tenant], startMs: -TIME_MS_MAX, endMs: TIME_MS_MAX, allowPartial: false }, signal).then((span) => aboveFloor(tenant, span));
  }

  /**
   * Bytes and objects come from the footers of what the query would fetch. Series, profiles and samples are counted by a scan, apart for the
   * head and for segments; a record that lies in both counts in segments. The head has 0 bytes: it is read in memory, where it lies.
   */
  async analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>> {
    const { partials, receipt, missing, sizes, blockCount } = await this.#scanner.scanWithSizes(query, query.selectors, { kind: "cardinality", ...selectorsSpec(query) }, signal);
    const { counts, seriesCount } = expectKind(await this.#modules.compute.finish({ kind: "cardinality" }, partials, signal), "cardinality");
    return {
      value: {
        scopes: [
          { componentType: "head", componentCount: 1, ...counts.head, ...NO_BYTES, blockCount: 0 },
          { componentType: "segments", componentCount: 1, ...counts.segments, ...sizes, blockCount },
        ],
        totalBytesInRange: sizes.indexBytes + sizes.profileBytes + sizes.symbolBytes,
        totalSeries: seriesCount,
      },
      receipt,
      missing,
      isSaturated: false,
    };
  }

  async #merge(query: MergeQuery, kind: "names" | "locations", spec: FinishSpec, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    const scanned = await this.#scanner.scan(query, [query.selector], { kind, query: plainQuery(query) }, signal);
    return this.#finish(spec, scanned.partials, signal, scanned);
  }

  /** Where a query scans twice, `partials` are those of both scans, and `scanned` says what the answer is said to hold. */
  async #finish(spec: FinishSpec, partials: readonly ScanPartial[], signal: AbortSignal, scanned: Pick<Scanned, "receipt" | "missing">): Promise<Answer<Uint8Array>> {
    const { bytes, isSaturated } = expectKind(await this.#modules.compute.finish(spec, partials, signal), "reply");
    return { value: bytes, receipt: scanned.receipt, missing: scanned.missing, isSaturated };
  }
}

function expectKind<K extends Finished["kind"]>(finished: Finished, kind: K): Extract<Finished, { kind: K }> {
  if (finished.kind !== kind) throw new Error(`asked for ${kind}, got ${finished.kind}`);
  return finished as Extract<Finished, { kind: K }>; // compared just above
}

function plain(selector: readonly Matcher[]): { name: string; operator: Matcher["operator"]; value: string }[] {
  return selector.map(({ name, operator, value }) => ({ name, operator, value }));
}

/** A point at time t sums what lies within the step that ends at t: so the point at `startMs` needs one step before it. */
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

function selectorsSpec(query: SeriesQuery): Pick<Extract<ScanSpec, { readonly kind: "cardinality" }>, "startNs" | "endNs" | "selectors"> {
  return {
    startNs: BigInt(query.startMs) * 1_000_000n,
    endNs: BigInt(query.endMs) * 1_000_000n + 999_999n,
    selectors: query.selectors.map(plain),
  };
}
