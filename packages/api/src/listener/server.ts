/**
 * The API that a listener serves. It finds the route, checks who asks, and bounds the memory and the time of a request.
 * request-context.ts handles one request up to the end of its reply; handlers know what it means. There are no sockets here: requests and
 * responses (ports/http-stream.ts) come from a TCP port by http-listener.ts, or from a network in memory in tests.
 *
 *   listener -> Host? -> route? -> Origin? -> full? -> tenant? -> handler -> gzip? -> reply
 *
 * What must stay true: at most `concurrentRequestsMax` handlers run at once (probes do not count); a client that goes away aborts its
 * handler's signal; requests that run when a stop begins may end.
 */
import { CodedError, MemoryBudget, unavailable } from "@pyromesh/base";
import type { Clock, Histogram, Logger, Metrics } from "@pyromesh/base";
import { threadPoolCompression } from "../ports/compression.ts";
import type { Compression } from "../ports/compression.ts";
import { Timeouts } from "../ports/timeouts.ts";
import { RequestContext } from "./request-context.ts";
import type { Connection, RequestHost } from "./request-context.ts";
import type { ApiReply } from "../ports/http.ts";
import type { IncomingRequest, OutgoingResponse } from "../ports/http-stream.ts";
import { refuseOperator } from "./operator-gate.ts";
import type { LastRefusals } from "./last-refusals.ts";
import { RefusalLog, refusalReason } from "./refusal-log.ts";
import type { PaceRule } from "./reader-pace.ts";
import { Replies } from "./replies.ts";
import { BodyMemory } from "../bodies/request-body.ts";
import type { RequestBody } from "../bodies/request-body.ts";
import { GrpcStreams } from "./grpc-streams.ts";
import type { StreamHandler } from "../ports/stream-call.ts";
import { protocolOf } from "../rpc/protocols.ts";
import { RouteTable } from "../ports/route.ts";
import type { Found, Route } from "../ports/route.ts";
import { SiteGate } from "./site-gate.ts";
import type { SiteOptions } from "./site-gate.ts";
import { readTenants } from "./tenancy.ts";

export interface ApiServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly isMultitenant: boolean;
  /** `anyone`: on the listener of `--admin-addr`, which only the operator can reach. */
  readonly operators: "loopback" | "anyone";
  /** What web pages may do. Absent: only the node's own pages may send requests. */
  readonly sites?: SiteOptions;
  readonly limits?: Partial<ServerLimits>;
}

export interface ServerLimits {
  /** Open connections. One more is closed at once. */
  readonly connectionCountMax: number;
  /** Handlers that run at once. One more request gets 503 with Retry-After; probes are answered. */
  readonly concurrentRequestsMax: number;
  /** Request line and headers together; the URL of a render holds its query. Beyond it 431. */
  readonly headerBytesMax: number;
  /**
   * Memory of all bodies as sent; small ones may hold a sixteenth more. At the bound a new body waits, then gets 503. A body that is
   * larger by itself gets 413.
   */
  readonly bodyBytesInFlightMax: number;
  /** Memory of all decompressed bodies, with the same rules. One body may take three quarters of it. */
  readonly unpackedBytesInFlightMax: number;
  /** How long a request waits for memory. Then it gets 503. */
  readonly memoryWaitTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** From a body's first byte to its last. Beyond it 408. */
  readonly bodyTimeoutMs: number;
  /** How long a handler may take. Beyond it 504. */
  readonly requestTimeoutMs: number;
  /** Memory of all replies that are being built or compressed, or are not read yet. Beyond it 503. */
  readonly replyBytesInFlightMax: number;
  /** How long a request waits for memory for its reply. Then it gets 503. */
  readonly replyWaitMs: number;
  /** Clients that read a reply more slowly are cut off (reader-pace.ts). */
  readonly replyPace: PaceRule;
  readonly keepAliveTimeoutMs: number;
  /** How long running requests may take after `stop`. Then their connections are closed. */
  readonly stopTimeoutMs: number;
  /** Smaller replies are not compressed: that would cost more than it saves. */
  readonly gzipBytesMin: number;
}

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  connectionCountMax: 10_000,
  concurrentRequestsMax: 1024,
  headerBytesMax: 64 * 1024,
  bodyBytesInFlightMax: 256 * 2 ** 20,
  unpackedBytesInFlightMax: 64 * 2 ** 20,
  memoryWaitTimeoutMs: 5_000,
  headersTimeoutMs: 20_000,
  bodyTimeoutMs: 60_000,
  requestTimeoutMs: 120_000,
  replyBytesInFlightMax: 128 * 2 ** 20,
  // Longer than a reader that has stopped reading may hold memory that others wait for.
  replyWaitMs: 15_000,
  replyPace: { bytesMin: 64 * 2 ** 10, slowWindowMs: 30_000, wantedWindowMs: 10_000, stopWindowMs: 2_000, timeoutMs: 120_000 },
  // Longer than clients and proxies keep a connection: 60 s (nginx, load balancers), 90 s (Go, Traefik), 120 s (Caddy). A node that closes first would cut off a request
  // that is on its way, and over HTTP/1.1 nobody may send a push again that could have been stored.
  keepAliveTimeoutMs: 130_000,
  stopTimeoutMs: 30_000,
  gzipBytesMin: 1024,
};

