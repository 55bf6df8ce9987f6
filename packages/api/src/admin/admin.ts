/** Routes about the node itself: probes, metrics, settings, and the operator's commands. */
import { invalidArgument } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { clusterRoutes } from "./cluster-routes.ts";
import { debugPprofRoutes } from "./debug-pprof.ts";
import type { ApiReply, Handler } from "../ports/http.ts";
import type { ConfigMode, DebugProfiler, NodeAdmin } from "../ports/ports.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";
import { scrapeRoutes } from "./scrape-routes.ts";

/** Without `profiler` there is no `/debug/pprof/`. */
export function adminRoutes(admin: NodeAdmin, { clock, profiler }: { readonly clock: Clock; readonly profiler?: DebugProfiler | undefined }): readonly Route[] {
  const metricsText = onceATurn(() => admin.metricsText(), clock);
  const config = (mode: ConfigMode): Handler => () => Promise.resolve(text(200, admin.configYaml(mode)));
  return [
    route("GET", "/ready", (request) => Promise.resolve(readyReply(admin, request.query.get("for"))), { isProbe: true }),
    route("GET", "/-/healthy", () => Promise.resolve(text(200, "ok\n")), { isProbe: true }),
    route("GET", "/metrics", async () => ({ status: 200, headers: { "content-type": METRICS_TYPE }, body: await metricsText() }), { isProbe: true }),
    route("GET", "/config", config("full")),
    route("GET", "/api/v1/status/config", config("full")),
    route("GET", "/api/v1/status/config/diff", config("diff")),
    route("GET", "/api/v1/status/config/default", config("default")),
    route("GET", "/api/v1/status/buildinfo", () => Promise.resolve(buildInfoReply(admin))),
    route("GET", "/runtime_config", (request) => {
      const mode = request.query.get("mode") === "diff" ? "diff" : "full"; // Pyroscope takes any other value for full
      return Promise.resolve(text(200, admin.runtimeConfigYaml?.(mode) ?? "overrides: {}\n"));
    }),
    route("GET", "/api/v1/tenant_limits", (request) => {
      const [tenant, another] = request.tenants;
      if (tenant === undefined || another !== undefined) throw invalidArgument("TENANT_NOT_ONE", "limits belong to one tenant: send one id in X-Scope-OrgID");
      return Promise.resolve(json(admin.tenantLimits(tenant)));
    }, { access: "read" }),
    route("POST", "/flush", async (request) => json(await admin.flush(request.signal)), { isOperator: true }),
    route("GET", "/admin/quarantine", () => Promise.resolve(json({ entries: admin.quarantine() })), { isOperator: true }),
    route("POST", "/admin/quarantine", async () => json({ acknowledged: await admin.acknowledgeQuarantine() }), { isOperator: true }),
    ...(admin.cluster === undefined ? [] : clusterRoutes(admin.cluster)),
    ...(admin.scraping === undefined ? [] : scrapeRoutes(admin.scraping)),
    ...(profiler === undefined ? [] : debugPprofRoutes(profiler)),
  ];
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Makes one text for all who ask in one turn of the event loop, after they have asked. It takes milliseconds, and probes have no limit: a few hundred clients
 * that ask each second would leave nothing for others.
 */
function onceATurn(make: () => Promise<string>, clock: Clock): () => Promise<string> {
  let next: Promise<string> | undefined;
  return () =>
    (next ??= clock.nextTurn().then(() => {
      next = undefined;
      return make();
    }));
}

/** `?for=queries` is for clients that only query: the node is ready for queries where it refuses writes. */
function readyReply(admin: NodeAdmin, what: string | null): ApiReply {
  const reason = what === "queries" ? admin.notReadyBecause("queries") : admin.notReadyBecause();
  return reason === undefined ? text(200, "ready\n") : text(503, `not ready: ${reason}\n`);
}

/** The keys that Prometheus' clients expect. They expect Go's version, and this program has one of Node.js. */
function buildInfoReply(admin: NodeAdmin): ApiReply {
  const { version, revision, buildDate, nodeVersion } = admin.buildInfo();
  return json({ status: "success", data: { version, revision, branch: "", buildUser: "", buildDate, goVersion: "", nodeVersion } });
}

function text(status: number, body: string): ApiReply {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

function json(value: unknown): ApiReply {
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}
