import { expect } from "chai";
import { decodeClusterState, encodeClusterState } from "../items/cluster-state.ts";
import type { MemberTable } from "./member-table.ts";
import { converge, news, openCluster, openTable, stateOf, tell } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();

describe("membership: what is wrong with this node itself", () => {
  const fight = (a: MemberTable, b: MemberTable, turns: number): void => {
    for (let turn = 0; turn < turns; turn++) {
      tell(a, b);
      tell(b, a);
    }
  };

  it("the one that is full keeps it; the fresh one gives up with a sentence", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    const twin = openTable("n1", 50, { bootNumber: 5 });
    fight(b, twin, 5);
    expect([b.fault, twin.fault?.code]).deep.equal([undefined, "NAME_TAKEN"]);
    expect(twin.view(NO_SUSPECTS).writesRefusedBecause).match(/has the name n1: give this one a --node-name of its own/);
    converge([a, b]);
    expect(a.entry("n1")!.storeId).equal(b.own.storeId);
  });

  it("of two fresh ones one gives up", () => {
    const a = openTable("n1", 50, { bootNumber: 5 });
    const b = openTable("n1", 60, { bootNumber: 6 });
    fight(a, b, 6);
    expect([a.fault?.code, b.fault?.code]).deep.equal(["NAME_TAKEN", undefined]);
  });

  it("it is tried again when the other was not heard of for a minute", () => {
    const a = openTable("n1", 50, { bootNumber: 5 });
    const b = openTable("n1", 60, { bootNumber: 6 });
    fight(a, b, 6);
    a.tick(59_000);
    expect(a.fault).not.equal(undefined);
    a.tick(61_000);
    expect(a.fault).equal(undefined);
  });

  it("an entry left over from a wiped disk is no rival", () => {
    const [a, b, c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
    void c;
    const fresh = openTable("n2", 50, { bootNumber: 5 });
    converge([a, b, fresh]);
    converge([a, b, fresh]);
    expect([fresh.fault, fresh.isFull, stateOf(a, "n2")]).deep.equal([undefined, true, "active"]);
  });

  it("one store at two names is refused on both", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    const twin = openTable("copy", 2, { bootNumber: 5 });
    const changes = a.merge(news([twin.own]), 0);
    expect(changes.refused.map(({ code }) => code)).deep.equal(["STORE_TWICE"]);
    expect(a.entry("copy")).equal(undefined);
    b.merge(news([twin.own]), 0);
    twin.merge(news([b.own]), 0);
    expect([b.fault?.code, twin.fault?.code]).deep.equal(["STORE_TWICE", "STORE_TWICE"]);
  });

  it("a store that the cluster knows, without its state, says so and joins nothing", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    const forgetful = openTable("n2", 3, { bootNumber: 5 });
    converge([a, b, forgetful]);
    expect([forgetful.fault?.code, forgetful.isFull]).deep.equal(["STATE_LOST", false]);
    forgetful.tick(1e9);
    expect(forgetful.view(NO_SUSPECTS).queriesRefusedBecause).match(/start it with an empty data directory/);
  });

  it("one data directory that runs twice is refused on both", () => {
    const [a] = openCluster(3) as [MemberTable];
    const disk = encodeClusterState(a.state);
    const first = openTable("n0", 1, { bootNumber: 11, restored: decodeClusterState(disk) });
    const second = openTable("n0", 1, { bootNumber: 12, restored: decodeClusterState(disk) });
    fight(first, second, 8);
    expect([first.fault?.code, second.fault?.code]).deep.equal(["STORE_TWICE", "STORE_TWICE"]);
  });
});
