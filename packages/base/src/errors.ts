/**
 * Coded errors, for everything that may go wrong without a bug of ours.
 *
 * `code` is stable (`HEAD_FULL`); messages may change. `kind` says who can do something about it, with Connect's codes, so that one table
 * in `api` maps it to a status.
 */

export type ErrorKind =
  | "invalid_argument" // the caller's input is wrong: say what to change
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "resource_exhausted" // a limit of this tenant: wait, or raise it
  | "failed_precondition"
  | "unimplemented"
  | "canceled" // the caller went away
  | "deadline_exceeded"
  | "unavailable" // this node cannot answer now: try again
  | "data_loss" // stored bytes are not what was written
  | "internal";

interface CodedErrorInit {
  /** UPPER_SNAKE_CASE. Never changes once released. */
  readonly code: string;
  readonly kind: ErrorKind;
  /** One sentence. Where the caller is at fault it says what to change. */
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  readonly cause?: unknown;
}

export class CodedError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(init: CodedErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = "CodedError";
    this.code = init.code;
    this.kind = init.kind;
    this.details = init.details ?? {};
  }
}

export interface CorruptionInit {
  /** What was read: an object key, a file, or a LevelDB key in words. */
  readonly object: string;
  /** The service, where only one dataset of the object is affected. */
  readonly service?: string | undefined;
  /** The offset in the object; -1 where the whole object is meant. */
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  readonly cause?: unknown;
}

/** Stored bytes are not what was written. They are never repaired silently: the reader quarantines them or refuses. */
export class CorruptionError extends CodedError {
  readonly object: string;
  readonly offset: number;
  readonly expected: string;
  readonly found: string;

  constructor(init: CorruptionInit) {
    super({
      code: "CORRUPTION",
      kind: "data_loss",
      message: `${init.object}${init.service === undefined ? "" : ` dataset ${init.service}`} is corrupt at byte ${init.offset}: expected ${init.expected}, found ${init.found}`,
      details: { object: init.object, offset: init.offset, ...(init.service === undefined ? {} : { service: init.service }) },
      cause: init.cause,
    });
    this.name = "CorruptionError";
    this.object = init.object;
    this.offset = init.offset;
    this.expected = init.expected;
    this.found = init.found;
  }
}

/** The caller's input is wrong. `message` says what to change. */
export function invalidArgument(code: string, message: string, cause?: unknown): CodedError {
  return new CodedError({ code, kind: "invalid_argument", message, cause });
}

/** This node cannot answer now, and has stored nothing of the request. */
export function unavailable(code: string, message: string, cause?: unknown): CodedError {
  return new CodedError({ code, kind: "unavailable", message, cause });
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.message !== "") return thrown.message;
  // Node.js has no message where it tried several addresses of a host.
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return thrown.errors.map(messageOf).join("; ");
  return thrown.name;
}
