import { expect } from "chai";
import { seededRandom } from "@pyromesh/base";
import type { Entry } from "../items/entry.ts";
import { INCARNATION_JUMP_MAX, MEMBERS_MAX } from "../items/limits.ts";
import type { MemberTable } from "./member-table.ts";
import { converge, entryOf, lossOfStore, nameOf, news, openCluster, openTable, persist, restart, stateOf, storeOf, tell, whole } from "./testing/tables.ts";

const NO_SUSPECTS: ReadonlySet<string> = new Set();

describe("membership: the table", () => {
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
