/** What every ordered store must do; run on each engine. */
import { expect } from "chai";
import { encodeUtf8, decodeUtf8 } from "@pyromesh/base";
import type { OrderedStore, StoreOp } from "../entries/store.ts";

/** `open` gives an empty store; `reopen` closes it and opens it again. */
export function describeStore(name: string, make: () => Promise<{ store: OrderedStore; reopen: () => Promise<OrderedStore>; clean: () => Promise<void> }>): void {
  describe(`ordered store: ${name}`, () => {
    let made: Awaited<ReturnType<typeof make>>;
    let store: OrderedStore;
    beforeEach(async () => {
      made = await make();
      store = made.store;
    });
    afterEach(() => made.clean());

    const put = (key: string, value: string): StoreOp => ({ kind: "put", key: encodeUtf8(key), value: encodeUtf8(value) });
    const remove = (key: string): StoreOp => ({ kind: "delete", key: encodeUtf8(key) });
    const read = async (from: string, to: string, pageBytes = 1 << 20): Promise<string[]> => {
      const entries: string[] = [];
      for await (const page of store.pages({ from: encodeUtf8(from), to: encodeUtf8(to) }, { pageBytes })) {
        expect(page.length, "no empty page").greaterThan(0);
        for (const { key, value } of page) entries.push(`${decodeUtf8(key)}=${decodeUtf8(value)}`);
      }
      return entries;
    };

    it("gives back what a batch put, and nothing that it deleted", async () => {
      await store.batch([put("a", "1"), put("b", "2")], { isSynced: true });
      await store.batch([remove("a"), put("c", "3")], { isSynced: false });
      expect(await store.get(encodeUtf8("a"))).equal(undefined);
      const values = await store.getMany([encodeUtf8("c"), encodeUtf8("a"), encodeUtf8("b")]);
      expect(values.map((value) => value && decodeUtf8(value))).deep.equal(["3", undefined, "2"]);
    });

    it("applies a batch in order: the last word on a key wins", async () => {
      await store.batch([put("a", "1"), remove("a"), put("a", "2"), put("b", "1"), remove("b")], { isSynced: true });
      expect(await read("a", "z")).deep.equal(["a=2"]);
    });

    for (const sizeBytes of [0, 1 << 20]) {
      it(`takes an op's bytes before it asks for the next, so that they may share one buffer (${sizeBytes} bytes said)`, async () => {
        const key = Uint8Array.of(0x61);
        const value = Uint8Array.of(0x30);
        function* ops(): Generator<StoreOp, void> {
          for (let turn = 0; turn < 3; turn++) {
            yield { kind: "put", key, value };
            key[0]!++;
            value[0]!++;
          }
          key[0] = 0x61;
          yield { kind: "delete", key };
          key[0] = 0x7a;
        }
        await store.batch(ops(), { isSynced: true, sizeBytes });
        expect(await read("a", "z")).deep.equal(["b=1", "c=2"]);
      });
    }

    it("walks a range in bytewise order, from inclusive, to exclusive", async () => {
      await store.batch(["b", "a/2", "a/1", "a0", "a"].map((key) => put(key, "x")), { isSynced: true });
      expect(await read("a", "b")).deep.equal(["a=x", "a/1=x", "a/2=x", "a0=x"]);
      expect(await read("a/", "a0")).deep.equal(["a/1=x", "a/2=x"]);
    });

    it("sorts bytes above 0x7f after those below", async () => {
      const keys = [Uint8Array.of(0x61, 0xff), Uint8Array.of(0x61, 0x00), Uint8Array.of(0x61, 0x80)];
      await store.batch(keys.map((key): StoreOp => ({ kind: "put", key, value: Uint8Array.of(1) })), { isSynced: true });
      const seen: number[] = [];
      for await (const page of store.pages({ from: Uint8Array.of(0x61), to: Uint8Array.of(0x62) }, { pageBytes: 1 })) for (const { key } of page) seen.push(key[1]!);
      expect(seen).deep.equal([0x00, 0x80, 0xff]);
    });

    it("pages a range larger than a page, whole and once", async () => {
      const keys = Array.from({ length: 500 }, (_, i) => `k${String(i).padStart(4, "0")}`);
      await store.batch(keys.map((key) => put(key, "v".repeat(100))), { isSynced: true });
      const entries = await read("k", "l", 2000);
      expect(entries.map((entry) => entry.slice(0, 5))).deep.equal(keys);
    });

    it("walks what was there when the walk began", async () => {
      await store.batch([put("a", "1"), put("b", "1")], { isSynced: true });
      const pages = store.pages({ from: encodeUtf8("a"), to: encodeUtf8("z") }, { pageBytes: 1 })[Symbol.asyncIterator]();
      const first = await pages.next();
      await store.batch([put("c", "1"), remove("b")], { isSynced: true });
      let count = first.value.length;
      for (let next = await pages.next(); !next.done; next = await pages.next()) count += next.value.length;
      expect(count).equal(2);
    });

    it("keeps everything over a reopening, and compacting changes nothing", async () => {
      await store.batch(Array.from({ length: 50 }, (_, i) => put(`k${i}`, "x".repeat(1000))), { isSynced: true });
      await store.batch(Array.from({ length: 25 }, (_, i) => remove(`k${i}`)), { isSynced: true });
      await store.compact({ from: encodeUtf8("k"), to: encodeUtf8("l") });
      store = await made.reopen();
      expect(await read("k", "l")).length(25);
    });

    it("refuses everything once closed", async () => {
      await store.close();
      const outcome = await store.batch([put("a", "1")], { isSynced: true }).then(
        () => "taken",
        () => "refused",
      );
      expect(outcome).equal("refused");
    });
  });
}
