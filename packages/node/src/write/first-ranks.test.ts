import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { aloneCluster } from "../cluster/alone.ts";
import { FakeClusterWorld } from "../testing/index.ts";
import { FirstRanks } from "./first-ranks.ts";
import { Placement } from "./placement.ts";
import type { PlacedRecord } from "./placement.ts";

const recordOf = (series: number): PlacedRecord => ({ tenant: "t", service: "shop", fingerprint: BigInt(series) * 0x9e37_79b9_7f4a_7c15n });

function worldOf(): { readonly world: FakeClusterWorld; readonly placement: Placement; readonly firstRanks: FirstRanks } {
  const world = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() });
  const cluster = world.of("a");
  const placement = new Placement({ cluster, storeId: () => world.storeOf("a"), limitsOf: () => ({ serviceSpread: 0, tenantShardSize: 0 }), silent: () => new Set() });
  return { world, placement, firstRanks: new FirstRanks({ cluster, placement }) };
}

describe("the guess whose rank 0 a push has", () => {
  it("alone, every push is this node's", () => {
    const cluster = aloneCluster({ name: "a", clusterName: "", bootId: "", httpAddress: "", build: "" }, () => new Uint8Array(16));
    const firstRanks = new FirstRanks({ cluster, placement: { of: () => expect.fail("nothing is placed") } });
    firstRanks.learn("t", 1, [recordOf(1)]);
    expect(firstRanks.isExpected("t", 1)).equal(true);
  });

  it("a label set is expected where the records of its push before had their rank 0, one that is new nowhere, and each tenant has its own", () => {
    const { firstRanks, placement } = worldOf();
    let ownCount = 0;
    for (let series = 0; series < 60; series++) {
      const isOwn = placement.of(recordOf(series)).ranks[0]!.isSelf;
      expect(firstRanks.isExpected("t", series)).equal(false);
      firstRanks.learn("t", series, [recordOf(series)]);
      expect(firstRanks.isExpected("t", series)).equal(isOwn);
      expect(firstRanks.isExpected("u", series)).equal(false);
      if (isOwn) ownCount++;
    }
    expect(ownCount).within(1, 59);
  });

  it("a push of which another member flushes a part is not expected here", () => {
    const { firstRanks, placement } = worldOf();
    const serieses = Array.from({ length: 60 }, (_, series) => series);
    const own = serieses.filter((series) => placement.of(recordOf(series)).ranks[0]!.isSelf);
    const other = serieses.find((series) => !own.includes(series))!;
    firstRanks.learn("t", 1, [recordOf(own[0]!), recordOf(own[1]!)]);
    firstRanks.learn("t", 2, [recordOf(own[0]!), recordOf(other)]);
    expect([firstRanks.isExpected("t", 1), firstRanks.isExpected("t", 2)]).deep.equal([true, false]);
  });

  it("when a member goes, its label sets are learned anew", () => {
    const { world, firstRanks, placement } = worldOf();
    const serieses = Array.from({ length: 60 }, (_, series) => series);
    const isOwn = (series: number): boolean => placement.of(recordOf(series)).ranks[0]!.isSelf;
    const before = serieses.filter(isOwn);
    for (const series of serieses) firstRanks.learn("t", series, [recordOf(series)]);
    world.updateMember("b", { state: "dead" });
    expect(serieses.filter((series) => firstRanks.isExpected("t", series))).deep.equal([]);
    for (const series of serieses) firstRanks.learn("t", series, [recordOf(series)]);
    const after = serieses.filter((series) => firstRanks.isExpected("t", series));
    expect(after).deep.equal(serieses.filter(isOwn));
    expect(after.length).greaterThan(before.length);
  });
});
