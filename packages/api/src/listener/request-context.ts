/**
 * One request, from its headers to the last byte of its reply. It is what the handler is asked with (`ApiRequest`), knows whether
 * anybody still waits (`Caller`), and takes the first reply it is given: the handler's, or that of its time limit.
 *
 *   start -> [handler, its client, its time limit: whoever is first] -> reply -> written -> end
 *
 * What must stay true: `onReplied` and, where a handler ran, `onHandled` are called once each, whatever happens; what the request
 * holds is held until its handler has ended, not until it is given up.
 *
 * A push comes by the thousand, and what a request costs here is what it allocates and how often it waits. So this is one object
 * and waits for nothing but the handler. The AbortSignal that queries wait with is made when it is first asked for: a push only looks.
 */
import { setMaxListeners } from "node:events";
import { CodedError } from "@pyromesh/base";
import type { Clock, MemoryBudget, TenantId, Timer } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { Timeouts, Waiting } from "../ports/timeouts.ts";
import { errorReply } from "../ports/error-status.ts";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import type { IncomingRequest, OutgoingResponse } from "../ports/http-stream.ts";
import type { Caller } from "../ports/ports.ts";
import type { Replies } from "./replies.ts";
import { ReplySender } from "./reply-sender.ts";
import { RequestBody } from "../bodies/request-body.ts";
import type { BodyModules } from "../bodies/request-body.ts";
import { RequestMemory } from "../ports/request-memory.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";
import { hostsOf } from "./site-gate.ts";
import type { Visit } from "./site-gate.ts";

export interface RequestHost extends BodyModules {
  readonly clock: Clock;
  readonly compression: Compression;
  /** For what bodies open to. */
  readonly unpackBudget: MemoryBudget;
  /** Of handlers. */
  readonly timeouts: Timeouts;
  readonly replies: Replies;
  /** Smaller replies are not compressed. */
  readonly gzipBytesMin: number;
  /** Then the connection is not for another request. */
  readonly isStopping: () => boolean;
  readonly onHandled: () => void;
  /** Its last byte was written, or nobody is there to read it. */
  readonly onReplied: (context: RequestContext, reply: ApiReply) => void;
  /** A bug of ours, like a header that cannot be written. */
  readonly onBroken: (error: unknown) => void;
}

/** What its requests know of each other. */
export interface Connection {
  /** Not replied to yet. */
  openCount: number;
  /** Undefined once it is replied to. */
  latest: RequestContext | undefined;
  /** The `Host` that its last request had and that was let in: one connection mostly has one. */
  allowedHost: string | undefined;
}

export class RequestContext implements ApiRequest, Caller, Visit, Waiting {
  readonly startMs: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  tenants: readonly TenantId[] = NO_TENANTS;
  /** As metrics name it. */
  route = "unmatched";
  isWrite = false;
  /** What its reply has besides its own. Names and values in turn. */
  extraHeaders: readonly string[] = NO_HEADERS;
  readonly #request: IncomingRequest;
  readonly #response: OutgoingResponse;
  readonly #connection: Connection;
  readonly #host: RequestHost;
  #hosts: readonly string[] | undefined;
  #body: RequestBody | undefined;
  #unpackMemory: RequestMemory | undefined;
  #controller: AbortController | undefined;
  #isAborted = false;
  #abortReason: unknown;
  /** Its caller's own time limit. */
  #limit: Timer | undefined;
  #reply: ApiReply | undefined;
  /** Room for a reply that is not built yet. */
  #reservedBytes = 0;
  /** Room that its reply has. */
  #heldBytes = 0;
  #isCompressing = false;
  #sender: ReplySender | undefined;
  #isEnded = false;

