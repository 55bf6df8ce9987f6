/**
 * A tenant's shard: the few members that its records are kept to, so that two tenants share few members, or none, and one that overloads its own
 * does not overload all.
 *
 * Each zone gives its part of the shard by picks: pick i begins at a point that follows from tenant, zone and i, and takes the first member of
 * the zone after it that is not taken yet.
 *
 * What must stay true: a larger shard holds the smaller one, and a member that comes or goes changes at most one other member of a shard. So a change
 * of either moves little.
 */
import type { Ring } from "./ring.ts";
import { shardToken } from "./tokens.ts";

/** Of each member of the ring: 1, it is in the shard. Undefined: all are. `size` is a sum over the zones, rounded up to equal parts; 0: no shards. */
export function shardOf(ring: Ring, tenant: string, size: number): Uint8Array | undefined {
  if (size <= 0 || size >= ring.members.length) return undefined;
  const known = ring.runs.shard(tenant, size);
  if (known !== undefined) return known;
  const shard = pickShard(ring, tenant, size);
  ring.runs.keepShard(tenant, size, shard);
  return shard;
}

function pickShard(ring: Ring, tenant: string, size: number): Uint8Array {
  const shard = new Uint8Array(ring.members.length);
  const picks = Math.ceil(size / ring.zones.length);
  for (const [zoneIndex, zone] of ring.zones.entries()) {
    for (let pick = 0; pick < picks; pick++) {
      const member = firstFree(ring, shardToken(tenant, zone, pick), zoneIndex, shard);
      if (member === undefined) break;
      shard[member] = 1;
    }
  }
  return shard;
}

/** Undefined: the zone has no member left. */
function firstFree(ring: Ring, token: number, zoneIndex: number, taken: Uint8Array): number | undefined {
  const start = ring.placeAfter(token);
  for (let step = 0; step < ring.tokenCount; step++) {
    const member = ring.memberAt((start + step) % ring.tokenCount);
    if (ring.zoneOf[member] === zoneIndex && taken[member] === 0) return member;
  }
  return undefined;
}
