/** A request and a reply as handlers see them: no sockets, so that handlers are tested without a server. */
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
  /** The body as sent (no content decoding), valid until the handler ends: a small one lies in memory that is used again. Rejects BODY_TOO_LARGE (413) past `sizeBytesMax`, BODY_READ_FAILED (408) when the client stops. */
  body(sizeBytesMax: number): Promise<Uint8Array>;
  /** For what the body opens to: held until the handler ends. */
  readonly unpackMemory: UnpackMemory;
  /** Opens bodies and compresses replies beside this thread. */
  readonly compression: Compression;
  /** Aborts when the client goes away or the server's time limit passes. Made when it is first asked for: `caller` costs less. */
  readonly signal: AbortSignal;
  /** The same, for who only looks. */
  readonly caller: Caller;
  /** Answers with `reason` at that time, as at the server's own limit; the handler's work goes on unheard. */
  endAfter(timeoutMs: number, reason: CodedError): void;
  /**
   * Room for a reply of about so many bytes, before it is built; waits for it. Rejects REPLIES_TOO_LARGE (503) where none gets free in time.
   * The room is given back when the reply is known, which then takes what it needs.
   */
  reserveReply(bytes: number): Promise<void>;
}

export interface ApiReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** Why it is a refusal: for the log, not for the client. */
  readonly error?: unknown;
}

export type Handler = (request: ApiRequest) => Promise<ApiReply>;
