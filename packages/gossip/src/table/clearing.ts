/**
 * When a loss is cleared, so that nobody waits for its store any more, and when a dead member is forgotten without an operator's word. Only a full member
 * decides either: others do not know everybody.
 */
import type { StoreId } from "@pyromesh/ring";
import { type Entry, isLive } from "../items/entry.ts";
import { isOver, type Loss } from "../items/losses.ts";
import { includesStore } from "../items/store-set.ts";
import type { Electorate } from "./majority.ts";
import type { MembershipRules } from "./rules.ts";

/** What is looked at (class MemberTable). */
export interface ClearingSource {
  /** This node is a full member, and that is on disk. */
  readonly isFull: boolean;
  readonly entries: Iterable<Entry>;
  readonly openLosses: readonly Loss[];
  readonly electorate: Electorate;
  /** The smallest number of acks under which any store may hold something. */
  readonly acksMin: number;
  loss(storeId: StoreId): Loss | undefined;
  isMemberFull(name: string): boolean;
}

/** The losses that count no longer: what their stores held is in the bucket, and they can acknowledge nothing more. */
export function clearable(source: ClearingSource, rules: MembershipRules): Loss[] {
  if (!source.isFull) return [];
  const open = source.openLosses.filter((loss) => loss.wasFull);
  if (open.length === 0 || !rules.mayClear(open.length, source.acksMin)) return [];
  return open.filter((loss) => isClearable(loss, source, rules));
}

function isClearable(loss: Loss, { electorate, entries }: ClearingSource, rules: MembershipRules): boolean {
  if (!rules.isFencedByMajority(() => electorate.isMajority((store) => includesStore(loss.fencedBy, store)))) return false;
  for (const entry of entries) {
    if (!isLive(entry) || entry.storeId === loss.storeId) continue;
    if (!rules.hasFlushed(includesStore(loss.flushedBy, entry.storeId))) return false;
  }
  return true;
}

/** The dead whose losses are cleared, while enough members remain to decide without them. */
export function forgettable(source: ClearingSource, rules: MembershipRules): Entry[] {
  if (!source.isFull) return [];
  const dead: Entry[] = [];
  let liveCount = 0;
  for (const entry of source.entries) {
    if (entry.status === "dead") dead.push(entry);
    else if (entry.status === "alive" && source.isMemberFull(entry.name)) liveCount++;
  }
  if (!rules.mayForget(liveCount)) return [];
  return dead.filter((entry) => {
    const loss = source.loss(entry.storeId);
    return loss !== undefined && loss.incarnation === entry.incarnation && isOver(loss);
  });
}
