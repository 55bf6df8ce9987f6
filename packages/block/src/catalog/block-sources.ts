/** Reads which segments went into blocks, from their footers: a key does not say it. */
import { CorruptionError, messageOf } from "@pyromesh/base";
import type { Logger } from "@pyromesh/base";
import type { Bucket } from "../bucket/bucket.ts";
import { isBucketError } from "../bucket/bucket.ts";
import { readFooter } from "../segment/segment-reader.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import { checkMeta } from "./meta-check.ts";
import { SourceSet } from "./source-set.ts";

/** Footers read at once: as many requests as hide a bucket's latency. */
const AT_ONCE_MAX = 16;

type ListedBlock = Pick<CatalogEntry, "key" | "meta" | "sizeBytes">;

/** Throws CorruptionError where the block is damaged or is not what its key says; errors of the bucket pass through. */
export async function readSources(bucket: Bucket, { key, meta, sizeBytes }: ListedBlock, signal: AbortSignal): Promise<SourceSet> {
  const footer = await readFooter({ sizeBytes, read: (offset, lengthBytes, own) => bucket.getRange(key, offset, lengthBytes, own) }, key, signal);
  checkMeta({ key, meta }, footer.meta);
  return new SourceSet(footer.meta.sources);
}

/**
 * Reads those of `blocks`, and calls `take` with each. A block that is gone, damaged or forbidden is passed over: its sources stay unknown.
 * Rejects where the bucket does not answer.
 */
export async function readAllSources(
  blocks: readonly ListedBlock[],
  take: (key: string, sources: SourceSet) => void,
  { bucket, logger }: { readonly bucket: Bucket; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const left = blocks.values();
  const readNext = async (): Promise<void> => {
    for (const block of left) {
      try {
        take(block.key, await readSources(bucket, block, signal));
      } catch (error) {
        if (isBucketError(error, "BUCKET_NOT_FOUND")) continue;
        if (signal.aborted || !(error instanceof CorruptionError || isBucketError(error, "BUCKET_RANGE_OUTSIDE", "BUCKET_FORBIDDEN"))) throw error;
        logger.warn("the footer of a block cannot be read, so its sources are unknown: they are read beside it, and those that were deleted count as missing", { object: block.key, reason: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE_MAX, blocks.length) }, readNext));
}
