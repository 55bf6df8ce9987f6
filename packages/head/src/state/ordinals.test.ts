/** Ordinals, store ids and the bucket's mark: what a store is called in the bucket. */
import { expect } from "chai";
import { CodedError, seededRandom, toHex } from "@pyromesh/base";
import { ByteWriter } from "@pyromesh/base";
import type { Head } from "../head.ts";
import type { HeadModules, NewSegment, RenamedSegment, SealedCut } from "../head-modules.ts";
import type { Cut } from "./cut.ts";
import { wrap } from "../entries/checksum-envelope.ts";
import { commitKey, cutKey, formerOrdinalKey, META_ORDINAL_FLOOR, META_STORE, ordinalKey, parseKey, recordKey, sealedKey } from "../entries/keys.ts";
import { HOUR_MS, makeRecord, memoryWorld, numberOf, sealUnder, startHead } from "../testing/fixtures.ts";
import type { MemoryWorld, Started } from "../testing/fixtures.ts";

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "resolved",
    (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
  );

const MARK = { bucketId: "ab".repeat(16), clusterName: "home" };
const WINDOW_MS = Math.floor(makeRecord(0).timeMs / HOUR_MS) * HOUR_MS;

describe("ordinals and store ids", () => {
  let world: MemoryWorld;
  let startCount: number;
  beforeEach(() => {
    world = memoryWorld();
    startCount = 0;
  });

  /** Each start draws other ids. */
  const start = (modules: Partial<HeadModules> = {}): Promise<Started> => startHead(world, {}, { random: seededRandom(100 + startCount++), ...modules });
  const restart = async (head: Head, modules: Partial<HeadModules> = {}): Promise<Head> => {
    await head.close();
    return (await start(modules)).head;
  };
  const cutOf = async (head: Head, ...numbers: readonly number[]): Promise<Cut> => {
    await Promise.all(numbers.map((number) => head.append(makeRecord(number))));
    return (await head.cut())!;
  };
  const sealOne = async (head: Head, number: number, key = `segment-${number}`): Promise<void> => sealUnder(head, (await cutOf(head, number)).cutId, [key]);
  const idOf = (head: Head): string => toHex(head.storeId);
  /** `"-"` for the id in force. */
  const given = (head: Head): string[] => head.ordinals().map(({ storeId, windowStartMs, next }) => `${storeId === idOf(head) ? "-" : storeId} ${(windowStartMs - WINDOW_MS) / HOUR_MS} ${next}`);
  const refuseOnce = (fate: "kept" | "not kept"): void => {
    world.disk.onBatch = () => {
      world.disk.onBatch = undefined;
      if (fate === "kept") return "after";
      throw new Error("EIO");
    };
  };

  describe("an ordinal", () => {
    it("counts as given once it is sealed, under the id in force", async () => {
      const { head } = await start();
      expect(head.givenOrdinalCount).equal(0);
      await sealOne(head, 0);
      await sealOne(head, 1);
      expect(head.givenOrdinalCount).equal(2);
      await head.takeNewStoreId("a test");
      expect(head.givenOrdinalCount).equal(0);
    });

    it("is taken by the seal, not by the cut: cuts sealed in any order, and late, leave no hole", async () => {
      const { head } = await start();
      const cuts = [await cutOf(head, 0), await cutOf(head, 1), await cutOf(head, 2)];
      expect(given(head)).deep.equal([]);
      for (const index of [2, 0, 1]) {
        const [name] = (await head.nextOrdinals(cuts[index]!.cutId))!;
        expect(name!.ordinal).equal([2, 0, 1].indexOf(index));
        await sealUnder(head, cuts[index]!.cutId, [`cut ${index}`]);
      }
      expect(given(head)).deep.equal(["- 0 3"]);
      expect(given(await restart(head))).deep.equal(["- 0 3"]);
    });

    it("is counted by tenant and window", async () => {
      const { head } = await start();
      await sealOne(head, 0);
      await Promise.all([head.append(makeRecord(1)), head.append(makeRecord(2, { timeMs: WINDOW_MS + HOUR_MS })), head.append(makeRecord(3, { tenant: "other" }))]);
      const names = (await head.nextOrdinals((await head.cut())!.cutId))!;
      expect(names.map(({ tenant, windowStartMs, ordinal }) => [tenant, (windowStartMs - WINDOW_MS) / HOUR_MS, ordinal])).deep.equal([["anonymous", 0, 1], ["anonymous", 1, 0], ["other", 0, 0]]);
    });

    it("that is not the next one, or another store's, is refused, and nothing changes", async () => {
      const { head } = await start();
      await sealOne(head, 0);
      const cut = await cutOf(head, 1);
      const [name] = (await head.nextOrdinals(cut.cutId))!;
      const segment: NewSegment = { ...name!, key: "a", bytes: Uint8Array.of(1) };
      for (const wrong of [{ ordinal: 0 }, { ordinal: 2 }, { storeId: "00".repeat(16) }]) {
        expect(await codeOf(head.seal(cut.cutId, [{ ...segment, ...wrong }]))).equal("HEAD_ORDINAL_NOT_NEXT");
      }
      await head.takeNewStoreId("a test");
      expect(await codeOf(head.seal(cut.cutId, [segment])), "of the id before").equal("HEAD_ORDINAL_NOT_NEXT");
      expect(head.cuts().map(({ cutId }) => cutId)).deep.equal([cut.cutId]);
      await sealUnder(head, cut.cutId, ["a"]);
    });

    it("of a seal that was refused is free again, unless the store kept it", async () => {
      for (const fate of ["kept", "not kept"] as const) {
        world = memoryWorld();
        const { head } = await start();
        const cut = await cutOf(head, 0);
        const [name] = (await head.nextOrdinals(cut.cutId))!;
        refuseOnce(fate);
        expect(await codeOf(head.seal(cut.cutId, [{ ...name!, key: "a", bytes: Uint8Array.of(1) }]))).equal("HEAD_WRITE_FAILED");
        world.clock.ms += 1000;
        const again = await head.nextOrdinals(cut.cutId);
        expect(again?.map(({ ordinal }) => ordinal)).deep.equal(fate === "kept" ? undefined : [0]);
        expect(head.isSealed("a")).equal(fate === "kept");
        expect(given(head)).deep.equal(fate === "kept" ? ["- 0 1"] : []);
      }
    });

    it("is not taken by a group whose records were all quarantined", async () => {
      const { head } = await start();
      await Promise.all([head.append(makeRecord(0)), head.append(makeRecord(1, { timeMs: WINDOW_MS + HOUR_MS }))]);
      const cut = (await head.cut())!;
      await head.close();
      world.disk.tamper(recordKey(2), (value) => value.map((byte, index) => (index === 60 ? byte ^ 1 : byte)));
      const again = (await start()).head;
      expect(again.quarantine()).length(1);
      expect((await again.nextOrdinals(cut.cutId))!.map(({ windowStartMs, ordinal }) => [windowStartMs, ordinal])).deep.equal([[WINDOW_MS, 0]]);
      await sealUnder(again, cut.cutId, ["a"]);
      expect(given(again)).deep.equal(["- 0 1"]);
    });
  });

  describe("listeners", () => {
    const listening = () => {
      const heard: string[] = [];
      const modules: Partial<HeadModules> = {
        onCommitted: (entries) => void heard.push(`committed ${entries.map(({ record }) => numberOf(record)).join()}`),
        onCut: ({ cutId, groups }: Cut) => void heard.push(`cut ${cutId} of ${groups.map(({ recordCount }) => recordCount).join()}`),
        onSealed: ({ cutId, segments }: SealedCut) => void heard.push(`sealed ${cutId} as ${segments.map(({ key }) => key).join()}`),
        onRenamed: ({ fromKey, segment }: RenamedSegment) => void heard.push(`renamed ${fromKey} to ${segment.key}`),
      };
      return { heard, modules };
    };

    it("hear of a cut and a seal that were refused but kept, before the commit that follows", async () => {
      const { heard, modules } = listening();
      const { head } = await start(modules);
      await head.append(makeRecord(0));
      refuseOnce("kept");
      expect(await codeOf(head.cut())).equal("HEAD_WRITE_FAILED");
      expect(heard).deep.equal(["committed 0"]);
      world.clock.ms += 1000;
      await head.append(makeRecord(1));
      expect(heard.splice(0)).deep.equal(["committed 0", "cut 2 of 1", "committed 1"]);
      refuseOnce("kept");
      expect(await codeOf(sealUnder(head, 2, ["a"]))).equal("HEAD_WRITE_FAILED");
      world.clock.ms += 1000;
      await head.append(makeRecord(2));
      expect(heard).deep.equal(["sealed 2 as a", "committed 2"]);
    });

    it("hear of a cut in the turn in which it is made: what is committed after it is told after it", async () => {
      const { heard, modules } = listening();
      const { head } = await start(modules);
      await head.append(makeRecord(0));
      await Promise.all([head.cut(), head.append(makeRecord(1)), head.append(makeRecord(2))]);
      expect(heard).deep.equal(["committed 0", "cut 2 of 1", "committed 1,2"]);
    });

    it("that throw change nothing of what is durable", async () => {
      const fail = (): void => {
        throw new Error("a listener");
      };
      const { head } = await start({ onCut: fail, onSealed: fail });
      const cut = await cutOf(head, 0);
      refuseOnce("kept");
      expect(await codeOf(sealUnder(head, cut.cutId, ["a"]))).equal("HEAD_WRITE_FAILED");
      world.clock.ms += 1000;
      await head.append(makeRecord(1));
      expect(head.sealed().map(({ key }) => key)).deep.equal(["a"]);
      expect(await codeOf(head.append(makeRecord(2)))).equal("resolved");
    });
  });

  describe("a new store id", () => {
    it("begins at ordinal 0 and keeps the former id's ordinals, over restarts", async () => {
      let { head } = await start();
      await sealOne(head, 0);
      await sealOne(head, 1);
      const former = idOf(head);
      await head.takeNewStoreId("a test");
      expect(idOf(head)).not.equal(former);
      const cut = await cutOf(head, 2);
      expect((await head.nextOrdinals(cut.cutId))![0]).deep.include({ storeId: idOf(head), ordinal: 0 });
      await sealUnder(head, cut.cutId, ["c"]);
      expect(given(head)).deep.equal([`${former} 0 2`, "- 0 1"]);
      const id = idOf(head);
      world.disk.crash();
      head = (await start()).head;
      expect(idOf(head)).equal(id);
      expect(given(head)).deep.equal([`${former} 0 2`, "- 0 1"]);
    });

    it("that was refused is taken only if the store kept it", async () => {
      for (const fate of ["kept", "not kept"] as const) {
        world = memoryWorld();
        const { head } = await start();
        const former = idOf(head);
        refuseOnce(fate);
        expect(await codeOf(head.takeNewStoreId("a test"))).equal("HEAD_WRITE_FAILED");
        expect(idOf(head)).equal(former);
        world.clock.ms += 1000;
        await head.nextOrdinal("anonymous", WINDOW_MS);
        expect(idOf(head) !== former).equal(fate === "kept");
      }
    });

    it("is one that no process used before: so says the head that drew it, and none that is opened later", async () => {
      let { head } = await start();
      const first = idOf(head);
      expect(head.isNewStore, "a fresh data dir").equal(true);
      head = await restart(head);
      expect([head.isNewStore, idOf(head)], "nothing was committed").deep.equal([false, first]);
      await head.append(makeRecord(0));
      await head.close();
      world.disk.tamper(META_STORE, () => undefined); // the checkpoint has the id
      head = (await start()).head;
      expect(head.isNewStore, "a loss").equal(true);
      expect(idOf(head)).not.equal(first);
      expect((await restart(head)).isNewStore).equal(false);
    });

    it("leaves the checkpoint heard: a tail that is lost behind it is noticed", async () => {
      const { head } = await start();
      await head.append(makeRecord(0));
      await head.append(makeRecord(1));
      await head.takeNewStoreId("a test");
      await head.close();
      world.checkpoint.lose(1); // it was written after the id changed, and not synced
      for (const key of [commitKey(2), recordKey(2)]) world.disk.tamper(key, () => undefined);
      expect((await start()).head.quarantine()).length(1);
    });

    for (const [what, harm] of [
      ["a lost commit", () => world.disk.tamper(commitKey(6), () => undefined)],
      ["a lost cut", () => world.disk.tamper(cutKey(5), () => undefined)],
      ["a lost sealed segment", () => world.disk.tamper(sealedKey("segment-0"), () => undefined)],
      ["a lost ordinal", () => world.disk.tamper(ordinalKey("anonymous", WINDOW_MS), () => undefined)],
      ["a flipped ordinal", () => world.disk.tamper(ordinalKey("anonymous", WINDOW_MS), (value) => value.map((byte) => byte ^ 1))],
      ["a flipped mark", () => world.disk.tamper(META_STORE, (value) => value.map((byte) => byte ^ 1))],
    ] as const) {
      it(`is taken at the start after ${what}, since ordinals may be forgotten, and only once`, async () => {
        const { head } = await start();
        await sealOne(head, 0);
        await head.append(makeRecord(1));
        await head.cut();
        await head.append(makeRecord(2));
        const former = idOf(head);
        await head.close();
        harm();
        let again = (await start()).head;
        const id = idOf(again);
        expect(id).not.equal(former);
        expect(await again.nextOrdinal("anonymous", WINDOW_MS)).deep.include({ storeId: id, ordinal: 0 });
        again = await restart(again);
        expect(idOf(again)).equal(id);
      });
    }

    it("that could not be written at the start is written with the first ordinal", async () => {
      const { head } = await start();
      await head.append(makeRecord(0));
      await head.append(makeRecord(1));
      await head.close();
      world.disk.tamper(commitKey(1), () => undefined);
      refuseOnce("not kept");
      let again = (await start()).head;
      const id = idOf(again);
      await again.append(makeRecord(2));
      await sealUnder(again, (await again.cut())!.cutId, ["a"]);
      again = await restart(again);
      expect(again.ordinals().filter(({ storeId }) => storeId === id)).length(1);
    });
  });

  describe("renaming a sealed segment", () => {
    it("gives it the next ordinal of the id in force, and frees its former one and those above", async () => {
      const renamed: string[] = [];
      const { head } = await start({ onRenamed: ({ fromKey, segment }) => void renamed.push(`${fromKey} ${segment.key}`) });
      for (const number of [0, 1, 2]) await sealOne(head, number);
      const former = idOf(head);
      await head.unseal("segment-0");
      await head.takeNewStoreId("a test");
      for (const [ordinal, key] of [[1, "segment-1"], [2, "segment-2"]] as const) {
        const name = await head.nextOrdinal("anonymous", WINDOW_MS);
        await head.rename({ storeId: former, tenant: "anonymous", windowStartMs: WINDOW_MS, ordinal, key }, { ...name, key: `${key} again`, bytes: Uint8Array.of(9) });
        expect(given(head)).deep.equal([`${former} 0 1`, `- 0 ${ordinal}`]);
      }
      expect(renamed).deep.equal(["segment-1 segment-1 again", "segment-2 segment-2 again"]);
      world.disk.crash();
      const again = await start();
      expect(again.quarantinedCount).equal(0);
      expect(again.head.sealed().map(({ key, bytes }) => [key, ...bytes])).deep.equal([["segment-1 again", 9], ["segment-2 again", 9]]);
      expect(given(again.head)).deep.equal([`${former} 0 1`, "- 0 2"]);
      await again.head.unseal("segment-1 again");
      await again.head.unseal("segment-2 again");
      const third = await restart(again.head);
      expect(third.quarantine()).deep.equal([]);
    });

    it("that was refused but kept is told of, once, and asked again does nothing", async () => {
      const renamed: string[] = [];
      const { head } = await start({ onRenamed: ({ fromKey }) => void renamed.push(fromKey) });
      await sealOne(head, 0);
      const from = { storeId: idOf(head), tenant: "anonymous", windowStartMs: WINDOW_MS, ordinal: 0, key: "segment-0" };
      await head.takeNewStoreId("a test");
      const to = { ...(await head.nextOrdinal("anonymous", WINDOW_MS)), key: "b", bytes: Uint8Array.of(1) };
      refuseOnce("kept");
      expect(await codeOf(head.rename(from, to))).equal("HEAD_WRITE_FAILED");
      world.clock.ms += 1000;
      await head.rename(from, to);
      expect(renamed).deep.equal(["segment-0"]);
      expect(given(head), "nothing is left under the former id").deep.equal(["- 0 1"]);
      expect(world.disk.keys().some((key) => parseKey(key)?.kind === "formerOrdinal")).equal(false);
    });

    it("changes the bytes of a segment in place: also where the write was refused but kept", async () => {
      const { head } = await start();
      await sealOne(head, 0);
      for (const [fate, byte] of [["not kept", 7], ["kept", 8]] as const) {
        refuseOnce(fate);
        expect(await codeOf(head.reseal({ key: "segment-0", bytes: Uint8Array.of(byte) }))).equal("HEAD_WRITE_FAILED");
        world.clock.ms += 1000;
        await head.nextOrdinal("anonymous", WINDOW_MS);
        expect(head.sealed().map(({ bytes }) => [...bytes])).deep.equal([[fate === "kept" ? 8 : 1]]);
      }
      expect(await codeOf(head.reseal({ key: "b", bytes: Uint8Array.of(1) }))).equal("HEAD_SEGMENT_UNKNOWN");
      expect((await restart(head)).sealed().map(({ bytes }) => [...bytes])).deep.equal([[8]]);
    });
  });

  describe("the bucket's mark", () => {
    it("is kept, and a store of this format keeps its id", async () => {
      const { head } = await start();
      await sealOne(head, 0);
      const id = idOf(head);
      expect([head.bucketMark, head.isFirstFormat]).deep.equal([undefined, false]);
      await head.adoptBucket(MARK);
      expect(head.bucketMark).deep.equal(MARK);
      const again = await restart(head);
      expect([again.bucketMark, idOf(again), given(again)]).deep.equal([MARK, id, ["- 0 1"]]);
      await again.takeNewStoreId("a test");
      expect((await restart(again)).bucketMark).deep.equal(MARK);
    });

    /** As format 1 left it: one segment sealed as ordinal 0, a cut with ordinal 1, one open record, and ordinals raised once. */
    async function firstFormat(): Promise<string> {
      const { head } = await start();
      await sealOne(head, 0);
      const cut = await cutOf(head, 1);
      await head.append(makeRecord(2));
      await head.close();
      world.disk.tamper(META_STORE, (value) => wrap(META_STORE, Uint8Array.of(1, ...value.subarray(5, 21))));
      world.disk.tamper(cutKey(cut.cutId), () => {
        const writer = new ByteWriter().u8(1).uvarint(cut.firstSeq).uvarint(cut.lastSeq).f64(cut.madeAtMs).uvarint(1);
        return wrap(cutKey(cut.cutId), writer.text("anonymous").f64(WINDOW_MS).uvarint(1).finish());
      });
      world.disk.tamper(ordinalKey("anonymous", WINDOW_MS), () => wrap(ordinalKey("anonymous", WINDOW_MS), Uint8Array.of(2)));
      return idOf(head);
    }

    it("of a data dir of the first format comes with a new store id; until then it keeps its id and its ordinals' floor", async () => {
      const former = await firstFormat();
      let { head } = await start();
      expect([idOf(head), head.isFirstFormat, head.bucketMark]).deep.equal([former, true, undefined]);
      expect(head.ordinals(), "they may have holes").deep.equal([]);
      const cutId = head.cuts()[0]!.cutId;
      expect((await head.nextOrdinals(cutId))!.map(({ ordinal }) => ordinal)).deep.equal([2]);
      await sealUnder(head, cutId, ["second"]);
      head = await restart(head);
      expect([idOf(head), head.isFirstFormat], "also once it is written in this format").deep.equal([former, true]);
      await head.adoptBucket(MARK);
      expect(idOf(head)).not.equal(former);
      const id = idOf(head);
      expect([head.isFirstFormat, head.bucketMark, head.ordinals()]).deep.equal([false, MARK, []]);
      head = await restart(head);
      expect([idOf(head), head.isFirstFormat, head.bucketMark, head.ordinals()]).deep.equal([id, false, MARK, []]);
      expect(head.sealed().map(({ key }) => key)).deep.equal(["second", "segment-0"]);
      await sealUnder(head, (await head.cut())!.cutId, ["third"]);
      expect(given(head)).deep.equal(["- 0 1"]);
    });

    it("a floor that format 1 wrote holds until the store has a new id", async () => {
      await firstFormat();
      const { store } = await world.disk.open({ isRepairing: false });
      await store.batch([{ kind: "put", key: META_ORDINAL_FLOOR, value: wrap(META_ORDINAL_FLOOR, Uint8Array.of(100)) }], { isSynced: true });
      const { head } = await start();
      expect((await head.nextOrdinal("anonymous", WINDOW_MS)).ordinal).equal(100);
      await head.adoptBucket(MARK);
      expect((await head.nextOrdinal("anonymous", WINDOW_MS)).ordinal).equal(0);
      expect((await (await restart(head)).nextOrdinal("anonymous", WINDOW_MS)).ordinal).equal(0);
    });

    it("a store that lost its mark and its bucket's is unsure, as one of the first format is", async () => {
      const { head } = await start();
      await sealOne(head, 0);
      await head.close();
      world.disk.tamper(META_STORE, () => undefined);
      expect((await start()).head.isFirstFormat).equal(true);
    });

    it("keeps the former ids of one that has several", async () => {
      let { head } = await start();
      const ids: string[] = [];
      for (const number of [0, 1, 2]) {
        await sealOne(head, number);
        ids.push(idOf(head));
        await head.takeNewStoreId("a test");
      }
      head = await restart(head);
      expect(head.ordinals().map(({ storeId }) => storeId).sort()).deep.equal([...ids].sort());
      expect(world.disk.keys().some((key) => Buffer.compare(key, formerOrdinalKey(ids[0]!, "anonymous", WINDOW_MS)) === 0)).equal(true);
    });
  });
});
