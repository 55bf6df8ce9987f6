/** The status of a gRPC reply: the code of each kind of error, and the sentence. */
import { unreachable } from "@pyromesh/base";
import type { ErrorKind } from "@pyromesh/base";
import { kindOf, publicMessageOf } from "../ports/error-status.ts";
import type { ApiReply } from "../ports/http.ts";

export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
}

export const GRPC_OK = 0;

/** The status of a reply that is not 200. */
export function grpcStatusOf({ status, error }: ApiReply): GrpcStatus {
  if (error !== undefined) return { code: grpcCodeOf(kindOf(error)), message: publicMessageOf(error) };
  // The codes that gRPC's clients make of such an HTTP status: docs/http-grpc-status-mapping.md of gRPC.
  if (status === 404 || status === 405) return { code: grpcCodeOf("unimplemented"), message: "this node has no such method: check the names of service and method, and the port" };
  return { code: status === 415 ? grpcCodeOf("unimplemented") : UNKNOWN, message: `the node answered with the HTTP status ${status}` };
}

const UNKNOWN = 2;

export function grpcCodeOf(kind: ErrorKind): number {
  switch (kind) {
    case "canceled":
      return 1;
    case "invalid_argument":
      return 3;
    case "deadline_exceeded":
      return 4;
    case "not_found":
      return 5;
    case "permission_denied":
      return 7;
    case "resource_exhausted":
      return 8;
    case "failed_precondition":
      return 9;
    case "unimplemented":
      return 12;
    case "internal":
      return 13;
    case "unavailable":
      return 14;
    case "data_loss":
      return 15;
    case "unauthenticated":
      return 16;
    default:
      return unreachable(kind);
  }
}

/** Many clients refuse headers of more than 8 KiB together. A longer message is cut off. */
const MESSAGE_LENGTH_MAX = 4096;

/** The value of `grpc-message`: UTF-8, of which all but the printable characters of ASCII, and `%`, are percent-encoded. */
export function encodeGrpcMessage(message: string): string {
  let encoded = "";
  for (const character of message) {
    const part = /^[\x20-\x24\x26-\x7e]$/.test(character) ? character : percentEncoded(character);
    if (encoded.length + part.length > MESSAGE_LENGTH_MAX - CUT.length) return encoded + CUT;
    encoded += part;
  }
  return encoded;
}

const CUT = "...";

function percentEncoded(character: string): string {
  let encoded = "";
  for (const byte of Buffer.from(character)) encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return encoded;
}
