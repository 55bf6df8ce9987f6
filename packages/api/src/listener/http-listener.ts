/**
 * The API on a TCP port, with node:http, and with node:http2 for connections that begin with HTTP/2 (first-bytes.ts, http2-sessions.ts). Only
 * what concerns sockets is here (ports/http-stream.ts lists it); server.ts handles requests.
 *
 * What must stay true: `stop` lets running requests end, and nothing listens afterwards.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { unavailable } from "@pyromesh/base";
import { Timeouts } from "../ports/timeouts.ts";
import { FirstBytes } from "./first-bytes.ts";
import { Http2Sessions } from "./http2-sessions.ts";
import { newConnection } from "./request-context.ts";
import type { Connection } from "./request-context.ts";
import { ApiServer, OPEN_COUNT_MAX, serverLimits } from "./server.ts";
import type { ApiServerModules, ApiServerOptions, ServerLimits } from "./server.ts";

export class HttpListener {
  readonly #options: ApiServerOptions;
  readonly #modules: ApiServerModules;
  readonly #limits: ServerLimits;
  readonly #http: Server;
  readonly #http2: Http2Sessions;
  readonly #firstBytesTimeouts: Timeouts;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Open connections on which no request with complete headers has come yet. Bounded by `connectionCountMax`. */
  readonly #socketsWithoutRequest = new Set<Socket>();
  /** Set when the listener listens: it needs the address. */
  #server!: ApiServer;
  #stopped: Promise<void> | undefined;

  private constructor(options: ApiServerOptions, modules: ApiServerModules) {
    this.#options = options;
    this.#modules = modules;
    this.#limits = serverLimits(options);
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
      (request, response) => this.#server.serve(request, response, this.#connectionOf(request.socket)),
    );
    this.#http.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      const invite = (): void => {
        if (!response.headersSent) response.writeContinue();
      };
      this.#server.serve(Object.assign(request, { invite }), response, this.#connectionOf(request.socket));
    });
    this.#http.maxConnections = this.#limits.connectionCountMax;
    const { connectionCountMax, headerBytesMax, headersTimeoutMs, keepAliveTimeoutMs } = this.#limits;
    this.#http2 = new Http2Sessions(
      { sessionCountMax: Math.ceil(connectionCountMax * HTTP2_PART), streamCountMax: OPEN_COUNT_MAX, headerBytesMax, keepAliveTimeoutMs },
      { onRequest: (request, response, connection, refusal) => this.#server.serve(request, response, connection, refusal), onRefused: (reason, message) => this.#server.noteUnrouted(reason, undefined, message) },
      modules,
    );
    this.#firstBytesTimeouts = new Timeouts({ lengthMs: headersTimeoutMs }, modules);
    this.#lookAtConnections();
    this.#http.on("drop", () => this.#server.noteUnrouted("connections_too_many", undefined, "this node is at its limit of connections: close some, or raise the limit on open files"));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseUnparsed(error, socket as Socket));
  }

  /** Rejects LISTEN_FAILED. */
  static async open(options: ApiServerOptions, modules: ApiServerModules): Promise<HttpListener> {
    const listener = new HttpListener(options, modules);
    const address = await listener.#listen();
    try {
      // No connection can come before this line: it still runs in the turn of the event loop in which the listening began.
      listener.#server = new ApiServer(options, address, { ...modules, onEndedInStop: () => listener.#http.closeIdleConnections() });
    } catch (error) {
      listener.#http.close();
      throw error;
    }
    return listener;
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
      const { clock, logger } = this.#modules;
      this.#server.beginStop();
      const timer = clock.after(this.#limits.stopTimeoutMs, () => {
        logger.warn("requests were cut off: they did not end within the time for a stop", { runningCount: this.#server.runningCount });
        this.#http.closeAllConnections();
        this.#http2.destroyAll();
      });
      this.#http.close(() => {
        timer.cancel();
        this.#server.endStop();
        this.#http2.endStop();
        this.#firstBytesTimeouts.stop();
        resolve();
      });
      this.#http.closeIdleConnections();
      // node:http does not count these as idle.
      for (const socket of this.#socketsWithoutRequest) socket.destroy();
      this.#http2.beginStop();
    });
    return this.#stopped;
  }

  /** Resolves with the address that the host's name resolved to. */
  #listen(): Promise<string> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#http.once("error", (cause) => reject(unavailable("LISTEN_FAILED", `cannot listen on ${host}:${port}: ${cause.message}; choose another with --http-addr`, cause)));
      this.#http.listen(port, host, () => {
        this.#http.removeAllListeners("error");
        // Accepting may fail later, when file descriptors run out. Connections are lost then; the server goes on.
        this.#http.on("error", (error) => this.#modules.logger.error("the listener failed to accept", { error }));
        resolve((this.#http.address() as AddressInfo).address); // it listens on TCP, never on a pipe
      });
    });
  }

  /** Puts a look at the first bytes before the parser that node:http gives each connection. */
  #lookAtConnections(): void {
    const [parse] = this.#http.listeners("connection") as ((socket: Socket) => void)[];
    this.#http.removeAllListeners("connection");
    const hooks = {
      onHttp1: (socket: Socket): void => parse!.call(this.#http, socket),
      onHttp2: (socket: Socket): void => {
        this.#socketsWithoutRequest.delete(socket);
        this.#http2.accept(socket);
      },
      onLate: (socket: Socket): void => {
        this.#refuseUnparsed({ code: "ERR_HTTP_REQUEST_TIMEOUT" }, socket);
        socket.destroySoon(); // once the reply is sent. Nobody reads from it, so that nobody would notice when the client closes its side
      },
    };
    this.#http.on("connection", (socket: Socket) => {
      this.#socketsWithoutRequest.add(socket);
      socket.on("error", ignore); // it is closed then, which is all that anybody needs to know. Without a listener an error ends the process
      socket.once("close", () => this.#socketsWithoutRequest.delete(socket));
      new FirstBytes(socket, hooks, { timeouts: this.#firstBytesTimeouts });
    });
  }

  #connectionOf(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      this.#socketsWithoutRequest.delete(socket);
      this.#connections.set(socket, (connection = newConnection()));
    }
    return connection;
  }

  /**
   * Answers what the HTTP parser refused; there is no request, no route and no handler. Where another request of the connection waits for
   * its reply, the connection is closed without an answer: the client would take it for the reply to that request, which may be a push
   * that is kept.
   */
  #refuseUnparsed(error: Pick<NodeJS.ErrnoException, "code">, socket: Socket): void {
    if (!socket.writable || error.code === "ECONNRESET" || this.#connections.get(socket)?.latest?.isAwaited === true) {
      socket.destroy();
      return;
    }
    const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
    this.#modules.logger.debug("unreadable request", { code: error.code });
    this.#server.noteUnrouted("unreadable_request", Number(status.slice(0, 3)), status.slice(4));
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
}

function ignore(): void {}

/** Of all connections, those that may be HTTP/2: an idle one takes 27 KB, and one of HTTP/1.1 12 KB (measured with 2000 of each). */
const HTTP2_PART = 0.5;

/**
 * How much Node.js reads of a socket at once. With its default of 16 KiB most pushes, which are larger, stop their socket and start it
 * again. A request whose body nobody reads yet holds up to two reads.
 */
const READ_BYTES = 64 * 2 ** 10;
