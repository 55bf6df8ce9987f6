/**
 * Whether this node is the first full member of its cluster, which nobody has to acknowledge (design 5.7). Pure.
 *
 * What must stay true: a node that founds counts as a majority of its own until it hears of others. So none does whose bucket says that others keep records
 * too (a replication above 1), but for the one that made the bucket and has nothing to lose yet, and where an operator says so.
 */
export interface FoundingFacts {
  /** `--bucket-init`. */
  readonly isInit: boolean;
  /** Who made the bucket's identity; undefined: it was not read yet. */
  readonly founder: "self" | "other" | "unnamed" | undefined;
  /** This data directory wrote to the bucket before this start. */
  readonly wasMarked: boolean;
  /** `--join` names others. */
  readonly hasJoins: boolean;
  /** The store holds records, or has sealed some. */
  readonly hasData: boolean;
  /** As it stands in the bucket; 0 or 1: one store keeps each record. */
  readonly bucketReplication: number;
}

export function isFirstMember({ isInit, founder, wasMarked, hasJoins, hasData, bucketReplication }: FoundingFacts): boolean {
  if (isInit) return true;
  if (founder === undefined) return false;
  const isOfOne = bucketReplication <= 1;
  if (founder === "self") return isOfOne || !hasData;
  // A bucket from before there were clusters names nobody: whoever wrote to it goes on, with others that join it.
  return isOfOne && wasMarked && (founder === "unnamed" || !hasJoins);
}
