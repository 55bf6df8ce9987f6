import { expect } from "chai";
import { CodedError, seededRandom } from "@pyromesh/base";
import { decodeClusterState, encodeClusterState } from "../items/cluster-state.ts";
import type { Entry } from "../items/entry.ts";
import { INCARNATION_JUMP_MAX, LOSSES_MAX, MEMBERS_MAX } from "../items/limits.ts";
import type { Loss } from "../items/losses.ts";
import type { MemberTable } from "./member-table.ts";
import { converge, entryOf, LEASE_MS, lossOfStore, nameOf, news, openCluster, openTable, persist, storeOf, tell, tickAll, whole } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();
const stateOf = (table: MemberTable, name: string): string | undefined => {
  const view = table.view(NO_SUSPECTS);
  return [...view.members, ...view.gone].find((member) => member.name === name)?.state;
};
const codeOf = (make: () => unknown): string => {
  try {
    make();
    return "done";
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
};
const restart = (table: MemberTable, rest: object = {}): MemberTable =>
  openTable(table.own.name, Number.parseInt(table.own.storeId, 16), { bootNumber: 99, restored: decodeClusterState(encodeClusterState(table.state)), ...rest });

/** n2 is declared dead by the others, and its loss is cleared. */
function clearDead(tables: readonly MemberTable[], dead: MemberTable): void {
  const survivors = tables.filter((table) => table !== dead);
  survivors[0]!.declareDead(dead.own.name, 1000);
  converge(survivors, 1000);
  for (const table of survivors) {
    table.noteFlushed(dead.own.storeId, dead.own.incarnation, 2000);
    persist(table, 2000);
  }
  tickAll(survivors, 1000 + LEASE_MS + 1);
  tickAll(survivors, 1000 + LEASE_MS + 2);
}

describe("membership: the table", () => {
  describe("joining", () => {
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

  describe("verdicts", () => {
    it("of death are refuted with a higher incarnation, by the member alone", () => {
      const [a, b, c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
      const before = c.own.incarnation;
      a.declareDead("n2", 0);
      tell(a, b);
      expect(stateOf(b, "n2")).equal("dead");
      tell(b, c);
      expect([c.own.incarnation, c.own.status]).deep.equal([before + 1, "alive"]);
      converge([a, b, c]);
      expect([stateOf(a, "n2"), a.isLost(storeOf(3))]).deep.equal(["active", false]);
    });

    it("fence from the moment on: no answer counts until the member refutes", () => {
      const [a, , c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
      expect(a.onProbe(c.own, 0).reason).equal("answered");
      expect(a.vouchesFor(c.own)).equal(true);
      a.declareDead("n2", 0);
      persist(a);
      expect(a.onProbe(c.own, 0)).include({ isContact: false, reason: "fenced" });
      expect(a.vouchesFor(c.own)).equal(false);
      tell(a, c);
      expect(a.onProbe(c.own, 0).reason).equal("answered");
    });

    it("an answer waits until what it stands on is on disk", () => {
      const [a, , c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
      a.declareDead("n2", 0);
      tell(a, c);
      const answer = a.onProbe(c.own, 0);
      expect(answer.isContact).equal(true);
      expect(answer.afterVersion).greaterThan(a.persistedVersion);
      expect(a.vouchesFor(c.own)).equal(false);
      persist(a);
      expect(a.vouchesFor(c.own)).equal(true);
    });

    it("a loss that only another knows of is refuted by its store as well", () => {
      const [a] = openCluster(3) as [MemberTable];
      const before = a.own.incarnation;
      a.merge(whole([], [lossOfStore("n0", 1, { incarnation: before })]), 0);
      expect(a.own.incarnation).equal(before + 1);
    });

    it("an older verdict does not count against a later incarnation", () => {
      const [a, , c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
      const old = c.own;
      tell(restart(c), a);
      a.merge(whole([{ ...old, status: "dead" }]), 0);
      expect(stateOf(a, "n2")).equal("active");
    });
  });

  describe("losses", () => {
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

  describe("forgetting", () => {
    it("who was forgotten and comes back joins anew", () => {
      const tables = openCluster(4);
      const [a, b, c, d] = tables as [MemberTable, MemberTable, MemberTable, MemberTable];
      clearDead(tables, d);
      expect(stateOf(a, "n3")).equal("forgotten");
      const back = restart(d);
      expect(back.isFull, "it does not know yet").equal(true);
      expect(a.onProbe(back.own, 0).reason).equal("senderNotFull");
      tell(a, back);
      expect([back.isFull, back.own.joins]).deep.equal([false, 2]);
      converge([a, b, c, back]);
      converge([a, b, c, back]);
      expect([back.isFull, stateOf(a, "n3")]).deep.equal([true, "active"]);
    });

    it("leaves three live full members: of three nodes the dead one stays", () => {
      const tables = openCluster(3);
      clearDead(tables, tables[2]!);
      expect([tables[0]!.view(NO_SUSPECTS).lostStores[0]!.isCleared, stateOf(tables[0]!, "n2")]).deep.equal([true, "dead"]);
    });

    it("needs --force while the loss is not cleared, and is an operator's word then", () => {
      const [a, b] = openCluster(2) as [MemberTable, MemberTable];
      expect(codeOf(() => a.forget("n1", { isForced: true }, 0))).equal("FORGET_REFUSED");
      a.declareDead("n1", 0);
      persist(a);
      a.onHeard("n1", b.own.storeId, -LEASE_MS);
      expect(a.isInContact(100)).equal(false);
      expect(codeOf(() => a.forget("n1", { isForced: false }, 0))).equal("FORGET_REFUSED");
      a.forget("n1", { isForced: true }, 0);
      persist(a);
      expect([stateOf(a, "n1"), a.isInContact(100), a.view(NO_SUSPECTS).lostStores[0]!.isCleared]).deep.equal(["forgotten", true, true]);
      expect(codeOf(() => a.forget("n0", { isForced: true }, 0))).equal("FORGET_REFUSED");
      expect(codeOf(() => a.forget("nobody", { isForced: true }, 0))).equal("FORGET_REFUSED");
    });

    it("--force takes members that are silent and not declared dead, where a majority is gone: nobody is declared dead then", () => {
      const [a, b, c] = openCluster(3) as [MemberTable, MemberTable, MemberTable];
      a.onHeard("n1", b.own.storeId, 0);
      a.onHeard("n2", c.own.storeId, 0);
      expect(codeOf(() => a.forget("n1", { isForced: true }, LEASE_MS)), "it still counts as heard").equal("FORGET_REFUSED");
      const laterMs = LEASE_MS + 1;
      expect(a.isInContact(laterMs)).equal(false);
      expect(() => a.forget("n1", { isForced: false }, laterMs)).throws(/declares nobody dead: bring others back, or say --force/);
      a.forget("n1", { isForced: true }, laterMs);
      a.forget("n2", { isForced: true }, laterMs);
      persist(a);
      expect([stateOf(a, "n1"), stateOf(a, "n2"), a.isInContact(laterMs)]).deep.equal(["forgotten", "forgotten", true]);
      expect(a.view(NO_SUSPECTS).lostStores.every(({ isCleared }) => isCleared)).equal(true);
    });

    it("--force takes no member that this node, just started, has had no time to hear", () => {
      const [a] = openCluster(3) as [MemberTable];
      const again = restart(a, { nowMs: 100_000 });
      expect(codeOf(() => again.forget("n1", { isForced: true }, 100_000 + LEASE_MS))).equal("FORGET_REFUSED");
    });

    it("accepts the loss of a replaced store under a name that lives", () => {
      const [a, b] = openCluster(2) as [MemberTable, MemberTable];
      void b;
      const fresh = openTable("n1", 30, { bootNumber: 7 });
      converge([a, fresh]);
      expect(a.electorate.silentCount).equal(1);
      a.forget("n1", { isForced: true }, 0);
      persist(a);
      converge([a, fresh]);
      expect([a.electorate.silentCount, stateOf(a, "n1")]).deep.equal([0, "active"]);
    });
  });

  describe("leaving", () => {
    it("goes through leaving to left, and counts in nothing then", () => {
      const tables = openCluster(3);
      const [a, , c] = tables as [MemberTable, MemberTable, MemberTable];
      c.leave(0);
      converge(tables);
      expect([stateOf(a, "n2"), c.view(NO_SUSPECTS).writesRefusedBecause, c.view(NO_SUSPECTS).queriesRefusedBecause]).deep.equal(["leaving", "it is leaving the cluster", undefined]);
      expect(a.electorate.voters).to.have.length(3);
      c.left(0);
      converge(tables);
      expect([stateOf(a, "n2"), a.electorate.voters.length, a.isLost(storeOf(3))]).deep.equal(["left", 2, false]);
      expect(a.view(NO_SUSPECTS).members.map((member) => member.name)).deep.equal(["n0", "n1"]);
    });

    // An operator asked twice: the second command ended the first one's wait for others to know, and was refused itself (sim --nodes 5, seed 910017).
    it("asked for again once it is over goes on: it is not refused", () => {
      const tables = openCluster(3);
      const [, , c] = tables as [MemberTable, MemberTable, MemberTable];
      c.leave(0);
      c.left(0);
      expect([c.leave(0).isViewChanged, c.left(0).isViewChanged, c.own.status]).deep.equal([false, false, "left"]);
    });

    it("that a member has left is never told alone", () => {
      const tables = openCluster(3);
      const [a, , c] = tables as [MemberTable, MemberTable, MemberTable];
      c.leave(0);
      converge(tables);
      const changes = c.left(0);
      expect([changes.news.entries, changes.isExchangeDue]).deep.equal([[], true]);
      a.merge(news([c.own]), 0);
      expect(stateOf(a, "n2")).equal("leaving");
    });

    it("never resurrects: only its own start brings a store that left back, and it joins anew", () => {
      const tables = openCluster(3);
      const [a, b, c] = tables as [MemberTable, MemberTable, MemberTable];
      const before = c.own;
      c.leave(0);
      c.left(0);
      converge(tables);
      for (const table of [a, b]) {
        table.merge(whole([before, { ...before, status: "dead" }]), 0);
        table.merge(news([before]), 0);
        expect(stateOf(table, "n2")).equal("left");
      }
      const back = restart(c);
      expect([back.isFull, back.own.joins, back.own.status]).deep.equal([false, 2, "alive"]);
      converge([a, b, back]);
      converge([a, b, back]);
      expect(stateOf(a, "n2")).equal("active");
    });

    it("is refused while another is dead or joining, and to the last full member", () => {
      const tables = openCluster(3);
      const [a, b, c] = tables as [MemberTable, MemberTable, MemberTable];
      a.declareDead("n2", 0);
      expect(codeOf(() => a.leave(0))).equal("LEAVE_REFUSED");
      b.merge(news([entryOf("n7", 70, { claimsFull: false })]), 0);
      expect(codeOf(() => b.leave(0))).equal("LEAVE_REFUSED");
      expect(codeOf(() => c.left(0))).equal("LEAVE_REFUSED");
      const alone = openTable("n0", 1, { isFounder: true });
      expect(codeOf(() => alone.leave(0))).equal("LEAVE_REFUSED");
      const joining = openTable("n1", 2);
      expect(codeOf(() => joining.leave(0))).equal("LEAVE_REFUSED");
    });

    it("of both of two at once ends for neither", () => {
      const tables = openCluster(2);
      for (const table of tables) table.leave(0);
      converge(tables);
      for (const table of tables) expect(codeOf(() => table.left(0))).equal("LEAVE_REFUSED");
      tables[0]!.stay(0);
      converge(tables);
      expect(codeOf(() => tables[1]!.left(0))).equal("done");
    });
  });

  describe("two nodes with one name", () => {
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

  describe("hostile input", () => {
    it("an entry out of range is refused with a code, and what came with it is taken", () => {
      const [a] = openCluster(3) as [MemberTable];
      const changes = a.merge(news([entryOf("x", 80, { tokenCount: 1e9 }), entryOf("y", 81)]), 0);
      expect(changes.refused).to.have.length(1);
      expect(changes.refused[0]).include({ member: "x", code: "ENTRY_MALFORMED" });
      expect([a.entry("x"), a.entry("y")?.name]).deep.equal([undefined, "y"]);
    });

    it("an incarnation far above what is known is refused: of others, of this node, of a loss", () => {
      const [a, b] = openCluster(3) as [MemberTable, MemberTable];
      const far = INCARNATION_JUMP_MAX + 100;
      const codes = (entries: readonly Entry[], losses = [] as ReturnType<typeof lossOfStore>[]): string[] => a.merge(whole(entries, losses), 0).refused.map(({ code }) => code);
      expect(codes([{ ...b.own, incarnation: far }])).deep.equal(["INCARNATION_JUMP"]);
      expect(codes([{ ...a.own, incarnation: far, status: "dead" }])).deep.equal(["INCARNATION_JUMP"]);
      expect(codes([], [lossOfStore("n0", 1, { incarnation: far }), lossOfStore("n1", 2, { incarnation: far })])).deep.equal(["INCARNATION_JUMP", "INCARNATION_JUMP"]);
      expect(a.own.incarnation).below(100);
    });

    it("a flood of members ends at a bound; those that left make room", () => {
      const [a] = openCluster(3) as [MemberTable];
      const flood = (from: number, to: number, rest: Partial<Entry>): Entry[] => Array.from({ length: to - from }, (_, i) => entryOf(`m${from + i}`, 1_000_000 + from + i, rest));
      const left = { status: "left", goneJoins: 1 } as const;
      expect(a.merge(whole(flood(0, MEMBERS_MAX - 3, left)), 0).refused).deep.equal([]);
      expect(a.merge(news(flood(20_000, 20_001, { claimsFull: false })), 0).refused).deep.equal([]);
      expect([a.entry("m0"), a.entry("m20000")?.name, [...a.entries].length]).deep.equal([undefined, "m20000", MEMBERS_MAX]);
      expect(a.merge(whole(flood(0, 1, left)), 0).refused[0]?.code, "the smallest does not come back").equal("TABLE_FULL");
      const full = openTable("n0", 1);
      full.merge(news(flood(30_000, 30_000 + MEMBERS_MAX - 1, { claimsFull: false })), 0);
      expect(full.merge(news([entryOf("one-more", 77)]), 0).refused[0]?.code).equal("TABLE_FULL");
      expect([...full.entries].length).equal(MEMBERS_MAX);
    }).timeout(20_000);

    it("news bring no conclusions, whoever sends them", () => {
      const tables = openCluster(4);
      const [a, , , d] = tables as [MemberTable, MemberTable, MemberTable, MemberTable];
      a.declareDead("n3", 0);
      persist(a);
      const cleared = lossOfStore("n3", 4, { incarnation: d.own.incarnation, isCleared: true });
      a.merge(news([{ ...d.own, status: "forgotten", goneJoins: 1 }], [cleared, lossOfStore("n3", 4, { incarnation: d.own.incarnation, fencedBy: [storeOf(2)] })]), 0);
      expect([stateOf(a, "n3"), [...a.losses][0]!.isCleared, [...a.losses][0]!.fencedBy]).deep.equal(["dead", false, []]);
    });
  });

  describe("views", () => {
    it("members that are neither left nor forgotten, by name, with their states", () => {
      const [a] = openCluster(3) as [MemberTable];
      const view = a.view(new Set(["n1"]));
      expect(view.members.map(({ name, state, isSuspect }) => [name, state, isSuspect])).deep.equal([["n0", "active", false], ["n1", "active", true], ["n2", "active", false]]);
      expect([view.replication, view.acks, view.acksMin]).deep.equal([3, 2, 2]);
      expect([view.writesRefusedBecause, view.queriesRefusedBecause]).deep.equal([undefined, undefined]);
      expect(view.digest).match(/^[0-9a-f]{32}$/);
    });

    it("a reader lists first after it learned of a member, a start, a LEFT, a clearing, and acks that rose", () => {
      const tables = openCluster(4);
      const [a, , c, d] = tables as [MemberTable, MemberTable, MemberTable, MemberTable];
      const listsAfter = (nowMs: number, make: () => unknown): boolean => {
        make();
        persist(a, nowMs);
        return a.listAfterMs === nowMs;
      };
      expect(listsAfter(100, () => a.merge(news([entryOf("n9", 90, { claimsFull: false })]), 100)), "a member").equal(true);
      expect(listsAfter(200, () => a.merge(news([restart(c).own]), 200)), "a start").equal(true);
      expect(listsAfter(300, () => a.merge(news([{ ...a.entry("n1")!, acksHeld: 3 }]), 300)), "acks").equal(true);
      expect(listsAfter(400, () => a.declareDead("n3", 400)), "a death alone").equal(false);
      expect(listsAfter(500, () => a.merge(whole([], [lossOfStore("n3", 4, { incarnation: d.own.incarnation, isCleared: true })]), 500)), "a clearing").equal(true);
      expect(listsAfter(600, () => a.merge(whole([{ ...a.entry("n1")!, status: "left", goneJoins: 1 }]), 600)), "a LEFT").equal(true);
    });

    it("replication rises when nothing is held under fewer acks, and the bucket holds it; pushes name more stores before", () => {
      const first = openTable("n0", 1, { isFounder: true, joinAddressCount: 1, heldAcks: 1 });
      first.noteBucketReplication(1, 0);
      persist(first);
      const others = [1, 2].map((i) => openTable(nameOf(i), i + 1, { joinAddressCount: 2 }));
      const tables = [first, ...others];
      converge(tables);
      converge(tables);
      const view = first.view(NO_SUSPECTS);
      expect([view.replication, view.acks, view.acksMin, first.own.acksHeld, first.wantedReplication]).deep.equal([3, 2, 1, 1, undefined]);
      first.noteHeld(Infinity, 1000);
      expect(first.wantedReplication).equal(3);
      first.noteBucketReplication(3, 1000);
      first.tick(1000);
      expect([first.own.acksHeld, first.wantedReplication, first.acksMin]).deep.equal([2, undefined, 2]);
    });
  });

  describe("exchanges", () => {
    it("what a node lacks is all that the other knows, and its digest is equal then", () => {
      const tables = openCluster(5);
      const late = openTable("late", 90);
      const lacked = tables[0]!.lackedBy(late.bucketDigests);
      expect(lacked.entries).to.have.length(5);
      expect(tables[0]!.lackedBy(tables[1]!.bucketDigests)).deep.equal({ isWhole: true, entries: [], losses: [] });
    });

    it("in any order, repeated, single or whole, end in equal tables", () => {
      for (let seed = 1; seed <= 60; seed++) {
        const random = seededRandom(seed);
        const pick = <T>(items: readonly T[]): T => items[Math.floor(random.float() * items.length)]!;
        let tables = Array.from({ length: 5 }, (_, i) => openTable(nameOf(i), i + 1, { isFounder: i === 0, joinAddressCount: 5 }));
        let nowMs = 0;
        const sent: ReturnType<MemberTable["whole"]>[] = [];
        for (let turn = 0; turn < 200; turn++) {
          const table = pick(tables);
          nowMs += Math.floor(random.float() * 800);
          const what = random.float();
          if (what < 0.3) sent.push(table.whole());
          else if (what < 0.75 && sent.length > 0) sent.push(pick(tables).merge({ ...pick(sent), isWhole: random.float() < 0.5 }, nowMs).news);
          else if (what < 0.8) table.declareDead(pick(tables).own.name, nowMs);
          else if (what < 0.84) tables = tables.map((each) => (each === table ? restart(table, { nowMs, bootNumber: 100 + turn }) : each));
          else if (what < 0.86) tables = tables.map((each) => (each === table ? openTable(table.own.name, 1000 + turn, { nowMs, bootNumber: 100 + turn }) : each));
          else if (what < 0.9) for (const loss of [...table.losses]) table.noteFlushed(loss.storeId, loss.incarnation, nowMs);
          else table.tick(nowMs);
          for (const each of tables) persist(each, nowMs);
        }
        expect(converge(tables, nowMs), `seed ${seed}`).below(20);
        const views = tables.map((table) => table.view(NO_SUSPECTS)).map(({ members, gone, lostStores, digest }) => JSON.stringify({ members, gone, lostStores, digest }));
        expect(new Set(views).size, `seed ${seed}`).equal(1);
      }
    });
  });
});
