/**
 * One table from an error's kind to its HTTP status, and one way to write an error: `{"code","message"}`, as Connect does.
 * What is no `CodedError` is a bug of ours: its message stays in the log, the caller gets "internal".
 */
import { CodedError, unreachable } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import type { ApiReply } from "./http.ts";

/** A JSON reply with the error's status, for every route that has no rule of its own. */
export function errorReply(thrown: unknown): ApiReply {
  return errorReplyWith(httpStatusOf(thrown), thrown);
}

/** The same body under another status (/ingest answers 422 where Push answers 400). */
export function errorReplyWith(status: number, thrown: unknown): ApiReply {
  const headers: Record<string, string> = { "content-type": "application/json" };
  const retryAfter = retryAfterOf(status, thrown);
  if (retryAfter !== undefined) headers["retry-after"] = retryAfter;
  // The same question with `X-Pyromesh-Partial: allow` would be answered.
  if (thrown instanceof CodedError && thrown.details["canBePartial"] === true) headers["x-pyromesh-partial"] = "possible";
  return { status, headers, body: JSON.stringify({ code: kindOf(thrown), message: publicMessageOf(thrown) }), error: thrown };
}

/** An error that knows when to try again says so. Where an answer would lack data and no time is known, the header is not sent. */
function retryAfterOf(status: number, thrown: unknown): string | undefined {
  const { retryAfterSeconds, canBePartial } = thrown instanceof CodedError ? thrown.details : {};
  if (typeof retryAfterSeconds === "number") return String(retryAfterSeconds);
  // Clients that retry at once make an overload worse: one second is the least a header can say.
  return (status === 503 || status === 429) && canBePartial !== true ? "1" : undefined;
}

/** These codes have a status that says more than their kind's. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  BODY_TOO_LARGE: 413,
  BODY_READ_FAILED: 408,
};

export function httpStatusOf(thrown: unknown): number {
  if (thrown instanceof CodedError) return STATUS_BY_CODE[thrown.code] ?? statusOfKind(thrown.kind);
  return statusOfKind(kindOf(thrown));
}

/** Connect's own table; `failed_precondition` is 400 there, not 412. */
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

/** What a caller may read: a coded error's sentence; of anything else only that it happened. */
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
