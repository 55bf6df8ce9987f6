/** Answers queries once the node can: each query calls `source`, and is refused with what that throws while the node starts or stops. */
import type { TenantId } from "@pyromesh/base";
import type { Answer, HeatmapQuery, ListingQuery, ListingReply, MergeQuery, PointsQuery, PprofQuery, ProfileSource, QueryAnalysis, SeriesQuery, TopTableQuery } from "@pyromesh/api";
import type { FlameGraph, FlameGraphDiff, HeatmapSeries, TimeSeries } from "@pyromesh/profile";

export class GatedSource implements ProfileSource {
  readonly #source: () => ProfileSource;

  constructor(source: () => ProfileSource) {
    this.#source = source;
  }

  async listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>> {
    return this.#source().listing(query, signal);
  }

  async flameGraph(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<FlameGraph>> {
    return this.#source().flameGraph(query, signal);
  }

  async treeBytes(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().treeBytes(query, signal);
  }

  async diff(left: MergeQuery, right: MergeQuery, maxNodes: number, signal: AbortSignal): Promise<Answer<FlameGraphDiff>> {
    return this.#source().diff(left, right, maxNodes, signal);
  }

  async topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().topTable(query, signal);
  }

  async pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().pprof(query, signal);
  }

  async dot(query: MergeQuery & { readonly maxNodes: number }, signal: AbortSignal): Promise<Answer<string>> {
    return this.#source().dot(query, signal);
  }

  async points(query: PointsQuery, signal: AbortSignal): Promise<Answer<readonly TimeSeries[]>> {
    return this.#source().points(query, signal);
  }

  async heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<readonly HeatmapSeries[]>> {
    return this.#source().heatmap(query, signal);
  }

  async stats(tenant: TenantId, signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    return this.#source().stats(tenant, signal);
  }

  async analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>> {
    return this.#source().analyze(query, signal);
  }
}
