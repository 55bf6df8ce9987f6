/** Reads a damaged object again, from where it lies now. */
import { isBucketError } from "@pyromesh/block";
import type { Catalog, ObjectReader, ObjectSource } from "@pyromesh/block";
import type { Damage } from "./unreadable-objects.ts";

/** Rejects while the object is damaged or cannot be read. Resolves where it is whole, and where it is gone, since no query plans it then. */
export async function recheckObject(
  { key, service }: Pick<Damage, "key" | "service">,
  modules: { readonly source: ObjectSource; readonly catalog: Pick<Catalog, "get" | "resize">; readonly objects: Pick<ObjectReader, "check">; readonly signal: AbortSignal },
): Promise<void> {
  const { source, catalog, objects, signal } = modules;
  const listed = catalog.get(key);
  if (listed === undefined) return;
  try {
    // An object that was cut short when it was listed has another size once it is repaired. Its footer is found from its end, so the size must be right.
    catalog.resize(key, await source.sizeOf(listed, signal));
  } catch (error) {
    if (isBucketError(error, "BUCKET_NOT_FOUND")) return;
    throw error;
  }
  const entry = catalog.get(key);
  if (entry !== undefined) await objects.check(entry, service, signal);
}
