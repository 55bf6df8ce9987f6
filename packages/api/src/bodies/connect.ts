/**
 * Connect's unary protocol, server side: one POST, one message in, one message out, JSON or binary by Content-Type. Errors are
 * `{"code","message"}` in JSON whatever the request was. Streaming, gRPC and gRPC-Web are not here.
 *
 * What must stay true: a message is never larger than `bodyBytesMax`, before or after inflating; a caller's own time limit
 * (`Connect-Timeout-Ms`) ends its request on time even where the handler does not listen to its signal.
 *
 * Push has a handler of its own (`push.ts`) and shares what stands here about content types and the caller's time limit.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
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
  /** How many bytes its reply may have, where the request says so: that much room is reserved before `handle`. */
  readonly foreseenBytes?: ((message: Request) => number) | undefined;
  handle(message: Request, call: UnaryCall): Promise<UnaryAnswer<Response>>;
}

/** The request without its body. */
export interface UnaryCall extends Pick<ApiRequest, "headers" | "tenants" | "signal"> {
  /** Of the request, and so of its reply. */
  readonly codec: Codec;
}

export type UnaryAnswer<Response extends object> =
  | {
      /** A short one: it is printed on the main thread. */
      readonly message: Response;
      readonly headers: Readonly<Record<string, string>>;
    }
  | {
      /** The response in the call's own codec: printed elsewhere, and sent as it is. */
      readonly body: Uint8Array;
      readonly headers: Readonly<Record<string, string>>;
    };

export interface ConnectOptions {
  /** Of a request message, as sent and inflated. */
  readonly bodyBytesMax: number;
}

/** The server has checked that it is a POST. */
export function unaryHandler<Request extends object, Response extends object>(
  method: UnaryMethod<Request, Response>,
  options: ConnectOptions,
): Handler {
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    heedTimeLimit(request);
    return encodeReply(method.response, codec, await run(method, codec, request, options));
  };
}

export type Codec = "json" | "proto";

/** The reply to a content type that is no codec's. */
export const CONTENT_TYPE_UNKNOWN: ApiReply = {
  status: 415,
  headers: { "accept-post": "application/json, application/json; charset=utf-8, application/proto" },
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
  if (method.foreseenBytes !== undefined) await request.reserveReply(method.foreseenBytes(message));
  return method.handle(message, { headers: request.headers, tenants: request.tenants, signal: request.signal, codec });
}

async function readBody(request: ApiRequest, bodyBytesMax: number): Promise<Uint8Array> {
  const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding !== "identity" && encoding !== "" && encoding !== "gzip") {
    throw new CodedError({
      code: "CONTENT_ENCODING_UNKNOWN",
      kind: "unimplemented",
      message: `content encoding ${JSON.stringify(encoding.slice(0, 100))} is not supported: send gzip or none`,
    });
  }
  const body = await request.body(bodyBytesMax);
  if (encoding !== "gzip" || body.length === 0) return body;
  return inflateBody(body, { sizeBytesMax: bodyBytesMax, advice: "the most that a request of this kind may have: send a smaller one" }, { memory: request.unpackMemory, caller: request.caller, compression: request.compression });
}

function encodeReply<Response extends object>(schema: MessageSchema<Response>, codec: Codec, answer: UnaryAnswer<Response>): ApiReply {
  if ("body" in answer) return { status: 200, headers: { ...answer.headers, "content-type": `application/${codec}` }, body: answer.body };
  const { message } = answer;
  const body = codec === "proto" ? encodeBinary(schema, message) : encodeJson(schema, message);
  return { status: 200, headers: { ...answer.headers, "content-type": `application/${codec}` }, body };
}

/** Holds a request to its caller's own time limit. Throws CONNECT_TIMEOUT_INVALID. The server's holds besides. */
export function heedTimeLimit(request: ApiRequest): void {
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
