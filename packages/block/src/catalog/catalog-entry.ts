/** What the catalog holds. */
import type { ReadableKey } from "../listing/object-path.ts";
import type { SourceSet } from "./source-set.ts";

/**
 * Where an object is read from. `local`: sealed on this node's disk, waiting for upload. `store:<id>`: sealed on the disk of the member whose
 * store has that id, waiting for its upload.
 */
export type ObjectPlace = "bucket" | "local" | `store:${string}`;

/** The id of the store at which the object waits; undefined: it is in the bucket, or waits here. */
export function storeOf(place: ObjectPlace): string | undefined {
  return place.startsWith("store:") ? place.slice("store:".length) : undefined;
}

/** One readable object. Never changed: a change puts a new one in its place. */
export interface CatalogEntry {
  readonly key: string;
  /** What the key says. */
  readonly meta: ReadableKey;
  readonly sizeBytes: number;
  readonly place: ObjectPlace;
  /** The path of a local object, for messages. */
  readonly path?: string;
  /** The segments that went into a block. Absent until this node has read the block's footer. */
  readonly sources?: SourceSet;
}
