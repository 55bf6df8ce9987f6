/** Clients that are not ours, for one server: gRPC's own and Connect's. Messages are those of `packages/api/proto`. */
import { fileURLToPath } from "node:url";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import type { DescService, FileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import type { ChannelOptions, GrpcObject, ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { PackageDefinition } from "@grpc/proto-loader";

const FOLDER = fileURLToPath(new URL("../../proto/", import.meta.url));
const FILES = ["adhocprofiles/v1/adhocprofiles.proto", "querier/v1/querier.proto", "push/v1/push.proto", "version/v1/version.proto", "capabilities/v1/feature_flags.proto", "pyromesh/query/v1/query.proto", "grpc/health/v1/health.proto", "opentelemetry/proto/collector/profiles/v1development/profiles_service.proto"];

let definition: PackageDefinition | undefined;

export function packageDefinition(): PackageDefinition {
  return (definition ??= loadSync(FILES, { includeDirs: [FOLDER], keepCase: false, longs: String, enums: String, bytes: Buffer, defaults: true }));
}

/** A client of gRPC for a service such as `querier.v1.QuerierService`. Close it after use. */
export function grpcClient(service: string, port: number, options: ChannelOptions = {}, from: PackageDefinition = packageDefinition()): InstanceType<ServiceClientConstructor> {
  let found: unknown = loadPackageDefinition(from);
  for (const part of service.split(".")) found = (found as GrpcObject)[part];
  return new (found as ServiceClientConstructor)(`127.0.0.1:${port}`, credentials.createInsecure(), options); // the service is in the definition
}

let registry: FileRegistry | undefined;

/** What Connect's clients need of a service. */
export function serviceOf(name: string): DescService {
  registry ??= createFileRegistry(create(FileDescriptorSetSchema, { file: filesOf(packageDefinition()) }));
  return registry.getService(name)!; // one of FILES
}

/** Each behind those whose messages it uses. */
function filesOf(from: PackageDefinition): FileDescriptorProto[] {
  const files = new Map<string, FileDescriptorProto>();
  for (const item of Object.values(from)) {
    for (const bytes of "fileDescriptorProtos" in item ? (item.fileDescriptorProtos as readonly Buffer[]) : []) {
      const file = fromBinary(FileDescriptorProtoSchema, bytes);
      // The loader leaves out that a oneof which is named after its only field stands for `optional`.
      for (const { field: fields, oneofDecl } of file.messageType) for (const field of fields) if (oneofDecl.some(({ name }) => name === `_${field.name}`)) field.proto3Optional = true;
      files.set(file.name, file);
    }
  }
  const fileOf = new Map([...files.values()].flatMap((file) => [...file.messageType, ...file.enumType].map(({ name }) => [`${file.package}.${name}`, file])));
  const ordered = new Set<FileDescriptorProto>();
  const add = (file: FileDescriptorProto): void => {
    for (const field of file.messageType.flatMap((message) => message.field)) {
      field.jsonName = field.name;
      if (field.typeName === "") continue;
      const name = fullNameOf(field.typeName, file.package, fileOf);
      field.typeName = `.${name}`;
      const used = fileOf.get(name);
      if (used !== undefined && used !== file && !ordered.has(used)) add(used);
    }
    ordered.add(file);
  };
  for (const file of files.values()) if (!ordered.has(file)) add(file);
  return [...ordered];
}

/** The loader leaves out what two names have in common: `types.v1.LabelPair` may come whole, or as `LabelPair` or `v1.LabelPair`. */
function fullNameOf(typeName: string, packageName: string, known: ReadonlyMap<string, unknown>): string {
  const name = typeName.replace(/^\./, "");
  for (let scope = packageName; scope !== ""; scope = scope.slice(0, Math.max(0, scope.lastIndexOf(".")))) {
    if (known.has(`${scope}.${name}`)) return `${scope}.${name}`;
  }
  return name;
}

/** Its methods by name: `labelNames`. */
export function connectClient(service: string, transport: Transport): Readonly<Record<string, (message: unknown) => Promise<Readonly<Record<string, unknown>>>>> {
  return createClient(serviceOf(service), transport) as never; // the service is known at run time alone
}
