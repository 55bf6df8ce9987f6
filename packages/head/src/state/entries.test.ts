/** Records are selected, digested, cut and released one by one. */
import { expect } from "chai";
import { CodedError, toHex } from "@pyromesh/base";
import { addIdentitySums } from "@pyromesh/profile";
import { commitKey, recordKey } from "../entries/keys.ts";
import type { EncodedRecord } from "@pyromesh/profile";
import type { Head } from "../head.ts";
import type { ReplayedRecord } from "../recovery/record-intake.ts";
import { HOUR_MS, makeRecord, memoryWorld, numberOf, sealUnder, startHead } from "../testing/fixtures.ts";
import type { MemoryWorld } from "../testing/fixtures.ts";

const TENANT = "anonymous";
const OTHER = new Uint8Array(16).fill(0xaa);
const THIRD = new Uint8Array(16).fill(0xbb);

const codeOf = (thrown: unknown): string => (thrown instanceof CodedError ? thrown.code : String(thrown));
const outcomeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "done", codeOf);
const appendAll = (head: Head, from: number, to: number): Promise<unknown> => Promise.all(Array.from({ length: to - from }, (_, index) => head.append(makeRecord(from + index))));
const numbersOf = (records: readonly Pick<EncodedRecord, "identity">[]): number[] => records.map(numberOf);
const identityOf = (number: number): Uint8Array => makeRecord(number).identity;
const numbersIn = (head: Head, filter: object = {}): number[] => numbersOf(head.select({ tenant: TENANT, ...filter }, head.pin(TENANT)).entries);
const replayedNumbers = (replayed: readonly ReplayedRecord[]): number[] => replayed.map(numberOf);

