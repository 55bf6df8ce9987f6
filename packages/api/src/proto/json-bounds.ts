/**
 * How large, how deep and how full a JSON body may be, told from its bytes before it is parsed. `JSON.parse` makes a hundred bytes of one
 * bracket and holds the thread until it is done: 64 MiB of `[` took 5.6 GB and 7 s.
 */
import { invalidArgument } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";

export interface JsonBounds {
  readonly depthMax: number;
  /** Items of lists and fields of objects, each counted once however deep it lies. */
  readonly valueCountMax: number;
}

/** A push is four deep, a query three. */
const JSON_DEPTH_MAX = 32;

/** Of a query's message. 10,000 ids of a selection, the most it may have, are 390 kB; parsing as much takes some 3 ms. */
export const JSON_MESSAGE_BYTES_MAX: number = 512 * 2 ** 10;
export const JSON_MESSAGE_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 65_536 };

/** Of a push, which carries its profiles in base64: more than a tenant's burst is (8 MB). Larger ones go as application/proto. */
export const JSON_PUSH_BYTES_MAX: number = 16 * 2 ** 20;
/** 16,384 profiles, the most a push may have, have some 15 each with their labels. */
export const JSON_PUSH_BOUNDS: JsonBounds = { depthMax: JSON_DEPTH_MAX, valueCountMax: 262_144 };

/** In one pass. Says nothing about whether it is JSON. Throws JSON_TOO_DEEP or JSON_TOO_MANY_VALUES. */
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
