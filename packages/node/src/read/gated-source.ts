/** Answers queries once the node can: each query calls `source`, and is refused with what that throws while the node starts or stops. */
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

export class GatedSource implements ProfileSource {
  readonly #source: () => ProfileSource;

  constructor(source: () => ProfileSource) {
    this.#source = source;
  }

  async listing(query: ListingQuery, signal: AbortSignal): Promise<Answer<ListingReply>> {
    return this.#source().listing(query, signal);
  }

  async flameGraph(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().flameGraph(query, signal);
  }

  async treeBytes(query: GraphQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().treeBytes(query, signal);
  }

  async diff(left: MergeQuery, right: MergeQuery, options: DiffOptions, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().diff(left, right, options, signal);
  }

  async render(query: RenderQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().render(query, signal);
  }

  async topTable(query: TopTableQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().topTable(query, signal);
  }

  async pprof(query: PprofQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().pprof(query, signal);
  }

  async dot(query: DotQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().dot(query, signal);
  }

  async points(query: PointsQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().points(query, signal);
  }

  async heatmap(query: HeatmapQuery, signal: AbortSignal): Promise<Answer<Uint8Array>> {
    return this.#source().heatmap(query, signal);
  }

  async stats(tenant: TenantId, signal: AbortSignal): Promise<{ readonly oldestMs: number; readonly newestMs: number } | undefined> {
    return this.#source().stats(tenant, signal);
  }

  async analyze(query: SeriesQuery, signal: AbortSignal): Promise<Answer<QueryAnalysis>> {
    return this.#source().analyze(query, signal);
  }
}
