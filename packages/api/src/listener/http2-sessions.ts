/**
 * Connections of HTTP/2 without TLS, with node:http2. Each request is a stream; server.ts handles it like one of HTTP/1.1. Only what
 * concerns connections is here: how many streams a connection may have, how much of it is unread, and what it may send beside requests.
 *
 * What must stay true: a connection without requests is closed after the time for keep-alive, and one whose client does not answer any more
 * a little later, whatever its client does; `beginStop` lets running requests end, and refuses further ones, which their client may send elsewhere.
 */
import { constants, performServerHandshake } from "node:http2";
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { CodedError } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import { UNREAD_BYTES_MAX } from "../bodies/request-body.ts";
import type { IncomingRequest, OutgoingResponse } from "../ports/http-stream.ts";
import { Http2Request, Http2Response } from "./http2-exchange.ts";
import { newConnection } from "./request-context.ts";
import type { Connection } from "./request-context.ts";
import { SessionCredit } from "./session-credit.ts";

interface Http2SessionsOptions {
  /** Connections. One more is closed at once. */
  readonly sessionCountMax: number;
  /** Requests of one connection without a complete reply. Further ones are refused by a reset; the limit is told to clients. */
  readonly streamCountMax: number;
  /** Headers of a request, as RFC 9113, 6.5.2, counts them. Beyond it the request is refused; beyond twice as much its stream is reset. */
  readonly headerBytesMax: number;
  readonly keepAliveTimeoutMs: number;
}

interface Http2SessionsHooks {
  /** `refusal`: the reply that it gets, whatever it asks. */
  readonly onRequest: (request: IncomingRequest, response: OutgoingResponse, connection: Connection, refusal: CodedError | undefined) => void;
  /** The connection is closed for what its client sent. */
  readonly onRefused: (reason: string, message: string) => void;
}

interface OpenSession {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  readonly connection: Connection;
  readonly credit: SessionCredit;
  /** Streams that are not closed. */
  streamCount: number;
  /** When the last stream was closed, or the connection began. */
  idleSinceMs: number;
  /** When the client last answered a ping, or the connection began. */
  answeredMs: number;
  /** When the ping was sent that it has not answered yet. */
  askedMs: number | undefined;
  /** When it was seen first that the session has ended, and its socket has not. */
  lingersSinceMs: number | undefined;
}

export class Http2Sessions {
  readonly #options: Http2SessionsOptions;
  readonly #hooks: Http2SessionsHooks;
  readonly #clock: Clock;
  /** Also those whose session has ended, as long as their socket is open: they count towards `sessionCountMax`. */
  readonly #open = new Set<OpenSession>();
  #timer: Timer | undefined;

  constructor(options: Http2SessionsOptions, hooks: Http2SessionsHooks, { clock }: { readonly clock: Clock }) {
    this.#options = options;
    this.#hooks = hooks;
    this.#clock = clock;
  }