describe("a head's entries", () => {
  let world: MemoryWorld;
  beforeEach(() => (world = memoryWorld()));

  describe("the stores of a record", () => {
    it("are kept in order, and this store's place among them is its rank; also over a start", async () => {
      const { head } = await startHead(world);
      await head.append(makeRecord(1), [head.storeId, OTHER]);
      await head.append(makeRecord(2), [OTHER, head.storeId, THIRD]);
      await head.append(makeRecord(3));
      const told = (of: Head): unknown => of.select({ tenant: TENANT }, of.pin(TENANT)).entries.map(({ rank, stores }) => [rank, stores.map(toHex)]);
      const own = toHex(head.storeId);
      const wanted = [[0, [own, toHex(OTHER)]], [1, [toHex(OTHER), own, toHex(THIRD)]], [0, []]];
      expect(told(head)).deep.equal(wanted);
      world.disk.crash();
      const again = await startHead(world);
      expect(told(again.head)).deep.equal(wanted);
      expect(again.replayed.map(({ rank }) => rank)).deep.equal([0, 1, 0]);
    });

    it("stay as they came first, and who sends others is told: in the head and in flight", async () => {
      const { head } = await startHead(world);
      const [, inFlight] = await Promise.all([head.append(makeRecord(1), [head.storeId, OTHER]), head.append(makeRecord(1), [OTHER, head.storeId])]);
      const again = await head.append(makeRecord(1), [head.storeId, THIRD]);
      for (const answer of [inFlight, again]) {
        expect([answer.seq, answer.isDuplicate]).deep.equal([1, true]);
        expect(answer.keptStores!.map(toHex)).deep.equal([toHex(head.storeId), toHex(OTHER)]);
      }
      expect(await head.append(makeRecord(1), [head.storeId, OTHER])).deep.equal({ seq: 1, isDuplicate: true });
      expect(head.entry(identityOf(1))!.rank).equal(0);
    });

    // The store refused the first append and kept it. Of two that came again the second heard that its own list stands.
    it("stay as they came first where the store refused them and kept them: all that come again together are told", async () => {
      const { head } = await startHead(world);
      world.disk.onBatch = () => "after";
      expect(await outcomeOf(head.append(makeRecord(1), [head.storeId, OTHER]))).equal("HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      world.clock.ms += 2000;
      const again = await Promise.all([1, 2, 3].map(() => head.append(makeRecord(1), [OTHER, head.storeId])));
      for (const { isDuplicate, keptStores } of again) expect([isDuplicate, keptStores?.map(toHex)]).deep.equal([true, [toHex(head.storeId), toHex(OTHER)]]);
    });

    it("are those of the append, where one list is filled anew for the next record", async () => {
      const { head } = await startHead(world);
      const stores = [head.storeId, OTHER];
      await head.append(makeRecord(1), stores);
      stores.reverse();
      await head.append(makeRecord(2), stores);
      const told = [1, 2].map((number) => head.entry(identityOf(number))!).map(({ rank, stores: list }) => [rank, ...list.map(toHex)]);
      expect(told).deep.equal([[0, toHex(head.storeId), toHex(OTHER)], [1, toHex(OTHER), toHex(head.storeId)]]);
    });

    // A peer's record lies in a buffer of its connection, its identity and the list too. The head took them over when the refused write turned out
    // to be kept, and by then the buffer held the next record.
    it("and its identity are what was sent, where the caller uses its memory again after a refusal and the store kept the record", async () => {
      const { head } = await startHead(world);
      const own = Uint8Array.from(head.storeId);
      const record = makeRecord(1);
      const stores = [Uint8Array.from(OTHER), own];
      world.disk.onBatch = () => "after";
      expect(await outcomeOf(head.append(record, stores))).equal("HEAD_WRITE_FAILED");
      world.disk.onBatch = undefined;
      for (const bytes of [record.bytes, record.identity, ...stores]) bytes.fill(0xee);
      stores.reverse();
      world.clock.ms += 2000;
      expect((await head.append(makeRecord(1), [OTHER, head.storeId])).isDuplicate).equal(true);
      const [entry] = head.select({ tenant: TENANT }, head.pin(TENANT)).entries;
      expect([toHex(entry!.identity), entry!.stores.map(toHex)]).deep.equal([toHex(identityOf(1)), [toHex(OTHER), toHex(head.storeId)]]);
    });

    it("name this store, by an id that it has or had; another's record is refused, and so is a list that is too long", async () => {
      const { head } = await startHead(world);
      const former = Uint8Array.from(head.storeId);
      await head.takeNewStoreId("a test");
      expect(await outcomeOf(head.append(makeRecord(1), [OTHER, former]))).equal("done");
      expect(head.entry(identityOf(1))!.rank).equal(1);
      expect(await outcomeOf(head.append(makeRecord(2), [OTHER, THIRD]))).equal("STORE_NOT_LISTED");
      expect(await outcomeOf(head.append(makeRecord(2), Array.from({ length: 17 }, () => head.storeId)))).equal("STORES_TOO_MANY");
      expect(numbersIn(head)).deep.equal([1]);
    });

    it("the shortest list of what is held is known, over a cut, a release, a seal and a start", async () => {
      const { head } = await startHead(world);
      expect(head.storeCountMin, "nothing is held").equal(undefined);
      await head.append(makeRecord(1), [OTHER, head.storeId, THIRD]);
      expect(head.storeCountMin).equal(3);
      await head.append(makeRecord(2), [head.storeId, OTHER]);
      await head.append(makeRecord(3));
      expect(head.storeCountMin, "kept by this store alone").equal(0);
      world.disk.crash();
      const { head: again } = await startHead(world);
      expect(again.storeCountMin).equal(0);
      expect(await again.release([identityOf(3)])).equal(1);
      expect(again.storeCountMin).equal(2);
      const cut = await again.cut({ ranks: new Set([0]) });
      expect(again.storeCountMin, "what is cut is held").equal(2);
      await sealUnder(again, cut!.cutId, []);
      expect(again.storeCountMin).equal(3);
      await again.release([identityOf(1)]);
      expect(again.storeCountMin).equal(undefined);
    });

    it("ranks above 0 are told apart when a commit is told of", async () => {
      const told: number[] = [];
      const { head } = await startHead(world, {}, { onCommitted: (entries) => void told.push(...entries.map(({ rank }) => rank)) });
      await head.append(makeRecord(1), [OTHER, head.storeId]);
      await head.append(makeRecord(2), [head.storeId, OTHER]);
      expect(told).deep.equal([1, 0]);
    });
  });

  describe("select", () => {
    it("tells what the head knows of each record, and where its bytes are asked for they are read", async () => {
      const { head } = await startHead(world, { dueAfterMs: 5000 });
      world.clock.ms += 70;
      const record = makeRecord(7, { service: "späti ✓", fingerprint: 0xfedc_ba98_7654_3210n });
      const { seq } = await head.append(record, [OTHER, head.storeId]);
      const cut = await head.cut();
      const { identity, stores, ...entry } = head.entry(record.identity)!;
      expect(toHex(identity)).equal(toHex(record.identity));
      expect(stores.map(toHex)).deep.equal([toHex(OTHER), toHex(head.storeId)]);
      expect(entry).deep.equal({
        seq,
        fingerprint: 0xfedc_ba98_7654_3210n,
        tenant: TENANT,
        service: "späti ✓",
        timeMs: record.timeMs,
        windowStartMs: Math.floor(record.timeMs / HOUR_MS) * HOUR_MS,
        sampleCount: 7,
        sizeBytes: record.bytes.length,
        rank: 1,
        cutId: cut!.cutId,
        dueAtMs: 5070,
      });
      const read = await head.readRecord(record.identity);
      expect(Buffer.compare(read!.bytes, record.bytes)).equal(0);
      expect(await head.readRecord(identityOf(8))).equal(undefined);
    });

    it("takes what matches all of the filter", async () => {
      const { head } = await startHead(world);
      const own = head.storeId;
      for (let number = 0; number < 12; number++) await head.append(makeRecord(number), number % 4 === 0 ? [OTHER, own] : [own, OTHER]);
      await head.append(makeRecord(20, { tenant: "other" }));
      const { timeMs } = makeRecord(0);
      expect(numbersIn(head)).deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      expect(numbersIn(head, { services: new Set(["service-1", "none"]) })).deep.equal([1, 4, 7, 10]);
      expect(numbersIn(head, { startMs: timeMs + 3000, endMs: timeMs + 5000 })).deep.equal([3, 4, 5]);
      expect(numbersIn(head, { ranks: new Set([1]) })).deep.equal([0, 4, 8]);
      expect(numbersIn(head, { fingerprints: new Set([3n]), ranks: new Set([0]) })).deep.equal([2, 7]);
      expect(numbersIn(head, { windowStartMs: 0 })).deep.equal([]);
      expect(head.select({ tenant: "nobody" }, head.pin("nobody")).entries).deep.equal([]);
    });

    it("comes in pages, at the moment of the pin: what comes later is left out", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 700); // several pages of the table
      const pin = head.pin(TENANT);
      const seen: number[] = [];
      let pageCount = 0;
      for (let fromSeq: number | undefined = 0; fromSeq !== undefined; pageCount++) {
        const page = head.select({ tenant: TENANT }, pin, { fromSeq, countMax: 100 });
        seen.push(...numbersOf(page.entries));
        fromSeq = page.nextSeq;
        await head.append(makeRecord(1000 + pageCount));
      }
      expect(seen).deep.equal(Array.from({ length: 700 }, (_, number) => number));
      expect(pageCount).equal(7);
    });

    it("a pin expires when a record of its tenant leaves, and not by another tenant's", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      await head.append(makeRecord(20, { tenant: "other" }));
      const pin = head.pin(TENANT);
      await head.release([identityOf(20)]);
      expect(head.select({ tenant: TENANT }, pin).entries).length(3);
      await head.cut();
      expect(head.select({ tenant: TENANT }, pin).entries, "a cut moves nothing away").length(3);
      await head.release([identityOf(1)]);
      expect(() => head.select({ tenant: TENANT }, pin)).throw(CodedError).with.property("code", "HEAD_PIN_EXPIRED");
      expect(await outcomeOf(head.digest({ tenant: TENANT }, pin))).equal("HEAD_PIN_EXPIRED");
      const next = head.pin(TENANT);
      await head.seal(head.cuts()[0]!.cutId, []);
      expect(() => head.select({ tenant: TENANT }, next)).throw(CodedError).with.property("code", "HEAD_PIN_EXPIRED");
      expect(() => head.select({ tenant: "other" }, head.pin(TENANT))).throw(CodedError);
    });
  });

  describe("digest", () => {
    const plainSum = (numbers: readonly number[]): string => numbers.map((number) => toHex(Uint8Array.from(identityOf(number)).reverse())).reduce(addIdentitySums, "0".repeat(32));

    it("is the count and the sum of identities of each series, whatever the order", async () => {
      const { head } = await startHead(world);
      for (const number of [4, 9, 0, 5, 14, 3]) await head.append(makeRecord(number));
      const digest = await head.digest({ tenant: TENANT }, head.pin(TENANT));
      expect([...digest].sort(([a], [b]) => Number(a - b))).deep.equal([
        [1n, { count: 2, identitySum: plainSum([0, 5]) }],
        [4n, { count: 1, identitySum: plainSum([3]) }],
        [5n, { count: 3, identitySum: plainSum([4, 9, 14]) }],
      ]);
      const other = await startHead(memoryWorld());
      for (const number of [3, 14, 5, 0, 9, 4]) await other.head.append(makeRecord(number));
      expect(await other.head.digest({ tenant: TENANT }, other.head.pin(TENANT))).deep.equal(digest);
    });
  });

  describe("a cut of what matches", () => {
    it("takes that, and the rest stays open; each has its own over a start", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 9);
      const cut = await head.cut({ tenant: TENANT, services: new Set(["service-1"]) });
      expect(cut!.groups.map(({ recordCount, services }) => [recordCount, services])).deep.equal([[3, ["service-1"]]]);
      expect(head.stats).deep.include({ openCount: 6, cutCount: 3 });
      await appendAll(head, 9, 12);
      const rest = await head.cut();
      expect(rest!.groups.map(({ recordCount, services }) => [recordCount, services.join()])).deep.equal([[9, "service-0,service-1,service-2"]]);
      await appendAll(head, 12, 14);
      world.disk.crash();
      const again = await startHead(world);
      expect(again.quarantinedCount).equal(0);
      expect(again.head.cuts()).deep.equal([cut, rest]);
      const wanted = (number: number): number | undefined => (number >= 12 ? undefined : number < 9 && number % 3 === 1 ? cut!.cutId : rest!.cutId);
      expect(again.replayed.map((record) => [numberOf(record), record.cutId])).deep.equal(Array.from({ length: 14 }, (_, number) => [number, wanted(number)]));
    });

    it("takes nothing where nothing matches, and everything where all does", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 3);
      expect(await head.cut({ tenant: "nobody" })).equal(undefined);
      expect((await head.cut({ tenant: TENANT }))!.groups[0]!.recordCount).equal(3);
      expect(await head.cut({ tenant: TENANT })).equal(undefined);
      expect(head.stats.ownOpenAgeMs).equal(undefined);
    });

    it("is sealed by itself: a commit that it shares with others goes with the last of them", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 6); // one commit
      const cut = await head.cut({ services: new Set(["service-0"]) });
      await sealUnder(head, cut!.cutId, ["a"]);
      world.disk.crash();
      const again = await startHead(world);
      expect([again.quarantinedCount, replayedNumbers(again.replayed)]).deep.equal([0, [1, 2, 4, 5]]);
      await sealUnder(again.head, (await again.head.cut())!.cutId, ["b"]);
      for (const key of ["a", "b"]) await again.head.unseal(key);
      expect(world.disk.keys().length).lessThan(5);
      expect((await startHead(world)).quarantinedCount).equal(0);
    });
  });

  describe("records of rank 0 beside others", () => {
    /** Even numbers are this store's to flush. */
    async function mixed(head: Head, from: number, to: number): Promise<void> {
      for (let number = from; number < to; number++) await head.append(makeRecord(number), number % 2 === 0 ? [head.storeId, OTHER] : [OTHER, head.storeId]);
    }

    it("are counted apart, with their age, and cut apart; the others stay open", async () => {
      const { head } = await startHead(world);
      await mixed(head, 1, 2);
      expect(head.stats).deep.include({ openCount: 1, ownOpenCount: 0, ownOpenBytes: 0, ownOpenAgeMs: undefined });
      await mixed(head, 2, 8);
      world.clock.advance(700);
      expect(head.stats).deep.include({ openCount: 7, ownOpenCount: 3, ownOpenAgeMs: 700 });
      const cut = (await head.cut({ ranks: new Set([0]) }))!;
      expect([cut.isTakeover, cut.groups.map(({ recordCount }) => recordCount)]).deep.equal([false, [3]]);
      expect(head.stats).deep.include({ openCount: 4, ownOpenCount: 0, ownOpenBytes: 0, ownOpenAgeMs: undefined, cutCount: 3 });
      expect(await head.cut({ ranks: new Set([0]) })).equal(undefined);
    });

    it("the others are listed in the order in which they came, until they are cut or gone; they are cut by name, and a start knows the cut again", async () => {
      const { head } = await startHead(world);
      await mixed(head, 0, 10);
      expect(numbersOf(head.replicas().entries)).deep.equal([1, 3, 5, 7, 9]);
      const { entries, nextSeq } = head.replicas({ countMax: 2 });
      expect([numbersOf(entries), numbersOf(head.replicas({ fromSeq: nextSeq! }).entries)]).deep.equal([[1, 3], [5, 7, 9]]);
      await head.release([identityOf(1)]);
      const cut = (await head.cutReplicas([1, 3, 7, 100].map(identityOf)))!;
      expect([cut.isTakeover, cut.groups[0]!.recordCount]).deep.equal([true, 2]);
      expect(await head.cutReplicas([identityOf(3)]), "it is cut already").equal(undefined);
      expect(numbersOf(head.replicas().entries)).deep.equal([5, 9]);
      const own = (await head.cut({ ranks: new Set([0]) }))!;
      await mixed(head, 10, 12);
      world.disk.crash();
      const again = await startHead(world);
      expect(again.quarantinedCount).equal(0);
      expect(again.head.cuts()).deep.equal([cut, own]);
      expect(numbersOf(again.head.replicas().entries)).deep.equal([5, 9, 11]);
      expect(again.head.stats).deep.include({ openCount: 4, ownOpenCount: 1 });
    });

    it("the windows of all that is held, and the oldest of it", async () => {
      const { head } = await startHead(world);
      expect([head.oldestSeq, head.windows()]).deep.equal([undefined, []]);
      await mixed(head, 0, 3);
      await head.cut({ ranks: new Set([0]) });
      expect(head.windows().map(({ tenant, recordCount }) => [tenant, recordCount])).deep.equal([[TENANT, 1], [TENANT, 2]]);
      await head.release([identityOf(0), identityOf(1)]);
      expect(head.oldestSeq).equal(3);
      await head.release([identityOf(2)]);
      expect(head.oldestSeq).equal(undefined);
    });
  });

  describe("release", () => {
    it("forgets these records one by one, open or cut, and gives their room back; a start finds no loss", async () => {
      const told: number[] = [];
      const { head } = await startHead(world, {}, { onReleased: (keys) => void told.push(...keys.map((key) => numberOf({ identity: Buffer.from(key, "latin1") }))) });
      await appendAll(head, 0, 4);
      await head.cut();
      await appendAll(head, 4, 8);
      const before = head.stats.diskBytes;
      expect(await head.release([1, 5, 1, 77].map(identityOf))).equal(2);
      expect(told).deep.equal([1, 5]);
      expect(head.stats).deep.include({ openCount: 3, cutCount: 3 });
      expect(head.stats.diskBytes).lessThan(before);
      expect(await head.readRecord(identityOf(1))).equal(undefined);
      world.disk.crash();
      const again = await startHead(world);
      expect([again.quarantinedCount, replayedNumbers(again.replayed)]).deep.equal([0, [0, 2, 3, 4, 6, 7]]);
      expect(await again.head.append(makeRecord(1)), "it may come again").deep.equal({ seq: 9, isDuplicate: false });
    });

    it("of all records leaves a handful of keys, in whatever order they go, and a cut of which none is left is sealed empty", async () => {
      const { head } = await startHead(world, { commitCountMax: 7 });
      for (let round = 0; round < 5; round++) await appendAll(head, round * 20, round * 20 + 20);
      await head.cut();
      for (const part of [0, 1, 2, 3]) await head.release(Array.from({ length: 25 }, (_, index) => identityOf(index * 4 + part)));
      expect(head.stats).deep.include({ openCount: 0, cutCount: 0 });
      const [cut] = head.cuts();
      expect(cut!.groups).deep.equal([]);
      await head.seal(cut!.cutId, []);
      expect(world.disk.keys().length).lessThan(5);
      const again = await startHead(world);
      expect([again.quarantinedCount, again.replayed]).deep.equal([0, []]);
    });

    it("a record of a commit that lost others by release, and then one for real, is a loss of that one", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 6); // one commit
      await head.release([0, 3].map(identityOf));
      await head.close();
      world.disk.tamper(recordKey(3), () => undefined); // of number 2
      const again = await startHead(world);
      expect([again.quarantinedCount, replayedNumbers(again.replayed)]).deep.equal([1, [1, 4, 5]]);
      expect(again.head.quarantine()[0]!.reason).contain("1 of 4 records").contain("r/3");
      await again.head.close();
      expect((await startHead(world)).quarantinedCount, "said once").equal(0);
    });

    it("a released record that the store still has after all is no record, and no loss", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 4);
      const store = (await world.disk.open({ isRepairing: false })).store;
      const entry = (await store.get(recordKey(2)))!;
      world.disk.crash();
      const next = await startHead(world);
      await next.head.release([identityOf(1)]);
      await next.head.close();
      const { store: later } = await world.disk.open({ isRepairing: false });
      await later.batch([{ kind: "put", key: recordKey(2), value: entry }], { isSynced: true });
      const again = await startHead(world);
      expect([again.quarantinedCount, replayedNumbers(again.replayed)]).deep.equal([0, [0, 2, 3]]);
      expect(world.disk.keys().map((key) => toHex(key)), "it is deleted again").not.include(toHex(recordKey(2)));
    });

    it("that was refused but kept is in memory after the next write; one that was refused has changed nothing", async () => {
      for (const fate of ["after", "before"] as const) {
        const own = memoryWorld();
        const { head } = await startHead(own);
        await appendAll(head, 0, 3);
        own.disk.onBatch = () => {
          own.disk.onBatch = undefined;
          if (fate === "after") return "after";
          throw new Error("EIO");
        };
        expect(await outcomeOf(head.release([identityOf(1)]))).equal("HEAD_WRITE_FAILED");
        own.clock.ms += 1000;
        await head.append(makeRecord(9));
        expect(numbersIn(head), fate).deep.equal(fate === "after" ? [0, 2, 9] : [0, 1, 2, 9]);
        expect(await head.release([identityOf(1)])).equal(fate === "after" ? 0 : 1);
        own.disk.crash();
        const again = await startHead(own);
        expect([again.quarantinedCount, replayedNumbers(again.replayed)]).deep.equal([0, [0, 2, 9]]);
      }
    });

    it("of the last record of a lost commit entry that was adopted settles it for good", async () => {
      const { head } = await startHead(world);
      await appendAll(head, 0, 2);
      await head.close();
      world.disk.tamper(commitKey(1), () => undefined);
      const again = await startHead(world);
      expect(replayedNumbers(again.replayed)).deep.equal([0, 1]);
      await again.head.release([0, 1].map(identityOf));
      await again.head.close();
      const third = await startHead(world);
      expect([third.quarantinedCount, third.replayed]).deep.equal([0, []]);
    });
  });
});
