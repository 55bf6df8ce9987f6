/** `grpc-encoding`: how a client of gRPC and gRPC-Web compresses its messages. The same encodings as for bodies, each for every message that is marked as compressed. */
import { CodedError } from "@pyromesh/base";
import { CODINGS_ACCEPTED, codingNamed } from "../ports/content-coding.ts";
import type { ContentCoding } from "../ports/content-coding.ts";
import type { ApiRequest } from "../ports/http.ts";
import { invalidFrame } from "./message-frame.ts";

/** The value of `grpc-accept-encoding` in replies. */
export const GRPC_ENCODINGS_ACCEPTED: string = `${CODINGS_ACCEPTED}, identity`;

/** Undefined: messages are sent as they are. Throws GRPC_ENCODING_UNKNOWN. */
export function grpcEncodingOf({ headers }: Pick<ApiRequest, "headers">): ContentCoding | undefined {
  const name = headers["grpc-encoding"];
  if (name === undefined || name === "" || name === "identity") return undefined;
  const coding = codingNamed(name);
  if (coding !== undefined) return coding;
  throw new CodedError({
    code: "GRPC_ENCODING_UNKNOWN",
    kind: "unimplemented",
    message: `grpc-encoding ${JSON.stringify(name.slice(0, 100))} is not supported: send one of ${GRPC_ENCODINGS_ACCEPTED}`,
  });
}

/** The refusal of a message that is marked as compressed, where no encoding is named. */
export function encodingMissing(): CodedError {
  return invalidFrame(`a message is marked as compressed, and grpc-encoding names no compression: send one of ${CODINGS_ACCEPTED} there`);
}
