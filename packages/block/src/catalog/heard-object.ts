/**
 * An object that another member told of, before any LIST showed it. Pure: what is checked of such a message.
 *
 *   heard ──► a LIST shows it ──────────────────► as any other entry
 *        ├──► this node reads it in the bucket ──► the same
 *        └──► two whole LISTs of its window, both begun after it was heard and one after the other had ended, do not show it ──► dropped
 *
 * What must stay true: hearsay is not trusted. It adds something to read, and takes nothing away: a heard block hides its sources only once a LIST
 * has shown it and this node has read its footer, and a heard segment says nothing about ordinals, neither that one is there nor that those
 * before it were given.
 * An object that was made up is not found by the query that plans it, which then lists the bucket and plans again.
 */
import { WINDOW_MS } from "@pyromesh/profile";
import { OBJECT_SIZE_BYTES_MAX } from "../bucket/bucket.ts";
import type { SegmentMeta } from "../segment/format.ts";
import { HEADER_BYTES, TRAILER_BYTES } from "../segment/format.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { parseObjectKey } from "../listing/object-path.ts";
import type { ObjectPlace } from "./catalog-entry.ts";
import { metaDifference } from "./meta-check.ts";

export interface HeardObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** What the object's footer holds. */
  readonly meta: SegmentMeta;
  /** False: a sealed segment that waits for its upload at the member that tells of it. */
  readonly isUploaded: boolean;
}

/** The member that told of an object. Its store id comes from the connection, not from the message, which could claim any. */
export interface Origin {
  readonly storeId: string;
}

export type HeardOutcome =
  /** It is planned from now on. `moved`: it was known to wait at the origin, and is uploaded now. */
  | { readonly kind: "added" | "moved" | "known" }
  | { readonly kind: "refused"; readonly code: HeardRefusal; readonly because: string };

/** HEARD_TOO_MANY: the next LIST brings it. */
export type HeardRefusal = "HEARD_MALFORMED" | "HEARD_BELOW_FLOOR" | "HEARD_TOO_MANY";

export type CheckedHeard = { readonly kind: "fits"; readonly meta: ReadableKey; readonly place: ObjectPlace } | Extract<HeardOutcome, { readonly kind: "refused" }>;

/** Whether the message fits together: its key, its meta and who sent it. */
export function checkHeard({ key, sizeBytes, meta, isUploaded }: HeardObject, origin: Origin): CheckedHeard {
  const named = parseObjectKey(key);
  if (named === undefined || named.kind === "mark") return malformed(`${JSON.stringify(key.slice(0, 200))} is not the key of a segment or block`);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < HEADER_BYTES + TRAILER_BYTES || sizeBytes > OBJECT_SIZE_BYTES_MAX) return malformed(`${key} cannot have ${sizeBytes} bytes`);
  const difference = metaDifference(named, meta);
  if (difference !== undefined) return malformed(`${key} is told of with ${difference.field} ${difference.found}`);
  if (meta.windowMs !== WINDOW_MS) return malformed(`${key} is told of with a window of ${meta.windowMs} ms`);
  if (isUploaded) return { kind: "fits", meta: named, place: "bucket" };
  if (named.kind === "block") return malformed(`${key} is a block, and blocks wait at no member`);
  if (named.storeId !== origin.storeId) return malformed(`${key} waits at store ${named.storeId}, and store ${origin.storeId} tells of it`);
  return { kind: "fits", meta: named, place: `store:${origin.storeId}` };
}

function malformed(because: string): Extract<HeardOutcome, { readonly kind: "refused" }> {
  return { kind: "refused", code: "HEARD_MALFORMED", because };
}
