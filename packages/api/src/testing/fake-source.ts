/** A ProfileSource for handler tests. It records the queries and returns the answers it was given; only `listing` evaluates its query. */
import type { TenantId } from "@pyromesh/base";
import { LabelListing, matchesLabels, UNINTERRUPTED } from "@pyromesh/profile";
import type { FlameGraph, FlameGraphDiff, HeatmapSeries, Labels, Receipt, TimeSeries, TopTable } from "@pyromesh/profile";
import { printDiff, printDot, printFlameGraph, printPprof, printTree } from "../print/graph-reply.ts";
import { printListing } from "../print/listing-reply.ts";
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
} from "../ports/ports.ts";
import { printRender, printRenderDiff } from "../print/render-reply.ts";
import { printHeatmap, printSeries } from "../print/series-reply.ts";
import { printTopTable } from "../print/top-table-reply.ts";

const FAKE_RECEIPT: Receipt = { recordCount: 7, identitySum: "00112233445566778899aabbccddeeff", objectCount: 2, storeCount: 3 };

const EMPTY_GRAPH: FlameGraph = { names: ["total"], levels: [[0, 0, 0, 0]], total: 0, maxSelf: 0 };

export class FakeSource implements ProfileSource {
  readonly seriesQueries: SeriesQuery[] = [];
  readonly mergeQueries: (MergeQuery & { readonly maxNodes?: number })[] = [];
  readonly renderQueries: RenderQuery[] = [];
  readonly pointsQueries: PointsQuery[] = [];
  readonly heatmapQueries: HeatmapQuery[] = [];
  readonly pprofQueries: PprofQuery[] = [];
  readonly topTableQueries: TopTableQuery[] = [];
  readonly diffs: { readonly left: MergeQuery; readonly right: MergeQuery; readonly maxNodes: number }[] = [];

  labelSets: readonly Labels[] = [];
  graph: FlameGraph = EMPTY_GRAPH;
  table: TopTable = { rows: [], total: 0, rowCount: 0, isSaturated: false };
  graphDiff: FlameGraphDiff = { ...EMPTY_GRAPH, levels: [[0, 0, 0, 0, 0, 0, 0]], leftTicks: 0, rightTicks: 0 };
  tree: Uint8Array = new Uint8Array(0);
  pprofBytes: Uint8Array = new Uint8Array(0);
  drawing = "";
  timeSeries: readonly TimeSeries[] = [];
  heatmapSeries: readonly HeatmapSeries[] = [];
  age: { readonly oldestMs: number; readonly newestMs: number } | undefined = undefined;
  analysis: QueryAnalysis = { scopes: [], totalBytesInRange: 0, totalSeries: 0 };
  missing: readonly string[] = [];
  isSaturated = false;
  /** While set, every query rejects with it. */
  failure: unknown = undefined;
  /** While set, every query waits for it. */
  gate: Promise<void> | undefined = undefined;
  readonly signals: AbortSignal[] = [];
  #onQuery: (signal: AbortSignal) => void = () => {};

  async listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>> {
    this.seriesQueries.push(query);
    const found = new LabelListing(query.listing, query.bounds);
    for (const labels of this.labelSets) {
      if (query.selectors.length === 0 || query.selectors.some((selector) => matchesLabels(selector, labels))) found.addLabels(labels);
    }
    const listed = found.result(query.limit);
    const { entryCount, totalCount } = listed;
    return this.#answer({ bytes: printListing(query.listing, listed, query.form), entryCount, totalCount }, signal);
  }

  flameGraph(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.mergeQueries.push(query);
    return this.#answer(printFlameGraph(this.graph, query.form, UNINTERRUPTED), signal);
  }

  treeBytes(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.mergeQueries.push(query);
    return this.#answer(printTree(this.tree, query.form, UNINTERRUPTED), signal);
  }

  topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.topTableQueries.push(query);
    return this.#answer(printTopTable(this.table, query.form, UNINTERRUPTED), signal);
  }

  diff(left: MergeQuery, right: MergeQuery, { maxNodes, form }: DiffOptions, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.diffs.push({ left, right, maxNodes });
    const { graphDiff } = this;
    return this.#answer(form === "render" ? printRenderDiff(graphDiff, left.profileType, UNINTERRUPTED) : printDiff(graphDiff, form, UNINTERRUPTED), signal);
  }

  render(query: RenderQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.mergeQueries.push(query);
    this.renderQueries.push(query);
    const { graph, timeSeries } = this;
    return this.#answer(printRender({ graph, series: timeSeries, profileType: query.profileType, shape: query }, UNINTERRUPTED), signal);
  }

  pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.pprofQueries.push(query);
    return this.#answer(printPprof(this.pprofBytes, query.form, UNINTERRUPTED), signal);
  }

  dot(query: DotQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.mergeQueries.push(query);
    return this.#answer(printDot(this.drawing, query.form, UNINTERRUPTED), signal);
  }

  points(query: PointsQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.pointsQueries.push(query);
    return this.#answer(printSeries(this.timeSeries, query.form, UNINTERRUPTED), signal);
  }

  heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    this.heatmapQueries.push(query);
    return this.#answer(printHeatmap(this.heatmapSeries, query.form, UNINTERRUPTED), signal);
  }

  stats(_tenant: TenantId, _signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    return Promise.resolve(this.age);
  }

  analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>> {
    this.seriesQueries.push(query);
    return this.#answer(this.analysis, signal);
  }

  /** Resolves with the signal of the next query. */
  nextQuery(): Promise<AbortSignal> {
    return new Promise((resolve) => (this.#onQuery = resolve));
  }

  async #answer<T>(value: T, signal: AbortSignal): Promise<Answer<T>> {
    this.signals.push(signal);
    this.#onQuery(signal);
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    return { value, receipt: FAKE_RECEIPT, missing: this.missing, isSaturated: this.isSaturated };
  }
}
