/**
 * A request that comes off a connection, and the response that goes back on it: the part of node:http's `IncomingMessage` and
 * `ServerResponse` that the API uses. Both of them fit; HTTP/2 (listener/http2-exchange.ts) and a network in memory
 * (testing/memory-network.ts) have their own.
 *
 * Below these two is what concerns only sockets: accepting and counting connections, the parser with its bounds and timeouts for headers,
 * keep-alive, pipelining, the kernel's buffers. Above them is everything else that happens to a request.
 */
import type { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http";

export interface IncomingRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** True when the last byte of the body has been delivered. */
  readonly complete: boolean;
  readonly socket: RequestSocket;
  /** HTTP/2 alone, where headers do not tell it. */
  readonly hasBody?: boolean;
  /** The body begins to flow with the first listener for "data". */
  on(event: "data", listener: (chunk: Buffer) => void): this;
  on(event: "end", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  once(event: "end" | "close", listener: () => void): this;
  once(event: "error", listener: (error: Error) => void): this;
  /** Lets the body flow, even without a listener. */
  resume(): unknown;
  /** Its client waits to be told to send the body (`Expect: 100-continue`): this tells it. A client that gets the reply first sends none. */
  invite?(): void;
}

/** A body of length 0 is none. */
export function hasBody({ hasBody: isKnown, headers }: Pick<IncomingRequest, "hasBody" | "headers">): boolean {
  return isKnown ?? (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0);
}

/** The connection; of HTTP/2 the stream of one request. */
export interface RequestSocket extends EventEmitter {
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly destroyed: boolean;
  destroy(): unknown;
}

export interface OutgoingResponse {
  /** Null while the responses to earlier requests of the connection are not complete. */
  readonly socket: object | null;
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  /** Bytes that the kernel has not taken yet. */
  readonly writableLength: number;
  /** "close": its last byte was written, or the connection is closed. */
  on(event: "close", listener: () => void): unknown;
  /** `headers`: names and values in turn. */
  writeHead(status: number, headers: string[]): unknown;
  /** HTTP/1.1: sent behind a body in chunks, which is one without `content-length`. The name is node:http's. */
  addTrailers?(trailers: Readonly<Record<string, string>>): void;
  /** HTTP/2: sent behind the body. Call it before `writeHead`; until the end it may be called again, with others. */
  setTrailers?(trailers: Readonly<Record<string, string>>): void;
  /** `onTaken` is called when the kernel took the bytes, or the connection failed. */
  write(bytes: Uint8Array, onTaken?: (error: Error | null | undefined) => void): unknown;
  end(bytes?: Uint8Array): unknown;
  destroy(): unknown;
}
