/**
 * The field tables and services as protobuf's own descriptors (google/protobuf/descriptor.proto), from which a client without our `.proto`
 * files knows the messages. One file for each package.
 */
import { encodeBinary } from "./binary.ts";
import { message, nested, scalar } from "./schema.ts";
import type { Field, MessageSchema } from "./schema.ts";
import { SERVICES } from "./services.ts";

export interface DescriptorFile {
  readonly name: string;
  /** A FileDescriptorProto. */
  readonly bytes: Uint8Array;
}

export interface Descriptors {
  /** With their package, in order. */
  readonly services: readonly string[];
  /** By the file's name: `querier/v1/querier.proto`. */
  readonly byName: ReadonlyMap<string, DescriptorFile>;
  /** By what it declares: services, methods, messages and enums, with their package. */
  readonly bySymbol: ReadonlyMap<string, DescriptorFile>;
}

const OPTIONAL = { isOptional: true } as const;
const REPEATED = { isRepeated: true } as const;

const FIELD = message("google.protobuf.FieldDescriptorProto", [
  scalar(1, "name", "string"),
  scalar(3, "number", "int32"),
  scalar(4, "label", "int32"),
  scalar(5, "type", "int32"),
  scalar(6, "type_name", "string"),
  scalar(9, "oneof_index", "int32", OPTIONAL),
  scalar(10, "json_name", "string"),
  scalar(17, "proto3_optional", "bool"),
]);
const NAMED = message("google.protobuf.OneofDescriptorProto", [scalar(1, "name", "string")]);
const MESSAGE = message("google.protobuf.DescriptorProto", [scalar(1, "name", "string"), nested(2, "field", FIELD, REPEATED), nested(8, "oneof_decl", NAMED, REPEATED)]);
const ENUM_VALUE = message("google.protobuf.EnumValueDescriptorProto", [scalar(1, "name", "string"), scalar(2, "number", "int32", OPTIONAL)]);
const ENUM = message("google.protobuf.EnumDescriptorProto", [scalar(1, "name", "string"), nested(2, "value", ENUM_VALUE, REPEATED)]);
const METHOD = message("google.protobuf.MethodDescriptorProto", [scalar(1, "name", "string"), scalar(2, "input_type", "string"), scalar(3, "output_type", "string"), scalar(6, "server_streaming", "bool")]);
const SERVICE = message("google.protobuf.ServiceDescriptorProto", [scalar(1, "name", "string"), nested(2, "method", METHOD, REPEATED)]);
const FILE: MessageSchema<object> = message("google.protobuf.FileDescriptorProto", [
  scalar(1, "name", "string"),
  scalar(2, "package", "string"),
  scalar(3, "dependency", "string", REPEATED),
  nested(4, "message_type", MESSAGE, REPEATED),
  nested(5, "enum_type", ENUM, REPEATED),
  nested(6, "service", SERVICE, REPEATED),
  scalar(12, "syntax", "string"),
]);

const FILE_BY_PACKAGE: Readonly<Record<string, string>> = {
  "adhocprofiles.v1": "adhocprofiles/v1/adhocprofiles.proto",
  "capabilities.v1": "capabilities/v1/feature_flags.proto",
  "google.v1": "google/v1/profile.proto",
  "grpc.health.v1": "grpc/health/v1/health.proto",
  "opentelemetry.proto.collector.profiles.v1development": "opentelemetry/proto/collector/profiles/v1development/profiles_service.proto",
  "opentelemetry.proto.common.v1": "opentelemetry/proto/common/v1/common.proto",
  "opentelemetry.proto.profiles.v1development": "opentelemetry/proto/profiles/v1development/profiles.proto",
  "opentelemetry.proto.resource.v1": "opentelemetry/proto/resource/v1/resource.proto",
  "push.v1": "push/v1/push.proto",
  "pyromesh.query.v1": "pyromesh/query/v1/query.proto",
  "querier.v1": "querier/v1/querier.proto",
  "types.v1": "types/v1/types.proto",
  "version.v1": "version/v1/version.proto",
};

