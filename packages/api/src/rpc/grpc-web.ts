/**
 * gRPC-Web: gRPC for browsers and proxies, which cannot read trailers. They are the last frame of the reply's body. In the form `text`,
 * request and reply are base64.
 */
import type { ApiReply } from "../ports/http.ts";
import { decodeBase64InPlace } from "./base64-body.ts";
import { messageEnvelope, OK_STATUS, readGrpcRequest, replyHeaders, statusHeaders } from "./grpc.ts";
import type { GrpcForm } from "./grpc.ts";
import { FLAG_TRAILERS, frameHeader } from "./message-frame.ts";
import type { RpcProtocol } from "./protocol.ts";

export function grpcWebProtocol(form: GrpcForm): RpcProtocol {
  return {
    hasTrailers: false,
    request: (request) => readGrpcRequest(request, form, (frameBytesMax, use) => request.body(frameBytesMax, use)),
    reply(reply) {
      const headers = replyHeaders(reply, form);
      if (reply.status === 200) return { ...reply, headers, envelope: OK_ENVELOPE };
      return { status: 200, headers, body: trailersOf(reply) };
    },
  };
}

export function grpcWebTextProtocol(form: GrpcForm): RpcProtocol {
  return {
    hasTrailers: false,
    request: (request) => readGrpcRequest(request, form, async (frameBytesMax, use) => decodeBase64InPlace(await request.body(base64BytesMax(frameBytesMax), use))),
    /** Messages are not compressed: they are for clients that can read text alone. */
    reply(reply) {
      const headers = replyHeaders(reply, form);
      if (reply.status !== 200) return { status: 200, headers, body: base64(trailersOf(reply)) };
      const message = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
      // Padded one by one, as the protocol allows: a long message is not copied before it is encoded.
      return { ...reply, headers, body: base64(frameHeader(message.length, 0)) + base64(message) + base64(OK_TRAILERS) };
    },
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/** What base64 makes of so many bytes, in one piece. */
function base64BytesMax(sizeBytes: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(sizeBytes / 3) * 4);
}

/** Of a reply that is refused: its status, and when to try again. */
function trailersOf(reply: ApiReply): Uint8Array {
  const retryAfter = reply.headers["retry-after"];
  return trailersFrame({ ...statusHeaders(reply), ...(retryAfter !== undefined && { "retry-after": retryAfter }) });
}

function trailersFrame(trailers: Readonly<Record<string, string>>): Uint8Array {
  const text = Buffer.from(Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`).join(""));
  return Buffer.concat([frameHeader(text.length, FLAG_TRAILERS), text]);
}

const OK_TRAILERS = trailersFrame(OK_STATUS);
const OK_ENVELOPE = messageEnvelope({ after: OK_TRAILERS, trailers: undefined });
