/**
 * A request of HTTP/2 and its response, in the form of HTTP/1.1's (ports/http-stream.ts). Each is one stream of a connection.
 *
 * What must stay true: a body whose stream was reset never ends; its reader would take it for complete. A stream whose reply is complete is
 * closed, whether its request is or not.
 */
import { EventEmitter } from "node:events";
import { constants } from "node:http2";
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "@pyromesh/base";
import type { IncomingRequest, OutgoingResponse, RequestSocket } from "../ports/http-stream.ts";

export interface Http2RequestInit {
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came, with the pseudo headers. */
  readonly fields: readonly string[];
  readonly socket: Socket;
  readonly onData: (sizeBytes: number) => void;
}

export class Http2Request implements IncomingRequest {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly httpVersion = "2.0";
  readonly headers: IncomingHttpHeaders;
  readonly socket: RequestSocket;
  readonly #stream: ServerHttp2Stream;
  readonly #clock: Clock;
  readonly #fields: readonly string[];
  readonly #onData: (sizeBytes: number) => void;

  constructor(stream: ServerHttp2Stream, { fields, headers, onData, socket }: Http2RequestInit, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.method = headers[":method"];
    this.url = headers[":path"];
    this.headers = headers;
    this.socket = new StreamSocket(stream, socket);
    this.#stream = stream;
    this.#fields = fields;
    this.#onData = onData;
  }

  /** `:authority` is the Host of HTTP/2. A Host beside it counts where it says something else. */
  get rawHeaders(): readonly string[] {
    const authority = this.headers[":authority"];
    const raw: string[] = authority === undefined ? [] : ["host", authority];
    for (let index = 0; index < this.#fields.length; index += 2) {
      const name = this.#fields[index]!;
      const value = this.#fields[index + 1]!;
      if (!name.startsWith(":") && !(name === "host" && value === authority)) raw.push(name, value);
    }
    return raw;
  }

  get hasBody(): boolean {
    return !this.#stream.endAfterHeaders;
  }

  get complete(): boolean {
    return this.#stream.endAfterHeaders || (this.#stream.readableEnded && !this.#stream.aborted);
  }

  on(event: "data" | "end" | "error", listener: ((chunk: Buffer) => void) | ((error: Error) => void) | (() => void)): this {
    if (event === "data") this.#stream.on("data", (chunk: Buffer) => this.#takeData(chunk, listener as (chunk: Buffer) => void)); // by the interface's overloads
    else if (event === "end") this.#stream.on("end", () => this.#takeEnd(listener as () => void));
    else this.#stream.on("error", listener as (error: Error) => void);
    return this;
  }

  once(event: "end" | "close" | "error", listener: (() => void) | ((error: Error) => void)): this {
    this.#stream.once(event, listener as () => void); // by the interface's overloads
    return this;
  }

  resume(): void {
    this.#stream.resume();
  }

  invite(): void {
    const stream = this.#stream;
    const isAwaited = this.headers.expect?.toLowerCase() === "100-continue" && !stream.headersSent && !stream.destroyed && !stream.closed;
    if (isAwaited) stream.additionalHeaders({ [constants.HTTP2_HEADER_STATUS]: constants.HTTP_STATUS_CONTINUE });
  }

  #takeData(chunk: Buffer, listener: (chunk: Buffer) => void): void {
    this.#onData(chunk.length);
    listener(chunk);
  }

  /** Node.js ends the body of a stream that was reset, too, and says only after that it was: in the same turn of the event loop. */
  #takeEnd(listener: () => void): void {
    void this.#clock.nextTurn().then(() => {
      if (!this.#stream.aborted) listener();
    });
  }
}

/** For whoever closes the connection of one request: only its stream is closed, since other requests share the connection. */
class StreamSocket extends EventEmitter implements RequestSocket {
  readonly #stream: ServerHttp2Stream;
  readonly #socket: Socket;

