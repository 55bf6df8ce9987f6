/** Assertions, for what only a bug of ours could break. Anything else that may go wrong gets a `CodedError`. */

/** Throws where `condition` is false. There is nothing to recover: our reasoning was wrong. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Ends a switch over a union. It does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
