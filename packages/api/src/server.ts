/**
 * The HTTP listener. It finds the route, says who is asking, bounds what a request may hold and how long it may take, and writes
 * the reply; what a request means is the handlers' business. Written on node:http alone: measured with pushes of 20 KB, it adds some
 * 50 to 100 microseconds of CPU to what node:http itself takes.
 *
 *   socket -> parser (header bounds) -> full? -> route? -> tenant? -> handler -> gzip? -> reply
 *
 * What must stay true: at most `concurrentRequestsMax` handlers at once (probes besides); a client that goes away aborts its
 * handler's signal; `stop` lets what is in flight end, and then nothing listens any more.
 *
 * HTTP/1.1 only so far. When h2c comes, `connection` is where the two are told apart: HTTP/2 with prior knowledge opens with the
 * 24 bytes `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, which no HTTP/1.1 request begins with.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { CodedError, unavailable } from "@pyromesh/base";
import type { Clock, Histogram, Logger, Metrics, Timer } from "@pyromesh/base";
import { errorReply } from "./error-status.ts";
import type { ApiReply, ApiRequest } from "./http.ts";
import { refuseOperator } from "./operator-gate.ts";
import { RequestAbort } from "./request-abort.ts";
import { BodyGate, RequestBody } from "./request-body.ts";
import { RouteTable } from "./route.ts";
import type { Route } from "./route.ts";
import { readTenants } from "./tenancy.ts";

export interface ApiServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly isMultitenant: boolean;
  /** `anyone` on a listener of the operator's own (`--admin-addr`). */
  readonly operators: "loopback" | "anyone";
  readonly limits?: Partial<ServerLimits>;
}

export interface ServerLimits {
  /** Sockets. Past it a new one is closed at once. */
  readonly connectionCountMax: number;
  /** Handlers at work. Past it 503 with Retry-After; probes are answered. */
  readonly concurrentRequestsMax: number;
  /** Request line and headers together (the URL of a render holds its query). Past it 431. */
  readonly headerBytesMax: number;
  /** Bodies held at once. Past it 503. */
  readonly bodyBytesInFlightMax: number;
  readonly headersTimeoutMs: number;
  /** From a body's first byte to its last. Past it 408. */
  readonly bodyTimeoutMs: number;
  /** A handler's time. Past it 504. */
  readonly requestTimeoutMs: number;
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
  bodyBytesInFlightMax: 512 * 2 ** 20,
  headersTimeoutMs: 20_000,
  bodyTimeoutMs: 60_000,
  requestTimeoutMs: 120_000,
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
  readonly #routes: RouteTable;
  readonly #gate: BodyGate;
  readonly #durations: Histogram;
  readonly #http: Server;
  #runningCount = 0;
  #stopped: Promise<void> | undefined;

