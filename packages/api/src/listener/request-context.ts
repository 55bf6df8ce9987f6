/**
 * One request, from its headers to the last byte of its reply. Handlers see it as `ApiRequest` and as `Caller`. It accepts one reply, the
 * first: the handler's, the time limit's, or none where the client went away.
 *
 *   start -> [handler, client gone, time limit: whichever is first] -> reply -> written -> end
 *
 * What must stay true: `onReplied` and, where a handler ran, `onHandled` are called once each, whatever happens. The memory of the
 * request is held until its handler has ended, even where the request was answered before.
 *
 * Thousands of pushes a second pass here, and the cost of a request is its allocations and its awaits. So this is one object and awaits
 * only the handler. The AbortSignal that queries need is created at its first access; a push only checks `Caller`.
 */
import { setMaxListeners } from "node:events";
import { CodedError } from "@pyromesh/base";
import type { Clock, MemoryBudget, TenantId, Timer } from "@pyromesh/base";
import type { Compression } from "../ports/compression.ts";
import type { Timeouts, Waiting } from "../ports/timeouts.ts";
import { errorReply } from "../ports/error-status.ts";
import type { ApiReply, ApiRequest, BodyUse, Handler } from "../ports/http.ts";
import { hasBody } from "../ports/http-stream.ts";
import type { IncomingRequest, OutgoingResponse } from "../ports/http-stream.ts";
import type { Caller } from "../ports/ports.ts";
import type { Replies } from "./replies.ts";
import { ReplySender } from "./reply-sender.ts";
import { RequestBody } from "../bodies/request-body.ts";
import type { BodyModules } from "../bodies/request-body.ts";
import { RequestMemory } from "../ports/request-memory.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";
import type { RpcProtocol } from "../rpc/protocol.ts";
import { hostsOf } from "./site-gate.ts";
import type { SiteRequest } from "./site-gate.ts";

export interface RequestHost extends BodyModules {
  readonly clock: Clock;
  readonly compression: Compression;
  /** Memory for decompressed bodies. */
  readonly unpackBudget: MemoryBudget;
  /** The time limit of handlers. */
  readonly timeouts: Timeouts;
  readonly replies: Replies;
  /** Replies below this size are not compressed. */
  readonly gzipBytesMin: number;
  /** The connection is closed after the reply then. */
  readonly isStopping: () => boolean;
  readonly onHandled: () => void;
  /** Called when the last byte of the reply was written, or the client is gone. */
  readonly onReplied: (context: RequestContext, reply: ApiReply) => void;
  /** Called for a bug of ours, such as a header that cannot be written. */
  readonly onBroken: (error: unknown) => void;
}

/** What the requests of one connection share. */
export interface Connection {
  /** Requests without a complete reply. */
  openCount: number;
  /** The request that came last. Undefined once it has its reply. */
  latest: RequestContext | undefined;
  /** The `Host` of the last request that was let in. Most connections have only one, so it is checked once. */
  allowedHost: string | undefined;
}

