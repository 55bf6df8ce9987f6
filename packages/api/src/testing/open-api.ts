/** The real server on a free port, with a fake source and a fake admin. */
import { Metrics, silentLogger } from "@pyromesh/base";
import type { Histogram } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { Handler } from "../ports/http.ts";
import type { Compression } from "../ports/compression.ts";
import type { Pages } from "../admin/pages.ts";
import type { ConfigMode, DebugProfiler, NodeAdmin, QuarantineEntry } from "../ports/ports.ts";
import { DEFAULT_QUERY_LIMITS } from "../read/query-limits.ts";
import type { QueryLimits } from "../read/query-limits.ts";
import type { Route } from "../ports/route.ts";
import { apiRoutes } from "../routes.ts";
import { HttpListener } from "../listener/http-listener.ts";
import type { ServerLimits } from "../listener/server.ts";
import type { SiteOptions } from "../listener/site-gate.ts";
import { EventCount } from "./event-count.ts";
import { FakeClusterAdmin } from "./fake-cluster-admin.ts";
import { FakeSource } from "./fake-source.ts";

/** Metrics that count the requests that have ended: replied to the last byte, or their client gone. */
class WatchedMetrics extends Metrics {
  readonly ended = new EventCount();

  override histogram(name: string, help: string, labelNames: readonly string[], buckets: readonly number[]): Histogram {
    const inner = super.histogram(name, help, labelNames, buckets);
    if (name !== "pyromesh_request_duration_seconds") return inner;
    return {
      observe: (labels, value) => {
        inner.observe(labels, value);
        this.ended.add();
      },
    };
  }
}

class FakeAdmin implements NodeAdmin {
  waitsFor: string | undefined = undefined;
  entries: readonly QuarantineEntry[] = [];
  flushCount = 0;
  metricsTextCount = 0;
  readonly cluster: FakeClusterAdmin = new FakeClusterAdmin();
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  notReadyBecause(): string | undefined {
    return this.waitsFor;
  }
  flush(): Promise<{ readonly segmentCount: number; readonly bytes: number }> {
    this.flushCount++;
    return Promise.resolve({ segmentCount: 2, bytes: 1234 });
  }
  quarantine(): readonly QuarantineEntry[] {
    return this.entries;
  }
  acknowledgeQuarantine(): Promise<number> {
    const count = this.entries.length;
    this.entries = [];
    return Promise.resolve(count);
  }
  metricsText(): Promise<string> {
    this.metricsTextCount++;
    return this.#metrics.text();
  }
  configYaml(mode: ConfigMode): string {
    return `http-addr: 127.0.0.1:4040 # ${mode}\n`;
  }
  runtimeConfigYaml(mode: "full" | "diff"): string {
    return `overrides: {} # ${mode}\n`;
  }
  buildInfo(): ReturnType<NodeAdmin["buildInfo"]> {
    return { version: "0.1.0", revision: "abc", buildDate: "2026-01-01", nodeVersion: "v20" };
  }
  tenantLimits(): Readonly<Record<string, number | boolean | string>> {
    return { ingestion_rate_mb: 4 };
  }
}

export interface OpenApi {
  readonly server: HttpListener;
  readonly source: FakeSource;
  readonly admin: FakeAdmin;
  readonly cluster: FakeClusterAdmin;
  readonly metrics: Metrics;
  readonly clock: ManualClock;
  /** Requests that have ended: replied to the last byte, or their client gone. */
  readonly ended: EventCount;
  readonly url: string;
  /** POSTs JSON to an RPC of the querier, or of another service: `version.v1.Version/Version`. */
  rpc(method: string, message: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

export interface OpenApiInit {
  readonly isMultitenant?: boolean;
  readonly operators?: "loopback" | "anyone";
  /** Absent: the host `x` is allowed, for requests written by hand. */
  readonly sites?: SiteOptions;
  readonly limits?: Partial<ServerLimits>;
  readonly queryLimits?: Partial<QueryLimits>;
  readonly pages?: Pages;
  readonly push?: Handler;
  readonly profiler?: DebugProfiler;
  readonly compression?: Compression;
  readonly more?: readonly Route[];
}

export async function openApi(init: OpenApiInit = {}): Promise<OpenApi> {
  const metrics = new WatchedMetrics();
  const source = new FakeSource();
  const admin = new FakeAdmin(metrics);
  const clock = new ManualClock();
  const store: Handler = init.push ?? (() => Promise.resolve({ status: 200, headers: {}, body: "" }));
  const queryLimits = { ...DEFAULT_QUERY_LIMITS, ...init.queryLimits };
  const routes = apiRoutes(
    { limitsOf: () => queryLimits, queryBodyBytesMax: 1024 * 1024 },
    { source, admin, clock, push: store, ingest: store, otlpHttp: store, otlpRpc: store, ...(init.pages === undefined ? {} : { pages: init.pages }), ...(init.profiler === undefined ? {} : { profiler: init.profiler }) },
  );
  const server = await HttpListener.open(
    {
      host: "127.0.0.1",
      port: 0,
      isMultitenant: init.isMultitenant ?? false,
      operators: init.operators ?? "loopback",
      sites: init.sites ?? { allowedHosts: ["x"], corsOrigins: [] },
      limits: { stopTimeoutMs: 2000, ...init.limits },
    },
    { clock, logger: silentLogger, metrics, routes: [...routes, ...(init.more ?? [])], ...(init.compression === undefined ? {} : { compression: init.compression }) },
  );
  const url = `http://127.0.0.1:${server.port}`;
  return {
    server,
    source,
    admin,
    cluster: admin.cluster,
    metrics,
    clock,
    ended: metrics.ended,
    url,
    rpc: (method, message, headers = {}) =>
      fetch(`${url}/${method.includes("/") ? method : `querier.v1.QuerierService/${method}`}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof message === "string" ? message : JSON.stringify(message),
      }),
    get: (path, headers = {}) => fetch(`${url}${path}`, { headers: { ...headers }, redirect: "manual" }),
  };
}