  constructor(stream: ServerHttp2Stream, socket: Socket) {
    super();
    this.#stream = stream;
    this.#socket = socket;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed;
  }

  destroy(): void {
    cancel(this.#stream);
  }
}

export class Http2Response implements OutgoingResponse {
  /** Replies of other streams do not come before this one. */
  readonly socket: object;
  readonly #stream: ServerHttp2Stream;
  readonly #clock: Clock;
  readonly #isHead: boolean;
  /** Written and not sent: headers without a body after them end the stream, and say so. */
  #head: OutgoingHttpHeaders | undefined;
  #trailers: Readonly<Record<string, string>> | undefined;

  constructor(stream: ServerHttp2Stream, { isHead, socket }: { readonly isHead: boolean; readonly socket: Socket }, { clock }: { readonly clock: Clock }) {
    this.#stream = stream;
    this.#clock = clock;
    this.#isHead = isHead;
    this.socket = socket;
  }

  get headersSent(): boolean {
    return this.#head !== undefined || this.#stream.headersSent;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  get writableLength(): number {
    return this.#stream.writableLength;
  }

  on(event: "close", listener: () => void): void {
    this.#stream.on(event, listener);
  }

  setTrailers(trailers: Readonly<Record<string, string>>): void {
    this.#trailers = trailers;
  }

  writeHead(status: number, headers: readonly string[]): void {
    const head: OutgoingHttpHeaders = { [constants.HTTP2_HEADER_STATUS]: status };
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!.toLowerCase();
      const before = head[name];
      if (name !== "connection") head[name] = before === undefined ? headers[index + 1] : `${String(before)}, ${headers[index + 1]}`;
    }
    this.#head = head;
  }

  write(bytes: Uint8Array, onTaken?: (error: Error | null | undefined) => void): void {
    this.#sendHead(false);
    this.#stream.write(bytes, onTaken);
  }

  end(bytes?: Uint8Array): void {
    const stream = this.#stream;
    if (this.destroyed) return;
    const isEmpty = bytes === undefined || bytes.length === 0 || this.#isHead;
    if (isEmpty && this.#head !== undefined && this.#trailers === undefined) {
      this.#sendHead(true);
    } else {
      this.#sendHead(false);
      if (isEmpty) stream.end();
      else stream.end(bytes);
    }
    if (this.#trailers === undefined) this.#leaveRest();
  }

  destroy(): void {
    cancel(this.#stream);
  }

  #sendHead(endStream: boolean): void {
    const head = this.#head;
    const stream = this.#stream;
    if (head === undefined || this.destroyed) return;
    this.#head = undefined;
    const hasTrailers = this.#trailers !== undefined;
    if (hasTrailers) stream.once("wantTrailers", () => this.#sendTrailers());
    stream.resume(); // a body that nobody has read: each of its frames would be an object while the client takes its time with the reply
    stream.respond(head, { endStream, waitForTrailers: hasTrailers });
  }

  /** Node.js drops the trailers of a stream that is closed in the same turn of the event loop. */
  #sendTrailers(): void {
    this.#stream.sendTrailers({ ...this.#trailers });
    if (!this.#isRequestWhole) void this.#clock.nextTurn().then(() => this.#leaveRest());
  }

  /**
   * The client need not send the rest of its request (RFC 9113, 8.1), which it is told behind the reply. Not before: Node.js sends no reset of a stream that was
   * closed, so that a reply which is cut off later would never end for its client, and it frees bytes that the session still sends, which ends the process.
   */
  #leaveRest(): void {
    const stream = this.#stream;
    if (this.#isRequestWhole) return;
    if (stream.writableFinished) stream.close(constants.NGHTTP2_NO_ERROR);
    else stream.once("finish", () => this.#leaveRest());
  }

  get #isRequestWhole(): boolean {
    return this.#stream.endAfterHeaders || this.#stream.readableEnded;
  }
}

/** Frees what the stream holds at once, even where its client does not read. */
function cancel(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_CANCEL);
  stream.destroy();
}
