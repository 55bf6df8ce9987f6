/**
 * The API on a TCP port, by node:http. Here is only what concerns sockets (the opening comment of ports/http-stream.ts says what); what a
 * request means is for server.ts.
 *
 * What must stay true: `stop` lets what is in flight end, and then nothing listens any more.
 *
 * HTTP/1.1 only so far. When h2c comes, `connection` is where the two are told apart: HTTP/2 with prior knowledge opens with the
 * 24 bytes `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`, which no HTTP/1.1 request begins with.
 */
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { unavailable } from "@pyromesh/base";
import { newConnection } from "./request-context.ts";
import type { Connection } from "./request-context.ts";
import { ApiServer, serverLimits } from "./server.ts";
import type { ApiServerModules, ApiServerOptions, ServerLimits } from "./server.ts";

export class HttpListener {
  readonly #options: ApiServerOptions;
  readonly #modules: ApiServerModules;
  readonly #limits: ServerLimits;
  readonly #http: Server;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Open, and no request has come yet whose headers are whole. As many as there may be connections. */
  readonly #unasked = new Set<Socket>();
  /** Set once it listens. */
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
        // Our own body limit comes first and answers in JSON; this one is for clients whose body nobody reads.
        requestTimeout: this.#limits.headersTimeoutMs + this.#limits.bodyTimeoutMs + 5_000,
        keepAliveTimeout: this.#limits.keepAliveTimeoutMs,
        connectionsCheckingInterval: 5_000,
        highWaterMark: READ_BYTES,
      },
      (request, response) => this.#server.serve(request, response, this.#connectionOf(request.socket)),
    );
    this.#http.maxConnections = this.#limits.connectionCountMax;
    this.#http.on("connection", (socket: Socket) => {
      this.#unasked.add(socket);
      socket.once("close", () => this.#unasked.delete(socket));
    });
    this.#http.on("drop", () => this.#server.noteUnrouted("connections_too_many", undefined, "this node holds as many connections as it may: close some, or raise the limit on open files"));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuseUnread(error, socket as Socket));
  }

  /** Rejects LISTEN_FAILED. */
  static async open(options: ApiServerOptions, modules: ApiServerModules): Promise<HttpListener> {
    const listener = new HttpListener(options, modules);
    const address = await listener.#listen();
    try {
      // No connection has come yet: this is still the turn of the event loop in which it began to listen.
      listener.#server = new ApiServer(options, address, { ...modules, onEndedInStop: () => listener.#http.closeIdleConnections() });
    } catch (error) {
      listener.#http.close();
      throw error;
    }
    return listener;
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
      const { clock, logger } = this.#modules;
      this.#server.beginStop();
      const timer = clock.after(this.#limits.stopTimeoutMs, () => {
        logger.warn("requests were cut off by the end of the time to stop", { runningCount: this.#server.runningCount });
        this.#http.closeAllConnections();
      });
      this.#http.close(() => {
        timer.cancel();
        this.#server.endStop();
        resolve();
      });
      this.#http.closeIdleConnections();
      // Node.js does not call these idle.
      for (const socket of this.#unasked) socket.destroy();
    });
    return this.#stopped;
  }

  /** Resolves with the address that the host's name turned out to be. */
  #listen(): Promise<string> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#http.once("error", (cause) => reject(unavailable("LISTEN_FAILED", `cannot listen on ${host}:${port}: ${cause.message}; choose another with --http-addr`, cause)));
      this.#http.listen(port, host, () => {
        this.#http.removeAllListeners("error");
        // Accepting may fail later (out of file descriptors): sockets are lost then, the server is not.
        this.#http.on("error", (error) => this.#modules.logger.error("the listener failed to accept", { error }));
        resolve((this.#http.address() as AddressInfo).address); // listening on TCP, never on a pipe
      });
    });
  }

  #connectionOf(socket: Socket): Connection {
    let connection = this.#connections.get(socket);
    if (connection === undefined) {
      this.#unasked.delete(socket);
      this.#connections.set(socket, (connection = newConnection()));
    }
    return connection;
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
    this.#modules.logger.debug("unreadable request", { code: error.code });
    this.#server.noteUnrouted("unreadable_request", Number(status.slice(0, 3)), status.slice(4));
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
}

/**
 * What Node reads of a socket at once. With its own 16 KiB of high water a push, which is mostly larger, stops its socket and starts it
 * again. A request that nobody reads holds two reads at most, where it held one and a quarter.
 */
const READ_BYTES = 64 * 2 ** 10;
