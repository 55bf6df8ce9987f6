/**
 * A network in memory: requests reach the API through the same routes, gates and limits as from a socket, without node:http.
 *
 * Nothing happens by itself. Each step (a piece of a body arrives, a piece of a reply is taken, a client goes away) is passed to
 * `deliver`, which runs it at any later time, once, or never where the node has crashed. So a simulator orders the steps by its seed. The
 * pieces of one reply, and those of one body, stay in their order.
 *
 * Each request has a connection of its own. What node:http does below is missing: parsing, keep-alive, pipelining, the bounds on headers
 * and on connections.
 */
import { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { unavailable } from "@pyromesh/base";
import { newConnection } from "../listener/request-context.ts";
import { ApiServer } from "../listener/server.ts";
import type { ApiServerModules, ApiServerOptions } from "../listener/server.ts";
import type { IncomingRequest, OutgoingResponse, RequestSocket } from "../ports/http-stream.ts";

export type Deliver = (step: () => void) => void;

export class MemoryNetwork {
  readonly #deliver: Deliver;
  readonly #listeners = new Map<number, MemoryListener>();

  constructor({ deliver }: { readonly deliver: Deliver }) {
    this.#deliver = deliver;
  }

  /** Rejects LISTEN_FAILED where the port is taken. Port 0: any free port. */
  async listen(options: ApiServerOptions, modules: ApiServerModules): Promise<MemoryListener> {
    let port = options.port;
    if (port === 0) for (port = FIRST_FREE_PORT; this.#listeners.has(port); port++);
    if (this.#listeners.has(port)) throw unavailable("LISTEN_FAILED", `cannot listen on ${options.host}:${port}: the port is taken`);
    const listener = new MemoryListener({ ...options, port }, modules, { deliver: this.#deliver, onStopped: () => void this.#listeners.delete(port) });
    this.#listeners.set(port, listener);
    return listener;
  }

  /** Where nobody listens the reply is undefined, as for a refused connection. */
  send(port: number, request: MemoryRequestInit): MemoryCall {
    const listener = this.#listeners.get(port);
    return listener === undefined ? { reply: new Promise((resolve) => this.#deliver(() => resolve(undefined))), goAway: () => {} } : listener.send(request);
  }

  /**
   * The node's process has ended: every client loses its connection, and nothing listens any more. What the node still does reaches
   * nobody.
   */
  crash(): void {
    for (const listener of this.#listeners.values()) listener.cut();
    this.#listeners.clear();
  }
}

export interface MemoryRequestInit {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Lower-case names. `host` and `content-length` are added. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The pieces in which the body arrives. Absent: no body. */
  readonly body?: readonly Uint8Array[];
  /** Absent: a client on this machine. */
  readonly remoteAddress?: string;
}

export interface MemoryReply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

export interface MemoryCall {
  /** Undefined where the connection closed before the reply was complete. */
  readonly reply: Promise<MemoryReply | undefined>;
  /** The client closes its connection. */
  goAway(): void;
}

export class MemoryListener {
  readonly port: number;
  readonly #server: ApiServer;
  readonly #modules: ApiServerModules;
  readonly #deliver: Deliver;
  readonly #onStopped: () => void;
  readonly #open = new Set<MemorySocket>();
  #stopped: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: ApiServerOptions, modules: ApiServerModules, { deliver, onStopped }: { readonly deliver: Deliver; readonly onStopped: () => void }) {
    this.port = options.port;
    this.#server = new ApiServer(options, "127.0.0.1", { ...modules, onEndedInStop: () => {} });
    this.#modules = modules;
    this.#deliver = deliver;
    this.#onStopped = onStopped;
  }

  send(init: MemoryRequestInit): MemoryCall {
    let resolve!: (reply: MemoryReply | undefined) => void; // the promise sets it at once
    const reply = new Promise<MemoryReply | undefined>((settle) => (resolve = settle));
    const socket = new MemorySocket(init.remoteAddress ?? "127.0.0.1", () => {
      this.#open.delete(socket);
      resolve(undefined); // no effect where the reply has come
      if (this.#open.size === 0) this.#onIdle?.();
    });
    this.#deliver(() => {
      if (this.#stopped !== undefined || socket.destroyed) return socket.destroy();
      this.#open.add(socket);
      const response = new MemoryResponse(socket, resolve, this.#deliver);
      this.#server.serve(new MemoryRequest(init, socket, this.#deliver), response, newConnection());
    });
    return { reply, goAway: () => this.#deliver(() => socket.destroy()) };
  }

  /** As HttpListener: refuses new requests, lets running ones end, and closes all connections after `stopTimeoutMs`. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#server.beginStop();
      const timer = this.#modules.clock.after(this.#server.limits.stopTimeoutMs, () => this.cut());
      this.#onIdle = () => {
        timer.cancel();
        this.#server.endStop();
        this.#onStopped();
        resolve();
      };
      if (this.#open.size === 0) this.#onIdle();
    });
    return this.#stopped;
  }

  /** Closes every connection. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

class MemorySocket extends EventEmitter implements RequestSocket {
  readonly remoteAddress: string;
  readonly localAddress = "127.0.0.1";
  destroyed = false;
  readonly #onDestroyed: () => void;

  constructor(remoteAddress: string, onDestroyed: () => void) {
    super();
    this.remoteAddress = remoteAddress;
    this.#onDestroyed = onDestroyed;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
    this.#onDestroyed();
  }
}

class MemoryRequest extends EventEmitter implements IncomingRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly socket: MemorySocket;
  complete: boolean;
  readonly #deliver: Deliver;
  readonly #pieces: Uint8Array[];
  #isFlowing = false;

  constructor({ body, headers, method, target }: MemoryRequestInit, socket: MemorySocket, deliver: Deliver) {
    super();
    this.method = method;
    this.url = target;
    const length = body?.reduce((sum, piece) => sum + piece.length, 0);
    this.headers = { host: "127.0.0.1", ...(length === undefined ? {} : { "content-length": String(length) }), ...headers };
    this.rawHeaders = Object.entries(this.headers).flatMap(([name, value]) => [name, String(value)]);
    this.socket = socket;
    this.#deliver = deliver;
    this.#pieces = [...(body ?? [])];
    this.complete = body === undefined;
  }

  override on(event: string, listener: (...args: never[]) => void): this {
    super.on(event, listener as () => void); // the event calls it with its own arguments
    if (event === "data") this.resume();
    return this;
  }

  resume(): void {
    if (this.#isFlowing || this.complete) return;
    this.#isFlowing = true;
    this.#deliverNext();
  }

  #deliverNext(): void {
    this.#deliver(() => {
      if (this.socket.destroyed) return;
      const piece = this.#pieces.shift();
      if (piece !== undefined) this.emit("data", Buffer.from(piece));
      if (this.#pieces.length > 0) return this.#deliverNext();
      this.complete = true;
      this.emit("end");
    });
  }
}

class MemoryResponse extends EventEmitter implements OutgoingResponse {
  readonly socket: MemorySocket;
  writableLength = 0;
  headersSent = false;
  readonly #resolve: (reply: MemoryReply) => void;
  readonly #line: StepLine;
  readonly #headers = new Map<string, string>();
  readonly #pieces: Uint8Array[] = [];
  #status = 0;
  #isClosed = false;

  constructor(socket: MemorySocket, resolve: (reply: MemoryReply) => void, deliver: Deliver) {
    super();
    this.socket = socket;
    this.#resolve = resolve;
    this.#line = new StepLine(deliver);
    socket.once("close", () => this.#close());
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  writeHead(status: number, headers: readonly string[]): void {
    this.#status = status;
    this.headersSent = true;
    for (let index = 0; index < headers.length; index += 2) this.#headers.set(headers[index]!.toLowerCase(), headers[index + 1]!);
  }

  write(bytes: Uint8Array, onTaken?: (error: Error | null | undefined) => void): void {
    this.writableLength += bytes.length;
    this.#line.add(() => {
      this.writableLength -= bytes.length;
      if (this.destroyed) return onTaken?.(new Error("the connection is closed"));
      this.#pieces.push(Uint8Array.from(bytes)); // the node may reuse its memory once the bytes are taken
      onTaken?.(undefined);
    });
  }

  end(bytes?: Uint8Array): void {
    if (bytes !== undefined) this.write(bytes);
    this.#line.add(() => {
      if (this.destroyed) return;
      this.#resolve({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#pieces) });
      this.#close();
      this.socket.destroy();
    });
  }

  destroy(): void {
    this.socket.destroy();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.emit("close");
  }
}

/** Steps that are delivered one after another. */
class StepLine {
  readonly #deliver: Deliver;
  readonly #steps: (() => void)[] = [];

  constructor(deliver: Deliver) {
    this.#deliver = deliver;
  }

  add(step: () => void): void {
    this.#steps.push(step);
    if (this.#steps.length === 1) this.#deliver(this.#run);
  }

  readonly #run = (): void => {
    this.#steps[0]!();
    this.#steps.shift();
    if (this.#steps.length > 0) this.#deliver(this.#run);
  };
}

/** Above the ports that systems reserve. */
const FIRST_FREE_PORT = 20_000;
