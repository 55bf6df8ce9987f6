/** An object as the catalog knows it. */
import type { ReadableKey } from "./object-path.ts";

/** Never changed: a change puts a new one in its place. */
export interface CatalogEntry {
  readonly key: string;
  /** What the key says. */
  readonly meta: ReadableKey;
  readonly sizeBytes: number;
  /** `local`: sealed on this node's disk, waiting for upload. */
  readonly place: "bucket" | "local";
  /** Of a local one, for people. */
  readonly path?: string;
}
