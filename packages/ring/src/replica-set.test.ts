import { expect } from "chai";
import fc from "fast-check";
import type { ClusterView, Member } from "./cluster-view.ts";
import type { PlacementKey, ReplicaSet } from "./replica-set.ts";
import { isInRun, replicaSet } from "./replica-set.ts";
import { RingOfView } from "./ring-of-view.ts";
import { Ring } from "./ring.ts";
import type { RunOptions } from "./run-memo.ts";
import { testMember, testMembers } from "./testing/ring-members.ts";

const THREE: RunOptions = { replication: 3, spread: 0, shardSize: 0 };

describe("replica set", () => {
  it("is distinct, deterministic, and has `replication` members where there are as many", () => {
    fc.assert(
      fc.property(world(), key(), ({ members, options }, wanted) => {
        const set = names(replicaSet(Ring.of(members), wanted, options));
        expect(new Set(set).size).to.equal(set.length);
        expect(set.length).to.equal(Math.min(options.replication, members.length));
        expect(names(replicaSet(Ring.of([...members].reverse()), wanted, options))).to.deep.equal(set);
      }),
    );
  });

  it("is in as many zones as there are, also in a spread dataset", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 3, max: 30 }), fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 5 }), key(), (zoneCount, count, spread, replication, wanted) => {
        const members = testMembers(count, ["a", "b", "c", "d", "e"].slice(0, zoneCount));
        const set = replicaSet(Ring.of(members), wanted, { replication, spread, shardSize: 0 });
        const zones = new Set(set.map(({ zone }) => zone));
        expect(zones.size).to.equal(Math.min(replication, zoneCount, count));
      }),
    );
  });

  it("zones of unequal size: the large one does not crowd out the others", () => {
    const members = [...testMembers(20, ["large"]), testMember("x", { zone: "small" }), testMember("y", { zone: "tiny" })];
    const ring = Ring.of(members);
    for (let series = 0; series < 50; series++) {
      const set = replicaSet(ring, keyOf(series), THREE);
      expect(new Set(set.map(({ zone }) => zone)).size).to.equal(3);
    }
  });

  it("all series of a dataset are inside its run, and every member of the run has some as rank 0", () => {
    const ring = Ring.of(testMembers(40));
    const options = { replication: 3, spread: 6, shardSize: 0 };
    const holders = new Map<string, number>();
    for (let series = 0; series < 6000; series++) {
      const set = replicaSet(ring, keyOf(series, "t", "one"), options);
      holders.set(set[0]!.name, (holders.get(set[0]!.name) ?? 0) + 1);
      for (const { name } of set) expect(isInRun(ring, "t", "one", name, options)).to.equal(true);
    }
    expect(holders.size).to.equal(6);
    for (const count of holders.values()) expect(count).to.be.within(850, 1150);
  });

  it("a member that goes: sets without it stay, and in the others the rest keeps its order", () => {
    fc.assert(
      fc.property(world(4), key(), fc.nat(), ({ members, options }, wanted, which) => {
        const gone = members[which % members.length]!.name;
        const before = names(replicaSet(Ring.of(members), wanted, options));
        const after = names(replicaSet(Ring.of(members.filter(({ name }) => name !== gone)), wanted, options));
        if (!runOf(members, wanted, options).includes(gone)) expect(after).to.deep.equal(before);
        const kept = before.filter((name) => name !== gone);
        if (new Set(members.map(({ zone }) => zone)).size === 1 && options.shardSize === 0) {
          expect(after.filter((name) => kept.includes(name))).to.deep.equal(kept.filter((name) => after.includes(name)));
          // At most one other takes the place of the one that went.
          expect(after.filter((name) => !before.includes(name)).length).to.be.at.most(1);
        }
      }),
    );
  });

  it("a member that comes takes its share of rank 0 and of all places, within a third at 20 members, and moves nothing else", () => {
    const members = testMembers(20);
    const before = Ring.of(members);
    const after = Ring.of([...members, testMember("new")]);
    let firsts = 0;
    let places = 0;
    const series = 20_000;
    for (let at = 0; at < series; at++) {
      const wanted = keyOf(at, "t", `service-${at % 2000}`);
      const old = names(replicaSet(before, wanted, THREE));
      const fresh = names(replicaSet(after, wanted, THREE));
      if (fresh.includes("new")) places++;
      else expect(fresh).to.deep.equal(old);
      if (fresh[0] === "new") firsts++;
      expect(fresh.filter((name) => name !== "new" && !old.includes(name))).to.deep.equal([]);
    }
    expect(firsts / series).to.be.within((1 / 21) * 0.67, (1 / 21) * 1.33);
    expect(places / series).to.be.within((3 / 21) * 0.67, (3 / 21) * 1.33);
  });

  it("records of 5,000 services are balanced over 20 members: the fullest keeps at most 1.35 times the mean", () => {
    const ring = Ring.of(testMembers(20));
    const kept = new Map<string, number>();
    for (let at = 0; at < 20_000; at++) {
      for (const { name } of replicaSet(ring, keyOf(at, "t", `service-${at % 5000}`), THREE)) kept.set(name, (kept.get(name) ?? 0) + 1);
    }
    expect(Math.max(...kept.values()) / ((20_000 * 3) / 20)).to.be.at.most(1.35);
  });

  it("fewer members than wanted, none included: those that are there", () => {
    expect(names(replicaSet(Ring.of(testMembers(2)), keyOf(1), THREE)).sort()).to.deep.equal(["m0", "m1"]);
    expect(replicaSet(Ring.of([]), keyOf(1), THREE)).to.deep.equal([]);
  });

  it("equal sets of one dataset are one array", () => {
    const ring = Ring.of(testMembers(5));
    const sets = new Map<string, ReplicaSet>();
    for (let series = 0; series < 100; series++) {
      const set = replicaSet(ring, keyOf(series, "t", "s"), { replication: 3, spread: 5, shardSize: 0 });
      const known = sets.get(names(set).join());
      if (known !== undefined) expect(set).to.equal(known);
      sets.set(names(set).join(), set);
    }
  });

  it("options that change are heeded at once", () => {
    const ring = Ring.of(testMembers(5));
    expect(replicaSet(ring, keyOf(1), THREE).length).to.equal(3);
    expect(replicaSet(ring, keyOf(1), { ...THREE, replication: 1 }).length).to.equal(1);
    expect(replicaSet(ring, keyOf(1), THREE).length).to.equal(3);
  });

  it("golden: two nodes of any build place alike; computed by another program", () => {
    const ring = Ring.of(testMembers(7, ["a", "b", "c"]));
    expect(names(replicaSet(ring, { tenant: "anonymous", service: "checkout", fingerprint: 0x0123456789abcdefn }, THREE))).to.deep.equal(["m2", "m3", "m1"]);
    expect(names(replicaSet(ring, { tenant: "anonymous", service: "checkout", fingerprint: 1n }, { replication: 2, spread: 5, shardSize: 0 }))).to.deep.equal(["m0", "m2"]);
  });
});

