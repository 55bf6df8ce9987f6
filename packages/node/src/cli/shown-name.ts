/** A function's name for people. A function may have an empty name, which would show nothing in a line of text. */
export function shownName(name: string): string {
  return name === "" ? "[unnamed]" : name;
}
