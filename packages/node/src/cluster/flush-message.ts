/** `flush`: bring to the bucket what you hold now. Who does not manage in time answers with FLUSH_TIMEOUT. */
import { openMessage, packMessage } from "./message.ts";

export interface FlushRequest {
  readonly timeoutMs: number;
}

/** What was sealed and uploaded for it. */
export interface FlushAnswer {
  readonly segmentCount: number;
  readonly bytes: number;
}

export function packFlushRequest({ timeoutMs }: FlushRequest): Uint8Array {
  return packMessage({ timeoutMs });
}

/** Throws PEER_MALFORMED. */
export function openFlushRequest(bytes: Uint8Array): FlushRequest {
  return { timeoutMs: openMessage(bytes, "a flush request").integer("timeoutMs", { min: 1, max: TIMEOUT_MS_MAX }) };
}

export function packFlushAnswer({ segmentCount, bytes }: FlushAnswer): Uint8Array {
  return packMessage({ segmentCount, bytes });
}

/** Throws PEER_MALFORMED. */
export function openFlushAnswer(bytes: Uint8Array): FlushAnswer {
  const fields = openMessage(bytes, "a flush answer");
  return { segmentCount: fields.integer("segmentCount"), bytes: fields.integer("bytes") };
}

const TIMEOUT_MS_MAX = 600_000;
