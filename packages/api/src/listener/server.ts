/**
 * The API as a listener serves it. It finds the route, says who is asking, bounds what a request may hold and how long it may take;
 * request-context.ts has one request up to the end of its reply, and what a request means is the handlers' business. It has no sockets:
 * requests and responses are handed to it (ports/http-stream.ts), by http-listener.ts from a port, by a network in memory from a test.
 *
 *   listener -> Host? -> route? -> Origin? -> full? -> tenant? -> handler -> gzip? -> reply
 *
 * What must stay true: at most `concurrentRequestsMax` handlers at once (probes besides); a client that goes away aborts its
 * handler's signal; what is in flight when a stop begins may end.
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
import { RefusalLog, refusalReason } from "./refusal-log.ts";
import type { PaceRule } from "./reader-pace.ts";
import { Replies } from "./replies.ts";
import { BodyMemory } from "../bodies/request-body.ts";
import { RouteTable } from "../ports/route.ts";
import type { Found, Route } from "../ports/route.ts";
import { SiteGate } from "./site-gate.ts";
import type { SiteOptions } from "./site-gate.ts";
import { readTenants } from "./tenancy.ts";

export interface ApiServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly isMultitenant: boolean;
  /** `anyone` on a listener of the operator's own (`--admin-addr`). */
  readonly operators: "loopback" | "anyone";
  /** What web pages may do; absent: those of the node itself only. */
  readonly sites?: SiteOptions;
  readonly limits?: Partial<ServerLimits>;
}

export interface ServerLimits {
  /** Sockets. Past it a new one is closed at once. */
  readonly connectionCountMax: number;
  /** Handlers at work. Past it 503 with Retry-After; probes are answered. */
  readonly concurrentRequestsMax: number;
  /** Request line and headers together (the URL of a render holds its query). Past it 431. */
  readonly headerBytesMax: number;
  /** Bodies held at once, as they were sent; small ones may hold a sixteenth more. Past it a new one waits, then 503; one that is larger by itself is 413. */
  readonly bodyBytesInFlightMax: number;
  /** What they open to, held at once. Likewise; of one body three quarters of it. */
  readonly unpackedBytesInFlightMax: number;
  /** How long a request waits for memory. Past it 503. */
  readonly memoryWaitTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** From a body's first byte to its last. Past it 408. */
  readonly bodyTimeoutMs: number;
  /** A handler's time; past it 504. */
  readonly requestTimeoutMs: number;
  /** Of replies that are built, compressed or not read yet, together. Past it 503. */
  readonly replyBytesInFlightMax: number;
  /** How long a request waits for room for its reply. Past it 503. */
  readonly replyWaitMs: number;
  /** Who reads replies more slowly is cut off (reader-pace.ts). */
  readonly replyPace: PaceRule;
  readonly keepAliveTimeoutMs: number;
  /** What is in flight when `stop` is called; past it sockets are cut. */
  readonly stopTimeoutMs: number;
  /** Smaller replies are not compressed: it would cost more than it saves. */
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
  // Longer than a reader that reads nothing is waited for where room is wanted.
  replyWaitMs: 15_000,
  replyPace: { bytesMin: 64 * 2 ** 10, slowWindowMs: 30_000, wantedWindowMs: 10_000, stopWindowMs: 2_000, timeoutMs: 120_000 },
  // Longer than the 60 s of most proxies, so that it is never us who closes as they send.
  keepAliveTimeoutMs: 75_000,
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
}

export interface ApiServerHooks {
  /** A reply has ended while the server stops: its connection may be idle now, and nothing else comes on it. */
  readonly onEndedInStop: () => void;
}

export class ApiServer {
  readonly limits: ServerLimits;
  readonly #options: ApiServerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #refusals: RefusalLog;
  readonly #routes: RouteTable;
  readonly #timeouts: Timeouts;
  readonly #bodyTimeouts: Timeouts;
  readonly #replies: Replies;
  readonly #durations: Histogram;
  readonly #siteGate: SiteGate;
  readonly #host: RequestHost;
  #runningCount = 0;
  #isStopping = false;

