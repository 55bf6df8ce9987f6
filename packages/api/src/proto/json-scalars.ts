/** Keys and scalar values of protobuf's JSON form. */
import type { ByteWriter } from "@pyromesh/base";
import type { Int64 } from "@pyromesh/profile";
import type { Field } from "./schema.ts";

/** The printed keys. Field tables are few and live as long as the process, so this stays bounded. */
const keys = new WeakMap<Field, string>();

export function writeJsonKey(field: Field, out: ByteWriter): void {
  let key = keys.get(field);
  if (key === undefined) keys.set(field, (key = `"${field.jsonName}":`));
  out.utf8(key);
}

export function writeJsonText(text: string, out: ByteWriter): void {
  out.utf8(JSON.stringify(text));
}

/** For any kind but a message. */
export function writeJsonScalar(field: Field, item: unknown, out: ByteWriter): void {
  switch (field.kind) {
    case "string":
      writeJsonText(item as string, out);
      return;
    case "bytes":
      writeBase64(item as Uint8Array, out); // guaranteed by the schema's type
      return;
    case "bool":
      out.utf8(String(item));
      return;
    case "double":
      out.utf8(doubleText(item as number));
      return;
    case "enum":
      out.utf8(JSON.stringify(field.enumNames![item as number] ?? item));
      return;
    case "int32":
    case "uint32":
      out.utf8(String(item));
      return;
    default:
      out.utf8('"').decimal(item as Int64).utf8('"');
  }
}

/** A multiple of three, so that only the last part has padding. */
const BASE64_PART_BYTES = 3 * 2 ** 14;

function writeBase64(bytes: Uint8Array, out: ByteWriter): void {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  out.utf8('"');
  for (let at = 0; at < whole.length; at += BASE64_PART_BYTES) out.utf8(whole.toString("base64", at, Math.min(whole.length, at + BASE64_PART_BYTES)));
  out.utf8('"');
}

function doubleText(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}
