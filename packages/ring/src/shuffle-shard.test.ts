import { expect } from "chai";
import fc from "fast-check";
import { replicaSet } from "./replica-set.ts";
import { Ring } from "./ring.ts";
import { shardOf } from "./shuffle-shard.ts";
import { testMember, testMembers } from "./testing/ring-members.ts";

describe("shuffle shard", () => {
  it("size 0, or as many as there are: no shard", () => {
    const ring = Ring.of(testMembers(5));
    expect(shardOf(ring, "t", 0)).to.equal(undefined);
    expect(shardOf(ring, "t", 5)).to.equal(undefined);
  });

  it("a larger shard holds the smaller one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 3 }), fc.string(), fc.integer({ min: 1, max: 40 }), (count, zones, tenant, size) => {
        const members = testMembers(count, ["a", "b", "c"].slice(0, zones));
        const small = shardNames(Ring.of(members), tenant, size);
        const large = shardNames(Ring.of(members), tenant, size + 1);
        for (const name of small) expect(large).to.include(name);
      }),
    );
  });

  it("has its size, in equal parts of the zones", () => {
    const ring = Ring.of(testMembers(30, ["a", "b", "c"]));
    for (let tenant = 0; tenant < 50; tenant++) {
      const zones = shardNames(ring, `t${tenant}`, 6).map((name) => Number(name.slice(1)) % 3);
      for (const zone of [0, 1, 2]) expect(zones.filter((other) => other === zone).length).to.equal(2);
    }
  });

  it("a member that comes replaces at most one of a shard", () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 40 }), fc.string(), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 200 }), (count, tenant, size, fresh) => {
        const members = testMembers(count);
        const before = shardNames(Ring.of(members), tenant, size);
        const after = shardNames(Ring.of([...members, testMember(`fresh-${fresh}`)]), tenant, size);
        expect(after.filter((name) => !before.includes(name)).length).to.be.at.most(1);
        expect(before.filter((name) => !after.includes(name)).length).to.be.at.most(1);
      }),
    );
  });

  it("two tenants with shards of 4 among 50 members rarely share all", () => {
    const ring = Ring.of(testMembers(50));
    const shards = Array.from({ length: 100 }, (_, tenant) => shardNames(ring, `t${tenant}`, 4).join());
    expect(new Set(shards).size).to.be.at.least(99);
  });

  it("all records of a tenant are kept in its shard, and a shard smaller than the replication is as large", () => {
    const ring = Ring.of(testMembers(20));
    const holders = new Set<string>();
    for (let service = 0; service < 300; service++) {
      for (const { name } of replicaSet(ring, { tenant: "t", service: `s${service}`, fingerprint: BigInt(service) }, { replication: 3, spread: 0, shardSize: 5 })) holders.add(name);
    }
    expect([...holders].sort()).to.deep.equal(shardNames(ring, "t", 5).sort());
    expect(replicaSet(ring, { tenant: "t", service: "s", fingerprint: 1n }, { replication: 3, spread: 0, shardSize: 1 }).length).to.equal(3);
  });
});

function shardNames(ring: Ring, tenant: string, size: number): string[] {
  const shard = shardOf(ring, tenant, size);
  return ring.members.filter((_, index) => shard === undefined || shard[index] === 1).map(({ name }) => name);
}
