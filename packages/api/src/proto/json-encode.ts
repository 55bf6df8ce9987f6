/**
 * Encodes protobuf's JSON form, for any schema, as UTF-8: JSON names, int64 as strings, enums by name, zero values omitted.
 *
 * The result is bytes, not a string: a flame graph of a million nodes is 50 MB, which are outside of the heap so, and a string ends at
 * half a gigabyte. A field that is given in binary form is printed from its bytes (binary-to-json.ts).
 */
import { ByteWriter } from "@pyromesh/base";
import { UNINTERRUPTED } from "@pyromesh/profile";
import type { Int64, Interrupt } from "@pyromesh/profile";
import { binaryToJson } from "./binary-to-json.ts";
import { writeJsonKey, writeJsonScalar, writeJsonText } from "./json-scalars.ts";
import { isUnset } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";

/** The output grows by chunks. If it doubled, a reply of 50 MB might take 100, and its query be refused where memory is short. */
export const REPLY_GROWTH: { readonly chunkBytes: number } = { chunkBytes: 2 ** 20 };

/** Calls `interrupt` for each value. */
export function encodeJson<T extends object>(schema: MessageSchema<T>, value: T, interrupt: Interrupt = UNINTERRUPTED): Uint8Array {
  const out = new ByteWriter(1024, REPLY_GROWTH);
  writeJson(schema, value, out, interrupt);
  return out.finish();
}

export function writeJson<T extends object>(schema: MessageSchema<T>, value: T, out: ByteWriter, interrupt: Interrupt): void {
  writeMessage(schema, value as Readonly<Record<string, unknown>>, out, interrupt); // only the table's names are read
}

function writeMessage(schema: MessageSchema<object>, value: Readonly<Record<string, unknown>>, out: ByteWriter, interrupt: Interrupt): void {
  out.utf8("{");
  let isFirst = true;
  for (const field of schema.fields) {
    const item = value[field.jsonName];
    const isAbsent = field.isRepeated ? item === undefined || (item as readonly unknown[]).length === 0 : isUnset(field, item);
    if (isAbsent) continue;
    if (!isFirst) out.utf8(",");
    isFirst = false;
    writeJsonKey(field, out);
    if (field.isRepeated) writeList(field, item as readonly unknown[], out, interrupt);
    else writeItem(field, item, out, interrupt);
  }
  out.utf8("}");
}

function writeList(field: Field, list: readonly unknown[], out: ByteWriter, interrupt: Interrupt): void {
  out.utf8("[");
  switch (field.kind) {
    case "int64":
    case "uint64": {
      const values = list as readonly Int64[]; // guaranteed by the field's kind
      for (let i = 0; i < values.length; i++) {
        interrupt.after(1);
        out.utf8(i === 0 ? '"' : ',"').decimal(values[i]!).utf8('"');
      }
      break;
    }
    default:
      for (let i = 0; i < list.length; i++) {
        if (i > 0) out.utf8(",");
        writeItem(field, list[i], out, interrupt);
      }
  }
  out.utf8("]");
}

function writeItem(field: Field, item: unknown, out: ByteWriter, interrupt: Interrupt): void {
  interrupt.after(1);
  if (field.kind === "message") {
    // Bytes are a message in binary form.
    if (item instanceof Uint8Array) binaryToJson(field.message!, item, out, interrupt);
    else writeMessage(field.message!, item as Readonly<Record<string, unknown>>, out, interrupt);
  } else if (field.kind === "string") writeJsonText(item as string, out);
  else writeJsonScalar(field, item, out);
}
