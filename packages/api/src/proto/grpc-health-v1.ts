/** grpc.health.v1: the same as `proto/grpc/health/v1/health.proto`. */
import { enumeration, message, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

export interface HealthCheckRequest {
  readonly service: string;
}

export const HEALTH_CHECK_REQUEST: MessageSchema<HealthCheckRequest> = message("grpc.health.v1.HealthCheckRequest", [scalar(1, "service", "string")]);

const SERVING_STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;

export const SERVING = 1;
export const NOT_SERVING = 2;
export const SERVICE_UNKNOWN = 3;

export interface HealthCheckResponse {
  readonly status: number;
}

export const HEALTH_CHECK_RESPONSE: MessageSchema<HealthCheckResponse> = message("grpc.health.v1.HealthCheckResponse", [enumeration(1, "status", "grpc.health.v1.ServingStatus", SERVING_STATUSES)]);