export interface ApiServerModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly routes: readonly Route[];
  /** Absent: Node's thread pool. */
  readonly compression?: Compression;
  /** Told of each refusal. */
  readonly lastRefusals?: LastRefusals;
}

interface ApiServerHooks {
  /** A reply has ended during a stop: its connection may be idle now, and gets no further request. */
  readonly onEndedInStop: () => void;
}

export class ApiServer {
  readonly limits: ServerLimits;
  readonly #options: ApiServerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #refusals: RefusalLog;
  readonly #lastRefusals: LastRefusals | undefined;
  readonly #routes: RouteTable;
  readonly #timeouts: Timeouts;
  readonly #bodyTimeouts: Timeouts<RequestBody>;
  readonly #replies: Replies;
  readonly #streams: GrpcStreams;
  readonly #durations: Histogram;
  readonly #siteGate: SiteGate;
  readonly #host: RequestHost;
  #runningCount = 0;
  /** When slow bodies were looked for. */
  #slowBodiesMs = -Infinity;
  #isStopping = false;

  /** `listenAddress`: the address that `options.host` resolved to. */
  constructor(options: ApiServerOptions, listenAddress: string, { compression = threadPoolCompression(), onEndedInStop, ...modules }: ApiServerModules & ApiServerHooks) {
    this.#options = options;
    this.limits = serverLimits(options);
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#refusals = new RefusalLog(modules);
    this.#lastRefusals = modules.lastRefusals;
    this.#routes = new RouteTable(modules.routes);
    this.#timeouts = new Timeouts({ lengthMs: this.limits.requestTimeoutMs }, modules);
    this.#bodyTimeouts = new Timeouts<RequestBody>({ lengthMs: this.limits.bodyTimeoutMs }, modules);
    this.#siteGate = new SiteGate(options.sites ?? { allowedHosts: [], corsOrigins: [] }, { listenHost: options.host, listenAddress });
    const { bodyBytesInFlightMax, gzipBytesMin, memoryWaitTimeoutMs: waitTimeoutMs, replyBytesInFlightMax, replyPace, replyWaitMs, unpackedBytesInFlightMax } = this.limits;
    this.#replies = new Replies({ bytesMax: replyBytesInFlightMax, waitMs: replyWaitMs, rule: replyPace }, { ...modules, compression });
    this.#streams = new GrpcStreams({ ...modules, compression });
    this.#durations = modules.metrics.histogram(
      "pyromesh_request_duration_seconds",
      "From a request's headers to the end of its reply.",
      ["method", "route", "status_code"],
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    );
    modules.metrics.gauge("pyromesh_requests_in_flight", "Requests whose handler is running.", [], (gauge) => gauge.set({}, this.#runningCount));
    this.#host = {
      clock: modules.clock,
      compression,
      bodyMemory: new BodyMemory({ bytesMax: bodyBytesInFlightMax, waitTimeoutMs }, modules),
      unpackBudget: new MemoryBudget({ bytesMax: unpackedBytesInFlightMax, waitTimeoutMs }, modules),
      timeouts: this.#timeouts,
      bodyTimeouts: this.#bodyTimeouts,
      replies: this.#replies,
      gzipBytesMin,
      isStopping: () => this.#isStopping,
      onHandled: () => void this.#runningCount--,
      onReplied: (context, reply) => {
        this.#account(context, reply);
        // A reply that began before the stop has no `Connection: close`.
        if (this.#isStopping) onEndedInStop();
      },
      onBroken: (error) => this.#logger.error("a reply could not be written", { error }),
    };
  }

  /** Handlers that run now. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Refuses new requests, except probes. Running ones go on; a client that reads its reply too slowly is cut off after `stopWindowMs`. */
  beginStop(): void {
    this.#isStopping = true;
    this.#replies.beginStop();
    this.#streams.beginStop();
  }

  /** Call it when all connections are closed. */
  endStop(): void {
    this.#timeouts.stop();
    this.#bodyTimeouts.stop();
    this.#refusals.stop();
    this.#replies.endStop();
  }

  // --- one request --------------------------------------------------------------------------------------------------

  /** Handles a request whose headers are complete. `refusal`: its reply, where its headers are beyond a bound. */
  serve(request: IncomingRequest, response: OutgoingResponse, connection: Connection, refusal?: CodedError): void {
    const context = new RequestContext(request, response, connection, this.#host);
    const found = this.#routes.find(context.method, context.path);
    if (found.kind !== "not-found") context.route = found.route.path;
    let preflight: ApiReply | undefined;
    try {
      if (found.kind !== "found" || found.route.isRpc) context.protocol = protocolOf(request);
      if (refusal !== undefined) throw refusal;
      preflight = this.#admitSite(context, found);
    } catch (thrown) {
      context.fail(thrown);
      return;
    }
    if (preflight !== undefined) {
      context.reply(preflight);
      return;
    }
    switch (found.kind) {
      case "not-found":
        context.reply({ status: 404, headers: { "content-type": "text/plain; charset=utf-8" }, body: "404 page not found\n" });
        break;
      case "wrong-method":
        context.reply({ status: 405, headers: { allow: found.allow }, body: "" });
        break;
      case "found":
        context.isWrite = found.route.access === "write";
        try {
          this.#admit(context, found.route);
          if (found.route.stream !== undefined && context.protocol?.hasTrailers === true && request.httpVersion === "2.0") return this.#runStream(context, found.route.stream);
        } catch (refusal) {
          context.fail(refusal);
          break;
        }
        this.#runningCount++;
        context.run(found.route.handler);
    }
  }

  #runStream(context: RequestContext, handler: StreamHandler): void {
    this.#streams.checkRoom();
    context.handOver((request, response) => this.#streams.run(request, response, handler));
  }

  /**
   * Checks `Host` and `Origin`, for every route and method. Throws where a page of another site asks; returns the reply to a preflight
   * request.
   */
  #admitSite(context: RequestContext, found: Found): ApiReply | undefined {
    const route = found.kind === "not-found" ? undefined : found.route;
    const { connection, hosts } = context;
    if (hosts.length !== 1 || hosts[0] !== connection.allowedHost) {
      const isProbe = found.kind === "found" && found.route.isProbe;
      this.#siteGate.checkHosts(context, isProbe);
      connection.allowedHost = isProbe ? undefined : hosts[0]; // a probe may have another Host than the other requests of its connection
    }
    context.extraHeaders = this.#siteGate.corsHeaders(context, route);
    this.#siteGate.checkOrigin(context, route);
    return this.#siteGate.preflight(context, route);
  }

  /** Throws where the request must not reach the handler. */
  #admit(context: RequestContext, route: Route): void {
    if (this.#isStopping && !route.isProbe) throw unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
    if (this.#runningCount >= this.limits.concurrentRequestsMax && !route.isProbe) {
      this.#endSlowBodies();
      throw unavailable("REQUESTS_TOO_MANY", "this node is at its limit of concurrent requests: try again in a second");
    }
    if (context.openCount > OPEN_COUNT_MAX) {
      throw unavailable("REQUESTS_TOO_MANY", `${OPEN_COUNT_MAX} requests wait on this connection: read their replies before you send more`);
    }
    if (route.isOperator && this.#options.operators === "loopback") {
      const refusal = refuseOperator(context.remoteAddress, context.headers);
      if (refusal !== undefined) throw refusal;
    }
    if (route.access !== "none") context.tenants = readTenants(context.headers["x-scope-orgid"], route.access, this.#options);
  }

  /**
   * A client that sends bodies of a byte a second would hold all places for a minute: 16 connections of HTTP/2 are enough. Their places are free for the next
   * requests. Bodies that hardly move go first: an agent on a thin line loses its push only where these held too few places.
   */
  #endSlowBodies(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#slowBodiesMs < SLOW_BODIES_EVERY_MS) return;
    this.#slowBodiesMs = nowMs;
    const enoughCount = this.limits.concurrentRequestsMax * FREED_PART;
    let freedCount = 0;
    for (const bytesPerSecondMin of SLOW_BYTES_PER_SECOND) {
      if (freedCount >= enoughCount) return;
      this.#bodyTimeouts.forEach((body, ageMs) => void (freedCount += Number(body.endWhereSlow(ageMs, bytesPerSecondMin))));
    }
  }

  #account(context: RequestContext, reply: ApiReply): void {
    const durationMs = this.#clock.monotonicMs() - context.startMs;
    const { route, path } = context;
    const method = knownMethod(context.method);
    this.#durations.observe({ method, route, status_code: String(reply.status) }, durationMs / 1000);
    const { error, status } = reply;
    const code = error instanceof CodedError ? error.code : undefined;
    const fields = { method, route, path: path.slice(0, 200), status, durationMs: Math.round(durationMs * 10) / 10, code };
    if (status === 500) this.#logger.error("request failed", { ...fields, error });
    else this.#logger.debug("request", fields);
    if (status >= 400 && status !== 500) this.#noteRefusal(context, reply);
  }

