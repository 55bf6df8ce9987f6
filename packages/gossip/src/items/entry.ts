/**
 * The entry: what is known of one member. The member itself says most of it; others add a verdict (dead, forgotten) at the incarnation that they know,
 * and their acknowledgement.
 *
 * What must stay true: entries of one member are ordered, first by incarnation, then by store id, and two entries of the same incarnation and store are
 * joined field by field, so that the order in which a node hears of them does not matter. Only the member raises its incarnation.
 */
import type { StoreId } from "@pyromesh/ring";
import { type AnnouncedFormats, faultOfFormats, joinPromises } from "./announced-formats.ts";
import { MEMBERS_MAX, TOKEN_COUNT_MAX } from "./limits.ts";
import { isStoreSet, unionOf } from "./store-set.ts";

/** In the order of what wins at the same incarnation. Append only: the place is the number on the wire and on disk. */
export const STATUSES = ["alive", "leaving", "dead", "left", "forgotten"] as const;
export type EntryStatus = (typeof STATUSES)[number];

export interface Entry extends AnnouncedFormats {
  readonly name: string;
  readonly storeId: StoreId;
  /** Of the process: 16 hex digits, another one after each start. */
  readonly bootId: string;
  readonly incarnation: number;
  readonly status: EntryStatus;
  /** The member says that it is full. `isFull` of the table says whether that holds: see `goneJoins`. */
  readonly claimsFull: boolean;
  /** How often this store has joined: 1 the first time, one more after each time it was forgotten or had left. */
  readonly joins: number;
  /** The highest `joins` at which this store was forgotten or left; 0: never. A claim to be full holds only above it. */
  readonly goneJoins: number;
  /** The stores that have this entry on disk, this incarnation of it. Sorted; empty once the member claims to be full, when nobody asks any more. */
  readonly acknowledgedBy: readonly StoreId[];
  /** The smallest number of acks under which the store holds anything that is not flushed. It never falls within an incarnation. */
  readonly acksHeld: number;
  readonly clusterAddress: string;
  readonly httpAddress: string;
  readonly zone: string;
  readonly tokenCount: number;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly build: string;
}

/** What a node says of itself at its start. The table adds the rest. */
export type OwnEntry = Pick<Entry, "name" | "storeId" | "bootId" | "clusterAddress" | "httpAddress" | "zone" | "tokenCount" | "protocolMin" | "protocolMax" | "formats" | "promises" | "build">;

export function isLive(entry: Entry): boolean {
  return entry.status === "alive" || entry.status === "leaving";
}

/** It counts: in majorities if it is full, in the effective replication. */
export function isInCluster(entry: Entry): boolean {
  return isLive(entry) || entry.status === "dead";
}

/** The same, forgotten: the store must join anew. */
export function forgottenOf(entry: Entry): Entry {
  return { ...entry, status: "forgotten", goneJoins: entry.joins };
}

/** Beyond it an entry is refused. A member raises its own by one at a start and at a refutation: 2^48 are never reached honestly. */
export const INCARNATION_MAX: number = 2 ** 48;

const statusOrder = (status: EntryStatus): number => STATUSES.indexOf(status);

/** Positive: `a` is of a later incarnation, or of the same one and the store that wins. 0: both are of one incarnation of one store. */
export function compareEntries(a: Pick<Entry, "incarnation" | "storeId">, b: Pick<Entry, "incarnation" | "storeId">): number {
  if (a.incarnation !== b.incarnation) return a.incarnation - b.incarnation;
  return a.storeId < b.storeId ? -1 : a.storeId > b.storeId ? 1 : 0;
}

/**
 * What both say together. Returns `a` itself where `b` adds nothing. What the member says of itself is equal in both, since it changes with the incarnation
 * only; where it is not (one data directory runs twice), the greater text wins everywhere.
 */
export function joinEntries(a: Entry, b: Entry): Entry {
  const order = compareEntries(a, b);
  const later = order >= 0 ? a : b;
  const earlier = order >= 0 ? b : a;
  if (order !== 0) {
    if (later.storeId !== earlier.storeId) return later;
    // A verdict of "gone" is about the store's joining, not about its incarnation: it holds for all later ones, until the store joins anew.
    const promises = joinPromises(later.promises, earlier.promises);
    const isAsIs = later.goneJoins >= earlier.goneJoins && promises === later.promises;
    return isAsIs ? later : { ...later, goneJoins: Math.max(later.goneJoins, earlier.goneJoins), promises };
  }
  const said = saysTheSame(a, b) || saidOf(a) >= saidOf(b) ? a : b;
  const claimsFull = a.claimsFull || b.claimsFull;
  const joined: Entry = {
    ...said,
    promises: joinPromises(a.promises, b.promises),
    status: statusOrder(a.status) >= statusOrder(b.status) ? a.status : b.status,
    claimsFull,
    joins: Math.max(a.joins, b.joins),
    goneJoins: Math.max(a.goneJoins, b.goneJoins),
    acknowledgedBy: claimsFull ? NOBODY : unionOf(a.acknowledgedBy, b.acknowledgedBy),
    acksHeld: Math.max(a.acksHeld, b.acksHeld),
  };
  return isSameEntry(a, joined) ? a : joined;
}

