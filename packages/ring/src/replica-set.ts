/**
 * The replica set of a record: the members that are to keep it, in the order of their ranks. Inside the run of its dataset the order is by rendezvous
 * hashing: each member's seed is mixed with the fingerprint of the series, and the highest score has rank 0.
 *
 *   dataset ──token──► run [c, a, f, b]      series 1: f 0.9  a 0.7  c 0.4  b 0.1   ──► f, a, c
 *                                            series 2: b 0.8  c 0.6  f 0.5  a 0.2   ──► b, c, f
 *
 * With zones the highest score of each zone comes before any second of a zone.
 *
 * What must stay true: a replica set is distinct, and has `replication` members while the ring, or the tenant's shard, has as many. A member that comes or goes
 * changes the sets that it is in and no others: what remains keeps its order. No promise depends on two nodes having the same sets.
 */
import { mixWord } from "@pyromesh/base";
import type { Ring } from "./ring.ts";
import type { RingMember } from "./ring-member.ts";
import type { Run, RunOptions } from "./run-memo.ts";
import { runOf } from "./run.ts";

/** In order of rank. Equal sets of one dataset and ring are mostly the same array, so what a caller makes of one may be kept under it. */
export type ReplicaSet = readonly RingMember[];

export interface PlacementKey {
  readonly tenant: string;
  readonly service: string;
  readonly fingerprint: bigint;
}

/** Beyond it, the replica sets of a run are made anew each time. With a spread of 10 and 3 replicas there are 720. */
const KEPT_SETS_MAX = 1024;

export function replicaSet(ring: Ring, key: PlacementKey, options: RunOptions): ReplicaSet {
  const run = runOf(ring, key.tenant, key.service, options);
  score(run, key.fingerprint);
  let id = 0;
  for (let rank = 0; rank < run.ranked.length; rank++) {
    const place = best(ring, run, rank);
    run.ranked[rank] = place;
    id = id * run.indices.length + place;
  }
  const known = run.sets.get(id);
  if (known !== undefined) return known;
  const members = Array.from(run.ranked, (place) => ring.members[run.indices[place]!]!);
  if (run.sets.size < KEPT_SETS_MAX && id <= Number.MAX_SAFE_INTEGER) run.sets.set(id, members);
  return members;
}

/** Whether the member may be in a replica set of the dataset: false means that it keeps none of its series. */
export function isInRun(ring: Ring, tenant: string, service: string, name: string, options: RunOptions): boolean {
  return runOf(ring, tenant, service, options).indices.some((index) => ring.members[index]!.name === name);
}

function score({ indices, seeds, scores }: Run, fingerprint: bigint): void {
  const low = Number(fingerprint & 0xffffffffn);
  const high = Number(fingerprint >> 32n);
  for (let at = 0; at < indices.length; at++) {
    // Two rounds, so that each bit of either word changes both.
    const first = mixWord(low ^ seeds[at * 2]!);
    const second = mixWord(high ^ seeds[at * 2 + 1]! ^ first);
    const third = mixWord(first ^ Math.imul(second, 0x9e3779b1));
    // 53 bits of the 64: what a double holds.
    scores[at] = (second >>> 0) * 0x200000 + (third >>> 11);
  }
}

/** The place of the highest score that no smaller rank has; with zones, of a zone that none of them is in, while there is one. Equal scores: the first. */
function best(ring: Ring, run: Run, rank: number): number {
  let found = -1;
  let isFoundNew = false;
  for (let place = 0; place < run.indices.length; place++) {
    let isTaken = false;
    let isNewZone = true;
    for (let at = 0; at < rank; at++) {
      const other = run.ranked[at]!;
      if (other === place) isTaken = true;
      else if (run.isZoned && ring.zoneOf[run.indices[other]!] === ring.zoneOf[run.indices[place]!]) isNewZone = false;
    }
    if (isTaken) continue;
    if (found === -1 || (isNewZone && !isFoundNew) || (isNewZone === isFoundNew && run.scores[place]! > run.scores[found]!)) {
      found = place;
      isFoundNew = isNewZone;
    }
  }
  return found;
}