  #noteRefusal(context: RequestContext, { error, status }: ApiReply): void {
    // Neither is a refusal: the client of a 499 went away, and a probe's 503 is an answer ("not ready").
    if (status === 499 || (status === 503 && error === undefined)) return;
    const { route, isWrite } = context;
    const tenant = context.tenants.join("|").slice(0, TENANTS_LENGTH_MAX);
    const reason = refusalReason(error, status, isWrite);
    const refusal = { tenant, reason, isLoss: isWrite || status >= 500, status, route, message: error instanceof CodedError ? error.message : "" };
    this.#refusals.note(refusal);
    this.#lastRefusals?.note(refusal);
  }

  /** Logs and counts what was refused before there was a request. */
  noteUnrouted(reason: string, status: number | undefined, message: string): void {
    this.#refusals.note({ tenant: "", reason, isLoss: false, status, route: "unmatched", message });
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

export function serverLimits({ limits }: Pick<ApiServerOptions, "limits">): ServerLimits {
  return { ...DEFAULT_SERVER_LIMITS, ...limits };
}

/**
 * Requests of one connection without a complete reply, probes too. One read of 64 KiB may hold 1,800 requests, which would all run in one
 * turn of the event loop (ten such clients of /metrics held it for 14 s).
 */
export const OPEN_COUNT_MAX = 64;

/** The look passes over all running requests. */
const SLOW_BODIES_EVERY_MS = 1_000;
/** Hardly moving, and slow: a line of 64 kbit/s that loses a packet now and then brings 6 KiB/s. */
const SLOW_BYTES_PER_SECOND: readonly number[] = [2 ** 10, 8 * 2 ** 10];
/** So much of all places is enough for what comes until the next look. With any one instead, one body that stands still would protect all that are merely slow. */
const FREED_PART = 1 / 8;

/** The length of the tenants of a refused read in the log. */
const TENANTS_LENGTH_MAX = 200;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

/** The method as a metric label: bounded, while a client may write anything. */
function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "other";
}
