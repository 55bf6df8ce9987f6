/**
 * When a refused call may be sent again, in the form that clients of gRPC know: a `google.rpc.RetryInfo` among the details of the status, which
 * lie in the header `grpc-status-details-bin`. OTLP's senders throw away an export that is RESOURCE_EXHAUSTED without one, and wait for as
 * long as one says.
 */
import { encodeBinary } from "../proto/binary.ts";
import { message, nested, scalar } from "../proto/schema.ts";
import type { MessageSchema } from "../proto/schema.ts";
import type { GrpcStatus } from "./grpc-status.ts";

/** The value of the header: base64 without padding. */
export function encodeRetryInfo({ code, message: text }: GrpcStatus, retryAfterSeconds: number): string {
  const value = encodeBinary(RETRY_INFO, { retryDelay: { seconds: retryAfterSeconds } });
  const details = [{ typeUrl: RETRY_INFO_URL, value }];
  // Clients take code and message from here, too.
  return Buffer.from(encodeBinary(STATUS, { code, message: text.slice(0, MESSAGE_LENGTH_MAX), details })).toString("base64").replace(/=+$/, "");
}

/** With `grpc-message`, which is 4096 characters at most, it stays below the 8 KiB of headers that many clients take. */
const MESSAGE_LENGTH_MAX = 512;

const RETRY_INFO_URL = "type.googleapis.com/google.rpc.RetryInfo";

interface Duration {
  readonly seconds: number;
}

interface RetryInfo {
  readonly retryDelay: Duration;
}

interface Any {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

const DURATION: MessageSchema<Duration> = message("google.protobuf.Duration", [scalar(1, "seconds", "int64")]);
const RETRY_INFO: MessageSchema<RetryInfo> = message("google.rpc.RetryInfo", [nested(1, "retry_delay", DURATION)]);
const ANY: MessageSchema<Any> = message("google.protobuf.Any", [scalar(1, "type_url", "string"), scalar(2, "value", "bytes")]);
const STATUS: MessageSchema<GrpcStatus & { readonly details: readonly Any[] }> = message("google.rpc.Status", [
  scalar(1, "code", "int32"),
  scalar(2, "message", "string"),
  nested(3, "details", ANY, { isRepeated: true }),
]);
