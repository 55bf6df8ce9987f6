/**
 * The routes of a unary RPC, in every protocol (protocols.ts). One more RPC is one call:
 *
 *   ...unaryRpc("/pkg.Service/Method", messageHandler({ bodyBytesMax }, (message, call) => answer), { access: "write" })
 *
 * where `message` is what the client sent, in `call.codec`, and the answer is a message in the same codec. What the handler throws as a
 * `CodedError` is the status and the sentence of the reply, in the form of the protocol.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { applyClientTimeout, CONTENT_TYPE_UNKNOWN, codecOf, readBody } from "../bodies/connect.ts";
import type { ConnectOptions, UnaryCall } from "../bodies/connect.ts";
import { JSON_MESSAGE_BYTES_MAX } from "../proto/json-bounds.ts";
import type { ApiRequest, Handler } from "../ports/http.ts";
import { route } from "../ports/route.ts";
import type { Route } from "../ports/route.ts";
import type { StreamHandler } from "../ports/stream-call.ts";
import { connectGetHandler } from "./connect-get.ts";

interface RpcOptions extends Partial<Pick<Route, "access" | "isProbe">> {
  /** The method changes nothing: Connect's GET calls it too. */
  readonly isQuery?: boolean;
}

/** `handler`: a unary call of Connect, by POST. */
export function unaryRpc(path: string, handler: Handler, { access = "none", isProbe = false, isQuery = false }: RpcOptions = {}): readonly Route[] {
  const routes = [route("POST", path, (request) => handler(checkVersion(request)), { access, isProbe, isRpc: true })];
  if (isQuery) routes.push(route("GET", path, connectGetHandler(handler), { access, isProbe }));
  return routes;
}

/** The route of a call of several messages, over gRPC alone. */
export function streamRpc(path: string, stream: StreamHandler): Route {
  return { ...route("POST", path, () => Promise.reject(needsGrpc()), { isRpc: true }), stream };
}

/** A handler that takes a message as its bytes. JSON is at most JSON_MESSAGE_BYTES_MAX, unless `jsonBytesMax` says otherwise. */
export function messageHandler(
  { bodyBytesMax, jsonBytesMax = JSON_MESSAGE_BYTES_MAX }: ConnectOptions & { readonly jsonBytesMax?: number },
  handle: (message: Uint8Array, call: UnaryCall, request: ApiRequest) => Promise<Uint8Array>,
): Handler {
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    applyClientTimeout(request);
    const message = await readBody(request, codec === "json" ? Math.min(bodyBytesMax, jsonBytesMax) : bodyBytesMax);
    const { headers, tenants, signal } = request;
    return { status: 200, headers: { "content-type": `application/${codec}` }, body: await handle(message, { headers, tenants, signal, codec }, request) };
  };
}

function needsGrpc(): CodedError {
  return new CodedError({ code: "STREAM_NEEDS_GRPC", kind: "unimplemented", message: "this call has a stream of messages, which only gRPC has here: send it as application/grpc over HTTP/2" });
}

/** Throws CONNECT_VERSION_UNKNOWN. Most clients send no version. */
function checkVersion(request: ApiRequest): ApiRequest {
  const version = request.headers["connect-protocol-version"];
  if (version !== undefined && version !== "1") throw invalidArgument("CONNECT_VERSION_UNKNOWN", `Connect-Protocol-Version is ${JSON.stringify(version.slice(0, 40))}: send 1`);
  return request;
}
