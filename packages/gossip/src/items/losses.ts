/**
 * The lost stores: dead, forgotten, or replaced by another store under their member's name. Until a loss is cleared, its store counts as one that failed to
 * answer every query (design 10.1).
 *
 * A loss is known by its store and incarnation. Only a store's loss at the highest incarnation counts, and none once the store is back with a higher one.
 */
import type { StoreId } from "@pyromesh/ring";
import { ACKS_MAX, type Entry, INCARNATION_MAX, isSetOfStores, isWhole, NAME, NOBODY, STORE_ID } from "./entry.ts";
import { unionOf } from "./store-set.ts";

export interface Loss {
  readonly member: string;
  readonly storeId: StoreId;
  readonly incarnation: number;
  /** The store's last `acksHeld`, as far as it is known: the smallest that anyone heard. */
  readonly acksHeld: number;
  /**
   * Somebody knew the store as full. One that nobody knew as full has acknowledged nothing: it would have had to be in contact, and only who knows a
   * store as full answers its probes for contact. Such a loss keeps nobody waiting.
   */
  readonly wasFull: boolean;
  /** The highest `joins` at which the store was forgotten; 0: never. */
  readonly goneJoins: number;
  readonly isCleared: boolean;
  /** Stores that have refused the lost one's probes for longer than the lease. Sorted; empty once the loss is cleared. */
  readonly fencedBy: readonly StoreId[];
  /** Stores that have read in the bucket all that they took before they learned of the loss. Sorted; empty once the loss is cleared. */
  readonly flushedBy: readonly StoreId[];
}

/** The loss of the store that the entry names, at its incarnation. */
export function lossOf(entry: Entry, isFull: boolean): Loss {
  return {
    member: entry.name,
    storeId: entry.storeId,
    incarnation: entry.incarnation,
    acksHeld: entry.acksHeld,
    wasFull: isFull,
    goneJoins: entry.goneJoins,
    isCleared: false,
    fencedBy: NOBODY,
    flushedBy: NOBODY,
  };
}

/** What both say together, of one store. Returns `a` itself where `b` adds nothing. */
export function joinLosses(a: Loss, b: Loss): Loss {
  const wasFull = a.wasFull || b.wasFull;
  const goneJoins = Math.max(a.goneJoins, b.goneJoins);
  if (a.incarnation !== b.incarnation) {
    const later = a.incarnation > b.incarnation ? a : b;
    return later.wasFull === wasFull && later.goneJoins === goneJoins ? later : { ...later, wasFull, goneJoins };
  }
  const isCleared = a.isCleared || b.isCleared;
  const joined: Loss = {
    member: a.member <= b.member ? a.member : b.member,
    storeId: a.storeId,
    incarnation: a.incarnation,
    acksHeld: Math.min(a.acksHeld, b.acksHeld),
    wasFull,
    goneJoins,
    isCleared,
    fencedBy: isCleared ? NOBODY : unionOf(a.fencedBy, b.fencedBy),
    flushedBy: isCleared ? NOBODY : unionOf(a.flushedBy, b.flushedBy),
  };
  const isSame =
    a.member === joined.member &&
    a.acksHeld === joined.acksHeld &&
    a.wasFull === wasFull &&
    a.goneJoins === goneJoins &&
    a.isCleared === isCleared &&
    a.fencedBy.length === joined.fencedBy.length &&
    a.flushedBy.length === joined.flushedBy.length;
  return isSame ? a : joined;
}

/** The same, cleared: who fenced it and who flushed matters no longer. */
export function clearedOf(loss: Loss): Loss {
  return { ...loss, isCleared: true, fencedBy: NOBODY, flushedBy: NOBODY };
}

/** Nobody waits for the store any more. */
export function isOver(loss: Loss): boolean {
  return loss.isCleared || !loss.wasFull;
}

/** `entry`: the table's, of the loss's member. */
export function isReplaced(loss: Loss, entry: Entry | undefined): boolean {
  return entry?.storeId !== loss.storeId;
}

/** The store is back, or has left: its loss is over, and goes. */
export function isSuperseded(loss: Loss, entry: Entry | undefined): boolean {
  if (entry === undefined || entry.storeId !== loss.storeId) return false;
  return entry.incarnation > loss.incarnation ? entry.status !== "dead" && entry.status !== "forgotten" : entry.incarnation === loss.incarnation && entry.status === "left";
}

/** The smallest number of acks under which any store may hold something that is not flushed. `acks`: of this node. */
export function acksMinOf(entries: Iterable<Entry>, losses: ReadonlyMap<StoreId, Loss>, acks: number): number {
  let min = acks;
  for (const entry of entries) {
    if (entry.status === "left") continue;
    const loss = losses.get(entry.storeId);
    if (loss === undefined || !isOver(loss)) min = Math.min(min, entry.acksHeld);
  }
  for (const loss of losses.values()) if (!isOver(loss)) min = Math.min(min, loss.acksHeld);
  return min;
}

/** Why a loss is refused; undefined: it is well formed. */
export function faultOfLoss(loss: Loss): string | undefined {
  if (!NAME.test(loss.member)) return "its member's name is not 1 to 255 printable characters";
  if (!STORE_ID.test(loss.storeId)) return "its store id is not 32 hex digits";
  if (!isWhole(loss.incarnation, 0, INCARNATION_MAX)) return "its incarnation is out of range";
  if (!isWhole(loss.acksHeld, 1, ACKS_MAX)) return "its number of acks is out of range";
  if (!isWhole(loss.goneJoins, 0, INCARNATION_MAX)) return "its count of joins is out of range";
  if (!isSetOfStores(loss.fencedBy) || !isSetOfStores(loss.flushedBy)) return "who fenced it, or flushed, is no set of store ids";
  return undefined;
}
