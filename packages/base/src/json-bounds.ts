/**
 * Bounds the size, the depth and the number of values of a JSON body, by its bytes, before it is parsed. `JSON.parse` makes a hundred
 * bytes of each bracket and holds the thread until it is done: 64 MiB of `[` take 5.6 GB and 7 s.
 */
import type { CodedError } from "./errors.ts";
import { invalidArgument } from "./errors.ts";

export interface JsonBounds {
  readonly depthMax: number;
  /** Items of lists and fields of objects, each counted once, at any depth. */
  readonly valueCountMax: number;
}

/** One pass over the bytes. It does not check that they are JSON. Throws JSON_TOO_DEEP or JSON_TOO_MANY_VALUES. */
export function checkJsonBounds(bytes: Uint8Array, { depthMax, valueCountMax }: JsonBounds): void {
  let depth = 0;
  let count = 1;
  let isText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (isText) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) isText = false;
      continue;
    }
    switch (byte) {
      case QUOTE:
        isText = true;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        if (++depth > depthMax) throw tooDeep(depthMax);
        count++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
      case COMMA:
        count++;
    }
    if (count > valueCountMax) throw tooManyValues(valueCountMax);
  }
}

export function tooDeep(depthMax: number): CodedError {
  return invalidArgument("JSON_TOO_DEEP", `the JSON is nested more than ${depthMax} deep: no message of this API is`);
}

export function tooManyValues(valueCountMax: number): CodedError {
  return invalidArgument("JSON_TOO_MANY_VALUES", `the JSON holds more than ${valueCountMax} values: send less at once, or in binary`);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
