/** Wire types of protobuf's binary form, and which one each kind of field has. */
import type { Field } from "./schema.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const FIXED32 = 5;

export function wireOf({ kind }: Field): number {
  switch (kind) {
    case "string":
    case "bytes":
    case "message":
      return LENGTH;
    case "double":
    case "fixed64":
      return FIXED64;
    default:
      return VARINT;
  }
}

/** The index of the field with this number; -1 where there is none. */
export function fieldIndex(fields: readonly Field[], number: number): number {
  if (fields[number - 1]?.number === number) return number - 1; // most tables have their fields at the index of their number
  return fields.findIndex((field) => field.number === number);
}