  /** `listenAddress`: what `options.host` turned out to be. */
  constructor(options: ApiServerOptions, listenAddress: string, { compression = threadPoolCompression, onEndedInStop, ...modules }: ApiServerModules & ApiServerHooks) {
    this.#options = options;
    this.limits = serverLimits(options);
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#refusals = new RefusalLog(modules);
    this.#routes = new RouteTable(modules.routes);
    this.#timeouts = new Timeouts({ lengthMs: this.limits.requestTimeoutMs }, modules);
    this.#bodyTimeouts = new Timeouts({ lengthMs: this.limits.bodyTimeoutMs }, modules);
    this.#siteGate = new SiteGate(options.sites ?? { allowedHosts: [], corsOrigins: [] }, { listenHost: options.host, listenAddress });
    const { bodyBytesInFlightMax, gzipBytesMin, memoryWaitTimeoutMs: waitTimeoutMs, replyBytesInFlightMax, replyPace, replyWaitMs, unpackedBytesInFlightMax } = this.limits;
    this.#replies = new Replies({ bytesMax: replyBytesInFlightMax, waitMs: replyWaitMs, rule: replyPace }, { ...modules, compression });
    this.#durations = modules.metrics.histogram(
      "pyromesh_request_duration_seconds",
      "From a request's headers to the end of its reply.",
      ["method", "route", "status_code"],
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    );
    modules.metrics.gauge("pyromesh_requests_in_flight", "Handlers at work now.", [], (gauge) => gauge.set({}, this.#runningCount));
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
        // A reply that was begun before the stop did not say that it is the connection's last.
        if (this.#isStopping) onEndedInStop();
      },
      onBroken: (error) => this.#logger.error("a reply could not be written", { error }),
    };
  }

  /** Handlers at work. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Takes nothing new but probes. What is in flight goes on; who does not read its reply well is cut off after `stopWindowMs`. */
  beginStop(): void {
    this.#isStopping = true;
    this.#replies.beginStop();
  }

  /** Call once every connection is gone. */
  endStop(): void {
    this.#timeouts.stop();
    this.#bodyTimeouts.stop();
    this.#refusals.stop();
    this.#replies.endStop();
  }

  // --- one request --------------------------------------------------------------------------------------------------

  /** A request whose headers are whole. */
  serve(request: IncomingRequest, response: OutgoingResponse, connection: Connection): void {
    const context = new RequestContext(request, response, connection, this.#host);
    const found = this.#routes.find(context.method, context.path);
    if (found.kind !== "not-found") context.route = found.route.path;
    let preflight: ApiReply | undefined;
    try {
      preflight = this.#admitSite(context, found);
    } catch (refusal) {
      context.fail(refusal);
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
        } catch (refusal) {
          context.fail(refusal);
          break;
        }
        this.#runningCount++;
        context.run(found.route.handler);
    }
  }

  /** Throws where a page of another site asks; what answers a browser that asks before its page does. For every route and method. */
  #admitSite(context: RequestContext, found: Found): ApiReply | undefined {
    const route = found.kind === "not-found" ? undefined : found.route;
    const { connection, hosts } = context;
    if (hosts.length !== 1 || hosts[0] !== connection.allowedHost) {
      const isProbe = found.kind === "found" && found.route.isProbe;
      this.#siteGate.checkHosts(context, isProbe);
      connection.allowedHost = isProbe ? undefined : hosts[0]; // a probe may have others than its neighbours
    }
    context.extraHeaders = this.#siteGate.corsHeaders(context, route);
    this.#siteGate.checkOrigin(context, route);
    return this.#siteGate.preflight(context, route);
  }

  /** Throws why the handler is not asked. */
  #admit(context: RequestContext, route: Route): void {
    if (this.#isStopping && !route.isProbe) throw unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
    if (this.#runningCount >= this.limits.concurrentRequestsMax && !route.isProbe) {
      throw unavailable("REQUESTS_TOO_MANY", "this node works on as many requests as it may: try again in a second");
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
    // A client that went away was refused nothing, and a probe that says "not ready" is an answer.
    if (status === 499 || (status === 503 && error === undefined)) return;
    const { route, isWrite } = context;
    const tenant = context.tenants.join("|").slice(0, TENANTS_LENGTH_MAX);
    const reason = refusalReason(error, status, isWrite);
    this.#refusals.note({ tenant, reason, isLoss: isWrite || status >= 500, status, route, message: error instanceof CodedError ? error.message : "" });
  }

  /** A refusal before there was a request: for the log and the counts. */
  noteUnrouted(reason: string, status: number | undefined, message: string): void {
    this.#refusals.note({ tenant: "", reason, isLoss: false, status, route: "unmatched", message });
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

export function serverLimits({ limits }: Pick<ApiServerOptions, "limits">): ServerLimits {
  return { ...DEFAULT_SERVER_LIMITS, ...limits };
}

/**
 * Requests of one connection that are not replied to, probes too. A read of 64 KiB holds 1,800 of them, all of which would be at work in one
 * turn of the loop: ten clients that asked for metrics so kept it for 14 s, and their replies took 550 MB (one core).
 */
const OPEN_COUNT_MAX = 64;

/** Of the tenants that a refused read named, in the log. */
const TENANTS_LENGTH_MAX = 200;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

/** A label's values must be bounded, and a method is whatever a client writes. */
function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "other";
}