  private constructor(options: ApiServerOptions, modules: ApiServerModules) {
    this.#options = options;
    this.#limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits };
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#routes = new RouteTable(modules.routes);
    this.#gate = new BodyGate(this.#limits.bodyBytesInFlightMax);
    this.#durations = modules.metrics.histogram(
      "pyromesh_request_duration_seconds",
      "From a request's headers to the end of its reply.",
      ["method", "route", "status_code"],
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    );
    modules.metrics.gauge("pyromesh_requests_in_flight", "Handlers at work now.", [], (gauge) => gauge.set({}, this.#runningCount));
    this.#http = createServer(
      {
        maxHeaderSize: this.#limits.headerBytesMax,
        headersTimeout: this.#limits.headersTimeoutMs,
        // Our own body limit comes first and answers in JSON; this one is for clients whose body nobody reads.
        requestTimeout: this.#limits.headersTimeoutMs + this.#limits.bodyTimeoutMs + 5_000,
        keepAliveTimeout: this.#limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: 5_000,
      },
      (request, response) => {
        this.#serve(request, response).catch((error: unknown) => {
          // Only a bug of ours comes here (a header that cannot be written): this request is lost, the node is not.
          this.#logger.error("a reply could not be written", { error });
          response.destroy();
        });
      },
    );
    this.#http.maxConnections = this.#limits.connectionCountMax;
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

  /** Takes nothing new, ends what is in flight, closes. Safe to call again. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      const timer = this.#clock.after(this.#limits.stopTimeoutMs, () => {
        this.#logger.warn("requests were cut off by the end of the time to stop", { runningCount: this.#runningCount });
        this.#http.closeAllConnections();
      });
      this.#http.close(() => {
        timer.cancel();
        resolve();
      });
      this.#http.closeIdleConnections();
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
        resolve();
      });
    });
  }

  // --- one request --------------------------------------------------------------------------------------------------

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    const method = request.method ?? "";
    const target = parseTarget(request.url ?? "");
    const found = this.#routes.find(method, target.path);
    const body = new RequestBody({ timeoutMs: this.#limits.bodyTimeoutMs }, { request, gate: this.#gate, clock: this.#clock });
    let reply: ApiReply;
    let thrown: unknown;
    try {
      switch (found.kind) {
        case "not-found":
          reply = { status: 404, headers: { "content-type": "text/plain; charset=utf-8" }, body: "404 page not found\n" };
          break;
        case "wrong-method":
          reply = { status: 405, headers: { allow: found.allow }, body: "" };
          break;
        case "found":
          reply = await this.#run(found.route, request, response, target, body);
      }
    } catch (error) {
      thrown = error;
      reply = errorReply(error);
    }
    await this.#write(request, response, reply);
    const route = found.kind === "found" ? found.route.path : found.kind === "wrong-method" ? found.path : "unmatched";
    this.#account(knownMethod(method), route, reply, thrown, this.#clock.monotonicMs() - startMs, target.path);
  }

  async #run(route: Route, request: IncomingMessage, response: ServerResponse, target: Target, body: RequestBody): Promise<ApiReply> {
    if (this.#stopped !== undefined && !route.isProbe) throw unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
    if (this.#runningCount >= this.#limits.concurrentRequestsMax && !route.isProbe) {
      throw unavailable("REQUESTS_TOO_MANY", "this node works on as many requests as it may: try again in a second");
    }
    const headers = request.headers as Readonly<Record<string, string>>; // only set-cookie, which no client sends, is a list
    if (route.isOperator && this.#options.operators === "loopback") {
      const refusal = refuseOperator(request.socket.remoteAddress, headers);
      if (refusal !== undefined) throw refusal;
    }
    const tenants = route.access === "none" ? [] : readTenants(headers["x-scope-orgid"], route.access, this.#options);

    const abort = new RequestAbort();
    const onClose = (): void => {
      if (!response.writableFinished) abort.abort(clientGone());
    };
    response.on("close", onClose);
    const timers: Timer[] = [];
    const endAfter = (timeoutMs: number, reason: CodedError): void => {
      // Timers hold 31 bits; a limit of three weeks is none.
      if (timeoutMs < 2 ** 31) timers.push(this.#clock.after(timeoutMs, () => abort.abort(reason)));
    };
    endAfter(this.#limits.requestTimeoutMs, tookTooLong(this.#limits.requestTimeoutMs));
    const apiRequest: ApiRequest = {
      method: request.method ?? "",
      path: target.path,
      query: target.query,
      headers,
      tenants,
      body: (sizeBytesMax) => body.read(sizeBytesMax),
      caller: abort,
      endAfter,
      get signal(): AbortSignal {
        return abort.signal;
      },
    };
    this.#runningCount++;
    const work = startHandler(route, apiRequest);
    // Counted until it ends, not until it is given up: what it holds is held until then.
    const ended = (): void => {
      this.#runningCount--;
      body.release();
    };
    work.then(ended, ended);
    try {
      return await abort.bound(work);
    } finally {
      for (const timer of timers) timer.cancel();
      response.off("close", onClose);
    }
  }

  // --- the reply ----------------------------------------------------------------------------------------------------

  async #write(request: IncomingMessage, response: ServerResponse, reply: ApiReply): Promise<void> {
    // The request's socket: a response has none while it waits for those before it on the connection.
    if (response.destroyed || request.socket.destroyed) return;
    // Names and values in turn: an object costs a copy and a walk over its keys.
    const headers: string[] = ["x-content-type-options", "nosniff"];
    for (const name in reply.headers) headers.push(name, reply.headers[name]!);
    let bytes = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
    if (isCompressible(reply, bytes.length, this.#limits.gzipBytesMin)) {
      headers.push("vary", "accept-encoding");
      if (takesGzip(request.headers["accept-encoding"])) {
        bytes = await gzipAsync(bytes, { level: GZIP_LEVEL });
        headers.push("content-encoding", "gzip");
      }
    }
    if (reply.status !== 304) headers.push("content-length", String(bytes.length));
    // A body that was not read to its end is not worth reading for the sake of the connection.
    const isUnread = !request.complete && hasBody(request);
    if (this.#stopped !== undefined || isUnread) headers.push("connection", "close");
    if (response.destroyed) return;
    response.writeHead(reply.status, headers);
    if (isUnread) {
      response.write(bytes);
      await this.#linger(request);
      response.end();
    } else {
      await new Promise<void>((resolve) => {
        response.once("close", resolve); // after its last byte, too
        // Nothing after the headers: one write to the socket, not a gathered one.
        if (bytes.length === 0) response.end();
        else response.end(bytes);
      });
    }
  }

  /**
   * A client that is still sending reads no reply, and closing on it makes the kernel throw the reply away. So what it sends
   * is read and dropped for a moment; most clients stop when they see the reply.
   */
  #linger(request: IncomingMessage): Promise<void> {
    request.resume();
    return new Promise((resolve) => {
      const timer = this.#clock.after(LINGER_MS, resolve);
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      request.once("end", done).once("close", done).once("error", done);
    });
  }

  #account(method: string, route: string, reply: ApiReply, thrown: unknown, durationMs: number, path: string): void {
    this.#durations.observe({ method, route, status_code: String(reply.status) }, durationMs / 1000);
    const code = thrown instanceof CodedError ? thrown.code : undefined;
    const fields = { method, route, path: path.slice(0, 200), status: reply.status, durationMs: Math.round(durationMs * 10) / 10, code };
    if (reply.status < 500) this.#logger.debug("request", fields);
    else if (reply.status === 500) this.#logger.error("request failed", { ...fields, error: thrown });
    else this.#logger.warn("request refused", { ...fields, reason: thrown instanceof Error ? thrown.message : undefined });
  }

  /** What the parser did not take: no request, no route, no handler. */
  #refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
    this.#logger.debug("unreadable request", { code: error.code });
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
}

