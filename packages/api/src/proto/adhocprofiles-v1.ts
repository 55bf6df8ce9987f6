/** adhocprofiles.v1: field tables, the same as `proto/adhocprofiles/v1/adhocprofiles.proto`. Uploads are read by write/adhoc-upload.ts, which decodes their base64 in place. */
import type { Int64 } from "@pyromesh/profile";
import { message, nested, scalar } from "./schema.ts";
import type { MessageSchema } from "./schema.ts";

const OPTIONAL = { isOptional: true } as const;
const REPEATED = { isRepeated: true } as const;

export interface AdHocUploadRequest {
  readonly name: string;
  readonly profile: string;
  readonly maxNodes: Int64 | undefined;
}

export const AD_HOC_UPLOAD_REQUEST: MessageSchema<AdHocUploadRequest> = message("adhocprofiles.v1.AdHocProfilesUploadRequest", [
  scalar(1, "name", "string"),
  scalar(2, "profile", "string"),
  scalar(3, "max_nodes", "int64", OPTIONAL),
]);

export interface AdHocGetRequest {
  readonly id: string;
  readonly profileType: string | undefined;
  readonly maxNodes: Int64 | undefined;
}

export const AD_HOC_GET_REQUEST: MessageSchema<AdHocGetRequest> = message("adhocprofiles.v1.AdHocProfilesGetRequest", [
  scalar(1, "id", "string"),
  scalar(2, "profile_type", "string", OPTIONAL),
  scalar(3, "max_nodes", "int64", OPTIONAL),
]);

export interface AdHocGetResponse {
  readonly id: string;
  readonly name: string;
  readonly uploadedAt: Int64;
  readonly profileType: string;
  readonly profileTypes: readonly string[];
  readonly flamebearerProfile: string;
}

export const AD_HOC_GET_RESPONSE: MessageSchema<AdHocGetResponse> = message("adhocprofiles.v1.AdHocProfilesGetResponse", [
  scalar(1, "id", "string"),
  scalar(2, "name", "string"),
  scalar(3, "uploaded_at", "int64"),
  scalar(4, "profile_type", "string"),
  scalar(5, "profile_types", "string", REPEATED),
  scalar(6, "flamebearer_profile", "string"),
]);

export const AD_HOC_LIST_REQUEST: MessageSchema<object> = message("adhocprofiles.v1.AdHocProfilesListRequest", []);

interface AdHocMetadata {
  readonly id: string;
  readonly name: string;
  readonly uploadedAt: Int64;
}

const AD_HOC_METADATA: MessageSchema<AdHocMetadata> = message("adhocprofiles.v1.AdHocProfilesProfileMetadata", [
  scalar(1, "id", "string"),
  scalar(2, "name", "string"),
  scalar(3, "uploaded_at", "int64"),
]);

export interface AdHocListResponse {
  readonly profiles: readonly AdHocMetadata[];
}

export const AD_HOC_LIST_RESPONSE: MessageSchema<AdHocListResponse> = message("adhocprofiles.v1.AdHocProfilesListResponse", [nested(1, "profiles", AD_HOC_METADATA, REPEATED)]);

export interface AdHocDiffRequest {
  readonly leftId: string;
  readonly rightId: string;
  readonly profileType: string | undefined;
  readonly maxNodes: Int64 | undefined;
}

export const AD_HOC_DIFF_REQUEST: MessageSchema<AdHocDiffRequest> = message("adhocprofiles.v1.AdHocProfilesDiffRequest", [
  scalar(1, "left_id", "string"),
  scalar(2, "right_id", "string"),
  scalar(3, "profile_type", "string", OPTIONAL),
  scalar(4, "max_nodes", "int64", OPTIONAL),
]);

export interface AdHocDiffResponse {
  readonly profileTypes: readonly string[];
  readonly flamebearerProfile: string;
}

export const AD_HOC_DIFF_RESPONSE: MessageSchema<AdHocDiffResponse> = message("adhocprofiles.v1.AdHocProfilesDiffResponse", [
  scalar(1, "profile_types", "string", REPEATED),
  scalar(2, "flamebearer_profile", "string"),
]);
