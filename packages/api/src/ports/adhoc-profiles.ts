/** What AdHocProfileService needs of the node: files of profiles are kept for a tenant, listed, and drawn. */
import type { TenantId } from "@pyromesh/base";
import type { MessageForm } from "../print/graph-reply.ts";

export interface AdHocDrawing {
  /** 0: all nodes. */
  readonly maxNodes: number;
  /** Of the reply. */
  readonly form: MessageForm;
}

export interface AdHocUpload extends AdHocDrawing {
  /** As sent. */
  readonly name: string;
  /** Gzipped or not. It is not changed, and not read after the promise is settled. */
  readonly file: Uint8Array;
}

export interface AdHocQuery extends AdHocDrawing {
  readonly id: string;
  /** Undefined, or none that the file has: its first. */
  readonly profileType: string | undefined;
}

export interface AdHocDiffQuery extends Omit<AdHocQuery, "id"> {
  readonly leftId: string;
  readonly rightId: string;
}

/** The response's message, printed in a worker. */
export interface AdHocAnswer {
  readonly bytes: Uint8Array;
  /** A sum left the range of int64 and was clamped to its end. */
  readonly isSaturated: boolean;
}

export interface AdHocEntry {
  readonly id: string;
  readonly name: string;
  readonly uploadedAtMs: number;
}

/** Each rejects ADHOC_BUSY where too many are at work, and an error of the bucket, which is 503, where that does not answer. */
export interface AdHocProfiles {
  /** Resolves once the file is kept. Rejects ADHOC_NAME_TOO_LONG, ADHOC_TOO_MANY, and what a push of the file would be refused for; then it is not kept. */
  upload(tenant: TenantId, upload: AdHocUpload, signal: AbortSignal): Promise<AdHocAnswer>;
  /** Rejects ADHOC_ID_INVALID, ADHOC_NOT_FOUND, ADHOC_DAMAGED. */
  get(tenant: TenantId, query: AdHocQuery, signal: AbortSignal): Promise<AdHocAnswer>;
  /** The newest first. */
  list(tenant: TenantId, signal: AbortSignal): Promise<readonly AdHocEntry[]>;
  /** As `get`, and rejects ADHOC_TYPES_DIFFER. */
  diff(tenant: TenantId, query: AdHocDiffQuery, signal: AbortSignal): Promise<AdHocAnswer>;
}
