/**
 * The HTTP listener, on node:http alone. It finds the route, checks who asks, and bounds the memory and the time of a request.
 * request-context.ts handles one request up to the end of its reply; handlers know what it means.
 *
 *   socket -> parser (header bounds) -> Host? -> route? -> Origin? -> full? -> tenant? -> handler -> gzip? -> reply
 *
 * What must stay true: at most `concurrentRequestsMax` handlers run at once (probes do not count); a client that goes away aborts its
 * handler's signal; `stop` lets running requests end, and nothing listens afterwards.
 *
 * Only HTTP/1.1 so far. HTTP/2 without TLS (h2c) would be told apart in `connection`: with prior knowledge it begins with the 24 bytes
 * `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, which no HTTP/1.1 request begins with.
 */
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { CodedError, MemoryBudget, unavailable } from "@pyromesh/base";
import type { Clock, Histogram, Logger, Metrics } from "@pyromesh/base";
import { Timeouts } from "../ports/timeouts.ts";
import { RequestContext } from "./request-context.ts";
import type { Connection, RequestHost } from "./request-context.ts";
import type { ApiReply } from "../ports/http.ts";
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
  // Longer than the 60 s of most proxies. A node that closes first would cut off a request that is on its way.
  keepAliveTimeoutMs: 75_000,
  stopTimeoutMs: 30_000,
  gzipBytesMin: 1024,
};

