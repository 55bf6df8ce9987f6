export { adminRoutes } from "./admin.ts";
export { Discards } from "./discards.ts";
export type { ApiReply, ApiRequest, Handler } from "./http.ts";
export { printDiff, printDot, printFlameGraph, printPprof, printTree } from "./graph-reply.ts";
export type { DotForm, MessageForm, PprofForm } from "./graph-reply.ts";
export { parseAllowedHost } from "./host-name.ts";
export { ingestHandler } from "./ingest.ts";
export { printListing } from "./listing-reply.ts";
export type { ListingForm } from "./listing-reply.ts";
export type { Page, Pages } from "./pages.ts";
export type {
  Answer,
  ArrivedProfile,
  Caller,
  ConfigMode,
  DebugProfileKind,
  DebugProfiler,
  DiffForm,
  DiffOptions,
  DotQuery,
  GraphQuery,
  HeatmapQuery,
  IngestHints,
  ListingQuery,
  ListingReply,
  MergeQuery,
  NodeAdmin,
  PointsQuery,
  PprofQuery,
  ProfileSink,
  ProfileSource,
  PushOutcome,
  QuarantineEntry,
  QueryAnalysis,
  RenderQuery,
  Scope,
  SeriesQuery,
  TopTableQuery,
} from "./ports.ts";
export { PushCounts } from "./push-counts.ts";
export { pushHandler } from "./push.ts";
export type { WriteLimits, WriteModules, WriteOptions } from "./push.ts";
export { DEFAULT_QUERY_LIMITS } from "./query-limits.ts";
export type { QueryLimits } from "./query-limits.ts";
export { RateLimit } from "./rate-limit.ts";
export { printRender, printRenderDiff } from "./render-reply.ts";
export { route } from "./route.ts";
export type { Route } from "./route.ts";
export { apiRoutes, dataRoutes, QUERY_BODY_BYTES_MAX_DEFAULT } from "./routes.ts";
export { ApiServer, DEFAULT_SERVER_LIMITS } from "./server.ts";
export type { ApiServerModules, ApiServerOptions, ServerLimits } from "./server.ts";
export { parseCorsOrigin } from "./site-gate.ts";
export type { SiteOptions } from "./site-gate.ts";
export { printTopTable } from "./top-table-reply.ts";
export type { TopTableForm } from "./top-table-reply.ts";
export { printHeatmap, printSeries } from "./series-reply.ts";