const NO_QUERY = new URLSearchParams();

/** `/path?query`; a proxy may send the whole URL. */
function parseTarget(url: string): Target {
  const relative = url.startsWith("http://") || url.startsWith("https://") ? url.replace(/^https?:\/\/[^/?#]*/, "") : url;
  const mark = relative.indexOf("?");
  return mark < 0 ? { path: relative, query: NO_QUERY } : { path: relative.slice(0, mark), query: new URLSearchParams(relative.slice(mark + 1)) };
}

/** So that what a handler throws before its first wait is a rejection like any other. */
async function startHandler(route: Route, request: ApiRequest): Promise<ApiReply> {
  return route.handler(request);
}

const LINGER_MS = 1000;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]);

/** A label's values must be bounded, and a method is whatever a client writes. */
function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "other";
}

const gzipAsync = promisify(gzip);

/** On a 52 KB profile level 1 left 8.5 KB and level 6 left 7.0 KB, at many times the CPU: the network is not what is short here. */
const GZIP_LEVEL = 1;

function isCompressible(reply: ApiReply, sizeBytes: number, bytesMin: number): boolean {
  if (sizeBytes <= bytesMin || reply.headers["content-encoding"] !== undefined) return false;
  return /^(application\/(json|proto|javascript|yaml)|text\/|image\/svg)/.test(reply.headers["content-type"] ?? "");
}

function takesGzip(header: string | string[] | undefined): boolean {
  for (const part of String(header ?? "").split(",")) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    if (name === "gzip" || name === "*") return !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  }
  return false;
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
}

function clientGone(): CodedError {
  return new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "the client went away before the answer" });
}

function tookTooLong(requestTimeoutMs: number): CodedError {
  return new CodedError({
    code: "DEADLINE_EXCEEDED",
    kind: "deadline_exceeded",
    message: `the request took longer than this node's limit of ${Math.round(requestTimeoutMs / 1000)}s: ask for a shorter range, or fewer nodes`,
  });
}
