/**
 * Bounds the size, the depth and the number of values of a JSON body, by its bytes, before it is parsed. `JSON.parse` makes a hundred
 * bytes of each bracket and holds the thread until it is done: 64 MiB of `[` take 5.6 GB and 7 s.
 */
import { invalidArgument } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";

export interface JsonBounds {
  readonly depthMax: number;
  /** Items of lists and fields of objects, each counted once, at any depth. */
  readonly valueCountMax: number;
}

/** A push has a depth of four, a query of three. */
const JSON_DEPTH_MAX = 32;

/** The bound for a query's message. The 10,000 ids that a selection may have are 390 kB, which takes some 3 ms to parse. */
export const JSON_MESSAGE_BYTES_MAX: number = 512 * 2 ** 10;
export const JSON_MESSAGE_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 65_536 };

/**
 * The bound for a push, whose profiles are base64. It is above a tenant's default burst (8 MB). Larger pushes can be sent as
 * application/proto.
 */
export const JSON_PUSH_BYTES_MAX: number = 16 * 2 ** 20;
/** The 16,384 profiles that a push may have, with some 15 values each. */
export const JSON_PUSH_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 262_144 };

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
  return invalidArgument("JSON_TOO_MANY_VALUES", `the JSON holds more than ${valueCountMax} values: send less at once, or application/proto`);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
