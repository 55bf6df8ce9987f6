/** What other members are told of a segment: all of it follows from its key and its size. */
import { segmentKey } from "@pyromesh/block";
import type { HeardObject, SegmentKey } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";

/** The count of records is not said (0): it is in the footer, for who reads the segment. */
export function toldSegment(named: Omit<SegmentKey, "kind">, { sizeBytes, isUploaded }: { readonly sizeBytes: number; readonly isUploaded: boolean }): HeardObject {
  const { tenant, windowStartMs, level, storeId, ordinal, minTimeMs, maxTimeMs } = named;
  return {
    key: segmentKey(named),
    sizeBytes,
    isUploaded,
    meta: {
      tenant,
      windowStartMs,
      windowMs: WINDOW_MS,
      level,
      storeId,
      ordinal,
      minTimeMs,
      maxTimeMs,
      recordCount: 0,
      sources: [{ storeId, firstOrdinal: ordinal, lastOrdinal: ordinal }],
    },
  };
}
