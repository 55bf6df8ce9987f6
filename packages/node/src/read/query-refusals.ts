/**
 * Why a query is refused: the errors that a caller sees. All but QUERY_TOO_LARGE are given only to callers that do not allow partial answers;
 * the answers of the others name what they lack.
 */
import { CodedError, formatSize, invalidArgument, unavailable } from "@pyromesh/base";

/** 400, as for a query that is too long: the same question again is refused again. */
export function tooLarge(bytesMax: number, from: "segments" | "other members" = "segments"): CodedError {
  return invalidArgument(
    "QUERY_TOO_LARGE",
    `the query would read more than the ${formatSize(bytesMax)} of max_query_bytes from ${from}: narrow its time range or name a service in its selector, or raise the limit`,
  );
}

/** The same of one member's part of an answer, whose size no setting lifts. */
export function partTooLarge(bytesMax: number): CodedError {
  return invalidArgument("QUERY_TOO_LARGE", `a member would answer the query with more than ${formatSize(bytesMax)}, what one message holds: narrow its time range or name a service in its selector`);
}

/** The bucket was not listed yet, or is not the right one. */
export function incomplete(reason: string): CodedError {
  return partly("CATALOG_INCOMPLETE", `the answer could lack segments that this node does not know of yet (${reason}): try again, or send X-Pyromesh-Partial: allow`);
}

export function segmentsMissing(missing: readonly string[]): CodedError {
  return partly(
    "SEGMENTS_MISSING",
    `the answer would lack segments that are missing from the bucket (${missing.join("; ")}): restore them, or accept the loss with pyromesh bucket forget TENANT WINDOW STORE ORDINALS, or send X-Pyromesh-Partial: allow`,
  );
}

/** `spans`: each quarantine by its number, with its reason. */
export function quarantined(spans: readonly string[]): CodedError {
  return partly("QUARANTINED", `profiles of this time may be lost (${spans.join("; ")}): acknowledge with POST /admin/quarantine, or send X-Pyromesh-Partial: allow`);
}

/** An object could not be read now, or is damaged. `retryAfterSeconds`: until a damaged one is read again. */
export function unreadable(lost: string, cause: unknown, retryAfterSeconds: number | undefined): CodedError {
  const again = retryAfterSeconds === undefined ? "try again" : `it is read again in ${retryAfterSeconds} s`;
  const message = `the answer would lack what cannot be read (${lost}): ${again}, or send X-Pyromesh-Partial: allow to do without it`;
  return partly("OBJECT_UNREADABLE", message, cause, retryAfterSeconds);
}

/** Stores that must answer did not. `missing`: which members and why. */
export function headsIncomplete(missing: readonly string[]): CodedError {
  return partly("STORES_MISSING", `the answer could lack profiles that are not in the bucket yet (${missing.join("; ")}): try again, or send X-Pyromesh-Partial: allow`);
}

/** The plan was still changing when the last round ended. */
export function planUnsettled(missing: readonly string[]): CodedError {
  return partly("PLAN_UNSETTLED", `the answer could lack ${missing.join("; ")}: try again, or send X-Pyromesh-Partial: allow`);
}

/** `because`: words that end a sentence. Another node answers, so the caller has nothing of a partial answer here. */
export function notJoined(because: string): CodedError {
  return unavailable("QUERIES_REFUSED", `this node answers no queries: ${because}; ask another`);
}

/** 503. `canBePartial` tells the API that the caller could have had the rest. */
function partly(code: string, message: string, cause?: unknown, retryAfterSeconds?: number): CodedError {
  const details = { canBePartial: true, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  return new CodedError({ code, kind: "unavailable", message, details, cause });
}
