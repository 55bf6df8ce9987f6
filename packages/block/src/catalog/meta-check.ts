/** Compares what the key and the footer of an object both say. Where they differ the object is not used: it could show one tenant's data to another. */
import { CorruptionError } from "@pyromesh/base";
import type { SegmentMeta } from "../segment/format.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import type { CatalogEntry } from "./catalog-entry.ts";

const SHARED_FIELDS = ["tenant", "windowStartMs", "level", "minTimeMs", "maxTimeMs"] as const;

export interface MetaDifference {
  readonly field: string;
  /** What the key says. */
  readonly expected: string | number;
  readonly found: string | number;
}

/** The first field in which the two differ. A block has no store of its own, nor an ordinal: what its footer has there is not looked at. */
export function metaDifference(key: ReadableKey, meta: SegmentMeta): MetaDifference | undefined {
  for (const field of SHARED_FIELDS) if (key[field] !== meta[field]) return { field, expected: key[field], found: meta[field] };
  if (key.kind !== "segment") return undefined;
  if (key.storeId !== meta.storeId) return { field: "storeId", expected: key.storeId, found: meta.storeId };
  return key.ordinal === meta.ordinal ? undefined : { field: "ordinal", expected: key.ordinal, found: meta.ordinal };
}

/** Throws CorruptionError. */
export function checkMeta({ key, meta: named }: Pick<CatalogEntry, "key" | "meta">, meta: SegmentMeta): void {
  const difference = metaDifference(named, meta);
  if (difference !== undefined) throw new CorruptionError({ object: key, offset: -1, expected: `${difference.field} ${difference.expected}, as its key says`, found: `${difference.found}` });
}
