export { adminRoutes } from "./admin/admin.ts";
export { keptText } from "./admin/cluster-pages.ts";
export type { ClusterAdmin, ClusterHealth, ClusterStatus, LostStoreStatus, MemberHealth, MemberStatus } from "./ports/cluster.ts";
export { threadPoolCompression } from "./ports/compression.ts";
export type { Compression } from "./ports/compression.ts";
export type { AdHocAnswer, AdHocDiffQuery, AdHocDrawing, AdHocEntry, AdHocProfiles, AdHocQuery, AdHocUpload } from "./ports/adhoc-profiles.ts";
export { adHocRoutes } from "./write/adhoc-profiles.ts";
export type { AdHocReply } from "./print/adhoc-reply.ts";
export { Discards } from "./write/discards.ts";
export type { DotForm, MessageForm, PprofForm } from "./print/graph-reply.ts";
export { parseAllowedHost } from "./listener/host-name.ts";
export { ingestHandler } from "./write/ingest.ts";
export { otlpHttpHandler, otlpRpcHandler } from "./write/otlp.ts";
export type { ListingForm } from "./print/listing-reply.ts";
export type { Page, Pages } from "./admin/pages.ts";
export type {
  Answer,
  ArrivedProfile,
  Caller,
  DebugProfileKind,
  DebugProfiler,
  DiffForm,
  DiffOptions,
  DotQuery,
  GraphQuery,
  HeatmapQuery,
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
} from "./ports/ports.ts";
export { OTHER_TENANTS, TenantLabels } from "./ports/tenant-labels.ts";
export { PushCounts } from "./write/push-counts.ts";
export { claimedSizeBytes, keep, pushHandler } from "./write/push.ts";
export { PushGate } from "./write/push-gate.ts";
export type { WriteLimits, WriteModules } from "./write/push.ts";
export { DEFAULT_QUERY_LIMITS } from "./read/query-limits.ts";
export type { QueryLimits } from "./read/query-limits.ts";
export { RateLimit } from "./write/rate-limit.ts";
export type { RateLimits } from "./write/rate-limit.ts";
export type { DroppedScrapeTarget, ScrapeAdmin, ScrapedTarget, ScrapedTargets } from "./ports/scraping.ts";
export { route } from "./ports/route.ts";
export { apiRoutes, dataRoutes, QUERY_BODY_BYTES_MAX_DEFAULT } from "./routes.ts";
export type { ApiRoutesModules } from "./routes.ts";
export { LastRefusals } from "./listener/last-refusals.ts";
export { HttpListener } from "./listener/http-listener.ts";
export type { ApiServerModules, ApiServerOptions, ServerLimits } from "./listener/server.ts";
export { parseCorsOrigin } from "./listener/site-gate.ts";
export type { TopTableForm } from "./print/top-table-reply.ts";
