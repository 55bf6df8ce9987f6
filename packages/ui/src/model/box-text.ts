/**
 * The part of a function's name that fits a box. The end of a name says more than its beginning
 * (`github.com/acme/shop/cart.(*Cart).Add`), so its path is dropped before anything is cut off.
 */

const TEXT_LENGTH_MIN = 3; // fewer characters say nothing

/** A name may have 64 KiB. A longer text than this would push the values next to it off the screen. */
export const SPOKEN_LENGTH_MAX = 300;

/**
 * The name of a function as the page shows it. Some functions have none (in Go's mutex profiles): an empty box or row would look like a
 * fault of the page.
 */
export function shownName(name: string): string {
  return name === "" ? "[unnamed]" : name;
}

/** The name next to its values. A very long one loses its middle. */
export function spokenName(name: string): string {
  const half = SPOKEN_LENGTH_MAX / 2;
  return name.length <= SPOKEN_LENGTH_MAX ? shownName(name) : `${name.slice(0, half - 1)}…${name.slice(-half)}`;
}

/** Empty where nothing useful fits. */
export function fitName(functionName: string, lengthMax: number): string {
  if (lengthMax < TEXT_LENGTH_MIN) return "";
  const name = shownName(functionName);
  if (name.length <= lengthMax) return name;
  const short = shortName(name);
  return short.length <= lengthMax ? short : `${short.slice(0, lengthMax - 1)}…`;
}

/** Drops the folders before the last slash, unless nothing would be left. */
export function shortName(name: string): string {
  const space = name.search(/[\s([<]/); // arguments and type parameters may contain slashes
  const head = space === -1 ? name : name.slice(0, space);
  const slash = head.lastIndexOf("/");
  return slash === -1 || slash === name.length - 1 ? name : name.slice(slash + 1);
}
