/** How many bytes of datasets a query would fetch, by kind. Only the footers are needed. Pure. */
import { TAG } from "@pyromesh/block";
import type { DatasetEntry, SegmentFooter } from "@pyromesh/block";

export interface DatasetSizes {
  readonly indexBytes: number;
  readonly profileBytes: number;
  readonly symbolBytes: number;
}

const INDEX_TAGS: ReadonlySet<number> = new Set([TAG.series, TAG.rows, TAG.identities]);
/** Names, locations and trees: what turns a stacktrace's number into its frames. */
const SYMBOL_TAGS: ReadonlySet<number> = new Set([TAG.strings, TAG.mappings, TAG.functions, TAG.locations, TAG.tree, TAG.stacks, TAG.names]);

/** A footer is read whole, however many of its datasets are wanted, and counts as index. */
export function sizesOf({ footerBytes }: SegmentFooter, datasets: readonly DatasetEntry[]): DatasetSizes {
  let [indexBytes, profileBytes, symbolBytes] = [footerBytes, 0, 0];
  for (const { tag, storedLength } of datasets.flatMap(({ sections }) => sections)) {
    if (INDEX_TAGS.has(tag)) indexBytes += storedLength;
    else if (SYMBOL_TAGS.has(tag)) symbolBytes += storedLength;
    else profileBytes += storedLength;
  }
  return { indexBytes, profileBytes, symbolBytes };
}

export function addSizes(a: DatasetSizes, b: DatasetSizes): DatasetSizes {
  return { indexBytes: a.indexBytes + b.indexBytes, profileBytes: a.profileBytes + b.profileBytes, symbolBytes: a.symbolBytes + b.symbolBytes };
}

export const NO_BYTES: DatasetSizes = { indexBytes: 0, profileBytes: 0, symbolBytes: 0 };
