/**
 * gRPC's unary calls, around a handler of Connect. The message of the request is taken out of its frame and decompressed, within the bounds
 * that the handler sets for its body. The reply is a frame and the trailers with its status; one that is refused has no frame, and its
 * status lies among the headers.
 *
 * The frame of a reply is made when it is sent, since the server decides there whether the message is compressed.
 */
import type { ApiReply, ApiRequest, Envelope } from "../ports/http.ts";
import { encodingMissing, GRPC_ENCODINGS_ACCEPTED, grpcEncodingOf } from "./grpc-encoding.ts";
import { applyGrpcTimeout } from "./grpc-timeout.ts";
import { encodeRetryInfo } from "./grpc-retry-info.ts";
import { encodeGrpcMessage, grpcStatusOf, GRPC_OK } from "./grpc-status.ts";
import { FLAG_COMPRESSED, FRAME_HEADER_BYTES, frameHeader, readOneMessage } from "./message-frame.ts";
import type { RpcProtocol } from "./protocol.ts";
import { AdaptedRequest, inflateMessage } from "./adapted-request.ts";

export interface GrpcForm {
  /** Of requests and replies. */
  readonly contentType: string;
  readonly codec: "json" | "proto";
}

export function grpcProtocol(form: GrpcForm): RpcProtocol {
  return {
    hasTrailers: true,
    request: (request) => readGrpcRequest(request, form, (frameBytesMax, use) => request.body(frameBytesMax, use)),
    reply(reply) {
      const headers = replyHeaders(reply, form);
      if (reply.status === 200) return { ...reply, headers, envelope: OK_ENVELOPE };
      return { status: 200, headers: { ...headers, ...statusHeaders(reply) }, body: "" };
    },
  };
}

/** A request whose message is in the one frame that `readFrame` gives. Throws GRPC_TIMEOUT_INVALID or GRPC_ENCODING_UNKNOWN. */
export function readGrpcRequest(request: ApiRequest, { codec }: GrpcForm, readFrame: ApiRequest["body"]): ApiRequest {
  const coding = grpcEncodingOf(request);
  applyGrpcTimeout(request);
  return new AdaptedRequest(request, `application/${codec}`, async (sizeBytesMax, use) => {
    const { isCompressed, message } = readOneMessage(await readFrame(sizeBytesMax + FRAME_HEADER_BYTES, use));
    if (!isCompressed || message.length === 0) return message;
    if (coding === undefined) throw encodingMissing();
    return inflateMessage(message, { ...use, coding, sizeBytesMax }, request);
  });
}

/** The headers of the handler's reply, without those of Connect. */
export function replyHeaders({ headers }: ApiReply, { contentType }: GrpcForm): Readonly<Record<string, string>> {
  const { "accept-encoding": _, ...own } = headers;
  return { ...own, "content-type": contentType, "grpc-accept-encoding": GRPC_ENCODINGS_ACCEPTED };
}

export function statusHeaders(reply: ApiReply): Readonly<Record<string, string>> {
  const status = grpcStatusOf(reply);
  const retryAfter = reply.headers["retry-after"];
  return {
    "grpc-status": String(status.code),
    "grpc-message": encodeGrpcMessage(status.message),
    ...(retryAfter !== undefined && { "grpc-status-details-bin": encodeRetryInfo(status, Number(retryAfter)) }),
  };
}

export const OK_STATUS: Readonly<Record<string, string>> = { "grpc-status": String(GRPC_OK) };

const OK_ENVELOPE = messageEnvelope({ after: new Uint8Array(0), trailers: OK_STATUS });

/** The frame of a reply's message, and what follows it. */
export function messageEnvelope({ after, trailers }: Pick<Envelope, "after" | "trailers">): Envelope {
  return { before: (sizeBytes, isCompressed) => frameHeader(sizeBytes, isCompressed ? FLAG_COMPRESSED : 0), after, trailers };
}
