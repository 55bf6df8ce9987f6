/**
 * Which objects of one tenant's window are read, where blocks hold what other objects hold too. Pure.
 *
 *   a block hides   a segment that is one of its sources
 *                   a block whose sources are all among its own; of two blocks with the same sources, the one of the lower level,
 *                   else the one whose key comes first
 *
 * What must stay true: the answer depends on the set of entries alone, not on the order in which they came. So a source that lingers in the
 * bucket, or is shown by a stale LIST, stays hidden, and comes back once the block that hides it is gone. Whether a block is hidden itself
 * makes no difference: what it hides is hidden by the block that hides it, too.
 *
 * Never hidden: a segment that waits on a disk (that the bucket holds the same one under its ordinal is known only after its upload was
 * verified: the data dir may be a copy). Hides nothing: a block whose sources this node has not read yet. Either way records are at worst read
 * twice, and counted once by their identity.
 */
import type { CatalogEntry } from "./catalog-entry.ts";
import { SourceSet } from "./source-set.ts";

type CoveredEntry = Pick<CatalogEntry, "key" | "meta" | "place" | "sources">;

export function visibleEntries<Entry extends CoveredEntry>(entries: readonly Entry[]): Entry[] {
  const blocks = entries.filter(isKnownBlock);
  if (blocks.length === 0) return [...entries];
  const compacted = new SourceSet(blocks.flatMap(({ sources }) => sources.ranges()));
  return entries.filter((entry) => {
    const { meta, place } = entry;
    if (meta.kind === "segment") return place !== "bucket" || !compacted.has(meta.storeId, meta.ordinal);
    return !isKnownBlock(entry) || !blocks.some((other) => hidesBlock(other, entry));
  });
}

type KnownBlock<Entry> = Entry & { readonly sources: SourceSet };

/** A block without sources hides nothing and is not hidden: it would be a subset of every other. */
function isKnownBlock<Entry extends CoveredEntry>(entry: Entry): entry is KnownBlock<Entry> {
  return entry.meta.kind === "block" && entry.sources?.isEmpty === false;
}

function hidesBlock(block: KnownBlock<CoveredEntry>, other: KnownBlock<CoveredEntry>): boolean {
  if (block.key === other.key || !block.sources.includes(other.sources)) return false;
  if (!other.sources.includes(block.sources)) return true;
  return block.meta.level === other.meta.level ? block.key > other.key : block.meta.level > other.meta.level;
}
