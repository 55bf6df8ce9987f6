/**
 * OTLP's replies: field tables, the same as `proto/opentelemetry/proto/collector/profiles/v1development/profiles_service.proto` and
 * `proto/google/rpc/status.proto`. Requests are read by `profile`, in a worker; their table (otlp-profiles-v1.ts) is for reflection alone.
 */
import type { Int64 } from "@pyromesh/profile";
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

interface ExportProfilesPartialSuccess {
  readonly rejectedProfiles: Int64;
  readonly errorMessage: string;
}

const PARTIAL_SUCCESS: MessageSchema<ExportProfilesPartialSuccess> = message("opentelemetry.proto.collector.profiles.v1development.ExportProfilesPartialSuccess", [
  scalar(1, "rejected_profiles", "int64"),
  scalar(2, "error_message", "string"),
]);

export interface ExportProfilesResponse {
  /** Undefined where everything was stored. */
  readonly partialSuccess: ExportProfilesPartialSuccess | undefined;
}

export const EXPORT_PROFILES_RESPONSE: MessageSchema<ExportProfilesResponse> = message("opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceResponse", [
  nested(1, "partial_success", PARTIAL_SUCCESS),
]);

/** Its details are left out. */
export interface RpcStatus {
  readonly code: number;
  readonly message: string;
}

export const RPC_STATUS: MessageSchema<RpcStatus> = message("google.rpc.Status", [scalar(1, "code", "int32"), scalar(2, "message", "string")]);
