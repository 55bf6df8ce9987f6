/** A call of several messages, in one direction or both. Only gRPC over HTTP/2 has them here. */

export interface StreamCall {
  /** Aborts when the client goes away, its deadline passes, or the node begins to stop. `receive` and `send` reject then. */
  readonly signal: AbortSignal;
  /** The next message of the client, decompressed. Undefined: it sends no more. */
  receive(): Promise<Uint8Array | undefined>;
  /** Resolves when the kernel took the message. Call it again only then: what a client does not read is at most one message. */
  send(message: Uint8Array): Promise<void>;
}

/** The call ends with the handler, and with the status of what it throws. */
export type StreamHandler = (call: StreamCall) => Promise<void>;
