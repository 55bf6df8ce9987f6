import { toHex } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { aloneCluster } from "../cluster/alone.ts";
import { FakeClusterWorld } from "../testing/index.ts";
import { Placement } from "./placement.ts";
import type { PlacementLimits } from "./placement.ts";

const NAMES = ["a", "b", "c", "d", "e"];
const EVERYWHERE: PlacementLimits = { serviceSpread: 0, tenantShardSize: 0 };
const recordOf = (series: number, service = "shop") => ({ tenant: "t", service, fingerprint: BigInt(series) * 0x9e37_79b9_7f4a_7c15n });

interface World {
  readonly cluster: FakeClusterWorld;
  readonly placement: Placement;
  silent: ReadonlySet<string>;
  limits: PlacementLimits;
}

function worldOf(names: readonly string[], self = "a"): World {
  const cluster = new FakeClusterWorld(names, { clock: new ManualClock() });
  const world: World = {
    cluster,
    silent: new Set(),
    limits: EVERYWHERE,
    placement: new Placement({ cluster: cluster.of(self), storeId: () => cluster.storeOf(self), limitsOf: () => world.limits, silent: () => world.silent }),
  };
  return world;
}

const membersOf = ({ ranks }: ReturnType<Placement["of"]>): string[] => ranks.map(({ member }) => member);

describe("placement", () => {
  it("without a cluster every record is this store's, under the id that is in force, and no list is made for a record", () => {
    let id = new Uint8Array(16).fill(1);
    const cluster = aloneCluster({ name: "a", clusterName: "", bootId: "", httpAddress: "", build: "" }, () => id);
    const placement = new Placement({ cluster, storeId: () => id, limitsOf: () => EVERYWHERE, silent: () => new Set() });
    const placed = placement.of(recordOf(1));
    expect([placed.stores, placed.acks, placed.ranks.map(({ isSelf }) => isSelf)]).deep.equal([[id], 1, [true]]);
    expect(placement.of(recordOf(2)), "no list per record").equal(placed);
    id = new Uint8Array(16).fill(2);
    expect(placement.of(recordOf(1)).stores).deep.equal([id]);
    expect(placement.of(recordOf(1)).ranks[0]!.storeId).equal(toHex(id));
  });

  it("names as many stores as the replication says, the same from every node, in an order that differs among the series of a service", () => {
    const [first, ...others] = NAMES.map((name) => worldOf(NAMES, name));
    const ranked = new Set<string>();
    for (let series = 0; series < 100; series++) {
      const members = membersOf(first!.placement.of(recordOf(series)));
      expect(new Set(members).size).equal(3);
      ranked.add(members[0]!);
      for (const { placement } of others) expect(membersOf(placement.of(recordOf(series)))).deep.equal(members);
    }
    expect(ranked.size, "a service is on three members").equal(3);
  });

  it("a member that is dead, leaving or joining keeps nothing, and others take its place", () => {
    for (const state of ["dead", "leaving", "joining"] as const) {
      const { cluster, placement } = worldOf(NAMES);
      cluster.updateMember("c", { state });
      for (let series = 0; series < 30; series++) for (const service of ["shop", "pay", "cart"]) expect(membersOf(placement.of(recordOf(series, service)))).length(3).not.include("c");
    }
  });

  it("no list names a lost store, even where the view has its member as active", () => {
    const { cluster, placement } = worldOf(["a", "b", "c"]);
    const [lost] = cluster.of("a").view.members.filter(({ name }) => name === "b");
    cluster.update({ lostStores: [{ member: "b", storeId: lost!.storeId, incarnation: 1, acksHeld: 2, isCleared: true, isReplaced: false, fencedBy: [], flushedBy: [] }] });
    expect(membersOf(placement.of(recordOf(1)))).have.members(["a", "c"]);
  });

  it("members that do not answer are left out while as many as must ack are there, and named again where they are not", () => {
    const world = worldOf(["a", "b", "c"]);
    world.silent = new Set(["c"]);
    expect(membersOf(world.placement.of(recordOf(1)))).have.members(["a", "b"]);
    world.silent = new Set(["b", "c"]);
    expect(membersOf(world.placement.of(recordOf(1)))).have.members(["a", "b", "c"]);
  });

  it("a record whose members failed is placed on others, and the rest of its list stays", () => {
    const { placement } = worldOf(NAMES);
    for (let series = 0; series < 20; series++) {
      const [first, second, third] = membersOf(placement.of(recordOf(series)));
      const next = membersOf(placement.without(recordOf(series), new Set([second!])));
      expect(next).length(3).include.members([first, third]).and.not.include(second);
    }
  });

  it("a tenant's shard and a service's spread bound who keeps records", () => {
    const world = worldOf(["a", "b", "c", "d", "e", "f", "g", "h"]);
    const used = (): number => new Set(Array.from({ length: 300 }, (_, series) => membersOf(world.placement.of(recordOf(series, `service ${series % 10}`)))).flat()).size;
    expect(used()).above(5);
    world.limits = { serviceSpread: 0, tenantShardSize: 4 };
    expect(used()).equal(4);
    const ofOneService = (): number => new Set(Array.from({ length: 300 }, (_, series) => membersOf(world.placement.of(recordOf(series)))).flat()).size;
    world.limits = { serviceSpread: 5, tenantShardSize: 0 };
    expect(ofOneService()).equal(5);
  });

  it("a change of the acks in force is in the next list", () => {
    const { cluster, placement } = worldOf(["a", "b", "c"]);
    expect(placement.of(recordOf(1)).acks).equal(2);
    cluster.update({ replication: 1, acks: 1 });
    expect(placement.of(recordOf(1))).deep.include({ acks: 1 }).with.property("ranks").length(1);
  });
});