/** What one file declares. */
class Declarations {
  readonly messages = new Map<string, MessageSchema<object>>();
  readonly enums = new Map<string, readonly string[]>();
  readonly services: string[] = [];
  /** Packages of types that it uses. */
  readonly uses = new Set<string>();
}

export function describeServices(): Descriptors {
  const packages = new Map<string, Declarations>();
  const declarationsOf = (name: string): Declarations => {
    const packageName = packageOf(name);
    const known = packages.get(packageName) ?? new Declarations();
    packages.set(packageName, known);
    return known;
  };
  const addMessage = (schema: MessageSchema<object>): void => {
    const own = declarationsOf(schema.name);
    if (own.messages.has(schema.name)) return;
    own.messages.set(schema.name, schema);
    for (const field of schema.fields) {
      const type = field.message?.name ?? field.enumName;
      if (type !== undefined) own.uses.add(packageOf(type));
      if (field.message !== undefined) addMessage(field.message);
      if (field.enumName !== undefined) declarationsOf(field.enumName).enums.set(field.enumName, field.enumNames!); // both are of an enum
    }
  };
  for (const [name, methods] of SERVICES) {
    const own = declarationsOf(name);
    own.services.push(name);
    for (const { request, response } of methods) {
      for (const schema of [request, response]) {
        own.uses.add(packageOf(schema.name));
        addMessage(schema);
      }
    }
  }
  const byName = new Map<string, DescriptorFile>();
  const bySymbol = new Map<string, DescriptorFile>();
  for (const [packageName, own] of packages) {
    const file = { name: FILE_BY_PACKAGE[packageName]!, bytes: encodeFile(packageName, own) }; // admin/reflection.test.ts has every package
    byName.set(file.name, file);
    for (const symbol of [...own.messages.keys(), ...own.enums.keys(), ...own.services, ...own.services.flatMap((service) => SERVICES.get(service)!.map((method) => `${service}.${method.name}`))]) bySymbol.set(symbol, file);
  }
  return { services: [...SERVICES.keys()].sort(), byName, bySymbol };
}

function encodeFile(packageName: string, { enums, messages, services, uses }: Declarations): Uint8Array {
  return encodeBinary(FILE, {
    name: FILE_BY_PACKAGE[packageName],
    package: packageName,
    dependency: [...uses].filter((used) => used !== packageName).map((used) => FILE_BY_PACKAGE[used]),
    messageType: [...messages.values()].map(describeMessage),
    enumType: [...enums].map(([name, values]) => ({ name: baseName(name), value: values.map((value, number) => ({ name: value, number })) })),
    service: services.map((name) => ({
      name: baseName(name),
      method: SERVICES.get(name)!.map((method) => ({ name: method.name, inputType: `.${method.request.name}`, outputType: `.${method.response.name}`, serverStreaming: method.isStream })),
    })),
    syntax: "proto3",
  });
}

/** A proto3 `optional` field has a oneof of its own. */
function describeMessage({ name, fields }: MessageSchema<object>): object {
  const optional = fields.filter((field) => field.isOptional);
  return {
    name: baseName(name),
    field: fields.map((field) => ({
      name: field.name,
      number: field.number,
      label: field.isRepeated ? LABEL_REPEATED : LABEL_OPTIONAL,
      type: TYPES[field.kind],
      typeName: typeNameOf(field),
      oneofIndex: field.isOptional ? optional.indexOf(field) : undefined,
      jsonName: field.jsonName,
      proto3Optional: field.isOptional,
    })),
    oneofDecl: optional.map((field) => ({ name: `_${field.name}` })),
  };
}

function typeNameOf({ message: schema, enumName }: Field): string {
  const name = schema?.name ?? enumName;
  return name === undefined ? "" : `.${name}`;
}

const LABEL_OPTIONAL = 1;
const LABEL_REPEATED = 3;

/** FieldDescriptorProto.Type */
const TYPES: Readonly<Record<Field["kind"], number>> = { double: 1, int64: 3, uint64: 4, int32: 5, fixed64: 6, bool: 8, string: 9, message: 11, bytes: 12, uint32: 13, enum: 14 };

function packageOf(name: string): string {
  return name.slice(0, name.lastIndexOf("."));
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
