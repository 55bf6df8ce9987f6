/**
 * What of a function's name is written in a box of so many characters. The end of a name tells more than its beginning
 * (`github.com/acme/shop/cart.(*Cart).Add`), so a path is dropped before anything is cut.
 */

const TEXT_LENGTH_MIN = 3; // fewer characters say nothing

/** Names have up to 64 KiB. More than this would push the values beside it off the screen. */
export const SPOKEN_LENGTH_MAX = 300;

/** A function's name where it is shown. Some have none (Go's mutex profiles): an empty box or row would look like a fault of the page. */
export function shownName(name: string): string {
  return name === "" ? "[unnamed]" : name;
}

/** A name as it is told beside its values: a very long one without its middle. */
export function spokenName(name: string): string {
  const half = SPOKEN_LENGTH_MAX / 2;
  return name.length <= SPOKEN_LENGTH_MAX ? shownName(name) : `${name.slice(0, half - 1)}…${name.slice(-half)}`;
}

/** Empty when nothing useful fits. */
export function fitName(functionName: string, lengthMax: number): string {
  if (lengthMax < TEXT_LENGTH_MIN) return "";
  const name = shownName(functionName);
  if (name.length <= lengthMax) return name;
  const short = shortName(name);
  return short.length <= lengthMax ? short : `${short.slice(0, lengthMax - 1)}…`;
}

/** Without the folders before the last slash, unless that leaves nothing. */
export function shortName(name: string): string {
  const space = name.search(/[\s([<]/); // arguments and type parameters may hold slashes of their own
  const head = space === -1 ? name : name.slice(0, space);
  const slash = head.lastIndexOf("/");
  return slash === -1 || slash === name.length - 1 ? name : name.slice(slash + 1);
}
