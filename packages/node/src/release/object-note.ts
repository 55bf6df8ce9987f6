/**
 * What this store notes on disk of an object that its records went into: the object as other members are told of it, and when. KEYS.md of head says where it lies.
 *
 *   | { at: milliseconds since 1970, object: as in a message to a member } |     msgpack
 *
 * A reader leaves out fields that it does not know, so later versions may add some.
 */
import type { HeardObject } from "@pyromesh/block";
import { openMessage, packMessage } from "../cluster/message.ts";
import { openToldObject, packToldObject } from "../cluster/told-object.ts";

export interface ObjectNote {
  readonly object: HeardObject;
  /** When records last went into it, by the wall clock. */
  readonly atMs: number;
}

export function encodeObjectNote({ object, atMs }: ObjectNote): Uint8Array {
  return packMessage({ at: atMs, object: packToldObject(object) });
}

/** Throws PEER_MALFORMED. */
export function decodeObjectNote(bytes: Uint8Array): ObjectNote {
  const fields = openMessage(bytes, "a note of an object");
  return { object: openToldObject(fields.fields("object")), atMs: fields.integer("at", { min: -8.64e15, max: 8.64e15 }) };
}
