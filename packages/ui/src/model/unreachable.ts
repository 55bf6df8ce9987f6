/** Ends a switch over a union. It does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`a case was forgotten: ${JSON.stringify(value)}`);
}