export interface ApiServerModules {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly routes: readonly Route[];
}

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #limits: ServerLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #refusals: RefusalLog;
  readonly #routes: RouteTable;
  readonly #timeouts: Timeouts;
  readonly #bodyTimeouts: Timeouts;
  readonly #replies: Replies;
  readonly #durations: Histogram;
  readonly #http: Server;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Open connections on which no request with complete headers has come yet. Bounded by `connectionCountMax`. */
  readonly #socketsWithoutRequest = new Set<Socket>();
  /** Set when the server listens: it depends on the address. */
  #siteGate!: SiteGate;
  #runningCount = 0;
  #stopped: Promise<void> | undefined;

  private constructor(options: ApiServerOptions, modules: ApiServerModules) {
    this.#options = options;
    this.#limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits };
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#refusals = new RefusalLog(modules);
    this.#routes = new RouteTable(modules.routes);
    this.#timeouts = new Timeouts({ lengthMs: this.#limits.requestTimeoutMs }, modules);
    this.#bodyTimeouts = new Timeouts({ lengthMs: this.#limits.bodyTimeoutMs }, modules);
    const { replyBytesInFlightMax, replyWaitMs, replyPace } = this.#limits;
    this.#replies = new Replies({ bytesMax: replyBytesInFlightMax, waitMs: replyWaitMs, rule: replyPace }, modules);
    this.#durations = modules.metrics.histogram(
      "pyromesh_request_duration_seconds",
      "From a request's headers to the end of its reply.",
      ["method", "route", "status_code"],
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    );
    modules.metrics.gauge("pyromesh_requests_in_flight", "Requests whose handler is running.", [], (gauge) => gauge.set({}, this.#runningCount));
    const waitTimeoutMs = this.#limits.memoryWaitTimeoutMs;
    const host: RequestHost = {
      clock: modules.clock,
      bodyMemory: new BodyMemory({ bytesMax: this.#limits.bodyBytesInFlightMax, waitTimeoutMs }, modules),
      unpackBudget: new MemoryBudget({ bytesMax: this.#limits.unpackedBytesInFlightMax, waitTimeoutMs }, modules),
      timeouts: this.#timeouts,
      bodyTimeouts: this.#bodyTimeouts,
      replies: this.#replies,
      gzipBytesMin: this.#limits.gzipBytesMin,
      isStopping: () => this.#stopped !== undefined,
      onHandled: () => void this.#runningCount--,
      onReplied: (context, reply) => {
        this.#account(context, reply);
        // A reply that began before the stop has no `Connection: close`.
        if (this.#stopped !== undefined) this.#http.closeIdleConnections();
      },
      onBroken: (error) => this.#logger.error("a reply could not be written", { error }),
    };
    this.#http = createServer(
      {
        maxHeaderSize: this.#limits.headerBytesMax,
        headersTimeout: this.#limits.headersTimeoutMs,
        // A backstop behind our own limit on bodies, which answers in JSON: for bodies that no handler reads.
        requestTimeout: this.#limits.headersTimeoutMs + this.#limits.bodyTimeoutMs + 5_000,
        keepAliveTimeout: this.#limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: 5_000,
        highWaterMark: READ_BYTES,
      },
      (request, response) => this.#serve(new RequestContext(request, response, this.#connectionOf(request.socket), host)),
    );
    this.#http.maxConnections = this.#limits.connectionCountMax;
    this.#http.on("connection", (socket: Socket) => {
      this.#socketsWithoutRequest.add(socket);
      socket.once("close", () => this.#socketsWithoutRequest.delete(socket));
    });
    this.#http.on("drop", () => this.#refuseUnrouted("connections_too_many", undefined, "this node is at its limit of connections: close some, or raise the limit on open files"));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseUnparsed(error, socket as Socket));
  }

  /** Rejects LISTEN_FAILED. */
  static async open(options: ApiServerOptions, modules: ApiServerModules): Promise<ApiServer> {
    const server = new ApiServer(options, modules);
    await server.#listen();
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port; // it listens on TCP, never on a pipe
  }

  /**
   * Refuses new requests, lets running ones end, then closes. A client that reads its reply slowly is cut off after `stopWindowMs`,
   * everything else after `stopTimeoutMs`. May be called again.
   */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#replies.beginStop();
      const timer = this.#clock.after(this.#limits.stopTimeoutMs, () => {
        this.#logger.warn("requests were cut off: they did not end within the time for a stop", { runningCount: this.#runningCount });
        this.#http.closeAllConnections();
      });
      this.#http.close(() => {
        timer.cancel();
        this.#timeouts.stop();
        this.#bodyTimeouts.stop();
        this.#refusals.stop();
        this.#replies.endStop();
        resolve();
      });
      this.#http.closeIdleConnections();
      // node:http does not count these as idle.
      for (const socket of this.#socketsWithoutRequest) socket.destroy();
    });
    return this.#stopped;
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#http.once("error", (cause) => reject(unavailable("LISTEN_FAILED", `cannot listen on ${host}:${port}: ${cause.message}; choose another with --http-addr`, cause)));
      this.#http.listen(port, host, () => {
        this.#http.removeAllListeners("error");
        // Accepting may fail later, when file descriptors run out. Connections are lost then; the server goes on.
        this.#http.on("error", (error) => this.#logger.error("the listener failed to accept", { error }));
        const { address } = this.#http.address() as AddressInfo; // it listens on TCP, never on a pipe
        this.#siteGate = new SiteGate(this.#options.sites ?? { allowedHosts: [], corsOrigins: [] }, { listenHost: host, listenAddress: address });
        resolve();
      });
    });
  }

  // --- one request --------------------------------------------------------------------------------------------------

  #connectionOf(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      this.#socketsWithoutRequest.delete(socket);
      this.#connections.set(socket, (connection = { openCount: 0, latest: undefined, allowedHost: undefined }));
    }
    return connection;
  }

  #serve(context: RequestContext): void {
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
    if (this.#stopped !== undefined && !route.isProbe) throw unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
    if (this.#runningCount >= this.#limits.concurrentRequestsMax && !route.isProbe) {
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
    this.#refusals.note({ tenant, reason, isLoss: isWrite || status >= 500, status, route, message: error instanceof CodedError ? error.message : "" });
  }

  /** For what is refused before there is a request. */
  #refuseUnrouted(reason: string, status: number | undefined, message: string): void {
    this.#refusals.note({ tenant: "", reason, isLoss: false, status, route: "unmatched", message });
  }

  /**
   * Answers what the HTTP parser refused; there is no request, no route and no handler. Where another request of the connection waits for
   * its reply, the connection is closed without an answer: the client would take it for the reply to that request, which may be a push
   * that is kept.
   */
  #refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
    if (!socket.writable || error.code === "ECONNRESET" || this.#connections.get(socket)?.latest?.isAwaited === true) {
      socket.destroy();
      return;
    }
    const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
    this.#logger.debug("unreadable request", { code: error.code });
    this.#refuseUnrouted("unreadable_request", Number(status.slice(0, 3)), status.slice(4));
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

/**
 * How much Node.js reads of a socket at once. With its default of 16 KiB most pushes, which are larger, stop their socket and start it
 * again. A request whose body nobody reads yet holds up to two reads.
 */
const READ_BYTES = 64 * 2 ** 10;

/**
 * Requests of one connection without a complete reply, probes too. One read of 64 KiB may hold 1,800 requests, which would all run in one
 * turn of the event loop (ten such clients of /metrics held it for 14 s).
 */
const OPEN_COUNT_MAX = 64;

/** The length of the tenants of a refused read in the log. */
const TENANTS_LENGTH_MAX = 200;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

/** The method as a metric label: bounded, while a client may write anything. */
function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "other";
}
