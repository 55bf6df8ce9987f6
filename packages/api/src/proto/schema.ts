/**
 * Describes messages as data: field tables that both codecs (proto/binary.ts, proto/json.ts) walk. The `.proto` files in
 * `packages/api/proto` describe the same messages for readers and code generators; proto/schema.test.ts checks that they agree.
 *
 * A decoded message is a plain object with a property for every field, under its JSON name. A field that the wire did not have is 0, "",
 * false, [] or undefined (for messages and `optional` scalars). int64 is a number up to 2^53 and a bigint above.
 */

type ScalarKind = "string" | "bytes" | "bool" | "int64" | "uint64" | "fixed64" | "int32" | "uint32" | "double";

export interface Field {
  readonly number: number;
  /** As in the .proto file. */
  readonly name: string;
  /** The name in protobuf's JSON form. Decoders read both names. */
  readonly jsonName: string;
  readonly kind: ScalarKind | "enum" | "message";
  readonly isRepeated: boolean;
  /** A proto3 `optional` field: it is written whenever it is defined, even where it is zero. */
  readonly isOptional: boolean;
  /** Set for kind `message`. */
  readonly message: MessageSchema<object> | undefined;
  /** Set for kind `enum`: the index is the number. */
  readonly enumNames: readonly string[] | undefined;
  /** Set for kind `enum`: the name of its type, with the package. */
  readonly enumName: string | undefined;
}

/** `T` is the type of a decoded message. No compiler checks it against the table: keep the two next to each other. */
export interface MessageSchema<T extends object> {
  readonly name: string;
  readonly fields: readonly Field[];
  /** Never set. It binds the table to its type. */
  readonly decodesTo?: T;
}

export function message<T extends object>(name: string, fields: readonly Field[]): MessageSchema<T> {
  return { name, fields };
}

interface FieldOptions {
  readonly isRepeated?: boolean;
  readonly isOptional?: boolean;
  /** Given where the JSON name is not the lowerCamelCase form of the name. */
  readonly jsonName?: string;
}

export function scalar(number: number, name: string, kind: ScalarKind, options: FieldOptions = {}): Field {
  return make(number, name, kind, options, undefined, undefined);
}

export function nested<T extends object>(number: number, name: string, schema: MessageSchema<T>, options: FieldOptions = {}): Field {
  return make(number, name, "message", options, schema, undefined);
}

/** `enumName`: with its package. */
export function enumeration(number: number, name: string, enumName: string, enumNames: readonly string[], options: FieldOptions = {}): Field {
  return make(number, name, "enum", options, undefined, { enumName, enumNames });
}

function make(
  number: number,
  name: string,
  kind: Field["kind"],
  options: FieldOptions,
  schema: MessageSchema<object> | undefined,
  enumType: Pick<Field, "enumName" | "enumNames"> | undefined,
): Field {
  return {
    number,
    name,
    jsonName: options.jsonName ?? name.replace(/_([a-zA-Z])/g, (_, letter: string) => letter.toUpperCase()),
    kind,
    isRepeated: options.isRepeated === true,
    isOptional: options.isOptional === true,
    message: schema,
    enumNames: enumType?.enumNames,
    enumName: enumType?.enumName,
  };
}

/** The message that a decoder starts with. */
export function emptyMessage(schema: MessageSchema<object>): Record<string, unknown> {
  const empty: Record<string, unknown> = {};
  for (const field of schema.fields) empty[field.jsonName] = field.isRepeated ? [] : defaultOf(field);
  return empty;
}

const NO_BYTES = new Uint8Array(0);

function defaultOf(field: Field): unknown {
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

/** In proto3 a scalar without presence is not written where it is zero. */
export function isUnset(field: Field, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (field.isOptional || field.kind === "message") return false;
  if (field.kind === "bytes") return (value as Uint8Array).length === 0; // guaranteed by the schema's type
  // -0 would be a value of its own on the wire, but no reply of ours means it.
  return value === 0 || value === 0n || value === "" || value === false;
}
