/**
 * The HTTP status of each kind of error, and the one body that errors have: `{"code","message"}`, as in Connect. An error that is no
 * `CodedError` is a bug of ours: its message is logged only, and the caller reads "internal".
 */
import { CodedError, unreachable } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import { CODINGS_ACCEPTED } from "./content-coding.ts";
import type { ApiReply } from "./http.ts";

/** The reply for every route that has no status codes of its own. */
export function errorReply(thrown: unknown): ApiReply {
  return errorReplyWith(httpStatusOf(thrown), thrown);
}

/** The same body with another status: /ingest answers 422 where Push answers 400. */
export function errorReplyWith(status: number, thrown: unknown): ApiReply {
  const headers: Record<string, string> = { "content-type": "application/json" };
  const retryAfter = retryAfterOf(status, thrown);
  if (retryAfter !== undefined) headers["retry-after"] = retryAfter;
  if (thrown instanceof CodedError && thrown.code === "CONTENT_ENCODING_UNKNOWN") headers["accept-encoding"] = CODINGS_ACCEPTED;
  // The caller may send the query again with `X-Pyromesh-Partial: allow` and get an answer.
  if (thrown instanceof CodedError && thrown.details["canBePartial"] === true) headers["x-pyromesh-partial"] = "possible";
  return { status, headers, body: JSON.stringify({ code: kindOf(thrown), message: publicMessageOf(thrown) }), error: thrown };
}

/** The value of Retry-After: the seconds that the error names. An answer that would lack data has no header where no time is known. */
function retryAfterOf(status: number, thrown: unknown): string | undefined {
  const { retryAfterSeconds, canBePartial } = thrown instanceof CodedError ? thrown.details : {};
  if (typeof retryAfterSeconds === "number") return String(retryAfterSeconds);
  // One second is the least that the header can say. Without it clients retry at once and make an overload worse.
  return (status === 503 || status === 429) && canBePartial !== true ? "1" : undefined;
}

/** Codes whose status is not the one of their kind. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  BODY_TOO_LARGE: 413,
  BODY_READ_FAILED: 408,
  GRPC_NEEDS_HTTP2: 505,
  HEADERS_TOO_LARGE: 431,
};

export function httpStatusOf(thrown: unknown): number {
  if (thrown instanceof CodedError) return STATUS_BY_CODE[thrown.code] ?? statusOfKind(thrown.kind);
  return statusOfKind(kindOf(thrown));
}

/** Connect's own table: there `failed_precondition` is 400, not 412. */
export function statusOfKind(kind: ErrorKind): number {
  switch (kind) {
    case "invalid_argument":
    case "failed_precondition":
      return 400;
    case "unauthenticated":
      return 401;
    case "permission_denied":
      return 403;
    case "not_found":
      return 404;
    case "resource_exhausted":
      return 429;
    case "canceled":
      return 499;
    case "data_loss":
    case "internal":
      return 500;
    case "unimplemented":
      return 501;
    case "unavailable":
      return 503;
    case "deadline_exceeded":
      return 504;
    default:
      return unreachable(kind);
  }
}

export function kindOf(thrown: unknown): ErrorKind {
  if (thrown instanceof CodedError) return thrown.kind;
  if (thrown instanceof Error && thrown.name === "AbortError") return "canceled";
  if (thrown instanceof Error && thrown.name === "TimeoutError") return "deadline_exceeded";
  return "internal";
}

/** What the caller may read: the message of a coded error. Of any other error the caller learns only that it happened. */
export function publicMessageOf(thrown: unknown): string {
  if (thrown instanceof CodedError) return thrown.message;
  switch (kindOf(thrown)) {
    case "canceled":
      return "the request was cancelled";
    case "deadline_exceeded":
      return "the request took longer than its time limit";
    default:
      return "an error inside this node; its log has the details";
  }
}
