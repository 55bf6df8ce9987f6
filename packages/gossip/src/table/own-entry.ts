/** The entry of this node itself: the first of a start, the one that refutes what others say, and whether they say anything that must be refuted. */
import { joinPromises } from "../items/announced-formats.ts";
import { type Entry, NOBODY, type OwnEntry, STATUSES } from "../items/entry.ts";

/** `old`: this name's entry in the data directory's state, which may be of an older store. A start is an incarnation of its own. */
export function startedEntry(self: OwnEntry, old: Entry | undefined, { isFounder, acksHeld }: { readonly isFounder: boolean; readonly acksHeld: number }): Entry {
  const isSameStore = old?.storeId === self.storeId;
  const isBack = isSameStore && (old.status === "left" || old.status === "forgotten");
  return {
    ...self,
    incarnation: old === undefined ? (isFounder ? 1 : 0) : old.incarnation + 1,
    status: "alive",
    claimsFull: isSameStore ? old.claimsFull && !isBack : isFounder,
    joins: isSameStore ? old.joins + (isBack ? 1 : 0) : 1,
    goneJoins: isSameStore ? old.goneJoins : 0,
    acknowledgedBy: NOBODY,
    acksHeld,
    promises: isSameStore ? joinPromises(self.promises, old.promises) : self.promises,
  };
}

/** Says anew, above `incarnation`, that this node is there. `isGone`: its store was forgotten at `goneJoins`, after it joined; it joins anew. */
export function refutingEntry(own: Entry, { incarnation, goneJoins, isGone }: { readonly incarnation: number; readonly goneJoins: number; readonly isGone: boolean }): Entry {
  return {
    ...own,
    incarnation: Math.max(own.incarnation, incarnation) + 1,
    acknowledgedBy: NOBODY,
    claimsFull: own.claimsFull && !isGone,
    joins: isGone ? goneJoins + 1 : own.joins,
    goneJoins: Math.max(own.goneJoins, goneJoins),
  };
}

/** `said`, of the same store, is not what this node says of itself at that incarnation, or is of one that this node has not reached. */
export function isContradicted(own: Entry, said: Entry): boolean {
  if (said.incarnation !== own.incarnation) return said.incarnation > own.incarnation;
  return said.bootId !== own.bootId || STATUSES.indexOf(said.status) > STATUSES.indexOf(own.status);
}
