/**
 * Connect's GET for methods without side effects: the message is a parameter of the URL.
 *
 *   GET /querier.v1.QuerierService/LabelNames?connect=v1&encoding=json&message=%7B%7D[&base64=1][&compression=gzip|zstd|deflate]
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { applyClientTimeout, CONTENT_TYPE_UNKNOWN } from "../bodies/connect.ts";
import { CODINGS_ACCEPTED, codingNamed } from "../ports/content-coding.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { ApiReply, Handler } from "../ports/http.ts";
import { AdaptedRequest, inflateMessage } from "./adapted-request.ts";

/** `handler` is one of Connect's unary calls. */
export function connectGetHandler(handler: Handler): Handler {
  return async (request) => {
    const { query } = request;
    const message = query.get("message");
    const encoding = query.get("encoding");
    if (message === null && encoding === null) return NOT_A_CALL;
    if (message === null) throw invalidArgument("CONNECT_GET_INVALID", "the parameter message is missing: send it, empty for an empty message");
    if (encoding !== "json" && encoding !== "proto") return CONTENT_TYPE_UNKNOWN;
    const version = query.get("connect");
    if (version !== null && version !== "v1") throw invalidArgument("CONNECT_VERSION_UNKNOWN", `the parameter connect is ${JSON.stringify(version.slice(0, 40))}: send v1`);
    const coding = codingOf(query.get("compression") ?? "");
    const bytes = query.get("base64") === "1" ? decodeUrlBase64(message) : Buffer.from(message);
    applyClientTimeout(request);
    return handler(
      new AdaptedRequest(request, `application/${encoding}`, (sizeBytesMax) => (coding !== undefined && bytes.length > 0 ? inflateMessage(bytes, { coding, sizeBytesMax }, request) : Promise.resolve(bytes))),
    );
  };
}

/** A GET that is no call gets what it would get of a method that takes POST alone. */
const NOT_A_CALL: ApiReply = { status: 405, headers: { allow: "POST" }, body: "" };

/** Of both alphabets, padded or not. */
function decodeUrlBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/_ -]*={0,2}$/.test(text)) throw invalidArgument("BASE64_INVALID", "the parameter message is not base64, which base64=1 says it is: send the alphabet for URLs");
  return Buffer.from(text.replaceAll(" ", "+"), "base64"); // a plus that was not encoded reads as a blank
}

/** Undefined: the message is sent as it is. */
function codingOf(compression: string): ContentCoding | undefined {
  if (compression === "" || compression === "identity") return undefined;
  const coding = codingNamed(compression);
  if (coding !== undefined) return coding;
  throw new CodedError({ code: "CONTENT_ENCODING_UNKNOWN", kind: "unimplemented", message: `compression ${JSON.stringify(compression.slice(0, 100))} is not supported: send one of ${CODINGS_ACCEPTED}, or leave it out` });
}
