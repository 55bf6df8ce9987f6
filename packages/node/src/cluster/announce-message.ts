/** `announce`: segments that the sender sealed, or brought to the bucket. There is no answer but that it was taken. */
import type { HeardObject } from "@pyromesh/block";
import { openMessage, packMessage } from "./message.ts";
import { openToldObject, packToldObject } from "./told-object.ts";

/** Of one message; some 40 kB. */
export const ANNOUNCED_COUNT_MAX = 128;

export function packAnnouncement(segments: readonly HeardObject[]): Uint8Array {
  return packMessage({ segments: segments.map(packToldObject) });
}

/** Throws PEER_MALFORMED. */
export function openAnnouncement(bytes: Uint8Array): HeardObject[] {
  return openMessage(bytes, "an announcement").list("segments", ANNOUNCED_COUNT_MAX, openToldObject);
}
