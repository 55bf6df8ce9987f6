/** A request and a reply as handlers see them. There are no sockets here, so handlers are tested without a server. */
import type { CodedError, TenantId } from "@pyromesh/base";
import type { Compression } from "./compression.ts";
import type { Caller } from "./ports.ts";
import type { UnpackMemory } from "./request-memory.ts";

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names; a repeated header is joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** Writes have exactly one; reads may have several (`a|b`). */
  readonly tenants: readonly TenantId[];
  /**
   * The body as sent, without content decoding. It is valid until the handler ends: a small body lies in a pooled buffer. Rejects
   * BODY_TOO_LARGE (413) beyond `sizeBytesMax`, BODY_READ_FAILED (408) when the client stops sending.
   *
   * `use`: as of `inflateBody`, which a protocol that decompresses the body itself calls with it.
   */
  body(sizeBytesMax: number, use?: BodyUse): Promise<Uint8Array>;
  /** Memory for the decompressed body. It is given back when the handler ends. */
  readonly unpackMemory: UnpackMemory;
  /** Decompresses bodies and compresses replies beside this thread. */
  readonly compression: Compression;
  /**
   * Aborts when the client goes away or the server's time limit passes. It is created at the first access, and so costs more than
   * `caller`.
   */
  readonly signal: AbortSignal;
  /** Tells whether anybody still waits, for handlers that only check and never wait on it. */
  readonly caller: Caller;
  /** After `timeoutMs` an unanswered request is answered with `reason` and `signal` aborts. If the handler returns a reply later, it is dropped. */
  endAfter(timeoutMs: number, reason: CodedError): void;
  /**
   * Reserves memory for a reply of about `bytes` before it is built, and waits for it. Rejects REPLIES_TOO_LARGE (503) where none gets
   * free in time. When the reply is known, the reservation is replaced by the reply's real size.
   */
  reserveReply(bytes: number): Promise<void>;
}

/** How a handler uses a body. */
export interface BodyUse {
  /** How many times the decompressed body lies in memory at once, as where a worker reads it. So much is taken for it, or the most that one request can get. Absent: once. */
  readonly copyCount?: number | undefined;
  /** Nothing uses the body when the handler has ended: then the memory of a large one is freed, at once. Absent: it is left to the garbage collector. */
  readonly isFreedAtEnd?: boolean | undefined;
}

export interface ApiReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** Why the request is refused. It is logged and never sent to the client. */
  readonly error?: unknown;
  /** What the protocol of an RPC sends around the body. Absent: nothing. */
  readonly envelope?: Envelope;
}

/** What a protocol sends around a reply's body, which is one message. The server compresses the message by the protocol's own headers. */
export interface Envelope {
  before(sizeBytes: number, isCompressed: boolean): Uint8Array;
  readonly after: Uint8Array;
  /** Sent behind the body. Absent: the protocol needs none. */
  readonly trailers: Readonly<Record<string, string>> | undefined;
}

export type Handler = (request: ApiRequest) => Promise<ApiReply>;
