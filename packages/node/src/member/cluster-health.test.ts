import { ManualClock } from "@pyromesh/block/testing";
import type { ClusterView } from "@pyromesh/ring";
import { expect } from "chai";
import type { NodeHealth } from "../cluster/health-message.ts";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { clusterHealth } from "./cluster-health.ts";
import type { ClusterHealth, MemberReport } from "./cluster-health.ts";

describe("cluster health", () => {
  let world: FakeClusterWorld;
  beforeEach(() => (world = new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock(0) })));

  const said = (name: string, changes: Partial<NodeHealth> = {}): readonly [string, MemberReport] => [
    name,
    { kind: "said", health: { storeId: world.storeIdOf(name), isWritable: true, isInContact: true, replicationSetting: 3, isReplicationRising: false, ownRecords: 3, keptRecords: 9, thinRecords: 0, backlogSegments: 0, backlogBytes: 0, backlogReason: "", takeovers: 0, lastRefusals: [], lostStores: [], wallMs: undefined, ...changes } },
  ];
  const health = (reports: readonly (readonly [string, MemberReport])[] = [said("a"), said("b"), said("c")], view: ClusterView = world.of("a").view): ClusterHealth => clusterHealth(view, new Map(reports));

  it("the next node may be stopped while all are full, in contact and keep enough copies, whatever they buffer", () => {
    expect(health()).deep.include({ mayStopOne: true, because: [] });
    expect(health([said("a", { backlogSegments: 1 }), said("b"), said("c")]).mayStopOne, "an upload is under way").equal(true);
  });

  for (const [what, changes, words] of [
    ["is out of contact", { isInContact: false }, "b: it is out of contact with the majority"],
    ["takes no pushes", { isWritable: false }, "b: it takes no pushes"],
    ["keeps records with too few live stores", { thinRecords: 4 }, "b: 4 records are kept by fewer live stores than acknowledged them"],
    ["cannot upload", { backlogSegments: 2, backlogReason: "the bucket answers 503" }, "b: 2 sealed segments wait for the bucket: the bucket answers 503"],
    ["still flushes what it took under a lower replication", { isReplicationRising: true }, "b: it still flushes what it took under a lower replication: until that is in the bucket, it takes pushes only while all members are there"],
    ["has another store", { storeId: "ff".repeat(16) }, "b: it has another store than the members know: wait until they do"],
  ] as const) {
    it(`not while one ${what}`, () => expect(health([said("a"), said("b", changes), said("c")])).deep.include({ mayStopOne: false, because: [words] }));
  }

  it("members with different settings of the replication are named, and keep nobody from stopping one", () => {
    expect(health().notes).deep.equal([]);
    expect(health([said("a"), said("b", { replicationSetting: 5 }), said("c")])).deep.include({ mayStopOne: true, notes: ["replication is set to 5 on b, and to 3 on a, c: the highest is in force, as far as there are members. Give all the same"] });
  });

  it("not while one does not answer, is dead, is joining or leaves", () => {
    expect(health([said("a"), said("b"), ["c", { kind: "silent", because: "it has not answered within 2000 ms" }]]).because).deep.equal(["c: it did not answer (it has not answered within 2000 ms)"]);
    for (const state of ["dead", "joining", "leaving"] as const) {
      world.updateMember("c", { state });
      expect(health([said("a"), said("b"), said("c")]).because[0]).equal(`c: it is ${state}`);
    }
  });

  // Of two nodes one came back with an empty disk, and the other said for ever that the loss was being flushed.
  it("a loss that clears only by an operator's word names the word", () => {
    const loss = { member: "c", storeId: "ee".repeat(16), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: true, fencedBy: [], flushedBy: [] };
    const words = /store ee.* of c is lost and not cleared: too many .* say "pyromesh cluster forget c --force": what only it held is given up$/;
    world.update({ lostStores: [loss] });
    expect(health([said("a", { isInContact: false }), said("b"), said("c")]).because.find((each) => each.startsWith("store")), "without a majority").match(words);
    world.update({ lostStores: [loss, { ...loss, storeId: "dd".repeat(16) }] });
    expect(health().because[0], "as many lost as acknowledged a record").match(words);
  });

  it("not while a store is lost and not cleared", () => {
    const loss = { member: "c", storeId: "ee".repeat(16), incarnation: 1, acksHeld: 2, isCleared: false, isReplaced: true, fencedBy: [], flushedBy: [] };
    world.update({ lostStores: [loss] });
    expect(health().because[0]).match(/store ee.* of c is lost and not cleared: what it held is being flushed by others$/);
    world.update({ lostStores: [{ ...loss, isCleared: true }] });
    expect(health().mayStopOne).equal(true);
  });

  it("not while one holds what it took alone, before there were others", () => {
    world.updateMember("a", { acksHeld: 1 });
    expect(health().because).deep.equal(["a: it holds records that no other store has, taken under 1 ack: without it queries are refused, until they are in the bucket"]);
  });

  it("not where a push needs every full member", () => {
    const two = new FakeClusterWorld(["a", "b"], { clock: new ManualClock(0) });
    expect(health([said("a"), said("b")], two.of("a").view).because[0]).match(/^with one node fewer no push would be taken: a push needs 2 active members, and there are 2$/);
  });
});
