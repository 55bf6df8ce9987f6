/**
 * The encodings of request bodies: `Content-Encoding` names one of CODINGS, or identity. Several in one header are refused: each would need a
 * bound and memory of its own, and no client sends them.
 */
import { CodedError } from "@pyromesh/base";
import type { ApiRequest } from "./http.ts";

export type ContentCoding = "gzip" | "zstd" | "deflate";

const CODINGS: Readonly<Record<string, ContentCoding>> = { gzip: "gzip", "x-gzip": "gzip", zstd: "zstd", deflate: "deflate" };

/** The value of `Accept-Encoding` in replies: which encodings a request may have (RFC 9110, and Connect). */
export const CODINGS_ACCEPTED = "gzip, zstd, deflate";

/** Undefined: the body is sent as it is. Throws CONTENT_ENCODING_UNKNOWN. */
export function contentCodingOf({ headers }: Pick<ApiRequest, "headers">): ContentCoding | undefined {
  const header = headers["content-encoding"];
  if (header === undefined) return undefined;
  if (header === "gzip") return header; // as nearly all clients send it
  const [name, another] = header
    .toLowerCase()
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "" && part !== "identity");
  if (name === undefined) return undefined;
  const coding = codingNamed(name);
  if (coding !== undefined && another === undefined) return coding;
  throw new CodedError({
    code: "CONTENT_ENCODING_UNKNOWN",
    kind: "unimplemented",
    message: `content encoding ${JSON.stringify(header.slice(0, 100))} is not supported: send one of ${CODINGS_ACCEPTED}, or none`,
  });
}

/** Undefined: there is none of this name. */
export function codingNamed(name: string): ContentCoding | undefined {
  return Object.hasOwn(CODINGS, name) ? CODINGS[name] : undefined;
}