describe("ring of a view", () => {
  it("dead, leaving and joining members own nothing: sets extend past them", () => {
    for (const state of ["dead", "leaving", "joining"] as const) {
      const members = testMembers(4).map((member) => (member.name === "m2" ? { ...member, state } : member));
      const set = names(replicaSet(new RingOfView().of(viewOf(members)), keyOf(5), THREE));
      expect(set.sort()).to.deep.equal(["m0", "m1", "m3"]);
    }
  });

  it("stays the same object while the owners are the same, and not where a store is new", () => {
    const rings = new RingOfView();
    const members = testMembers(4);
    const ring = rings.of(viewOf(members));
    expect(rings.of(viewOf(members.map((member) => ({ ...member, isSuspect: true, incarnation: 7 }))))).to.equal(ring);
    expect(rings.of(viewOf(members.map((member) => ({ ...member, storeId: `${member.storeId.slice(0, 30)}ff` }))))).to.not.equal(ring);
  });

  it("leaves out whom the caller avoids", () => {
    const rings = new RingOfView();
    const view = viewOf(testMembers(4));
    expect(rings.of(view, new Set(["m1"])).members.map(({ name }) => name)).to.deep.equal(["m0", "m2", "m3"]);
    expect(rings.of(view).members.length).to.equal(4);
  });
});

function world(min = 1): fc.Arbitrary<{ readonly members: Member[]; readonly options: RunOptions }> {
  return fc.record({
    members: fc.tuple(fc.integer({ min, max: 25 }), fc.integer({ min: 1, max: 4 })).map(([count, zones]) => testMembers(count, ["", "b", "c", "d"].slice(0, zones))),
    options: fc.record({ replication: fc.integer({ min: 1, max: 5 }), spread: fc.integer({ min: 0, max: 8 }), shardSize: fc.constantFrom(0, 0, 3, 6) }),
  }).map(({ members, options }) => ({ members, options: members.some(({ zone }) => zone !== "") ? { ...options, shardSize: 0 } : options }));
}

function key(): fc.Arbitrary<PlacementKey> {
  return fc.record({
    tenant: fc.constantFrom("anonymous", "t1", "t2"),
    service: fc.string(),
    fingerprint: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });
}

/** Series `at` of a dataset, with a fingerprint as uniform as a hash. */
function keyOf(at: number, tenant = "anonymous", service = "service"): PlacementKey {
  return { tenant, service, fingerprint: BigInt.asUintN(64, BigInt(at + 1) * 0x9e3779b97f4a7c15n) };
}

function runOf(members: readonly Member[], { tenant, service }: PlacementKey, options: RunOptions): string[] {
  const ring = Ring.of(members);
  return members.map(({ name }) => name).filter((name) => options.shardSize > 0 || isInRun(ring, tenant, service, name, options));
}

function names(set: ReplicaSet): string[] {
  return set.map(({ name }) => name);
}

function viewOf(members: readonly Member[]): ClusterView {
  return {
    clusterName: "test",
    self: members[0]!,
    members,
    gone: [],
    lostStores: [],
    replication: 3,
    acks: 2,
    replicationSetting: 3,
    isReplicationRising: false,
    acksMin: 2,
    listAfterMs: 0,
    writesRefusedBecause: undefined,
    queriesRefusedBecause: undefined,
    digest: "",
  };
}
