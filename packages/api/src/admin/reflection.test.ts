import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import type { Client } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { expect } from "chai";
import { grpcClient, serviceOf } from "../testing/rpc-clients.ts";
import { openApi } from "../testing/open-api.ts";
import type { OpenApi } from "../testing/open-api.ts";

const text = (id: number): { readonly type: string; readonly id: number } => ({ type: "string", id });

/** As much of grpc.reflection as tools use, in the loader's form. */
function reflectionOf(version: string): ReturnType<typeof fromJSON> {
  const nested = {
    ServerReflectionRequest: { oneofs: { ask: { oneof: ["fileByFilename", "fileContainingSymbol", "listServices"] } }, fields: { host: text(1), fileByFilename: text(3), fileContainingSymbol: text(4), listServices: text(7) } },
    FileDescriptorResponse: { fields: { fileDescriptorProto: { rule: "repeated", type: "bytes", id: 1 } } },
    ServiceResponse: { fields: { name: text(1) } },
    ListServiceResponse: { fields: { service: { rule: "repeated", type: "ServiceResponse", id: 1 } } },
    ErrorResponse: { fields: { errorCode: { type: "int32", id: 1 }, errorMessage: text(2) } },
    ServerReflectionResponse: {
      fields: {
        originalRequest: { type: "ServerReflectionRequest", id: 2 },
        fileDescriptorResponse: { type: "FileDescriptorResponse", id: 4 },
        listServicesResponse: { type: "ListServiceResponse", id: 6 },
        errorResponse: { type: "ErrorResponse", id: 7 },
      },
    },
    ServerReflection: { methods: { ServerReflectionInfo: { requestType: "ServerReflectionRequest", requestStream: true, responseType: "ServerReflectionResponse", responseStream: true } } },
  };
  return fromJSON({ nested: { grpc: { nested: { reflection: { nested: { [version]: { nested } } } } } } } as Parameters<typeof fromJSON>[0]); // the types want each kind of entry by itself
}

/** All that is listed. */
const DESCRIBED = ["adhocprofiles.v1.AdHocProfileService", "push.v1.PusherService", "querier.v1.QuerierService", "pyromesh.query.v1.QueryService", "version.v1.Version", "capabilities.v1.FeatureFlagsService", "grpc.health.v1.Health", "opentelemetry.proto.collector.profiles.v1development.ProfilesService"];

interface ReflectionReply {
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] };
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly errorResponse?: { readonly errorCode: number };
}

interface ReflectionStream extends NodeJS.EventEmitter {
  write(request: unknown): void;
  end(): void;
}

describe("server reflection", () => {
  let api: OpenApi;
  let client: Client;
  beforeEach(async () => void (api = await openApi()));
  afterEach(async () => {
    client.close();
    await api.server.stop();
  });

  /** All answers of one call. */
  const ask = async (version: string, requests: readonly unknown[]): Promise<readonly ReflectionReply[]> => {
    client = grpcClient(`grpc.reflection.${version}.ServerReflection`, api.server.port, {}, reflectionOf(version));
    const stream = (client as unknown as { ServerReflectionInfo(): ReflectionStream }).ServerReflectionInfo();
    const replies: ReflectionReply[] = [];
    stream.on("data", (reply: ReflectionReply) => replies.push(reply));
    const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
    for (const request of requests) stream.write(request);
    stream.end();
    await ended;
    client.close();
    return replies;
  };

  for (const version of ["v1", "v1alpha"]) {
    it(`${version}: lists services, and finds files by symbol and by name`, async () => {
      const [list, bySymbol, byMethod, byName, nothing] = await ask(version, [
        { listServices: "*" },
        { fileContainingSymbol: "querier.v1.QuerierService" },
        { fileContainingSymbol: "querier.v1.QuerierService.Diff" },
        { fileByFilename: "types/v1/types.proto" },
        { fileContainingSymbol: "nope.v1.Nope" },
      ]);
      expect(list!.listServicesResponse!.service.map(({ name }) => name)).to.have.members(DESCRIBED);
      expect(bySymbol!.fileDescriptorResponse!.fileDescriptorProto).to.have.length(1);
      expect(byMethod!.fileDescriptorResponse).to.deep.equal(bySymbol!.fileDescriptorResponse);
      expect(byName!.fileDescriptorResponse!.fileDescriptorProto).to.have.length(1);
      expect(nothing!.errorResponse!.errorCode).to.equal(5);
    });
  }

  it("the descriptors say what the .proto files say", async () => {
    const files = new Map<string, FileDescriptorProto>();
    let wanted = DESCRIBED.map((symbol): unknown => ({ fileContainingSymbol: symbol }));
    while (wanted.length > 0) {
      const replies = await ask("v1", wanted);
      for (const { fileDescriptorResponse } of replies) {
        const file = fromBinary(FileDescriptorProtoSchema, fileDescriptorResponse!.fileDescriptorProto[0]!);
        files.set(file.name, file);
      }
      wanted = [...new Set([...files.values()].flatMap((file) => file.dependency))].filter((name) => !files.has(name)).map((name) => ({ fileByFilename: name }));
    }
    const ordered = new Set<FileDescriptorProto>();
    const add = (file: FileDescriptorProto): void => {
      for (const name of file.dependency) add(files.get(name)!);
      ordered.add(file);
    };
    for (const file of files.values()) add(file);
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...ordered] }));
    for (const name of DESCRIBED) {
      const shapeOf = (service: ReturnType<typeof serviceOf>): unknown =>
        service.methods.map(({ input, methodKind, name: method, output }) => [method, methodKind, input.typeName, input.fields.map((field) => [field.number, field.fieldKind, field.proto.type]), output.typeName, output.fields.map((field) => [field.number, field.fieldKind, field.proto.type])]);
      expect(shapeOf(registry.getService(name)!), name).to.deep.equal(shapeOf(serviceOf(name)));
    }
  });
});
