/**
 * A request as it comes off a connection and its response as it goes back: what the API needs of node:http's `IncomingMessage` and
 * `ServerResponse`, which fit. A network in memory has its own (testing/memory-network.ts).
 *
 * Below these two lies what only concerns sockets: accepting and counting connections, the parser with its bounds on headers and its
 * timeouts for them, keep-alive, pipelining, what the kernel has buffered. Above them lies everything else that a request meets.
 */
import type { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http";

export interface IncomingRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** True once the last byte of its body was handed over. */
  readonly complete: boolean;
  readonly socket: RequestSocket;
  /** The body begins to flow with the first listener for its data. */
  on(event: "data", listener: (chunk: Buffer) => void): this;
  on(event: "end", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  once(event: "end" | "close", listener: () => void): this;
  once(event: "error", listener: (error: Error) => void): this;
  /** Lets the body flow, also where nobody listens. */
  resume(): unknown;
}

/** The connection. */
export interface RequestSocket extends EventEmitter {
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly destroyed: boolean;
  destroy(): unknown;
}

export interface OutgoingResponse {
  /** Null while responses to earlier requests of the connection are not written yet. */
  readonly socket: object | null;
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  /** Bytes that the connection has not taken yet. */
  readonly writableLength: number;
  /** Once its last byte was written, or the connection is gone. */
  on(event: "close", listener: () => void): unknown;
  /** Headers: names and values in turn. */
  writeHead(status: number, headers: string[]): unknown;
  /** `onTaken`: the connection took the bytes, or failed. */
  write(bytes: Uint8Array, onTaken?: (error: Error | null | undefined) => void): unknown;
  end(bytes?: Uint8Array): unknown;
  destroy(): unknown;
}
