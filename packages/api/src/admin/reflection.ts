/**
 * grpc.reflection.v1 and v1alpha: which services the node has, and what their messages are, for tools such as grpcurl. Both versions have the
 * same messages.
 */
import type { Route } from "../ports/route.ts";
import type { StreamCall } from "../ports/stream-call.ts";
import { decodeBinary, encodeBinary, REQUEST_ITEM_COUNT_MAX } from "../proto/binary.ts";
import type { Descriptors } from "../proto/descriptors.ts";
import { message, nested, scalar } from "../proto/schema.ts";
import type { MessageSchema } from "../proto/schema.ts";
import { streamRpc } from "../rpc/unary-rpc.ts";

export function reflectionRoutes(): readonly Route[] {
  let made: Promise<Descriptors> | undefined; // at the first call, as the modules for it are loaded: most nodes are never asked
  const handler = async (call: StreamCall): Promise<void> => {
    made ??= import("../proto/descriptors.ts").then(({ describeServices }) => describeServices());
    const descriptors = await made;
    for (let bytes = await call.receive(); bytes !== undefined; bytes = await call.receive()) {
      const request = decodeBinary(REQUEST, bytes, REQUEST_ITEM_COUNT_MAX);
      await call.send(encodeBinary(RESPONSE, { validHost: request.host, originalRequest: request, ...answer(request, descriptors) }));
    }
  };
  return VERSIONS.map((version) => streamRpc(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, handler));
}

const VERSIONS = ["v1", "v1alpha"] as const;

interface ReflectionRequest {
  readonly host: string;
  readonly fileByFilename: string | undefined;
  readonly fileContainingSymbol: string | undefined;
  readonly allExtensionNumbersOfType: string | undefined;
  readonly listServices: string | undefined;
}

function answer(request: ReflectionRequest, { byName, bySymbol, services }: Descriptors): object {
  if (request.listServices !== undefined) {
    // Without this service: tools ask for the files of all that is listed, and there is none of it.
    return { listServicesResponse: { service: services.map((name) => ({ name })) } };
  }
  const asked = request.fileByFilename ?? request.fileContainingSymbol;
  if (asked === undefined) return failed(UNIMPLEMENTED, "there are no extensions here: ask for a file, a symbol, or the list of services");
  const file = request.fileByFilename === undefined ? bySymbol.get(asked) : byName.get(asked);
  if (file === undefined) return failed(NOT_FOUND, `there is no ${JSON.stringify(asked.slice(0, 200))} here`);
  return { fileDescriptorResponse: { fileDescriptorProto: [file.bytes] } };
}

function failed(errorCode: number, errorMessage: string): object {
  return { errorResponse: { errorCode, errorMessage } };
}

const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

const OPTIONAL = { isOptional: true } as const;
const REQUEST: MessageSchema<ReflectionRequest> = message("grpc.reflection.v1.ServerReflectionRequest", [
  scalar(1, "host", "string"),
  scalar(3, "file_by_filename", "string", OPTIONAL),
  scalar(4, "file_containing_symbol", "string", OPTIONAL),
  scalar(6, "all_extension_numbers_of_type", "string", OPTIONAL),
  scalar(7, "list_services", "string", OPTIONAL),
]);
const RESPONSE: MessageSchema<object> = message("grpc.reflection.v1.ServerReflectionResponse", [
  scalar(1, "valid_host", "string"),
  nested(2, "original_request", REQUEST),
  nested(4, "file_descriptor_response", message("grpc.reflection.v1.FileDescriptorResponse", [scalar(1, "file_descriptor_proto", "bytes", { isRepeated: true })])),
  nested(6, "list_services_response", message("grpc.reflection.v1.ListServiceResponse", [nested(1, "service", message("grpc.reflection.v1.ServiceResponse", [scalar(1, "name", "string")]), { isRepeated: true })])),
  nested(7, "error_response", message("grpc.reflection.v1.ErrorResponse", [scalar(1, "error_code", "int32"), scalar(2, "error_message", "string")])),
]);
