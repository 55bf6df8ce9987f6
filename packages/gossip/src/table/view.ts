/** Makes the view, by which the rest of the node decides, of what the table knows. */
import type { ClusterView, LostStore, Member, MemberState, StoreId } from "@pyromesh/ring";
import { formatsOf } from "../items/announced-formats.ts";
import { type Entry, isInCluster } from "../items/entry.ts";
import { isOver, isReplaced, type Loss } from "../items/losses.ts";
import type { OwnFault } from "./own-fault.ts";
import { acksOf, type Replication } from "./replication.ts";

export interface ViewSource {
  readonly clusterName: string;
  readonly own: Entry;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly losses: ReadonlyMap<StoreId, Loss>;
  readonly replication: Replication;
  readonly memberCount: number;
  readonly acksMin: number;
  readonly listAfterMs: number;
  readonly fault: OwnFault | undefined;
  /** More stores are lost than the table holds. */
  readonly hasMoreLosses: boolean;
  readonly digest: string;
  stateOf(entry: Entry): MemberState;
  memberOfStore(store: StoreId): string | undefined;
}

/** `suspects`: names of members that this node suspects. */
export function viewOf(source: ViewSource, suspects: ReadonlySet<string>): ClusterView {
  const members: Member[] = [];
  const gone: Member[] = [];
  let activeCount = 0;
  for (const entry of source.entries.values()) {
    const member = memberOf(source, entry, suspects.has(entry.name));
    (isInCluster(entry) ? members : gone).push(member);
    if (member.state === "active") activeCount++;
  }
  const replication = source.replication.ofPush(source.memberCount, activeCount);
  return {
    clusterName: source.clusterName,
    self: memberOf(source, source.own, false),
    members: members.sort(byName),
    gone: gone.sort(byName),
    lostStores: lostStoresOf(source),
    replication,
    acks: acksOf(replication),
    replicationSetting: source.replication.configured,
    isReplicationRising: source.replication.isRising,
    acksMin: source.acksMin,
    listAfterMs: source.listAfterMs,
    writesRefusedBecause: writesRefusedBecause(source, replication),
    queriesRefusedBecause: queriesRefusedBecause(source),
    digest: source.digest,
  };
}

const byName = (a: Member, b: Member): number => (a.name < b.name ? -1 : 1);

function memberOf(source: ViewSource, entry: Entry, isSuspect: boolean): Member {
  return {
    name: entry.name,
    storeId: entry.storeId,
    bootId: entry.bootId,
    incarnation: entry.incarnation,
    state: source.stateOf(entry),
    isSuspect,
    clusterAddress: entry.clusterAddress,
    httpAddress: entry.httpAddress,
    zone: entry.zone,
    tokenCount: entry.tokenCount,
    protocolMin: entry.protocolMin,
    protocolMax: entry.protocolMax,
    formats: formatsOf(entry),
    build: entry.build,
    acksHeld: entry.acksHeld,
  };
}

function lostStoresOf(source: ViewSource): LostStore[] {
  const namesOf = (stores: readonly StoreId[]): string[] =>
    stores
      .map((store) => source.memberOfStore(store))
      .filter((name) => name !== undefined)
      .sort();
  const stores = [...source.losses.values()].map((loss): LostStore => {
    return {
      member: loss.member,
      storeId: loss.storeId,
      incarnation: loss.incarnation,
      acksHeld: loss.acksHeld,
      // One that nobody knew as full has acknowledged nothing: nobody waits for it.
      isCleared: isOver(loss),
      isReplaced: isReplaced(loss, source.entries.get(loss.member)),
      fencedBy: namesOf(loss.fencedBy),
      flushedBy: namesOf(loss.flushedBy),
    };
  });
  return stores.sort((a, b) => (a.storeId < b.storeId ? -1 : 1));
}

function writesRefusedBecause(source: ViewSource, replication: number): string | undefined {
  if (source.fault !== undefined) return source.fault.message;
  const state = source.stateOf(source.own);
  if (state === "leaving") return "it is leaving the cluster";
  if (state === "left") return "it has left the cluster";
  if (state === "joining") return joiningText(source.own);
  return source.replication.refusal(replication);
}

function queriesRefusedBecause(source: ViewSource): string | undefined {
  if (source.fault !== undefined) return source.fault.message;
  const state = source.stateOf(source.own);
  if (state === "left") return "it has left the cluster";
  if (state === "joining") return joiningText(source.own);
  return source.hasMoreLosses ? "more stores are lost than it can remember: accept the losses (pyromesh cluster forget --force), and start it again" : undefined;
}

/** A start begins a joining only where there was none before, or the members ended the last one. */
function joiningText({ goneJoins }: Entry): string {
  return goneJoins === 0 ? "it has not joined the cluster" : "it has not joined the cluster: it was forgotten, or left, since it last was a member, and joins anew";
}
