/**
 * Decodes protobuf's JSON form, for any schema. Fields may have their JSON or their proto name, int64 may be a number or a string, enums
 * a name or a number; null counts as absent, and unknown fields are skipped. json-encode.ts encodes it.
 */
import { checkJsonBounds, invalidArgument, messageOf } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import type { Int64 } from "@pyromesh/profile";
import { JSON_MESSAGE_BOUNDS } from "./json-bounds.ts";
import { emptyMessage } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";

/** Throws MESSAGE_MALFORMED, naming the field. */
export function decodeJson<T extends object>(schema: MessageSchema<T>, bytes: Uint8Array): T {
  if (bytes.length === 0) throw malformed(`the body is empty: send a JSON object, {} at least`);
  checkJsonBounds(bytes, JSON_MESSAGE_BOUNDS);
  let root: unknown;
  try {
    root = JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    throw invalidArgument("MESSAGE_MALFORMED", `the body is not JSON: ${messageOf(cause).slice(0, 200)}`, cause);
  }
  return readMessage(schema, root, schema.name) as T; // the schema's table describes T
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function malformed(message: string): CodedError {
  return invalidArgument("MESSAGE_MALFORMED", message);
}

// --- reading --------------------------------------------------------------------------------------------------------

function readMessage(schema: MessageSchema<object>, json: unknown, place: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw malformed(`${place} must be a JSON object`);
  const value = emptyMessage(schema);
  for (const field of schema.fields) {
    const given = pick(json, field, place);
    if (given === undefined || given === null) continue;
    const at = `${place}.${field.jsonName}`;
    if (!field.isRepeated) value[field.jsonName] = readItem(field, given, at);
    else if (Array.isArray(given)) value[field.jsonName] = given.map((item, index) => readItem(field, item, `${at}[${index}]`));
    else throw malformed(`${at} must be an array`);
  }
  return value;
}

function pick(json: object, field: Field, place: string): unknown {
  const hasJsonName = Object.hasOwn(json, field.jsonName);
  const fields = json as Readonly<Record<string, unknown>>; // only own properties are read, each checked before
  if (field.name !== field.jsonName && Object.hasOwn(json, field.name)) {
    if (hasJsonName) throw malformed(`${place} has both ${field.jsonName} and ${field.name}: send one`);
    return fields[field.name];
  }
  return hasJsonName ? fields[field.jsonName] : undefined;
}

function readItem(field: Field, json: unknown, at: string): unknown {
  switch (field.kind) {
    case "message":
      return readMessage(field.message!, json, at);
    case "string":
      if (typeof json !== "string") throw malformed(`${at} must be a string`);
      return json;
    case "bytes":
      return readBase64(json, at);
    case "bool":
      if (typeof json !== "boolean") throw malformed(`${at} must be true or false`);
      return json;
    case "double":
      return readDouble(json, at);
    case "enum":
      return readEnum(field.enumNames!, json, at);
    case "int32":
      return Number(readWhole(json, at, -(2n ** 31n), 2n ** 31n - 1n));
    case "uint32":
      return Number(readWhole(json, at, 0n, 2n ** 32n - 1n));
    case "uint64":
    case "fixed64":
      return readWhole(json, at, 0n, 2n ** 64n - 1n);
    default:
      return readWhole(json, at, -(2n ** 63n), 2n ** 63n - 1n);
  }
}

function readWhole(json: unknown, at: string, least: bigint, greatest: bigint): Int64 {
  const value = typeof json === "string" ? parseWhole(json) : typeof json === "number" && Number.isInteger(json) ? BigInt(json) : undefined;
  if (value === undefined) throw malformed(`${at} must be a whole number, or a string of one`);
  if (value < least || value > greatest) throw malformed(`${at} must be from ${least} to ${greatest}`);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

/** Checks the length before BigInt, which takes quadratic time: a megabyte of digits would hold the thread. */
function parseWhole(text: string): bigint | undefined {
  if (text.length > 40) return undefined;
  if (/^-?\d+$/.test(text)) return BigInt(text);
  const number = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : NaN;
  return Number.isInteger(number) ? BigInt(number) : undefined;
}

function readDouble(json: unknown, at: string): number {
  if (typeof json === "number") return json;
  if (typeof json === "string") {
    if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(json)) return Number(json);
    if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
  }
  throw malformed(`${at} must be a number`);
}

/** An unknown name is refused. If it were read as 0, a misspelt AVERAGE would be answered with a sum. */
function readEnum(names: readonly string[], json: unknown, at: string): number {
  if (typeof json === "number" && Number.isInteger(json) && Math.abs(json) < 2 ** 31) return json;
  const index = typeof json === "string" ? names.indexOf(json) : -1;
  if (index < 0) throw malformed(`${at} must be one of ${names.join(", ")}`);
  return index;
}

function readBase64(json: unknown, at: string): Uint8Array {
  if (typeof json !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(json)) throw malformed(`${at} must be base64`);
  return new Uint8Array(Buffer.from(json, "base64")); // Buffer decodes both alphabets
}
