import { expect } from "chai";
import type { MemberTable } from "./member-table.ts";
import { converge, entryOf, nameOf, news, openCluster, openTable, persist, stateOf, storeOf, tell, whole } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();

describe("membership: joining", () => {
  it("who made the bucket's identity is full by itself; the others through a majority of the full", () => {
    const founder = openTable("n0", 1, { isFounder: true });
    const second = openTable("n1", 2);
    expect([founder.isFull, second.isFull]).deep.equal([true, false]);
    tell(second, founder); // the founder acknowledges
    expect(second.isFull).equal(false);
    tell(founder, second); // and says so
    expect(second.isFull).equal(true);
    expect(stateOf(founder, "n1")).equal("joining");
    tell(second, founder);
    expect(stateOf(founder, "n1")).equal("active");
  });

  it("a node does not acknowledge itself, nor do joining ones each other", () => {
    const a = openTable("n0", 1);
    const b = openTable("n1", 2);
    converge([a, b]);
    expect([a.isFull, b.isFull]).deep.equal([false, false]);
    expect(a.own.acknowledgedBy).deep.equal([]);
  });

  it("being full counts once it is on disk", () => {
    const founder = openTable("n0", 1, { isFounder: true });
    const second = openTable("n1", 2);
    tell(second, founder);
    second.merge(founder.whole(), 0);
    expect([second.own.claimsFull, second.isFull]).deep.equal([true, false]);
    expect(second.view(NO_SUSPECTS).writesRefusedBecause).equal("it has not joined the cluster");
    const changes = second.persisted(second.persistVersion, 0);
    expect([second.isFull, changes.isViewChanged]).deep.equal([true, true]);
  });

  it("an acknowledgement that travels as a single piece of news does not count: its sender may know of more full members", () => {
    const joining = openTable("n3", 4);
    joining.merge(whole([entryOf("n0", 1)]), 0);
    persist(joining);
    joining.merge(news([{ ...joining.own, acknowledgedBy: [storeOf(1)] }]), 0);
    expect(joining.own.claimsFull).equal(false);
    joining.merge(whole([{ ...joining.own, acknowledgedBy: [storeOf(1)] }]), 0);
    expect(joining.own.claimsFull).equal(true);
  });

  it("two of three full members are a majority, one is not", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    const fourth = openTable("n3", 9);
    tell(fourth, a);
    tell(a, fourth);
    expect(fourth.isFull).equal(false);
    tell(fourth, b);
    tell(b, fourth);
    expect(fourth.isFull).equal(true);
  });

  it("a cluster of ten that starts at once is one cluster after three exchanges", () => {
    const tables = Array.from({ length: 10 }, (_, i) => openTable(nameOf(i), i + 1, { isFounder: i === 4 }));
    expect(converge(tables)).most(3);
    for (const table of tables) expect(table.view(NO_SUSPECTS).members.map((member) => member.state)).deep.equal(Array.from({ length: 10 }, () => "active"));
  });

  it("`found` makes a joining node full: it made the bucket's identity after all", () => {
    const table = openTable("n0", 1);
    table.found(0);
    persist(table);
    expect(table.isFull).equal(true);
  });
});