  /** A socket that has begun to send HTTP/2, with all that it has received. */
  accept(socket: Socket): void {
    if (this.#open.size >= this.#options.sessionCountMax) {
      this.#hooks.onRefused("connections_too_many", "this node is at its limit of connections of HTTP/2: close some, or raise the limit on open files");
      socket.destroy();
      return;
    }
    socket.allowHalfOpen = false; // as node:http2 has it: it does not close a socket whose client has ended its side otherwise
    const session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEGABYTES_MAX,
      maxSessionInvalidFrames: INVALID_FRAMES_MAX,
      maxSessionRejectedStreams: this.#options.streamCountMax,
      // Node.js resets what is larger, without a word. So it has more room than requests may have, which are told why they are refused.
      maxHeaderListPairs: FIELD_COUNT_MAX * REFUSED_PART,
      settings: { maxConcurrentStreams: this.#options.streamCountMax, initialWindowSize: UNREAD_BYTES_MAX, maxHeaderListSize: this.#options.headerBytesMax * REFUSED_PART },
    });
    const nowMs = this.#clock.monotonicMs();
    const credit = new SessionCredit({ requestBytes: this.#options.headerBytesMax * REFUSED_PART + UNREAD_BYTES_MAX, nowMs });
    const open: OpenSession = { session, socket, connection: newConnection(), credit, streamCount: 0, idleSinceMs: nowMs, answeredMs: nowMs, askedMs: undefined, lingersSinceMs: undefined };
    this.#open.add(open);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, fields: readonly string[]) => this.#onStream(open, stream, headers, fields));
    session.on("error", (error) => this.#hooks.onRefused("unreadable_request", error.message));
    session.once("close", () => this.#open.delete(open));
    this.#timer ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  /** Tells all clients to send nothing further. A connection is closed when its last reply has ended. */
  beginStop(): void {
    for (const { session } of this.#open) session.close();
  }

  /** Closes all connections. */
  destroyAll(): void {
    for (const open of this.#open) cutOff(open);
  }

  /** Call it when all connections are closed. */
  endStop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #onStream(open: OpenSession, stream: ServerHttp2Stream, headers: IncomingHttpHeaders, fields: readonly string[]): void {
    stream.on("error", ignore); // the reset of a stream closes it too, which ends the request
    if (stream.destroyed || stream.closed) return this.#takeReset(open); // reset by the bytes that came with its headers
    open.credit.addRequest();
    open.streamCount++;
    stream.once("aborted", () => this.#takeReset(open));
    stream.once("close", () => {
      open.streamCount--;
      open.idleSinceMs = this.#clock.monotonicMs();
    });
    const request = new Http2Request(stream, { headers, fields, socket: open.socket, onData: (sizeBytes) => open.credit.addData(sizeBytes) }, { clock: this.#clock });
    this.#hooks.onRequest(request, new Http2Response(stream, { isHead: request.method === "HEAD", socket: open.socket }, { clock: this.#clock }), open.connection, headersRefusal(fields, this.#options.headerBytesMax));
  }

  #takeReset(open: OpenSession): void {
    if (!open.credit.takeReset()) this.#refuse(open, "it has reset too many requests: wait for replies, or cancel fewer");
  }

  #tick(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const open of this.#open) {
      if (open.session.destroyed) this.#endLinger(open, nowMs);
      else if (!open.credit.settle(open.socket.bytesRead, nowMs)) this.#refuse(open, "it sends frames that are no part of a request");
      else if (open.streamCount > 0) this.#checkAlive(open, nowMs);
      else if (nowMs - open.idleSinceMs >= this.#options.keepAliveTimeoutMs) this.#closeIdle(open);
    }
    if (this.#open.size > 0) this.#timer = this.#clock.after(TICK_MS, () => this.#tick());
  }

  /** In two steps: a client that does not answer the first is cut off at the next tick. */
  #closeIdle({ session }: OpenSession): void {
    if (session.closed) session.destroy();
    else session.close();
  }

  /**
   * A client that has gone without a word leaves its calls with streams open for good. So does one that reads nothing: what is sent to it
   * waits in front of the ping. Node.js itself stops reading from a connection that broke the protocol, and forgets to close it.
   */
  #checkAlive(open: OpenSession, nowMs: number): void {
    if (open.askedMs !== undefined) {
      if (nowMs - open.askedMs >= ANSWER_MS) cutOff(open);
    } else if (nowMs - open.answeredMs >= ASK_MS) {
      open.askedMs = nowMs;
      open.session.ping((error) => {
        if (error !== null) return; // the session has ended
        open.askedMs = undefined;
        open.answeredMs = this.#clock.monotonicMs();
      });
    }
  }

  /** Node.js has ended its side, and waits until the client has read all and ends its own. */
  #endLinger(open: OpenSession, nowMs: number): void {
    open.lingersSinceMs ??= nowMs;
    if (nowMs - open.lingersSinceMs >= LINGER_MS) open.socket.destroy();
  }

  #refuse({ session }: OpenSession, why: string): void {
    if (session.destroyed) return;
    this.#hooks.onRefused("http2_connection_refused", `a connection of HTTP/2 was closed: ${why}`);
    session.destroy(NO_ERROR, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

/** Undefined: they are within the bounds. `fields`: names and values in turn. */
function headersRefusal(fields: readonly string[], sizeBytesMax: number): CodedError | undefined {
  let sizeBytes = 0;
  for (const text of fields) sizeBytes += text.length + FIELD_BYTES / 2;
  if (sizeBytes > sizeBytesMax) return headersTooLarge(`the headers have ${sizeBytes} bytes, of which each field counts ${FIELD_BYTES}: send at most ${sizeBytesMax}`);
  if (fields.length > 2 * FIELD_COUNT_MAX) return headersTooLarge(`the headers have ${fields.length / 2} fields: send at most ${FIELD_COUNT_MAX}`);
  return undefined;
}

function headersTooLarge(message: string): CodedError {
  return new CodedError({ code: "HEADERS_TOO_LARGE", kind: "resource_exhausted", message });
}

function ignore(): void {}

/** `destroy` of a session that has ended does nothing, even where its socket is open. */
function cutOff({ session, socket }: OpenSession): void {
  session.destroy();
  socket.destroy();
}

/** For `destroy` with a code alone. With undefined Node.js takes its own default, a code, and drops ours; its types do not have null. */
const NO_ERROR = null as unknown as undefined;

/** A connection with open requests is asked whether it is alive so long after its last answer. */
const ASK_MS = 60_000;
/** How long it may take to answer: a slow client reads what was sent before, up to 4 MB of a kernel's buffer. */
const ANSWER_MS = 120_000;
/** What a client may take to read the rest, and to close its side. */
const LINGER_MS = 5_000;

/** Fields of a request's headers: what Node.js allows by default. */
const FIELD_COUNT_MAX = 128;
/** What a field counts beside its name and its value (RFC 9113, 6.5.2). */
const FIELD_BYTES = 32;
/** Headers up to so many times the bounds are read, to be refused with a sentence. */
const REFUSED_PART = 2;

/** How often connections are checked. A flood lasts as long at most. */
const TICK_MS = 1_000;
/** Of one connection: header tables, frames that wait to be sent, data that nobody has read. Beyond it new streams are refused. */
const SESSION_MEGABYTES_MAX = 10;
/** Frames that break the protocol, and empty ones of data. Beyond it Node.js closes the connection. */
const INVALID_FRAMES_MAX = 100;
/**
 * The window of the whole connection. It bounds no memory: Node.js gives it back as data arrives. What is not read is bounded by the windows
 * of the streams, UNREAD_BYTES_MAX each.
 */
const CONNECTION_WINDOW_BYTES = 2 ** 20;
