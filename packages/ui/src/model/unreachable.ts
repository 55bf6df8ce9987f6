/** The end of a switch on a union: it compiles only while every case is named. */
export function unreachable(value: never): never {
  throw new Error(`a case was forgotten: ${JSON.stringify(value)}`);
}
