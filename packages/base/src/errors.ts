/**
 * Coded errors: what the world may do to us.
 *
 * `code` is stable and greppable (`HEAD_FULL`); messages may change. `kind` says who can do something about it, in the
 * words of Connect's codes, so that one table in `api` turns it into a status.
 */

export type ErrorKind =
  | "invalid_argument" // the caller's input is wrong: say what to change
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "resource_exhausted" // a limit of this tenant: wait or raise it
  | "failed_precondition"
  | "unimplemented"
  | "canceled" // the caller went away
  | "deadline_exceeded"
  | "unavailable" // this node cannot now: try again
  | "data_loss" // bytes that were kept are not what was written
  | "internal";

export interface CodedErrorInit {
  /** UPPER_SNAKE, never changes once released. */
  readonly code: string;
  readonly kind: ErrorKind;
  /** One sentence. For a caller's fault it says what to change. */
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
  /** What was read: an object key, a file, a LevelDB key in words. */
  readonly object: string;
  /** Where one dataset of the object is meant and the others may be whole: its service. */
  readonly service?: string | undefined;
  /** Byte offset inside the object, or -1 where the object as a whole is meant. */
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  readonly cause?: unknown;
}

/** Bytes are not what was written. Never repaired silently: the reader quarantines or refuses. */
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

/** This node cannot answer now; nothing was taken. */
export function unavailable(code: string, message: string, cause?: unknown): CodedError {
  return new CodedError({ code, kind: "unavailable", message, cause });
}

/** Reads a message from anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
