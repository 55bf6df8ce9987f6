/** Checks for what only a bug of ours could break. What the world may do gets a `CodedError` instead. */

/** Throws when `condition` is false: the program's own reasoning was wrong, so there is nothing to recover. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Ends a switch over a union: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