export class RequestContext implements ApiRequest, Caller, SiteRequest, Waiting {
  readonly startMs: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  tenants: readonly TenantId[] = NO_TENANTS;
  /** The route's name in metrics. */
  route = "unmatched";
  isWrite = false;
  /** Of an RPC. Undefined: Connect, and whatever is no RPC. */
  protocol: RpcProtocol | undefined;
  /** Headers that the reply has in addition to the handler's: names and values in turn. */
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
  /** The time limit of handlers. */
  #timeout: Timer | undefined;
  /** The time limit that the client set. */
  #limit: Timer | undefined;
  #reply: ApiReply | undefined;
  /** Memory reserved for a reply that is not built yet. */
  #reservedBytes = 0;
  /** Memory that the reply holds. */
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
    // While it waits behind another reply of its connection, a response has no socket and emits no "close".
    if (response.socket === null) this.#watchSocket();
  }

  // --- for the handler ----------------------------------------------------------------------------------------------

  get headers(): Readonly<Record<string, string>> {
    return this.#request.headers as Readonly<Record<string, string>>; // node:http has lists for set-cookie only, which no client sends
  }

  body(sizeBytesMax: number, use?: BodyUse): Promise<Uint8Array> {
    this.#body ??= new RequestBody(this.#request, this.#host);
    return this.#body.read(sizeBytesMax, use);
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
    this.#limit = this.#host.clock.after(timeoutMs, () => this.#abort(reason));
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

  /** The hosts that the request was sent to. Throws HOST_REPEATED. */
  get hosts(): readonly string[] {
    return (this.#hosts ??= hostsOf(this.#request.rawHeaders, this.#request.url ?? ""));
  }

  /** Requests of its connection without a complete reply, this one among them. */
  get openCount(): number {
    return this.#connection.openCount;
  }

  /** The client would take whatever is written to the connection now for the reply to this request, or to one before it. */
  get isAwaited(): boolean {
    const { socket, headersSent } = this.#response;
    return socket === null || (this.#request.complete && !headersSent);
  }

  run(handler: Handler): void {
    this.#timeout = this.#host.timeouts.add(this);
    // No handler of these reads a body. It is thrown away as it comes: unread, each of its chunks or frames would be an object.
    if ((this.method === "GET" || this.method === "HEAD") && hasBody(this.#request)) this.#request.resume();
    let work: Promise<ApiReply>;
    try {
      work = handler(this.protocol === undefined ? this : this.protocol.request(this));
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

  /** The reply is a stream, which `send` writes. No time limit of the server applies to it. */
  handOver(send: (request: IncomingRequest, response: OutgoingResponse) => void): void {
    this.#reply = { status: 200, headers: {}, body: "" };
    send(this.#request, this.#response);
  }

  fail(thrown: unknown): void {
    if (this.#reply !== undefined) return;
    this.reply(errorReply(thrown));
  }

  /** Ignored where there is a reply already. */
  reply(reply: ApiReply): void {
    if (this.#reply !== undefined) return;
    this.#reply = reply;
    this.#timeout?.cancel();
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
    setMaxListeners(0, socket); // each waiting response of the connection adds one listener, and removes it
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

  #write(plain: ApiReply): void {
    const reply = this.protocol === undefined ? plain : this.protocol.reply(plain);
    const response = this.#response;
    // Ask the request's socket: a response has none while it waits behind another one.
    if (response.destroyed || this.#request.socket.destroyed) return this.#end();
    // Names and values in turn: node:http copies an object and walks over its keys.
    const headers: string[] = ["x-content-type-options", "nosniff", ...this.extraHeaders];
    for (const name in reply.headers) headers.push(name, reply.headers[name]!);
    const bytes = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
    if (bytes.length > SMALL_REPLY_BYTES_MAX && this.method !== "HEAD") return this.#writeLarge(reply, headers, bytes);
    if (bytes.length <= this.#host.gzipBytesMin || !this.#isToCompress(reply, headers)) return this.#send(reply, headers, bytes, false);
    this.#host.compression
      .gzip(bytes, { level: GZIP_LEVEL })
      .then((compressed) => {
        headers.push(encodingHeaderOf(reply), "gzip");
        this.#send(reply, headers, compressed, true);
      })
      .catch((error: unknown) => this.#break(error));
  }

  /** Adds what a cache must know. */
  #isToCompress({ envelope, headers: { "content-encoding": encoding, "content-type": contentType } }: ApiReply, headers: string[]): boolean {
    if (envelope !== undefined) return takesGzip(this.#request.headers["grpc-accept-encoding"]);
    if (encoding !== undefined || !isCompressibleType(contentType)) return false;
    headers.push("vary", "accept-encoding");
    return takesGzip(this.#request.headers["accept-encoding"]);
  }

  #send(reply: ApiReply, headers: string[], message: Uint8Array, isCompressed: boolean): void {
    const response = this.#response;
    const { envelope } = reply;
    if (this.#isEnded) return; // the client went away during compression
    const bytes = envelope === undefined ? message : Buffer.concat([envelope.before(message.length, isCompressed), message, envelope.after]);
    const isUnread = this.#writeHead(reply, headers, bytes.length);
    if (isUnread) {
      response.write(bytes);
      this.#linger();
    } else if (bytes.length === 0) {
      response.end(); // without a body node:http sends the headers in one plain write
    } else {
      response.end(bytes);
    }
    // In most cases the kernel has taken everything by now. Over HTTP/2 it gets it at the end of this turn of the event loop.
    if (response.writableLength === 0) return;
    if (this.#request.httpVersion !== "2.0") this.#watch(bytes.length);
    else void this.#host.clock.nextTurn().then(() => this.#watchRest(bytes.length));
  }

  #watchRest(sizeBytes: number): void {
    if (this.#response.writableLength > 0 && !this.#isEnded) this.#watch(sizeBytes);
  }

  /** The connection stays open after the reply. */
  get #isKept(): boolean {
    const { headers, httpVersion } = this.#request;
    return !this.#host.isStopping() && httpVersion !== "1.0" && !/close/i.test(headers.connection ?? "");
  }

  /** Returns true where the request has a body that was not read to its end, and is too large to be dropped, or the last of its connection. */
  #writeHead({ status, envelope }: Pick<ApiReply, "envelope" | "status">, headers: string[], sizeBytes: number): boolean {
    const request = this.#request;
    const isChunked = envelope?.trailers !== undefined && this.#announceTrailers(envelope.trailers, headers);
    if (status !== 304 && status !== 204 && !isChunked) headers.push("content-length", String(sizeBytes));
    // The rest of a large body is not worth its connection. A small one is: it is here already, or in the kernel, and node:http drops it before the next request.
    // A client that waits for its invitation may send none of it: nobody could tell its next request from the body.
    const isDropped = this.isWrite && this.#body === undefined && this.#isKept && request.headers.expect === undefined && Number(request.headers["content-length"]) <= DROPPED_BODY_BYTES_MAX;
    // Over HTTP/2 the end of the response ends the stream, and the connection goes on.
    const isUnread = !request.complete && hasBody(request) && !isDropped && request.httpVersion !== "2.0";
    if (this.#host.isStopping() || isUnread) headers.push("connection", "close");
    this.#response.writeHead(status, headers);
    return isUnread;
  }

  /** Returns true where the body has to be sent in chunks: over HTTP/1.1. */
  #announceTrailers(trailers: Readonly<Record<string, string>>, headers: string[]): boolean {
    const response = this.#response;
    if (response.setTrailers !== undefined) {
      response.setTrailers(trailers);
      return false;
    }
    headers.push("trailer", Object.keys(trailers).join(", "));
    response.addTrailers?.(trailers);
    return true;
  }

  /**
   * The kernel did not take all of a small reply: the client sends requests and does not read the replies. Where there is no memory for
   * the rest, the connection is closed.
   */
  #watch(sizeBytes: number): void {
    const heldBytes = Math.max(sizeBytes, UNREAD_REPLY_BYTES_MIN);
    if (!this.#host.replies.budget.tryTakeSent(heldBytes)) return void this.#request.socket.destroy();
    this.#heldBytes = heldBytes;
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
    this.#reply = { status: reply.status, headers: {}, body: "" }; // without the body, which would be held until its last byte was read
    this.#sendLarge(reply, headers, bytes).catch((error: unknown) => this.#break(error));
  }

  async #sendLarge(reply: ApiReply, headers: string[], plain: Uint8Array): Promise<void> {
    const { envelope } = reply;
    const bytes = this.#isToCompress(reply, headers) ? await this.#compressed(plain, encodingHeaderOf(reply), headers) : plain;
    if (this.#isEnded) return; // the client went away during compression
    const parts = envelope === undefined ? [bytes] : [envelope.before(bytes.length, bytes !== plain), bytes, envelope.after];
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0);
    const isUnread = this.#writeHead(reply, headers, sizeBytes);
    const sender = this.#addSender(sizeBytes);
    for (const part of parts) if (!(await sender.send(part))) return; // the client went away
    if (isUnread) this.#linger();
    else this.#response.end();
  }

  /** Returns `plain` where compression is not worth it. */
  async #compressed(plain: Uint8Array, encodingHeader: string, headers: string[]): Promise<Uint8Array> {
    this.#isCompressing = true;
    const compressed = await this.#host.replies.compress(plain, GZIP_LEVEL);
    this.#isCompressing = false;
    if (compressed !== undefined) {
      headers.push(encodingHeader, "gzip");
      this.#host.replies.budget.give(this.#heldBytes);
      this.#heldBytes = compressed.length; // `compress` took the memory for it
    }
    if (this.#isEnded) this.#release();
    return compressed ?? plain;
  }

  #unreserve(): void {
    this.#host.replies.budget.give(this.#reservedBytes);
    this.#reservedBytes = 0;
  }

  /** A body that is being compressed keeps its memory until compression ends, even where the client is gone. */
  #release(): void {
    if (this.#sender !== undefined) this.#host.replies.delete(this.#sender);
    if (this.#isCompressing) return;
    this.#host.replies.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  /**
   * While the client is still sending, it does not read. A close would make the kernel drop the reply with the unread bytes. So the rest
   * is read and thrown away for up to LINGER_MS; most clients stop sending when they see the reply.
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
    if (this.#connection.latest === this) this.#connection.latest = undefined; // frees the reply that the request holds
    this.#host.onReplied(this, this.#reply);
  }

  /** Ends this request after an unexpected error, and closes its connection. Other requests go on. */
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
/** Most pushes are smaller. A refusal that reads nothing costs less than to close the connection and to make another. */
const DROPPED_BODY_BYTES_MAX = 64 * 2 ** 10;

/** The kernel takes this much at once on every connection whose client reads. Such replies are neither counted nor sent in pieces. */
const SMALL_REPLY_BYTES_MAX = 64 * 2 ** 10;

/** What a request costs whose reply is not read, however short: over HTTP/2 9 KB were measured for a stream with a reply of 3 bytes. */
const UNREAD_REPLY_BYTES_MIN = 16 * 2 ** 10;

const NO_TENANTS: readonly TenantId[] = [];
const NO_HEADERS: readonly string[] = [];
const NO_QUERY = new URLSearchParams();

/** Of `/path?query`. A proxy may send the whole URL. */
function parseTarget(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const relative = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?#]*/i, "");
  const mark = relative.indexOf("?");
  return mark < 0 ? { path: relative || "/", query: NO_QUERY } : { path: relative.slice(0, mark) || "/", query: new URLSearchParams(relative.slice(mark + 1)) };
}

/** Level 6 leaves 18 % less than level 1 (7.0 and 8.5 KB of a 52 KB profile), at many times the CPU, which is scarcer here than bandwidth. */
const GZIP_LEVEL = 1;

/** A protocol with frames compresses the message, not the body. */
function encodingHeaderOf({ envelope }: ApiReply): string {
  return envelope === undefined ? "content-encoding" : "grpc-encoding";
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