  constructor(request: IncomingRequest, response: OutgoingResponse, connection: Connection, host: RequestHost) {
    this.#request = request;
    this.#response = response;
    this.#connection = connection;
    this.#host = host;
    connection.openCount++;
    connection.latest = this;
    this.startMs = host.clock.monotonicMs();
    this.method = request.method ?? "";
    const { path, query } = parseTarget(request.url ?? "");
    this.path = path;
    this.query = query;
    response.on("close", this.#onClose);
    // Behind another one on its connection a response has no socket yet, and is told nothing of its end.
    if (response.socket === null) this.#watchSocket();
  }

  // --- for the handler ----------------------------------------------------------------------------------------------

  get headers(): Readonly<Record<string, string>> {
    return this.#request.headers as Readonly<Record<string, string>>; // only set-cookie, which no client sends, is a list
  }

  body(sizeBytesMax: number): Promise<Uint8Array> {
    this.#body ??= new RequestBody(this.#request, this.#host);
    return this.#body.read(sizeBytesMax);
  }

  get unpackMemory(): UnpackMemory {
    return (this.#unpackMemory ??= new RequestMemory(this.#host.unpackBudget));
  }

  get compression(): Compression {
    return this.#host.compression;
  }

  get caller(): Caller {
    return this;
  }

  endAfter(timeoutMs: number, reason: CodedError): void {
    // Timers hold 31 bits; a limit of three weeks is none.
    if (timeoutMs < 2 ** 31) this.#limit = this.#host.clock.after(timeoutMs, () => this.#abort(reason));
  }

  async reserveReply(bytes: number): Promise<void> {
    const { budget } = this.#host.replies;
    const reservedBytes = budget.reservationFor(bytes);
    await budget.reserve(reservedBytes, this.signal);
    this.#reservedBytes += reservedBytes;
  }

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#abortReason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isAborted) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  // --- for the server -----------------------------------------------------------------------------------------------

  get remoteAddress(): string | undefined {
    return this.#request.socket.remoteAddress;
  }

  get localAddress(): string | undefined {
    return this.#request.socket.localAddress;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** What it says that it was sent to. Throws HOST_REPEATED. */
  get hosts(): readonly string[] {
    return (this.#hosts ??= hostsOf(this.#request.rawHeaders, this.#request.url ?? ""));
  }

  /** On its connection, itself among them. */
  get openCount(): number {
    return this.#connection.openCount;
  }

  /** What is written to its connection now would be read as the answer to it, or to one before it. */
  get isAwaited(): boolean {
    const { socket, headersSent } = this.#response;
    return socket === null || (this.#request.complete && !headersSent);
  }

  run(handler: Handler): void {
    this.#host.timeouts.add(this);
    let work: Promise<ApiReply>;
    try {
      work = handler(this);
    } catch (thrown) {
      this.#onHandled();
      this.fail(thrown);
      return;
    }
    work.then(
      (reply) => {
        this.#onHandled();
        this.reply(reply);
        this.#unreserve();
      },
      (thrown: unknown) => {
        this.#onHandled();
        this.fail(thrown);
        this.#unreserve();
      },
    );
  }

  fail(thrown: unknown): void {
    if (this.#reply !== undefined) return;
    this.reply(errorReply(thrown));
  }

  /** The first one counts. */
  reply(reply: ApiReply): void {
    if (this.#reply !== undefined) return;
    this.#reply = reply;
    this.#host.timeouts.delete(this);
    this.#limit?.cancel();
    try {
      this.#write(reply);
    } catch (error) {
      this.#break(error);
    }
  }

  onTimeout(): void {
    this.#abort(tookTooLong(this.#host.timeouts.lengthMs));
  }

  readonly #onClose = (): void => {
    if (this.#reply === undefined) this.#abort(clientGone());
    else this.#end();
    this.#body?.onClosed();
    this.#unpackMemory?.onClosed();
  };

  #watchSocket(): void {
    const { socket } = this.#request;
    setMaxListeners(0, socket); // each that waits behind another has one, and takes it back
    socket.on("close", this.#onClose);
    this.#response.on("close", () => socket.off("close", this.#onClose));
  }

  #abort(reason: unknown): void {
    this.#isAborted = true;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    this.fail(reason);
  }

  #onHandled(): void {
    this.#body?.release();
    this.#unpackMemory?.release();
    this.#host.onHandled();
  }

  // --- the reply ----------------------------------------------------------------------------------------------------

  #write(reply: ApiReply): void {
    const response = this.#response;
    // The request's socket: a response has none while it waits for those before it on the connection.
    if (response.destroyed || this.#request.socket.destroyed) return this.#end();
    // Names and values in turn: an object costs a copy and a walk over its keys.
    const headers: string[] = ["x-content-type-options", "nosniff", ...this.extraHeaders];
    for (const name in reply.headers) headers.push(name, reply.headers[name]!);
    const bytes = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
    if (bytes.length > SMALL_REPLY_BYTES_MAX && this.method !== "HEAD") return this.#writeLarge(reply, headers, bytes);
    if (!isCompressible(reply, bytes.length, this.#host.gzipBytesMin)) return this.#send(reply.status, headers, bytes);
    headers.push("vary", "accept-encoding");
    if (!takesGzip(this.#request.headers["accept-encoding"])) return this.#send(reply.status, headers, bytes);
    headers.push("content-encoding", "gzip");
    this.#host.compression
      .gzip(bytes, { level: GZIP_LEVEL })
      .then((compressed) => this.#send(reply.status, headers, compressed))
      .catch((error: unknown) => this.#break(error));
  }

  #send(status: number, headers: string[], bytes: Uint8Array): void {
    const response = this.#response;
    if (this.#isEnded) return; // its client went away while it was compressed
    const isUnread = this.#writeHead(status, headers, bytes.length);
    if (isUnread) {
      response.write(bytes);
      this.#linger();
    } else if (bytes.length === 0) {
      response.end(); // nothing after the headers: one write to the socket, not a gathered one
    } else {
      response.end(bytes);
    }
    // Mostly the kernel has taken it all by now.
    if (response.writableLength > 0) this.#watch(bytes.length);
  }

  /** True: the request has a body that was not read. */
  #writeHead(status: number, headers: string[], sizeBytes: number): boolean {
    const request = this.#request;
    if (status !== 304 && status !== 204) headers.push("content-length", String(sizeBytes));
    // A body that was not read to its end is not worth reading for the sake of the connection.
    const isUnread = !request.complete && hasBody(request);
    if (this.#host.isStopping() || isUnread) headers.push("connection", "close");
    this.#response.writeHead(status, headers);
    return isUnread;
  }

  /** A small reply that the kernel did not take: its client asks and does not read. Where there is no room for that either, it is cut off. */
  #watch(sizeBytes: number): void {
    if (!this.#host.replies.budget.tryTakeSent(sizeBytes)) return void this.#request.socket.destroy();
    this.#heldBytes = sizeBytes;
    this.#addSender(sizeBytes);
  }

  #addSender(sizeBytes: number): ReplySender {
    const { replies, clock } = this.#host;
    this.#sender = new ReplySender({ response: this.#response, sizeBytes, rule: replies.rule }, { clock });
    replies.add(this.#sender, () => this.#request.socket.destroy());
    return this.#sender;
  }

  // --- a large reply ------------------------------------------------------------------------------------------------

  #writeLarge(reply: ApiReply, headers: string[], bytes: Uint8Array): void {
    const { replies } = this.#host;
    if (!replies.budget.trySwap(this.#reservedBytes, bytes.length)) {
      const refusal = replies.budget.refusal(bytes.length);
      this.#reply = errorReply(refusal);
      return this.#write(this.#reply);
    }
    this.#reservedBytes = 0;
    this.#heldBytes = bytes.length;
    this.#reply = { status: reply.status, headers: {}, body: "" }; // it would hold the bytes until the last of them was read
    this.#sendLarge(reply, headers, bytes).catch((error: unknown) => this.#break(error));
  }

  async #sendLarge({ status, headers: { "content-type": contentType, "content-encoding": encoding } }: ApiReply, headers: string[], plain: Uint8Array): Promise<void> {
    let bytes = plain;
    if (encoding === undefined && isCompressibleType(contentType)) {
      headers.push("vary", "accept-encoding");
      if (takesGzip(this.#request.headers["accept-encoding"])) bytes = await this.#compressed(plain, headers);
    }
    if (this.#isEnded) return; // its client went away while it was compressed
    const isUnread = this.#writeHead(status, headers, bytes.length);
    if (!(await this.#addSender(bytes.length).send(bytes))) return; // its client went away
    if (isUnread) this.#linger();
    else this.#response.end();
  }

  /** The same bytes where compressing them is not worth it. */
  async #compressed(plain: Uint8Array, headers: string[]): Promise<Uint8Array> {
    this.#isCompressing = true;
    const compressed = await this.#host.replies.compress(plain, GZIP_LEVEL);
    this.#isCompressing = false;
    if (compressed !== undefined) {
      headers.push("content-encoding", "gzip");
      this.#host.replies.budget.give(this.#heldBytes);
      this.#heldBytes = compressed.length; // it came with its own room
    }
    if (this.#isEnded) this.#release();
    return compressed ?? plain;
  }

  #unreserve(): void {
    this.#host.replies.budget.give(this.#reservedBytes);
    this.#reservedBytes = 0;
  }

  /** What is compressed is held until that is done, whether or not anybody waits for it. */
  #release(): void {
    if (this.#sender !== undefined) this.#host.replies.delete(this.#sender);
    if (this.#isCompressing) return;
    this.#host.replies.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  /**
   * A client that is still sending reads no reply, and closing on it makes the kernel throw the reply away. So what it sends
   * is read and dropped for a moment; most clients stop when they see the reply.
   */
  #linger(): void {
    const timer = this.#host.clock.after(LINGER_MS, () => this.#response.end());
    const done = (): void => {
      timer.cancel();
      this.#response.end();
    };
    this.#request.once("end", done).once("close", done).once("error", done).resume();
  }

  #end(): void {
    if (this.#isEnded || this.#reply === undefined) return;
    this.#isEnded = true;
    this.#release();
    this.#connection.openCount--;
    if (this.#connection.latest === this) this.#connection.latest = undefined; // it holds its reply
    this.#host.onReplied(this, this.#reply);
  }

  /** This request is lost, the node is not. */
  #break(error: unknown): void {
    this.#isEnded = true;
    this.#release();
    this.#host.onBroken(error);
    this.#response.destroy();
  }
}

// --- helpers ----------------------------------------------------------------------------------------------------------

export function newConnection(): Connection {
  return { openCount: 0, latest: undefined, allowedHost: undefined };
}

const LINGER_MS = 1000;

/** What the kernel takes at once, on any connection that is read: it is neither counted nor sent in pieces. */
const SMALL_REPLY_BYTES_MAX = 64 * 2 ** 10;

const NO_TENANTS: readonly TenantId[] = [];
const NO_HEADERS: readonly string[] = [];
const NO_QUERY = new URLSearchParams();

/** `/path?query`; a proxy may send the whole URL. */
function parseTarget(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const relative = url.startsWith("http://") || url.startsWith("https://") ? url.replace(/^https?:\/\/[^/?#]*/, "") : url;
  const mark = relative.indexOf("?");
  return mark < 0 ? { path: relative, query: NO_QUERY } : { path: relative.slice(0, mark), query: new URLSearchParams(relative.slice(mark + 1)) };
}

/** On a 52 KB profile level 1 left 8.5 KB and level 6 left 7.0 KB, at many times the CPU: the network is not what is short here. */
const GZIP_LEVEL = 1;

function isCompressible(reply: ApiReply, sizeBytes: number, bytesMin: number): boolean {
  return sizeBytes > bytesMin && reply.headers["content-encoding"] === undefined && isCompressibleType(reply.headers["content-type"]);
}

function isCompressibleType(contentType = ""): boolean {
  return /^(application\/(json|proto|javascript|yaml)|text\/|image\/svg)/.test(contentType);
}

function takesGzip(header: string | string[] | undefined): boolean {
  for (const part of String(header ?? "").split(",")) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    if (name === "gzip" || name === "*") return !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  }
  return false;
}

function hasBody(request: IncomingRequest): boolean {
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
