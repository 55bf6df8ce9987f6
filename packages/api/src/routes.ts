/** The table of all routes of the node: path, handler, who may use it, and its name in metrics (the path). Handlers are built elsewhere. */
import type { Clock, TenantId } from "@pyromesh/base";
import { FEATURE_FLAGS_PATH, featureFlagsHandler, VERSION_PATH, versionHandler } from "./admin/about.ts";
import { HEALTH_SERVICE, healthRoutes } from "./admin/health.ts";
import { adminRoutes } from "./admin/admin.ts";
import type { Handler } from "./ports/http.ts";
import { pageRoutes } from "./admin/pages.ts";
import type { Pages } from "./admin/pages.ts";
import type { DebugProfiler, NodeAdmin, ProfileSource } from "./ports/ports.ts";
import { reflectionRoutes } from "./admin/reflection.ts";
import { querierRoutes } from "./read/querier.ts";
import type { QueryLimits } from "./read/query-limits.ts";
import { labelValuesHandler, renderDiffHandler, renderHandler } from "./read/render.ts";
import { route } from "./ports/route.ts";
import type { Route } from "./ports/route.ts";
import { unaryRpc } from "./rpc/unary-rpc.ts";
import { EXPORT_PROFILES_PATH, OTLP_HTTP_PATHS } from "./write/otlp.ts";
import { topTableRoute } from "./read/top-table.ts";

interface ApiRoutesOptions {
  readonly limitsOf: (tenant: TenantId) => QueryLimits;
  /** The largest message of a query. It has selectors and ids, no data. */
  readonly queryBodyBytesMax: number;
}

export interface ApiRoutesModules {
  readonly source: ProfileSource;
  readonly admin: NodeAdmin;
  readonly clock: Clock;
  readonly push: Handler;
  readonly ingest: Handler;
  /** OTLP profiles over HTTP, and as an RPC. */
  readonly otlpHttp: Handler;
  readonly otlpRpc: Handler;
  /** AdHocProfileService. Absent: there is none. */
  readonly adHoc?: readonly Route[];
  /** Absent: there is no `/debug/pprof/`. */
  readonly profiler?: DebugProfiler;
  /** Absent: there is no web page. */
  readonly pages?: Pages;
}

export const QUERY_BODY_BYTES_MAX_DEFAULT: number = 2 ** 20;

export function apiRoutes(options: ApiRoutesOptions, modules: ApiRoutesModules): readonly Route[] {
  return [...dataRoutes(options, modules), ...adminRoutes(modules.admin, modules), ...(modules.pages === undefined ? [] : pageRoutes(modules.pages))];
}

/** The routes for pushes, queries and health checks only: for the main listener of a node whose admin routes are on `--admin-addr`. */
export function dataRoutes(options: ApiRoutesOptions, modules: Omit<ApiRoutesModules, "pages" | "profiler">): readonly Route[] {
  const read = { access: "read" } as const;
  const query = { access: "read", isQuery: true } as const;
  const write = { access: "write" } as const;
  const querierOptions = { limitsOf: options.limitsOf, bodyBytesMax: options.queryBodyBytesMax };
  const topTable = topTableRoute(querierOptions, modules);
  const routes = [
    ...unaryRpc("/push.v1.PusherService/Push", modules.push, write),
    route("POST", "/ingest", modules.ingest, write),
    route("POST", "/pyroscope/ingest", modules.ingest, write),
    ...OTLP_HTTP_PATHS.map((path) => route("POST", path, modules.otlpHttp, write)),
    ...unaryRpc(EXPORT_PROFILES_PATH, modules.otlpRpc, write),
    ...querierRoutes(querierOptions, modules).flatMap(({ path, handler }) => unaryRpc(path, handler, query)),
    ...unaryRpc(topTable.path, topTable.handler, query),
    ...unaryRpc(FEATURE_FLAGS_PATH, featureFlagsHandler(querierOptions), query),
    ...unaryRpc(VERSION_PATH, versionHandler(querierOptions), { isQuery: true }),
    ...(modules.adHoc ?? []),
    route("GET", "/pyroscope/render", renderHandler(options, modules), read),
    route("GET", "/pyroscope/render-diff", renderDiffHandler(options, modules), read),
    route("GET", "/pyroscope/label-values", labelValuesHandler(options, modules), read),
  ];
  const services = new Set([HEALTH_SERVICE, ...routes.filter(({ isRpc }) => isRpc).map(({ path }) => path.split("/")[1]!)]);
  return [...routes, ...healthRoutes({ ...querierOptions, services }, modules), ...reflectionRoutes()];
}