/** Both say the same, who acknowledged them included. */
export function areSame(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.incarnation !== b.incarnation || a.storeId !== b.storeId || a.name !== b.name) return false;
  return isSameEntry(a, b) && (a.acknowledgedBy.length === 0 || unionOf(a.acknowledgedBy, b.acknowledgedBy) === a.acknowledgedBy);
}

export const NOBODY: readonly StoreId[] = [];

function saysTheSame(a: Entry, b: Entry): boolean {
  return (
    a.bootId === b.bootId &&
    a.clusterAddress === b.clusterAddress &&
    a.httpAddress === b.httpAddress &&
    a.zone === b.zone &&
    a.tokenCount === b.tokenCount &&
    a.protocolMin === b.protocolMin &&
    a.protocolMax === b.protocolMax &&
    a.formats === b.formats &&
    a.build === b.build
  );
}

function saidOf(entry: Entry): string {
  return JSON.stringify([entry.bootId, entry.clusterAddress, entry.httpAddress, entry.zone, entry.tokenCount, entry.protocolMin, entry.protocolMax, entry.formats, entry.build]);
}

/** Of one incarnation and store. Of who acknowledged it the number is compared: `joined` is made from `a`. */
function isSameEntry(a: Entry, joined: Entry): boolean {
  return (
    a.status === joined.status &&
    a.claimsFull === joined.claimsFull &&
    a.joins === joined.joins &&
    a.goneJoins === joined.goneJoins &&
    a.acksHeld === joined.acksHeld &&
    a.promises === joined.promises &&
    a.acknowledgedBy.length === joined.acknowledgedBy.length &&
    saysTheSame(a, joined)
  );
}

/** Why an entry is refused whatever the table holds; undefined: it is well formed. Types are the codec's matter. */
export function faultOfEntry(entry: Entry): string | undefined {
  if (!NAME.test(entry.name)) return "its name is not 1 to 255 printable characters";
  if (!STORE_ID.test(entry.storeId)) return "its store id is not 32 hex digits";
  if (!BOOT_ID.test(entry.bootId)) return "its boot id is not 16 hex digits";
  if (!isWhole(entry.incarnation, 0, INCARNATION_MAX)) return "its incarnation is out of range";
  if (!STATUSES.includes(entry.status)) return "its status is unknown";
  if (!isWhole(entry.joins, 1, INCARNATION_MAX) || !isWhole(entry.goneJoins, 0, entry.joins)) return "its counts of joins are out of range";
  if (!isWhole(entry.acksHeld, 1, ACKS_MAX)) return "its number of acks is out of range";
  if (!isWhole(entry.tokenCount, 1, TOKEN_COUNT_MAX)) return `it has not 1 to ${TOKEN_COUNT_MAX} tokens`;
  if (!isWhole(entry.protocolMin, 1, entry.protocolMax) || !isWhole(entry.protocolMax, 1, 0xffff)) return "its protocol versions are out of range";
  const fault = faultOfFormats(entry);
  if (fault !== undefined) return fault;
  if (!isText(entry.clusterAddress, 300) || !isText(entry.httpAddress, 300) || !isText(entry.zone, 255) || !isText(entry.build, 255)) return "a text of it is too long";
  if (entry.claimsFull && entry.acknowledgedBy.length > 0) return "it names who acknowledged it, and is full";
  if (!isSetOfStores(entry.acknowledgedBy)) return "who acknowledged it is no set of store ids";
  return undefined;
}

export function isSetOfStores(stores: readonly StoreId[]): boolean {
  return stores.length <= MEMBERS_MAX && isStoreSet(stores) && stores.every((store) => STORE_ID.test(store));
}

/** Far more than any replication needs. */
export const ACKS_MAX = 255;

export const isWhole = (value: number, min: number, max: number): boolean => Number.isSafeInteger(value) && value >= min && value <= max;
const isText = (value: string, lengthMax: number): boolean => value.length <= lengthMax;
/** Printable, without spaces: a name stands in log lines, paths of URLs and tables. */
export const NAME: RegExp = /^[!-~\u00a1-\uffff]{1,255}$/;
export const STORE_ID: RegExp = /^[0-9a-f]{32}$/;
const BOOT_ID = /^[0-9a-f]{16}$/;
