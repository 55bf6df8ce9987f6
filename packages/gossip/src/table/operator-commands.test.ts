import { expect } from "chai";
import type { MemberTable } from "./member-table.ts";
import { clearDead, codeOf, converge, entryOf, LEASE_MS, news, openCluster, openTable, persist, restart, stateOf, storeOf, tell, whole } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();

describe("membership: an operator's commands", () => {
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
      expect(back.view(NO_SUSPECTS).queriesRefusedBecause).equal("it has not joined the cluster: it was forgotten, or left, since it last was a member, and joins anew");
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
});
