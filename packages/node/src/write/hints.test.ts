import { toHex, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import type { EncodedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import { FakeClusterWorld, pass, recordOf, StoreNode } from "../testing/index.ts";

class World {
  readonly clock: ManualClock = new ManualClock();
  readonly cluster: FakeClusterWorld = new FakeClusterWorld(["a", "b", "c"], { clock: this.clock });
  readonly a: StoreNode = new StoreNode(this.cluster, "a");
  readonly b: StoreNode = new StoreNode(this.cluster, "b");
  readonly c: StoreNode = new StoreNode(this.cluster, "c");

  holders(record: EncodedRecord): string {
    return [this.a, this.b, this.c].filter((node) => node.has(record)).map(({ name }) => name).join("");
  }
}

describe("hints", () => {
  let world: World;
  beforeEach(() => (world = new World()));
  afterEach(() => {
    for (const node of [world.a, world.b, world.c]) node.stop();
  });

  it("a store that was unreachable gets what it missed once it answers, under the list that the others have", async () => {
    const record = recordOf({ series: 1 });
    world.cluster.cut("a", "c");
    expect(await world.a.push(record)).equal("kept");
    await pass(world.clock, 5_000);
    expect([world.holders(record), world.a.hints.count]).deep.equal(["ab", 1]);
    world.cluster.heal();
    await pass(world.clock, 31_000);
    expect([world.holders(record), world.a.hints.count]).deep.equal(["abc", 0]);
    const listOf = ({ held }: StoreNode): string[] => held.get(toHex(record.identity))!.stores.map(toHex);
    expect(listOf(world.c)).deep.equal(listOf(world.a));
  });

  it("a record whose push was refused is spread to the stores that it was meant for", async () => {
    const record = recordOf({ series: 1 });
    world.cluster.cut("a", "b");
    world.cluster.cut("a", "c");
    expect(await world.a.push(record)).not.equal("kept");
    expect(world.holders(record)).equal("a");
    world.cluster.heal();
    await pass(world.clock, 31_000);
    expect(world.holders(record)).equal("abc");
  });

  it("end where the record is in the bucket, where the store is lost, or where the member has another", async () => {
    for (const end of ["released", "lost", "replaced"] as const) {
      world = new World();
      world.cluster.cut("a", "c");
      await world.a.push(recordOf({ series: 1 }));
      expect(world.a.hints.count).equal(1);
      world.cluster.heal();
      if (end === "released") world.a.held.clear();
      if (end === "lost") world.a.cluster.update({ lostStores: [{ member: "c", storeId: world.cluster.storeIdOf("c"), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: [], flushedBy: [] }] });
      if (end === "replaced") world.cluster.updateMember("c", { storeId: "ee".repeat(16) });
      await pass(world.clock, 31_000);
      expect([world.a.hints.count, world.c.held.size], end).deep.equal([0, 0]);
    }
  });

  it("a store that refuses for now is asked again, and more rarely the longer it does", async () => {
    world.c.onSync = () => Promise.reject(unavailable("HEAD_FULL", "no room"));
    await world.a.push(recordOf({ series: 1 }));
    await pass(world.clock, 10);
    await pass(world.clock, 120_000);
    const asked = world.cluster.requests.filter(({ to, body }) => to === "c" && body.length > 100).length;
    expect(asked).within(5, 10);
    world.c.onSync = () => {};
    await pass(world.clock, 31_000);
    expect(world.a.hints.count).equal(0);
    expect(world.c.has(recordOf({ series: 1 }))).equal(true);
  });

  it("many are sent in chunks, in the background", async () => {
    world.cluster.cut("a", "c");
    const records = Array.from({ length: 300 }, (_, series) => recordOf({ series }));
    // At the same time, before the first failure is known.
    await Promise.all(records.map((record) => world.a.push(record)));
    expect(world.a.hints.count).equal(300);
    world.cluster.heal();
    await pass(world.clock, 31_000);
    expect([world.a.hints.count, world.c.held.size]).deep.equal([0, 300]);
  });

  it("a node that keeps no copy has none", async () => {
    const clock = new ManualClock();
    const cluster = new FakeClusterWorld(["a", "b", "c", "d"], { clock });
    const nodes = ["a", "b", "c", "d"].map((name) => new StoreNode(cluster, name));
    const outside = recordOf({ series: Array.from({ length: 100 }, (_, series) => series).find((series) => !nodes[0]!.placement.of(recordOf({ series })).ranks.some(({ isSelf }) => isSelf))! });
    cluster.cut("a", "d");
    await nodes[0]!.push(outside);
    expect(nodes[0]!.hints.count).equal(0);
    for (const node of nodes) node.stop();
  });
});
