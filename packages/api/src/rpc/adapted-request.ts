/** A request whose body another protocol carries: all but the body and the content type is that of the request around it. */
import type { CodedError, TenantId } from "@pyromesh/base";
import { inflateBody } from "../bodies/inflate.ts";
import type { Compression } from "../ports/compression.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { ApiRequest, BodyUse } from "../ports/http.ts";
import type { Caller } from "../ports/ports.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";

export class AdaptedRequest implements ApiRequest {
  readonly headers: Readonly<Record<string, string>>;
  /** The message, decompressed. */
  readonly body: ReadMessage;
  readonly #request: ApiRequest;

  constructor(request: ApiRequest, contentType: string, body: ReadMessage) {
    this.#request = request;
    this.body = body;
    // `body` decompresses, and the adapter applies the time limit of its protocol.
    const { "content-encoding": _, "connect-timeout-ms": __, ...headers } = request.headers;
    this.headers = { ...headers, "content-type": contentType };
  }

  get method(): string {
    return this.#request.method;
  }

  get path(): string {
    return this.#request.path;
  }

  get query(): URLSearchParams {
    return this.#request.query;
  }

  get tenants(): readonly TenantId[] {
    return this.#request.tenants;
  }

  get unpackMemory(): UnpackMemory {
    return this.#request.unpackMemory;
  }

  get compression(): Compression {
    return this.#request.compression;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get caller(): Caller {
    return this.#request.caller;
  }

  endAfter(timeoutMs: number, reason: CodedError): void {
    this.#request.endAfter(timeoutMs, reason);
  }

  reserveReply(bytes: number): Promise<void> {
    return this.#request.reserveReply(bytes);
  }
}

type ReadMessage = ApiRequest["body"];

interface MessageOptions extends BodyUse {
  readonly coding: ContentCoding;
  readonly sizeBytesMax: number;
}

/** Decompresses a message with the memory of its request. Rejects BODY_TOO_LARGE, CONTENT_ENCODING_TORN or BODIES_TOO_MANY. */
export function inflateMessage(bytes: Uint8Array, options: MessageOptions, { unpackMemory, caller, compression }: Pick<ApiRequest, "caller" | "compression" | "unpackMemory">): Promise<Uint8Array> {
  return inflateBody(bytes, { ...options, advice: "the most that this call may have: send less at once" }, { memory: unpackMemory, caller, compression });
}
