/**
 * Connect's unary protocol on the server side: a POST with one message, answered with one message, in JSON or binary by Content-Type.
 * Errors are `{"code","message"}` in JSON for both. Other protocols are adapters around it (rpc/protocols.ts).
 *
 * What must stay true: a message is never larger than `bodyBytesMax`, compressed or not. A request ends at the time limit that its client
 * set (`Connect-Timeout-Ms`), even where the handler ignores its signal.
 *
 * Push has a handler of its own (`push.ts`), which shares the content types and the client's time limit with this file.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { contentCodingOf } from "../ports/content-coding.ts";
import type { ApiReply, ApiRequest, Handler } from "../ports/http.ts";
import { inflateBody } from "./inflate.ts";
import { JSON_MESSAGE_BYTES_MAX } from "../proto/json-bounds.ts";
import { decodeBinary, encodeBinary, REQUEST_ITEM_COUNT_MAX } from "../proto/binary.ts";
import { encodeJson } from "../proto/json-encode.ts";
import { decodeJson } from "../proto/json.ts";
import type { MessageSchema } from "../proto/schema.ts";

export interface UnaryMethod<Request extends object, Response extends object> {
  /** `/querier.v1.QuerierService/Series` */
  readonly path: string;
  readonly request: MessageSchema<Request>;
  readonly response: MessageSchema<Response>;
  /** An upper estimate of the reply's size, where the request tells. That much memory is reserved before `handle` runs. */
  readonly estimateReplyBytes?: ((message: Request) => number) | undefined;
  handle(message: Request, call: UnaryCall): Promise<UnaryAnswer<Response>>;
}

/** The request without its body. */
export interface UnaryCall extends Pick<ApiRequest, "headers" | "tenants" | "signal"> {
  /** The codec of the request, and of the reply. */
  readonly codec: Codec;
}

export type UnaryAnswer<Response extends object> =
  | {
      /** A short message, encoded on the main thread. */
      readonly message: Response;
      readonly headers: Readonly<Record<string, string>>;
    }
  | {
      /** The response, already encoded in `codec` by a worker. */
      readonly body: Uint8Array;
      readonly headers: Readonly<Record<string, string>>;
    };

export interface ConnectOptions {
  /** The largest message, as sent and after decompression. */
  readonly bodyBytesMax: number;
}

/** The server has checked the method. */
export function unaryHandler<Request extends object, Response extends object>(
  method: UnaryMethod<Request, Response>,
  options: ConnectOptions,
): Handler {
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    applyClientTimeout(request);
    return encodeReply(method.response, codec, await run(method, codec, request, options));
  };
}

export type Codec = "json" | "proto";

/** The reply to an unknown content type. */
export const CONTENT_TYPE_UNKNOWN: ApiReply = {
  status: 415,
  headers: { "accept-post": "application/json, application/json; charset=utf-8, application/proto, application/grpc-web, application/grpc" },
  body: "",
};

export function codecOf(contentType: string | undefined): Codec | undefined {
  const [type = "", ...parameters] = (contentType ?? "").toLowerCase().split(";").map((part) => part.trim());
  for (const parameter of parameters) {
    const [name, value = ""] = parameter.split("=");
    if (name === "charset" && !["utf-8", "utf8"].includes(value.replaceAll('"', ""))) return undefined;
  }
  return type === "application/json" ? "json" : type === "application/proto" ? "proto" : undefined;
}

async function run<Request extends object, Response extends object>(
  method: UnaryMethod<Request, Response>,
  codec: Codec,
  request: ApiRequest,
  options: ConnectOptions,
): Promise<UnaryAnswer<Response>> {
  const body = await readBody(request, codec === "json" ? Math.min(options.bodyBytesMax, JSON_MESSAGE_BYTES_MAX) : options.bodyBytesMax);
  const message = codec === "json" ? decodeJson(method.request, body) : decodeBinary(method.request, body, REQUEST_ITEM_COUNT_MAX);
  if (method.estimateReplyBytes !== undefined) await request.reserveReply(method.estimateReplyBytes(message));
  return method.handle(message, { headers: request.headers, tenants: request.tenants, signal: request.signal, codec });
}

export async function readBody(request: ApiRequest, bodyBytesMax: number): Promise<Uint8Array> {
  const coding = contentCodingOf(request);
  const body = await request.body(bodyBytesMax);
  if (coding === undefined || body.length === 0) return body;
  return inflateBody(body, { coding, sizeBytesMax: bodyBytesMax, advice: "the most that a request of this kind may have: send a smaller one" }, { memory: request.unpackMemory, caller: request.caller, compression: request.compression });
}

function encodeReply<Response extends object>(schema: MessageSchema<Response>, codec: Codec, answer: UnaryAnswer<Response>): ApiReply {
  if ("body" in answer) return { status: 200, headers: { ...answer.headers, "content-type": `application/${codec}` }, body: answer.body };
  const { message } = answer;
  const body = codec === "proto" ? encodeBinary(schema, message) : encodeJson(schema, message);
  return { status: 200, headers: { ...answer.headers, "content-type": `application/${codec}` }, body };
}

/** Applies the time limit that the client set, in addition to the server's own. Throws CONNECT_TIMEOUT_INVALID. */
export function applyClientTimeout(request: ApiRequest): void {
  const header = request.headers["connect-timeout-ms"];
  if (header === undefined || header === "") return;
  if (!/^\d{1,10}$/.test(header)) {
    throw invalidArgument("CONNECT_TIMEOUT_INVALID", `Connect-Timeout-Ms is ${JSON.stringify(header.slice(0, 40))}: send at most 10 digits`);
  }
  const timeoutMs = Number(header);
  request.endAfter(
    timeoutMs,
    new CodedError({ code: "DEADLINE_EXCEEDED", kind: "deadline_exceeded", message: `the request took longer than its Connect-Timeout-Ms of ${timeoutMs}` }),
  );
}
