/** A function's name as a person reads it. The API leaves a function without a name without one; a line of text would show nothing. */
export function shownName(name: string): string {
  return name === "" ? "[unnamed]" : name;
}
