/** Requests without a socket, for handler tests. */
import { ANONYMOUS, CodedError } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { threadPoolCompression } from "../ports/compression.ts";
import type { ApiRequest } from "../ports/http.ts";
import type { UnpackMemory } from "../ports/request-memory.ts";

const COMPRESSION = threadPoolCompression();
const AMPLE: UnpackMemory = { bytesMax: Infinity, take: () => Promise.resolve(), tryTake: () => true, give: () => {}, freeAtEnd: () => {} };

export function fakeRequest(init: {
  readonly method?: string;
  /** With its query string. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly tenants?: readonly TenantId[];
  readonly unpackMemory?: UnpackMemory;
}): ApiRequest {
  const url = new URL(init.path, "http://node");
  const { signal } = new AbortController();
  const body = new Uint8Array(typeof init.body === "string" ? Buffer.from(init.body) : (init.body ?? new Uint8Array(0)));
  return {
    method: init.method ?? "POST",
    path: url.pathname,
    query: url.searchParams,
    headers: init.headers ?? {},
    tenants: init.tenants ?? [ANONYMOUS],
    signal,
    caller: signal,
    unpackMemory: init.unpackMemory ?? AMPLE,
    compression: COMPRESSION,
    endAfter: () => {},
    reserveReply: () => Promise.resolve(),
    body(sizeBytesMax) {
      if (body.length <= sizeBytesMax) return Promise.resolve(body);
      return Promise.reject(new CodedError({ code: "BODY_TOO_LARGE", kind: "invalid_argument", message: `the body is larger than ${sizeBytesMax} bytes: send less at once`, details: { sizeBytesMax } }));
    },
  };
}
