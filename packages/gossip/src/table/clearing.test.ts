import { expect } from "chai";
import { LOSSES_MAX } from "../items/limits.ts";
import type { Loss } from "../items/losses.ts";
import type { MemberTable } from "./member-table.ts";
import { clearDead, converge, LEASE_MS, lossOfStore, openCluster, openTable, persist, restart, stateOf, storeOf, tell, tickAll, whole } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();

describe("membership: lost stores", () => {
  it("a wiped disk is a new store, and its old one a loss that counts, silent, until it is cleared", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    const fresh = openTable("n2", 30, { bootNumber: 7 });
    converge([a, b, fresh]);
    converge([a, b, fresh]);
    const view = a.view(NO_SUSPECTS);
    expect(view.lostStores).to.have.length(1);
    expect(view.lostStores[0]).include({ member: "n2", storeId: storeOf(3), isReplaced: true, isCleared: false });
    expect(fresh.own.incarnation).greaterThan(view.lostStores[0]!.incarnation);
    expect([a.electorate.voters.length, a.electorate.silentCount]).deep.equal([3, 1]);
  });

  it("is cleared once a majority has fenced it for longer than the lease and every survivor has flushed; then it is forgotten where three remain", () => {
    const tables = openCluster(4);
    const [a, b, c, d] = tables as [MemberTable, MemberTable, MemberTable, MemberTable];
    a.declareDead("n3", 0);
    converge([a, b, c], 0);
    const isCleared = (): boolean => a.view(NO_SUSPECTS).lostStores[0]!.isCleared;
    tickAll([a, b, c], LEASE_MS + 1);
    expect(isCleared(), "nobody has flushed").equal(false);
    for (const table of [a, b]) table.noteFlushed(storeOf(4), d.own.incarnation, LEASE_MS + 1);
    tickAll([a, b, c], LEASE_MS + 2);
    expect(isCleared(), "one has not flushed").equal(false);
    c.noteFlushed(storeOf(4), d.own.incarnation, LEASE_MS + 2);
    tickAll([a, b, c], LEASE_MS + 3);
    tickAll([a, b, c], LEASE_MS + 4);
    expect(isCleared()).equal(true);
    expect(stateOf(a, "n3")).equal("forgotten");
    expect(a.view(NO_SUSPECTS).lostStores[0]!.flushedBy, "sets are dropped once they served").deep.equal([]);
  });

  it("is not cleared before the lease ran out, counted from when the fence was on disk", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    a.declareDead("n2", 0);
    tell(a, b);
    a.tick(LEASE_MS);
    expect(a.view(NO_SUSPECTS).lostStores[0]!.fencedBy).deep.equal([]);
    a.tick(LEASE_MS + 1);
    expect(a.view(NO_SUSPECTS).lostStores[0]!.fencedBy).deep.equal(["n0"]);
    const late = openCluster(3)[0]!;
    late.declareDead("n2", 0);
    late.persisted(late.persistVersion, 4000);
    late.tick(LEASE_MS + 1);
    expect(late.view(NO_SUSPECTS).lostStores[0]!.fencedBy).deep.equal([]);
  });

  it("two at once are not cleared without an operator: they may have been all that held a record", () => {
    const tables = openCluster(5);
    const survivors = tables.slice(0, 3);
    for (const name of ["n3", "n4"]) survivors[0]!.declareDead(name, 0);
    converge(survivors, 0);
    for (const table of survivors) for (const dead of tables.slice(3)) table.noteFlushed(dead.own.storeId, dead.own.incarnation, 0);
    for (const at of [1, 2, 3]) tickAll(survivors, LEASE_MS + at);
    expect(survivors[0]!.view(NO_SUSPECTS).lostStores.map((loss) => loss.isCleared)).deep.equal([false, false]);
  });

  // A pod that crashes while it joins, each time with a new disk, would otherwise outvote the members with its own ghosts.
  it("a store that nobody knew as full keeps nobody waiting", () => {
    const [a, b] = openCluster(3) as [MemberTable, MemberTable];
    for (let boot = 1; boot <= 5; boot++) tell(openTable("n9", 100 + boot, { bootNumber: boot }), a, 0);
    for (let boot = 1; boot <= 5; boot++) {
      const joining = openTable("n9", 200 + boot, { bootNumber: 20 + boot });
      joining.merge(a.whole(), 0);
      tell(joining, a);
    }
    tell(a, b);
    expect([...b.losses].length).greaterThan(3);
    expect(b.electorate.silentCount).equal(0);
    expect(b.view(NO_SUSPECTS).lostStores.every((loss) => loss.isCleared)).equal(true);
    expect([...b.losses].every((loss) => b.isLost(loss.storeId))).equal(true);
  });

  it("of a store that never was full collects no votes, and makes room for others at the bound; beyond it queries are refused", () => {
    const [a] = openCluster(3) as [MemberTable];
    const flood = (from: number, wasFull: boolean): Loss[] => Array.from({ length: LOSSES_MAX }, (_, i) => lossOfStore("n9", 1_000_000 + from + i, { wasFull }));
    a.merge(whole([], flood(0, false)), 0);
    persist(a);
    a.tick(LEASE_MS + 1);
    expect([...a.losses].some((loss) => loss.fencedBy.length > 0)).equal(false);
    expect(a.merge(whole([], [lossOfStore("n1", 500)]), 0).refused).deep.equal([]);
    expect([a.isLost(storeOf(500)), [...a.losses].length]).deep.equal([true, LOSSES_MAX]);
    const full = openCluster(3)[0]!;
    full.merge(whole([], flood(0, true)), 0);
    expect(full.view(NO_SUSPECTS).queriesRefusedBecause).equal(undefined);
    expect(full.merge(whole([], [lossOfStore("n1", 500)]), 0).refused[0]?.code).equal("TABLE_FULL");
    expect(full.view(NO_SUSPECTS).queriesRefusedBecause).match(/more stores are lost than it can remember/);
  });

  it("keeps its store's last acks in force until it is cleared; under one ack that takes an operator", () => {
    const tables = openCluster(4);
    const [a, b, , d] = tables as [MemberTable, MemberTable, MemberTable, MemberTable];
    d.noteHeld(1, 0);
    converge(tables);
    clearDead(tables, d);
    expect([a.acksMin, a.view(NO_SUSPECTS).lostStores[0]!.isCleared]).deep.equal([1, false]);
    a.forget("n3", { isForced: true }, 0);
    tell(a, b);
    expect([a.acksMin, b.acksMin]).deep.equal([2, 2]);
  });

  it("a restart fences anew: its lease begins when it is back", () => {
    const [a] = openCluster(3) as [MemberTable];
    a.declareDead("n2", 0);
    persist(a);
    const again = restart(a, { nowMs: 100_000 });
    again.tick(100_000 + LEASE_MS);
    expect([...again.losses][0]!.fencedBy).deep.equal([]);
    again.tick(100_000 + LEASE_MS + 1);
    expect([...again.losses][0]!.fencedBy).deep.equal([storeOf(1)]);
  });
});
