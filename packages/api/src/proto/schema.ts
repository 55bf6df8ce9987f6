/**
 * A message described as data: field tables that both codecs (proto/binary.ts, proto/json.ts) walk. The `.proto` files in
 * `packages/api/proto` say the same for readers and for code generators; proto/schema.test.ts holds the two together.
 *
 * Decoded, a message is a plain object keyed by JSON names with every field present: 0, "", false, [] or undefined (for
 * messages and `optional` scalars) where the wire had nothing. int64 is a number up to 2^53 and a bigint above.
 */

export type ScalarKind = "string" | "bytes" | "bool" | "int64" | "uint64" | "int32" | "uint32" | "double";

export interface Field {
  readonly number: number;
  /** As in the .proto file. */
  readonly name: string;
  /** As protojson writes it; both are read. */
  readonly jsonName: string;
  readonly kind: ScalarKind | "enum" | "message";
  readonly isRepeated: boolean;
  /** Proto3 `optional`: written when defined, even if zero. */
  readonly isOptional: boolean;
  /** Of kind `message`. */
  readonly message: MessageSchema<object> | undefined;
  /** Of kind `enum`: index is the number. */
  readonly enumNames: readonly string[] | undefined;
}

/** `T` is what a decoded message looks like. The table is what makes it so: keep the two side by side. */
export interface MessageSchema<T extends object> {
  readonly name: string;
  readonly fields: readonly Field[];
  /** Never set; ties the table to its type. */
  readonly decodesTo?: T;
}

export function message<T extends object>(name: string, fields: readonly Field[]): MessageSchema<T> {
  return { name, fields };
}

export interface FieldOptions {
  readonly isRepeated?: boolean;
  readonly isOptional?: boolean;
  /** Where protojson's rule (lowerCamelCase of the name) does not hold. */
  readonly jsonName?: string;
}

export function scalar(number: number, name: string, kind: ScalarKind, options: FieldOptions = {}): Field {
  return make(number, name, kind, options, undefined, undefined);
}

export function nested<T extends object>(number: number, name: string, schema: MessageSchema<T>, options: FieldOptions = {}): Field {
  return make(number, name, "message", options, schema, undefined);
}

export function enumeration(number: number, name: string, enumNames: readonly string[], options: FieldOptions = {}): Field {
  return make(number, name, "enum", options, undefined, enumNames);
}

function make(
  number: number,
  name: string,
  kind: Field["kind"],
  options: FieldOptions,
  schema: MessageSchema<object> | undefined,
  enumNames: readonly string[] | undefined,
): Field {
  return {
    number,
    name,
    jsonName: options.jsonName ?? name.replace(/_([a-zA-Z])/g, (_, letter: string) => letter.toUpperCase()),
    kind,
    isRepeated: options.isRepeated === true,
    isOptional: options.isOptional === true,
    message: schema,
    enumNames,
  };
}

/** What a decoder fills in before it reads. */
export function emptyMessage(schema: MessageSchema<object>): Record<string, unknown> {
  const empty: Record<string, unknown> = {};
  for (const field of schema.fields) empty[field.jsonName] = field.isRepeated ? [] : defaultOf(field);
  return empty;
}

const NO_BYTES = new Uint8Array(0);

export function defaultOf(field: Field): unknown {
  if (field.isOptional) return undefined;
  switch (field.kind) {
    case "message":
      return undefined;
    case "string":
      return "";
    case "bytes":
      return NO_BYTES;
    case "bool":
      return false;
    default:
      return 0;
  }
}

/** Proto3: a scalar with no presence of its own is not written when it is zero. */
export function isUnset(field: Field, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (field.isOptional || field.kind === "message") return false;
  if (field.kind === "bytes") return (value as Uint8Array).length === 0; // the schema's type says so
  // -0 is a value of its own on the wire, but no answer of ours means it.
  return value === 0 || value === 0n || value === "" || value === false;
}
