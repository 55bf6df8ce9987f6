/** What tests of a query over several heads begin with. */
import type { HeardObject, ObjectKey } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";

/** A segment as its store tells others of it. */
export function toldSegmentOf(named: ObjectKey | undefined, { key, sizeBytes, isUploaded, recordCount = 0 }: { readonly key: string; readonly sizeBytes: number; readonly isUploaded: boolean; readonly recordCount?: number }): HeardObject {
  if (named?.kind !== "segment") throw new Error("a segment is told of");
  const { tenant, windowStartMs, level, storeId, ordinal, minTimeMs, maxTimeMs } = named;
  return { key, sizeBytes, isUploaded, meta: { tenant, windowStartMs, windowMs: WINDOW_MS, level, storeId, ordinal, minTimeMs, maxTimeMs, recordCount, sources: [{ storeId, firstOrdinal: ordinal, lastOrdinal: ordinal }] } };
}
