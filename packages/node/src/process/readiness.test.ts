import type { ClusterView } from "@pyromesh/ring";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { ManualClock } from "@pyromesh/base/testing";
import { notReadyBecause } from "./readiness.ts";

describe("readiness", () => {
  const view = (changes: Partial<ClusterView> = {}): ClusterView => ({ ...new FakeClusterWorld(["a", "b", "c"], { clock: new ManualClock() }).of("a").view, ...changes });
  const both = (facts: Parameters<typeof notReadyBecause>[1]): (string | undefined)[] => [notReadyBecause(undefined, facts), notReadyBecause("queries", facts)];

  it("alone or a member, where nothing is wrong", () => {
    expect(both({ view: undefined, ownReason: undefined })).deep.equal([undefined, undefined]);
    expect(both({ view: view(), ownReason: undefined })).deep.equal([undefined, undefined]);
  });

  it("what keeps pushes out leaves queries: the disk, and a replication below the bucket's", () => {
    expect(both({ view: undefined, ownReason: "its disk is full" })).deep.equal(["writes: its disk is full; queries are answered", undefined]);
    const lower = view({ writesRefusedBecause: "its replication is 1 and the bucket's 3" });
    expect(both({ view: lower, ownReason: undefined })).deep.equal(["writes: its replication is 1 and the bucket's 3; queries are answered", undefined]);
  });

  it("not where another live node has its name, and not while it leaves", () => {
    const words = "another live node has the name a";
    expect(both({ view: view({ writesRefusedBecause: words, queriesRefusedBecause: words }), ownReason: undefined })).deep.equal([words, words]);
    const leaving = view({ self: { ...view().self, state: "leaving" } });
    expect(both({ view: leaving, ownReason: undefined })).deep.equal(["leaving the cluster", "leaving the cluster"]);
  });
});
