/**
 * version.v1 and capabilities.v1: field tables of what a server tells about itself, the same as `proto/version/v1/version.proto` and
 * `proto/capabilities/v1/feature_flags.proto`.
 */
import type { Int64 } from "@pyromesh/profile";
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

interface EmptyMessage {
  readonly nothing?: undefined;
}

export const VERSION_REQUEST: MessageSchema<EmptyMessage> = message("version.v1.VersionRequest", []);

export interface VersionResponse {
  readonly QuerierAPI: Int64;
}

export const VERSION_RESPONSE: MessageSchema<VersionResponse> = message("version.v1.VersionResponse", [scalar(1, "QuerierAPI", "uint64")]);

export const GET_FEATURE_FLAGS_REQUEST: MessageSchema<EmptyMessage> = message("capabilities.v1.GetFeatureFlagsRequest", []);

export interface FeatureFlagMessage {
  readonly name: string;
  readonly enabled: boolean;
  readonly description: string | undefined;
  readonly documentationUrl: string | undefined;
}

const FEATURE_FLAG: MessageSchema<FeatureFlagMessage> = message("capabilities.v1.FeatureFlag", [
  scalar(1, "name", "string"),
  scalar(2, "enabled", "bool"),
  scalar(3, "description", "string", { isOptional: true }),
  scalar(4, "documentation_url", "string", { isOptional: true }),
]);

export interface GetFeatureFlagsResponse {
  readonly featureFlags: readonly FeatureFlagMessage[];
}

export const GET_FEATURE_FLAGS_RESPONSE: MessageSchema<GetFeatureFlagsResponse> = message("capabilities.v1.GetFeatureFlagsResponse", [
  nested(1, "feature_flags", FEATURE_FLAG, { isRepeated: true }),
]);
