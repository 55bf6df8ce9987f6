/**
 * The HTTP listener. It finds the route, says who is asking, bounds what a request may hold and how long it may take; request-context.ts has
 * one request up to the end of its reply, and what a request means is the handlers' business. Written on node:http alone.
 *
 *   socket -> parser (header bounds) -> Host? -> route? -> Origin? -> full? -> tenant? -> handler -> gzip? -> reply
 *
 * What must stay true: at most `concurrentRequestsMax` handlers at once (probes besides); a client that goes away aborts its
 * handler's signal; `stop` lets what is in flight end, and then nothing listens any more.
 *
 * HTTP/1.1 only so far. When h2c comes, `connection` is where the two are told apart: HTTP/2 with prior knowledge opens with the
 * 24 bytes `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, which no HTTP/1.1 request begins with.
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
  /** Open, and no request has come yet whose headers are whole. As many as there may be connections. */
  readonly #unasked = new Set<Socket>();
  /** Set once it listens. */
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
    modules.metrics.gauge("pyromesh_requests_in_flight", "Handlers at work now.", [], (gauge) => gauge.set({}, this.#runningCount));
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
        // A reply that was begun before the stop did not say that it is the connection's last.
        if (this.#stopped !== undefined) this.#http.closeIdleConnections();
      },
      onBroken: (error) => this.#logger.error("a reply could not be written", { error }),
    };
    this.#http = createServer(
      {
        maxHeaderSize: this.#limits.headerBytesMax,
        headersTimeout: this.#limits.headersTimeoutMs,
        // Our own body limit comes first and answers in JSON; this one is for clients whose body nobody reads.
        requestTimeout: this.#limits.headersTimeoutMs + this.#limits.bodyTimeoutMs + 5_000,
        keepAliveTimeout: this.#limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: 5_000,
        highWaterMark: READ_BYTES,
      },
      (request, response) => this.#serve(new RequestContext(request, response, this.#connectionOf(request.socket), host)),
    );
    this.#http.maxConnections = this.#limits.connectionCountMax;
    this.#http.on("connection", (socket: Socket) => {
      this.#unasked.add(socket);
      socket.once("close", () => this.#unasked.delete(socket));
    });
    this.#http.on("drop", () => this.#refuseUnrouted("connections_too_many", undefined, "this node holds as many connections as it may: close some, or raise the limit on open files"));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseUnread(error, socket as Socket));
  }

  /** Rejects LISTEN_FAILED. */
  static async open(options: ApiServerOptions, modules: ApiServerModules): Promise<ApiServer> {
    const server = new ApiServer(options, modules);
    await server.#listen();
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port; // listening on TCP, never on a pipe
  }

  /**
   * Takes nothing new, ends what is in flight, closes. Who does not read its reply well is cut off after `stopWindowMs`, everything
   * that is left after `stopTimeoutMs`. Safe to call again.
   */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#replies.beginStop();
      const timer = this.#clock.after(this.#limits.stopTimeoutMs, () => {
        this.#logger.warn("requests were cut off by the end of the time to stop", { runningCount: this.#runningCount });
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
      // Node.js does not call these idle.
      for (const socket of this.#unasked) socket.destroy();
    });
    return this.#stopped;
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#http.once("error", (cause) => reject(unavailable("LISTEN_FAILED", `cannot listen on ${host}:${port}: ${cause.message}; choose another with --http-addr`, cause)));
      this.#http.listen(port, host, () => {
        this.#http.removeAllListeners("error");
        // Accepting may fail later (out of file descriptors): sockets are lost then, the server is not.
        this.#http.on("error", (error) => this.#logger.error("the listener failed to accept", { error }));
        const { address } = this.#http.address() as AddressInfo; // listening on TCP, never on a pipe
        this.#siteGate = new SiteGate(this.#options.sites ?? { allowedHosts: [], corsOrigins: [] }, { listenHost: host, listenAddress: address });
        resolve();
      });
    });
  }

  // --- one request --------------------------------------------------------------------------------------------------

  #connectionOf(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      this.#unasked.delete(socket);
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
    if (this.#stopped !== undefined && !route.isProbe) throw unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
    if (this.#runningCount >= this.#limits.concurrentRequestsMax && !route.isProbe) {
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

  /** Before there was a request. */
  #refuseUnrouted(reason: string, status: number | undefined, message: string): void {
    this.#refusals.note({ tenant: "", reason, isLoss: false, status, route: "unmatched", message });
  }

  /**
   * What the parser did not take: no request, no route, no handler. Behind a push that is at work it gets no answer: the client would
   * take it for the push's, which may be kept.
   */
  #refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
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
 * What Node reads of a socket at once. With its own 16 KiB of high water a push, which is mostly larger, stops its socket and starts it
 * again. A request that nobody reads holds two reads at most, where it held one and a quarter.
 */
const READ_BYTES = 64 * 2 ** 10;

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
