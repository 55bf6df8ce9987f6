/**
 * The protocols of RPCs. A handler is written for Connect's unary calls: the body of its request is one message, and the body of its reply
 * another. gRPC and gRPC-Web are adapters around it: they take the message out of the request's body and put a frame around that of the
 * reply. So a push and a query have one implementation, with one set of bounds, whatever the protocol.
 *
 *   application/json, application/proto                 Connect: no adapter
 *   application/grpc[+proto|+json]                      gRPC, with trailers: HTTP/2, and HTTP/1.1 for a client that says that it reads them
 *   application/grpc-web[-text][+proto|+json]           gRPC-Web: the trailers are a part of the body, which is base64 where it is `text`
 */
import { CodedError } from "@pyromesh/base";
import { grpcProtocol } from "./grpc.ts";
import { grpcWebProtocol, grpcWebTextProtocol } from "./grpc-web.ts";
import type { IncomingRequest } from "../ports/http-stream.ts";
import type { RpcProtocol } from "./protocol.ts";

/** Undefined: Connect, or a content type that a handler refuses. Throws GRPC_NEEDS_HTTP2. */
export function protocolOf({ headers, httpVersion }: Pick<IncomingRequest, "headers" | "httpVersion">): RpcProtocol | undefined {
  const contentType = headers["content-type"];
  // Most requests are pushes over Connect.
  if (contentType === undefined || !/^application\/grpc/i.test(contentType)) return undefined;
  const type = contentType.split(";", 1)[0]!.trim().toLowerCase();
  const protocol = PROTOCOLS.get(type);
  if (protocol?.hasTrailers === true && httpVersion !== "2.0" && !(httpVersion === "1.1" && takesTrailers(headers.te))) throw needsHttp2();
  return protocol;
}

const PROTOCOLS: ReadonlyMap<string, RpcProtocol> = new Map(
  (["", "+proto", "+json"] as const).flatMap((suffix): readonly (readonly [string, RpcProtocol])[] => {
    const codec = suffix === "+json" ? "json" : "proto";
    const of = (name: string): { readonly contentType: string; readonly codec: "json" | "proto" } => ({ contentType: `application/${name}${suffix}`, codec });
    return [
      [`application/grpc${suffix}`, grpcProtocol(of("grpc"))],
      [`application/grpc-web${suffix}`, grpcWebProtocol(of("grpc-web"))],
      [`application/grpc-web-text${suffix}`, grpcWebTextProtocol(of("grpc-web-text"))],
    ];
  }),
);

/** A proxy that drops trailers drops this header too, and without trailers a client cannot tell a reply from half of one. */
function takesTrailers(te: string | string[] = ""): boolean {
  return String(te).split(",").some((part) => part.split(";", 1)[0]!.trim().toLowerCase() === "trailers");
}

function needsHttp2(): CodedError {
  return new CodedError({
    code: "GRPC_NEEDS_HTTP2",
    kind: "unimplemented",
    message: "gRPC needs trailers, and this request came over HTTP/1.1 without TE: trailers: send it over HTTP/2, which this port takes in clear, or as application/grpc-web+proto or application/proto",
  });
}
