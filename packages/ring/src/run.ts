/**
 * The run of a dataset: the distinct members that the ring has after the dataset's token, `spread` of them. All series of the dataset are placed inside
 * it, so a service's symbols are on few members.
 *
 * With zones the run takes equal parts of each, as far as they have members: then any `replication` of its members can be in as many zones as
 * there are. What is left over goes to the zones that come first.
 *
 * What must stay true: a run is distinct; and a member that comes or goes changes the runs that it is in, and no others.
 */
import { hash } from "node:crypto";
import { assert } from "@pyromesh/base";
import type { Ring } from "./ring.ts";
import type { Run, RunOptions } from "./run-memo.ts";
import { shardOf } from "./shuffle-shard.ts";
import { datasetToken } from "./tokens.ts";

export function runOf(ring: Ring, tenant: string, service: string, options: RunOptions): Run {
  const known = ring.runs.run(tenant, service, options);
  if (known !== undefined) return known;
  assert(options.replication >= 1, "a replica set has at least one member");
  const indices = membersAfter(ring, tenant, service, options);
  const run: Run = {
    replication: options.replication,
    spread: options.spread,
    shardSize: options.shardSize,
    indices,
    seeds: seedsOf(ring, indices),
    scores: new Float64Array(indices.length),
    ranked: new Uint32Array(Math.min(options.replication, indices.length)),
    isZoned: new Set(indices.map((index) => ring.zoneOf[index])).size > 1,
    sets: new Map(),
  };
  ring.runs.keepRun(tenant, service, run);
  return run;
}

function membersAfter(ring: Ring, tenant: string, service: string, { replication, spread, shardSize }: RunOptions): number[] {
  const size = Math.max(replication, spread);
  const shard = shardSize > 0 ? shardOf(ring, tenant, Math.max(replication, shardSize)) : undefined;
  const isTaken = new Uint8Array(ring.members.length);
  const quota = new ZoneQuota(size, ring.zones.length);
  const indices: number[] = [];
  const passedOver: number[] = [];
  const start = ring.placeAfter(datasetToken(tenant, service));
  let seen = 0;
  for (let step = 0; step < ring.tokenCount && indices.length < size && seen < ring.members.length; step++) {
    const member = ring.memberAt((start + step) % ring.tokenCount);
    if (isTaken[member] === 1) continue;
    isTaken[member] = 1;
    seen++;
    if (shard !== undefined && shard[member] === 0) continue;
    (quota.take(ring.zoneOf[member]!) ? indices : passedOver).push(member);
  }
  // A zone with fewer members than its part: the others fill the run up.
  for (const member of passedOver) {
    if (indices.length === size) break;
    indices.push(member);
  }
  return indices;
}

/** How many of a run each zone may give: equal parts, and one more from as many zones as it takes to fill the run. */
class ZoneQuota {
  readonly #taken: Uint32Array;
  readonly #part: number;
  #extra: number;

  constructor(size: number, zoneCount: number) {
    this.#taken = new Uint32Array(zoneCount);
    this.#part = Math.floor(size / Math.max(1, zoneCount));
    this.#extra = size - this.#part * zoneCount;
  }

  take(zone: number): boolean {
    if (this.#taken[zone]! > this.#part) return false;
    if (this.#taken[zone] === this.#part) {
      if (this.#extra === 0) return false;
      this.#extra--;
    }
    this.#taken[zone]!++;
    return true;
  }
}

function seedsOf(ring: Ring, indices: readonly number[]): Uint32Array {
  const seeds = new Uint32Array(indices.length * 2);
  for (const [at, index] of indices.entries()) {
    const digest = hash("sha256", Buffer.from(`rendezvous/v1\0${ring.members[index]!.name}`), "buffer");
    seeds[at * 2] = digest.readUInt32BE(0);
    seeds[at * 2 + 1] = digest.readUInt32BE(4);
  }
  return seeds;
}
