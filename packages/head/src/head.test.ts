import { expect } from "chai";
import { CodedError, Metrics } from "@pyromesh/base";
import { planDisk, planOpening } from "./disk/disk-plan.ts";
import type { Head } from "./head.ts";
import type { CommittedRecord } from "./head-modules.ts";
import { commitKey, cutKey, recordKey, sealedKey } from "./entries/keys.ts";
import { HOUR_MS, listeningLogger, makeRecord, memoryWorld, numberOf, sealUnder, startHead } from "./testing/fixtures.ts";
import type { MemoryWorld } from "./testing/fixtures.ts";

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "resolved",
    (error: unknown) => (error instanceof CodedError ? `${error.kind}: ${error.code}` : String(error)),
  );

const appendAll = (head: Head, from: number, to: number): Promise<unknown> =>
  Promise.all(Array.from({ length: to - from }, (_, i) => head.append(makeRecord(from + i))));

describe("head", () => {
  let world: MemoryWorld;
  beforeEach(() => (world = memoryWorld()));

  describe("append", () => {
    it("what is appended in one turn goes into one synced commit, and the next takes all that queued meanwhile", async () => {
      const { head } = await startHead(world);
      const before = world.disk.batchCount;
      const groups: number[][] = [];
      let later: Promise<unknown> | undefined;
      world.disk.onBatch = (ops) => {
        groups.push([ops.length - 1]);
        later ??= appendAll(head, 10, 17); // arrives while the first is on its way
      };
      await appendAll(head, 0, 5);
      await later;
      expect(world.disk.batchCount - before).equal(2);
      expect(groups).deep.equal([[5], [7]]);
    });

    it("a commit takes at most the count and the bytes it may, and a record larger than that goes alone", async () => {
      const { head } = await startHead(world, { commitCountMax: 4, commitBytesMax: 1000 });
      const groups: number[] = [];
      world.disk.onBatch = (ops) => void groups.push(ops.length - 1);
      await Promise.all([...Array(6).keys()].map((number) => head.append(makeRecord(number, { bytes: new Uint8Array(10) }))));
      await Promise.all([10, 11].map((number) => head.append(makeRecord(number, { bytes: new Uint8Array(5000) }))));
      expect(groups).deep.equal([4, 2, 1, 1]);
    });

    describe("of what is announced", () => {
      const groupsOf = (): number[] => {
        const groups: number[] = [];
        world.disk.onBatch = (ops) => void groups.push(ops.filter(({ key }) => key[0] === "r".charCodeAt(0)).length);
        return groups;
      };

      it("is waited for: one commit takes both", async () => {
        const { head } = await startHead(world);
        const groups = groupsOf();
        head.announce();
        const first = head.append(makeRecord(1));
        await world.clock.settle();
        expect(groups).deep.equal([]);
        const second = head.append(makeRecord(2));
        head.arrived();
        await Promise.all([first, second]);
        expect(groups).deep.equal([2]);
        await head.append(makeRecord(3)); // nothing is announced: no clock moves
        expect(groups).deep.equal([2, 1]);
      });

      it("is waited for no longer than it may be", async () => {
        const { head } = await startHead(world, { gatherMsMax: 4 });
        const groups = groupsOf();
        head.announce();
        const append = head.append(makeRecord(1));
        await world.clock.settle();
        world.clock.advance(3);
        await world.clock.settle();
        expect(groups).deep.equal([]);
        world.clock.advance(1);
        await append;
        expect(groups).deep.equal([1]);
        head.arrived();
      });

      it("is not waited for by a group that is large enough, nor by a cut", async () => {
        const { head } = await startHead(world, { gatherCountMax: 3 });
        const groups = groupsOf();
        head.announce();
        const first = head.append(makeRecord(1));
        await world.clock.settle();
        await Promise.all([first, appendAll(head, 2, 4)]);
        expect(groups).deep.equal([3]);
        const last = head.append(makeRecord(4));
        await world.clock.settle();
        await head.cut();
        expect(groups).deep.equal([3, 0]);
        head.arrived();
        await last;
        expect(groups).deep.equal([3, 0, 1]);
      });
    });

    it("the same identity makes no second copy: in the head, in flight, and over a restart", async () => {
      const { head } = await startHead(world);
      const [first, second] = await Promise.all([head.append(makeRecord(1)), head.append(makeRecord(1))]);
      expect(first).deep.equal({ seq: 1, isDuplicate: false });
      expect(second).deep.equal({ seq: 1, isDuplicate: true });
      expect(await head.append(makeRecord(1))).deep.equal({ seq: 1, isDuplicate: true });
      await head.cut();
      expect(await head.append(makeRecord(1))).deep.equal({ seq: 1, isDuplicate: true });
      world.disk.crash();
      const again = await startHead(world);
      expect(await again.head.append(makeRecord(1))).deep.equal({ seq: 1, isDuplicate: true });
      expect(again.replayed.map(numberOf)).deep.equal([1]);
    });

    it("a duplicate in flight is refused with the first", async () => {
      const { head } = await startHead(world);
      world.disk.onBatch = () => {
        throw new Error("ENOSPC: no space left on device");
      };
      const outcomes = await Promise.all([codeOf(head.append(makeRecord(1))), codeOf(head.append(makeRecord(1)))]);
      expect(outcomes).deep.equal(["unavailable: HEAD_WRITE_FAILED", "unavailable: HEAD_WRITE_FAILED"]);
      expect(head.stats.queuedBytes).equal(0);
    });

    it("tells of a commit after it is durable and before any of its appends resolves", async () => {
      const events: string[] = [];
      const { head } = await startHead(world, {}, {
        onCommitted: (entries: readonly CommittedRecord[]) => {
          world.disk.crash(); // nothing that was told of may go
          events.push(`told ${entries.map(({ seq }) => seq).join(",")}`);
        },
      });
      await Promise.all([1, 2].map((number) => head.append(makeRecord(number)).then(() => events.push(`resolved ${number}`))));
      expect(events).deep.equal(["told 1,2", "resolved 1", "resolved 2"]);
      expect((await startHead(world)).replayed).length(2);
    });

    it("gives back what was appended, field by field", async () => {
      const { head } = await startHead(world);
      const record = makeRecord(7, { tenant: "team-a", service: "späti ✓", timeMs: -5.25, sampleCount: 123456 });
      const { seq } = await head.append(record);
      const [read, none] = await head.read([seq, 99]);
      expect(none).equal(undefined);
      for (const found of [read!, (await startHead(world)).replayed[0]!]) {
        expect({ ...found, identity: [...found.identity], bytes: [...found.bytes] }).deep.include({ tenant: "team-a", service: "späti ✓", timeMs: -5.25, sampleCount: 123456, identity: [...record.identity], bytes: [...record.bytes] });
      }
    });

    it("past the disk budget it refuses with HEAD_FULL and drops nothing; sealed files count", async () => {
      const { head } = await startHead(world, { diskBudgetBytes: 2000 });
      const big = (number: number): Promise<unknown> => head.append(makeRecord(number, { bytes: new Uint8Array(800) }));
      await big(1);
      await big(2);
      expect(await codeOf(big(3))).equal("unavailable: HEAD_FULL");
      expect(head.stats.openCount).equal(2);
      const cut = await head.cut();
      await sealUnder(head, cut!.cutId, ["a"]);
      head.setSealedBytes(1900);
      expect(await codeOf(big(3))).equal("unavailable: HEAD_FULL");
      head.setSealedBytes(0);
      await big(3);
      expect(head.stats.openCount).equal(1);
    });

    it("started on a full disk it refuses with HEAD_FULL until space comes back, and then takes records and cuts as the larger budget allows", async () => {
      const { clock } = world;
      const budgetBytes = 1 << 30;
      const diskUse = { storeBytes: 6867, otherBytes: 0 };
      let freeBytes = 0;
      let freeCount = 0;
      const measureFree = async (): Promise<number> => {
        freeCount++;
        return freeBytes;
      };
      const { head } = await startHead(
        world,
        { diskBudgetBytes: budgetBytes, inForceBytes: 6867, diskPlan: planOpening({ budgetBytes, inForceBytes: 6867 }), diskUse },
        { measureDisk: async () => diskUse, measureFree },
      );
      const second = async (): Promise<void> => {
        clock.advance(1000);
        await clock.settle();
      };
      await second();
      expect(await codeOf(head.append(makeRecord(1)))).equal("unavailable: HEAD_FULL");
      freeBytes = 512 << 20;
      await second();
      expect(await codeOf(head.append(makeRecord(1)))).equal("resolved");
      expect(head.cutBytesMax).to.equal(planDisk(Math.floor((6867 + freeBytes) * 0.8)).cutBytesMax);
      freeBytes = 4 * 2 ** 30;
      await second();
      expect(head.cutBytesMax).to.equal(planDisk(budgetBytes).cutBytesMax);
      const askedCount = freeCount;
      await second();
      expect(freeCount, "all of the budget is in force, so nobody asks any more").to.equal(askedCount);
      await head.close();
    });

    it("what waits past the queue's bound is refused with HEAD_BUSY", async () => {
      const { head } = await startHead(world, { queueBytesMax: 2000 });
      const outcomes = await Promise.all([...Array(4).keys()].map((number) => codeOf(head.append(makeRecord(number, { bytes: new Uint8Array(900) })))));
      expect(outcomes).deep.equal(["resolved", "resolved", "unavailable: HEAD_BUSY", "unavailable: HEAD_BUSY"]);
      expect(head.stats.queuedBytes).equal(0);
    });

    it("closing waits for what was taken in and refuses what comes after", async () => {
      const { head } = await startHead(world);
      const appended = head.append(makeRecord(1));
      await head.close();
      expect((await appended).seq).equal(1);
      expect(await codeOf(head.append(makeRecord(2)))).equal("unavailable: HEAD_CLOSED");
      expect(await codeOf(head.cut())).equal("unavailable: HEAD_CLOSED");
    });
  });

  describe("a full disk", () => {
    it("refuses while the disk is full, and takes writes again without a restart", async () => {
      const { head } = await startHead(world);
      await head.append(makeRecord(1));
      let openCount = 0;
      world.disk.onOpen = () => void openCount++;
      world.disk.onBatch = () => {
        throw new Error("ENOSPC: no space left on device");
      };
      expect(await codeOf(head.append(makeRecord(2)))).equal("unavailable: HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      expect(await codeOf(head.append(makeRecord(2))), "within the pause").equal("unavailable: HEAD_WRITE_FAILED");
      expect(openCount).equal(0);
      world.clock.ms += 1000;
      expect(await head.append(makeRecord(2))).deep.equal({ seq: 2, isDuplicate: false });
      expect(openCount, "the store was opened anew").equal(1);
      world.disk.crash();
      const again = await startHead(world);
      expect(again.replayed.map(numberOf)).deep.equal([1, 2]);
      expect(again.quarantinedCount).equal(0);
    });

    it("a store that cannot be opened yet is tried again, once a second", async () => {
      const { head } = await startHead(world);
      world.disk.onBatch = () => {
        throw new Error("EIO");
      };
      await codeOf(head.append(makeRecord(1)));
      world.disk.onBatch = undefined;
      let openCount = 0;
      world.disk.onOpen = () => {
        if (++openCount < 3) throw new Error("ENOSPC");
      };
      for (let second = 0; second < 2; second++) {
        world.clock.ms += 1000;
        for (let i = 0; i < 3; i++) expect(await codeOf(head.append(makeRecord(1)))).equal("unavailable: HEAD_WRITE_FAILED");
      }
      expect(openCount).equal(2);
      world.clock.ms += 1000;
      expect((await head.append(makeRecord(1))).isDuplicate).equal(false);
    });

    it("a service name that no entry can hold is refused alone, not with its group", async () => {
      const { head } = await startHead(world);
      const [kept, refused] = await Promise.all([codeOf(head.append(makeRecord(1))), codeOf(head.append(makeRecord(2, { service: "é".repeat(32_768) })))]);
      expect([kept, refused]).deep.equal(["resolved", "invalid_argument: SERVICE_NAME_TOO_LONG"]);
      expect(await codeOf(head.append(makeRecord(3, { service: "x".repeat(65_535) })))).equal("resolved");
    });

    it("a refused write that the store kept after all is there once, and its retry is a duplicate", async () => {
      const told: number[] = [];
      const { head } = await startHead(world, {}, { onCommitted: (entries: readonly CommittedRecord[]) => void told.push(...entries.map(({ seq }) => seq)) });
      world.disk.onBatch = () => "after";
      expect(await codeOf(head.append(makeRecord(1)))).equal("unavailable: HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      world.clock.ms += 1000;
      const [retry, other] = await Promise.all([head.append(makeRecord(1)), head.append(makeRecord(2))]);
      expect(retry).deep.equal({ seq: 1, isDuplicate: true });
      expect(other).deep.equal({ seq: 2, isDuplicate: false });
      expect(told).deep.equal([1, 2]);
      const again = await startHead(world);
      expect(again.replayed.map(numberOf)).deep.equal([1, 2]);
      expect(again.quarantinedCount).equal(0);
    });

    it("a refused write that the store kept is told with the bytes it was given, whatever became of them since", async () => {
      const told: Uint8Array[] = [];
      const { head } = await startHead(world, {}, { onCommitted: (entries: readonly CommittedRecord[]) => void told.push(...entries.map(({ record }) => record.bytes)) });
      world.disk.onBatch = () => "after";
      const reused = makeRecord(1);
      expect(await codeOf(head.append(reused))).equal("unavailable: HEAD_WRITE_FAILED");
      reused.bytes.fill(0xee);
      world.disk.onBatch = undefined;
      world.clock.ms += 1000;
      await head.append(makeRecord(2));
      expect(told).deep.equal([makeRecord(1).bytes, makeRecord(2).bytes]);
    });

    it("a cut and a seal that were refused but kept are in memory after the next write", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      world.disk.onBatch = () => "after";
      expect(await codeOf(head.cut())).equal("unavailable: HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      world.clock.ms += 1000;
      expect(await head.cut(), "nothing is open any more").equal(undefined);
      await head.append(makeRecord(9));
      const [cut] = head.cuts();
      expect(cut?.groups[0]?.recordCount).equal(3);
      world.disk.onBatch = () => "after";
      expect(await codeOf(sealUnder(head, cut!.cutId, ["a"]))).equal("unavailable: HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      world.clock.ms += 1000;
      await head.append(makeRecord(10));
      await sealUnder(head, cut!.cutId, ["a"]);
      expect(head.cuts()).deep.equal([]);
      expect(head.sealed().map(({ key }) => key)).deep.equal(["a"]);
      const again = await startHead(world);
      expect(again.quarantinedCount).equal(0);
      expect(again.replayed.map(numberOf)).deep.equal([9, 10]);
    });
  });

  describe("cut, seal, unseal", () => {
    it("a cut takes what is committed, by tenant and hour, and later records stay open", async () => {
      const { head } = await startHead(world);
      const timeMs = 100 * HOUR_MS;
      await head.append(makeRecord(0, { timeMs, service: "b" }));
      await head.append(makeRecord(1, { timeMs: timeMs + HOUR_MS - 1, service: "a" }));
      await head.append(makeRecord(2, { timeMs: timeMs + HOUR_MS }));
      await head.append(makeRecord(3, { timeMs, tenant: "other" }));
      const cut = await head.cut();
      await head.append(makeRecord(4, { timeMs }));
      expect(cut!.groups.map(({ tenant, windowStartMs, recordCount, minTimeMs, maxTimeMs, services }) => [tenant, windowStartMs / HOUR_MS, recordCount, minTimeMs - timeMs, maxTimeMs - timeMs, services.join()])).deep.equal([
        ["anonymous", 100, 2, 0, HOUR_MS - 1, "a,b"],
        ["anonymous", 101, 1, HOUR_MS, HOUR_MS, "service-2"],
        ["other", 100, 1, 0, 0, "service-0"],
      ]);
      expect([cut!.firstSeq, cut!.lastSeq]).deep.equal([1, 4]);
      expect(head.stats).deep.include({ openCount: 1, cutCount: 4 });
      expect((await head.cut())!.groups.map(({ recordCount }) => recordCount)).deep.equal([1]);
      expect(await head.cut()).equal(undefined);
    });

    it("an unfinished cut comes back after a crash with the same id and records", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 5);
      const cut = await head.cut();
      await appendAll(head, 5, 8);
      world.disk.crash();
      const again = await startHead(world);
      expect(again.head.cuts()).deep.equal([cut]);
      expect(again.replayed.map((record) => [numberOf(record), record.cutId])).deep.equal([0, 1, 2, 3, 4, 5, 6, 7].map((number) => [number, number < 5 ? cut!.cutId : undefined]));
    });

    it("cuts may be sealed in any order, and only their own records go", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      const first = await head.cut();
      await appendAll(head, 3, 6);
      const second = await head.cut();
      await appendAll(head, 6, 9);
      await sealUnder(head, second!.cutId, ["s2"], Uint8Array.of(2));
      world.disk.crash();
      const again = await startHead(world);
      expect(again.quarantinedCount).equal(0);
      expect(again.replayed.map(numberOf)).deep.equal([0, 1, 2, 6, 7, 8]);
      await sealUnder(again.head, first!.cutId, ["s1"]);
      await again.head.unseal("s2");
      await again.head.unseal("s2");
      world.disk.crash();
      const third = await startHead(world);
      expect(third.quarantinedCount).equal(0);
      expect(third.replayed.map(numberOf)).deep.equal([6, 7, 8]);
      expect(third.head.sealed().map(({ key, bytes }) => [key, ...bytes])).deep.equal([["s1", 1]]);
    });

    it("sealing twice with the same keys does nothing; an unknown cut is refused", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      const cut = await head.cut();
      await sealUnder(head, cut!.cutId, ["a", "b"]);
      await sealUnder(head, cut!.cutId, ["a", "b"]);
      expect(await codeOf(sealUnder(head, 77, ["c"]))).equal("failed_precondition: HEAD_CUT_UNKNOWN");
      expect(head.stats).deep.include({ cutCount: 0, cutBytes: 0, openCount: 0 });
    });

    it("after all is unsealed the store holds a handful of keys, whatever went through", async () => {
      const { head } = await startHead(world);
      for (let round = 0; round < 20; round++) {
        await appendAll(head, round * 10, round * 10 + 10);
        const cut = await head.cut();
        await sealUnder(head, cut!.cutId, [`${round}`]);
        await head.unseal(`${round}`);
      }
      expect(world.disk.keys().length).lessThan(5);
      expect((await startHead(world)).quarantinedCount).equal(0);
    });

    it("a cut of records below the floor is sealed without segments", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await head.seal((await head.cut())!.cutId, []);
      world.disk.crash();
      const again = await startHead(world);
      expect(again.replayed).deep.equal([]);
      expect(again.quarantinedCount).equal(0);
    });

    it("the open head's age is told by the monotonic clock since its first commit, and ends with the cut", async () => {
      const { head } = await startHead(world);
      expect(head.stats.ownOpenAgeMs).equal(undefined);
      await head.append(makeRecord(1));
      world.clock.ms += 500;
      await head.append(makeRecord(2));
      expect(head.stats.ownOpenAgeMs).equal(500);
      await head.cut();
      expect(head.stats.ownOpenAgeMs).equal(undefined);
    });
  });

  describe("replay and quarantine", () => {
    it("the store id is made with the data dir and stays", async () => {
      const { head } = await startHead(world);
      expect(head.storeId).length(16);
      world.disk.crash();
      expect((await startHead(world)).head.storeId).deep.equal(head.storeId);
      expect((await startHead(memoryWorld(), {}, { random: { bytes: (count) => new Uint8Array(count).fill(9), float: () => 0 } })).head.storeId).deep.equal(new Uint8Array(16).fill(9));
    });

    it("a clean start writes nothing", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 5);
      await head.cut();
      await head.close();
      const before = world.disk.batchCount;
      await startHead(world);
      expect(world.disk.batchCount).equal(before);
    });

    it("a corrupt record is counted, logged with its key, quarantined over its commit's times; the others are served", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await appendAll(head, 3, 6);
      await head.close();
      world.disk.tamper(recordKey(5), (value) => value.map((byte, index) => (index === 60 ? byte ^ 1 : byte)));
      const lines: { level: string; message: string; fields: object }[] = [];
      const metrics = new Metrics();
      const again = await startHead(world, {}, { logger: listeningLogger(lines), metrics });
      expect(again.replayed.map(numberOf)).deep.equal([0, 1, 2, 3, 5]);
      expect(again.quarantinedCount).equal(1);
      expect(again.head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[makeRecord(3).timeMs, makeRecord(5).timeMs]]);
      expect(again.head.quarantine()[0]?.reason).contain("r/5");
      expect(lines.some(({ level, fields }) => level === "error" && JSON.stringify(fields).includes('"key":"r/5"'))).equal(true);
      expect(await metrics.text()).contain("pyromesh_quarantined_records_total 1");

      await again.head.close();
      const third = await startHead(world);
      expect(third.quarantinedCount, "raised once").equal(0);
      expect(third.head.quarantine(), "and kept until acknowledged").length(1);
      expect(await third.head.acknowledgeQuarantine()).equal(1);
      expect(third.head.quarantine()).deep.equal([]);
      await third.head.close();
      const fourth = await startHead(world);
      expect(fourth.head.quarantine(), "over a restart too").deep.equal([]);
      expect((await fourth.head.append(makeRecord(4))).isDuplicate, "the lost record can be pushed again").equal(false);
    });

    it("a commit that is gone altogether is bounded by the times of what came after", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await appendAll(head, 3, 6);
      await appendAll(head, 6, 9);
      await head.close();
      for (const key of [commitKey(2), recordKey(4), recordKey(5), recordKey(6)]) world.disk.tamper(key, () => undefined);
      const again = await startHead(world);
      expect(again.replayed.map(numberOf)).deep.equal([0, 1, 2, 6, 7, 8]);
      expect(again.head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[makeRecord(0).timeMs, makeRecord(8).timeMs]]);
    });

    it("a tail that is gone altogether is told by the checkpoint", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await appendAll(head, 3, 6);
      await head.close();
      for (const key of [commitKey(2), recordKey(4), recordKey(5), recordKey(6)]) world.disk.tamper(key, () => undefined);
      const again = await startHead(world);
      expect(again.head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[makeRecord(0).timeMs, makeRecord(5).timeMs]]);
      expect((await again.head.append(makeRecord(50))).seq, "no seq is used twice").equal(7);
    });

    it("records whose commit entry is gone are served, and the gap is said", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await appendAll(head, 3, 6);
      await head.close();
      world.disk.tamper(commitKey(1), (value) => value.map((byte) => byte ^ 0xff));
      const again = await startHead(world);
      expect(again.replayed.map(numberOf)).deep.equal([0, 1, 2, 3, 4, 5]);
      expect(again.head.quarantine()).length(1);
      await again.head.seal((await again.head.cut())!.cutId, []);
      await again.head.close();
      const third = await startHead(world);
      expect(third.replayed, "they went with their cut").deep.equal([]);
      expect(third.quarantinedCount).equal(0);
    });

    it("a lost cut opens its records again", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      const cut = await head.cut();
      await appendAll(head, 3, 6);
      const second = await head.cut();
      await head.close();
      world.disk.tamper(cutKey(cut!.cutId), () => undefined);
      const again = await startHead(world);
      expect(again.replayed.map((record) => [numberOf(record), record.cutId])).deep.equal([0, 1, 2, 3, 4, 5].map((number) => [number, number < 3 ? undefined : second!.cutId]));
      expect(again.head.cuts()).deep.equal([second]);
      const recut = await again.head.cut();
      expect(recut!.groups.map(({ recordCount }) => recordCount)).deep.equal([3]);
      await again.head.close();
      expect((await startHead(world)).head.cuts()).deep.equal([second, recut]);
    });

    it("a sealed segment's entry that is gone is quarantined over the cut's times", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await sealUnder(head, (await head.cut())!.cutId, ["a", "b"]);
      await head.close();
      world.disk.tamper(sealedKey("a"), () => undefined);
      const again = await startHead(world);
      expect(again.head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[makeRecord(0).timeMs, makeRecord(2).timeMs]]);
      expect(again.head.sealed().map(({ key }) => key)).deep.equal(["b"]);
      await again.head.unseal("b");
      await again.head.close();
      expect((await startHead(world)).quarantinedCount).equal(0);
    });

    it("a quarantine that cannot be written counts at once, repairs nothing, and is raised again", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await head.close();
      world.disk.tamper(recordKey(2), () => undefined);
      world.quarantineFile.isFailing = true;
      expect((await startHead(world)).head.quarantine()).length(1);
      world.quarantineFile.isFailing = false;
      const again = await startHead(world);
      expect(again.quarantinedCount).equal(1);
      expect(again.head.quarantine()).length(1);
    });

    it("a list of quarantines that cannot be read is itself one, over all time", async () => {
      const { head } = await startHead(world);
      await head.addQuarantine("a segment's file is gone", 5, 6);
      expect(head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[5, 6]]);
      await head.close();
      world.quarantineFile.bytes = world.quarantineFile.bytes!.map((byte, index) => (index === 80 ? byte ^ 1 : byte));
      expect((await startHead(world)).head.quarantine().map(({ startMs, endMs }) => [startMs, endMs])).deep.equal([[undefined, undefined]]);
    });

    it("a data dir of a later format is refused, not repaired", async () => {
      await (await startHead(world)).head.close();
      const { wrap } = await import("./entries/checksum-envelope.ts");
      const { META_STORE } = await import("./entries/keys.ts");
      world.disk.tamper(META_STORE, (value) => wrap(META_STORE, Uint8Array.of(99, ...value.subarray(5))));
      expect(await codeOf(startHead(world))).equal("failed_precondition: HEAD_FORMAT_NEWER");
    });
  });

  it("metrics: bytes, records, commits", async () => {
    const metrics = new Metrics();
    const { head } = await startHead(world, {}, { metrics });
    await appendAll(head, 0, 3);
    const text = await metrics.text();
    for (const line of ["pyromesh_head_records 3", `pyromesh_head_bytes ${head.stats.openBytes}`, "pyromesh_commit_duration_seconds_count 1", "pyromesh_commit_records_sum 3", "pyromesh_quarantined_records_total 0"]) expect(text).contain(line);
  });
});
