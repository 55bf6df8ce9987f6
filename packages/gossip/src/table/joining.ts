/**
 * Joining: whom this node acknowledges, so that it becomes full, and when this node is acknowledged itself. A full member acknowledges nobody who does not
 * read what may be written in the cluster (package ring, formats.ts).
 */
import { type FormatHolder, formatsApart, type MemberState, readByFull } from "@pyromesh/ring";
import { formatsOf } from "../items/announced-formats.ts";
import { type Entry, isInCluster } from "../items/entry.ts";
import { includesStore } from "../items/store-set.ts";
import type { Electorate } from "./majority.ts";
import type { MembershipRules } from "./rules.ts";

/** What is looked at (class MemberTable). */
export interface JoiningSource {
  readonly own: Entry;
  /** This node is a full member, and that is on disk. */
  readonly isFull: boolean;
  readonly entries: Iterable<Entry>;
  readonly electorate: Electorate;
  /** Members that are alive and do not claim to be full. */
  readonly joiners: ReadonlySet<string>;
  entry(name: string): Entry | undefined;
  isMemberFull(name: string): boolean;
  stateOf(entry: Entry): MemberState;
}

/** A majority of the full members, this node not counted, has acknowledged its entry. */
export function isAcknowledged(source: JoiningSource, rules: MembershipRules): boolean {
  const { own } = source;
  let voters = 0;
  let acknowledged = 0;
  for (const entry of source.entries) {
    if (entry.name === own.name || !isInCluster(entry) || !rules.votes(source.isMemberFull(entry.name))) continue;
    voters++;
    if (includesStore(own.acknowledgedBy, entry.storeId)) acknowledged++;
  }
  return rules.isJoined(acknowledged, voters, source.electorate.silentCount);
}

/** The members that this node may acknowledge, and has not. */
export function acknowledgeable(source: JoiningSource, rules: MembershipRules): Entry[] {
  const { own, joiners } = source;
  if (joiners.size === 0 || !rules.mayAnswer(source.isFull)) return [];
  // Who joins is not full, so it is the same for all of them. Asked only where one is to be acknowledged: it looks at every member.
  let readBy: readonly number[] | undefined;
  const entries: Entry[] = [];
  for (const name of joiners) {
    const entry = source.entry(name)!;
    if (name === own.name || includesStore(entry.acknowledgedBy, own.storeId)) continue;
    readBy ??= readByAll(source);
    if (rules.mayAcknowledge(formatsApart(formatsOf(own), readBy, formatsOf(entry)) !== undefined)) entries.push(entry);
  }
  return entries;
}

/** Why a node that says this of itself may not be a member here, in words that go on after "it"; undefined: it may. */
export function formatsApartFrom(source: JoiningSource, { formats, name, storeId }: Pick<FormatHolder, "name" | "storeId" | "formats">): string | undefined {
  if (!source.isFull) return undefined; // it knows neither who is there nor what is written
  // A node that was cut off knows the others as they were before their upgrade, and learns better only over a link to one of them.
  const isKnownFull = source.entry(name)?.storeId === storeId && source.isMemberFull(name);
  return formatsApart(formatsOf(source.own), isKnownFull ? undefined : readByAll(source, name), formats);
}

/** Of each format, what every full member but `besides` reads. */
function readByAll(source: JoiningSource, besides?: string): readonly number[] {
  const holderOf = (entry: Entry): FormatHolder => ({ name: entry.name, storeId: entry.storeId, state: source.stateOf(entry), formats: formatsOf(entry) });
  return readByFull(holderOf(source.own), [...source.entries].filter(isInCluster).map(holderOf), besides);
}
