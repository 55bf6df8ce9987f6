/** The bucket's contract as tests: every sentence of `Bucket`, run on every engine. */
import { assert } from "chai";
import type { Bucket, BucketErrorCode, BucketObject, ListOptions } from "../bucket/bucket.ts";
import { BucketError, checkObjectSize, OBJECT_SIZE_BYTES_MAX } from "../bucket/bucket.ts";

export interface BucketSuite {
  /** An empty bucket, made already; called before each test. May call `this.skip()`. */
  open(this: Mocha.Context): Promise<Bucket>;
  /** The same place seen by another node; undefined where an engine has no such thing. */
  openAgain?(): Promise<Bucket>;
  /** False for a store without conditional puts: then only one at a time is told apart. */
  readonly isRaceDecided?: boolean;
}

const never = new AbortController().signal;

export function describeBucket(name: string, suite: BucketSuite): void {
  describe(`bucket contract: ${name}`, () => {
    let bucket: Bucket;
    beforeEach(async function () {
      bucket = await suite.open.call(this);
    });
    afterEach(async () => {
      await bucket?.close();
    });

    const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
    const put = (key: string, value = key): Promise<{ readonly isCreated: boolean }> => bucket.put(key, text(value), {}, never);
    const read = async (key: string): Promise<string> => Buffer.from(await bucket.get(key, never)).toString();
    const pages = async (prefix: string, options: ListOptions = {}): Promise<BucketObject[][]> => {
      const all: BucketObject[][] = [];
      for await (const page of bucket.list(prefix, options, never)) all.push([...page]);
      return all;
    };
    const keys = async (prefix: string, options: ListOptions = {}): Promise<string[]> => (await pages(prefix, options)).flat().map(({ key }) => key);

    it("check: a bucket that is there resolves, empty or not", async () => {
      await bucket.check(never);
      await put("v1/a");
      await bucket.check(never);
    });

    it("dateMs: the store's own clock is about the time, or there is none", async () => {
      const dateMs = await bucket.dateMs?.(never);
      // The machine that runs the test runs the store.
      if (dateMs !== undefined) assert.isAtMost(Math.abs(dateMs - Date.now()), 60_000);
    });

    it("create: where the place is there already nothing changes", async () => {
      await put("v1/a");
      await bucket.create(never);
      assert.deepEqual(await keys(""), ["v1/a"]);
    });

    it("put: what was put is what is got", async () => {
      const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => (i * 7919) >> 3);
      assert.deepEqual(await bucket.put("v1/a/b.seg", bytes, {}, never), { isCreated: true });
      assert.isTrue(Buffer.from(await bucket.get("v1/a/b.seg", never)).equals(bytes));
    });

    it("put: an empty object is an object", async () => {
      await bucket.put("v1/empty", new Uint8Array(0), {}, never);
      assert.lengthOf(await bucket.get("v1/empty", never), 0);
      assert.equal((await bucket.head("v1/empty", never)).sizeBytes, 0);
    });

    it("put: replaces what was there, and is read at once", async () => {
      for (let i = 0; i < 5; i++) {
        assert.deepEqual(await put("k/one", `value ${i}`), { isCreated: true });
        assert.equal(await read("k/one"), `value ${i}`);
      }
      assert.deepEqual(await keys("k/"), ["k/one"]);
    });

    it("put: a view in the middle of a buffer is put as the view", async () => {
      const buffer = text("0123456789");
      await bucket.put("k/view", buffer.subarray(3, 6), {}, never);
      assert.equal(await read("k/view"), "345");
    });

    it("put: the stored bytes are not the caller's array, nor are those got", async () => {
      const bytes = text("kept");
      await bucket.put("k/own", bytes, {}, never);
      bytes.fill(0);
      (await bucket.get("k/own", never)).fill(1);
      (await bucket.getRange("k/own", 0, 2, never)).fill(1);
      assert.equal(await read("k/own"), "kept");
    });

    it("put ifAbsent: creates where nothing is, and leaves alone what is there", async () => {
      assert.deepEqual(await bucket.put("k/once", text("first"), { ifAbsent: true }, never), { isCreated: true });
      assert.deepEqual(await bucket.put("k/once", text("second"), { ifAbsent: true }, never), { isCreated: false });
      assert.equal(await read("k/once"), "first");
    });

    it("put ifAbsent: works again after a delete", async () => {
      await put("k/again", "old");
      await bucket.delete("k/again", never);
      assert.deepEqual(await bucket.put("k/again", text("new"), { ifAbsent: true }, never), { isCreated: true });
      assert.equal(await read("k/again"), "new");
    });

    if (suite.isRaceDecided !== false) {
      it("put ifAbsent: of ten at once exactly one creates, and its bytes stay", async () => {
        const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => bucket.put("k/race", text(`${i}`), { ifAbsent: true }, never)));
        assert.lengthOf(outcomes.filter(({ isCreated }) => isCreated), 1);
        assert.equal(await read("k/race"), `${outcomes.findIndex(({ isCreated }) => isCreated)}`);
      });
    }

    it("put: twenty at once into one new folder all arrive", async () => {
      await Promise.all(Array.from({ length: 20 }, (_, i) => put(`new/folder/${String(i).padStart(2, "0")}`)));
      assert.lengthOf(await keys("new/folder/"), 20);
    });

    it("put and delete at once in one folder: every put is there after it", async () => {
      for (let round = 0; round < 10; round++) {
        await put(`churn/x/old${round}`);
        await Promise.all([bucket.delete(`churn/x/old${round}`, never), put(`churn/x/new${round}`)]);
        assert.equal(await read(`churn/x/new${round}`), `churn/x/new${round}`);
        await bucket.delete(`churn/x/new${round}`, never);
      }
      assert.deepEqual(await keys("churn/"), []);
    });

    it("getRange: gives exactly the bytes asked for", async () => {
      await put("k/range", "0123456789");
      const range = async (offset: number, length: number): Promise<string> => Buffer.from(await bucket.getRange("k/range", offset, length, never)).toString();
      assert.equal(await range(0, 1), "0");
      assert.equal(await range(3, 4), "3456");
      assert.equal(await range(9, 1), "9");
      assert.equal(await range(0, 10), "0123456789");
    });

    it("getRange: no bytes asks nobody", async () => {
      assert.lengthOf(await bucket.getRange("k/nothing here", 5, 0, never), 0);
    });

    it("getRange: a range that the object does not hold whole is refused", async () => {
      await put("k/range", "0123456789");
      await refused(bucket.getRange("k/range", 8, 4, never), "BUCKET_RANGE_OUTSIDE");
      await refused(bucket.getRange("k/range", 10, 1, never), "BUCKET_RANGE_OUTSIDE");
      await refused(bucket.getRange("k/range", 500, 5, never), "BUCKET_RANGE_OUTSIDE");
      await bucket.put("k/empty", new Uint8Array(0), {}, never);
      await refused(bucket.getRange("k/empty", 0, 1, never), "BUCKET_RANGE_OUTSIDE");
    });

    it("head: size and a time that is not long ago", async () => {
      await put("k/head", "12345");
      const found = await bucket.head("k/head", never);
      assert.equal(found.key, "k/head");
      assert.equal(found.sizeBytes, 5);
      assert.closeTo(found.lastModifiedMs, Date.now(), 120_000);
    });

    it("get, getRange, head: what is not there is BUCKET_NOT_FOUND, and names its key", async () => {
      for (const work of [() => bucket.get("k/none", never), () => bucket.getRange("k/none", 0, 1, never), () => bucket.head("k/none", never)]) {
        const error = await refused(work(), "BUCKET_NOT_FOUND");
        assert.equal(error.key, "k/none");
        assert.isFalse(error.isRetriable);
      }
    });

    it("get: a folder is no object", async () => {
      await put("k/folder/leaf");
      await refused(bucket.get("k/folder", never), "BUCKET_NOT_FOUND");
      await refused(bucket.head("k/folder", never), "BUCKET_NOT_FOUND");
      await bucket.delete("k/folder", never);
      assert.equal(await read("k/folder/leaf"), "k/folder/leaf");
    });

    it("delete: gone from get and list; again is fine", async () => {
      await put("k/a");
      await put("k/b");
      await bucket.delete("k/a", never);
      await bucket.delete("k/a", never);
      await bucket.delete("never/was", never);
      await refused(bucket.get("k/a", never), "BUCKET_NOT_FOUND");
      assert.deepEqual(await keys(""), ["k/b"]);
    });

    it("list: an empty bucket gives no page", async () => {
      assert.deepEqual(await pages(""), []);
      assert.deepEqual(await pages("v1/none/"), []);
    });

    it("list: in bytewise key order, folders or not", async () => {
      const given = ["v1/a-b/x", "v1/a/x", "v1/a.b/x", "v1/aa/x", "v1/a/x-1", "v1/a/x.1", "v1/Z/x", "v1/é/x", "v1/\u{1f600}/x", "v1/\uff5e/x", "v0", "v1-"];
      for (const key of given) await put(key);
      const expected = given.toSorted((a, b) => Buffer.compare(text(a), text(b)));
      assert.deepEqual(await keys(""), expected);
      assert.deepEqual(await keys("v1/"), expected.filter((key) => key.startsWith("v1/")));
    });

    it("list: the prefix need not end at a slash", async () => {
      for (const key of ["p/ab1", "p/ab2/x", "p/ac", "p/ab"]) await put(key);
      await bucket.delete("p/ab", never);
      assert.deepEqual(await keys("p/ab"), ["p/ab1", "p/ab2/x"]);
      assert.deepEqual(await keys("p/ab2/"), ["p/ab2/x"]);
    });

    it("list: startAfter begins behind a key, there or not", async () => {
      for (const key of ["s/a/1", "s/a/2", "s/b/1", "s/c/1"]) await put(key);
      assert.deepEqual(await keys("s/", { startAfter: "s/a/1" }), ["s/a/2", "s/b/1", "s/c/1"]);
      assert.deepEqual(await keys("s/", { startAfter: "s/a/15" }), ["s/a/2", "s/b/1", "s/c/1"]);
      assert.deepEqual(await keys("s/", { startAfter: "s/b" }), ["s/b/1", "s/c/1"]);
      assert.deepEqual(await keys("s/", { startAfter: "s/c/1" }), []);
      assert.deepEqual(await keys("s/", { startAfter: "a" }), ["s/a/1", "s/a/2", "s/b/1", "s/c/1"]);
    });

    it("list: limit is for all pages together", async () => {
      for (const key of ["l/1", "l/2", "l/3"]) await put(key);
      assert.deepEqual(await keys("l/", { limit: 2 }), ["l/1", "l/2"]);
      assert.deepEqual(await keys("l/", { limit: 3 }), ["l/1", "l/2", "l/3"]);
      assert.deepEqual(await keys("l/", { limit: 1, startAfter: "l/1" }), ["l/2"]);
      assert.deepEqual(await keys("l/", { limit: 0 }), []);
    });

    it("list: gives sizes and times", async () => {
      await put("l/sized", "1234567");
      const [[found]] = (await pages("l/")) as [[BucketObject]];
      assert.equal(found.sizeBytes, 7);
      assert.closeTo(found.lastModifiedMs, Date.now(), 120_000);
    });

    it("list: more than a page's worth comes in several, whole and in order", async function () {
      this.timeout(60_000);
      const given = Array.from({ length: 1103 }, (_, i) => `many/${i % 7}/${String(i).padStart(5, "0")}`);
      const left = [...given];
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          for (let key = left.pop(); key !== undefined; key = left.pop()) await put(key, "x");
        }),
      );
      const found = await pages("many/");
      assert.isAtLeast(found.length, 2);
      assert.deepEqual(found.flat().map(({ key }) => key), given.toSorted());
      assert.lengthOf(await keys("many/", { limit: 1050 }), 1050);
    });

    it("list: a reader that stops early leaves the bucket working", async () => {
      for (const key of ["e/1", "e/2"]) await put(key);
      for await (const page of bucket.list("e/", {}, never)) {
        assert.equal(page[0]?.key, "e/1");
        break;
      }
      assert.deepEqual(await keys("e/"), ["e/1", "e/2"]);
    });

    it("keys: odd characters round-trip through put, get and list", async () => {
      const odd = ["a b+c", "100%25", "ü&~(1)!'*.blk", "%tmp", "..a", "a..", ".hidden", "...", "con:", 'q"<>|\\', "=?#;,@$[]{}^`", "日本語", "UPPER", "upper", "a%2fb"];
      for (const name of odd) await put(`odd/${name}/x`, name);
      for (const name of odd) assert.equal(await read(`odd/${name}/x`), name);
      assert.deepEqual(await keys("odd/"), odd.map((name) => `odd/${name}/x`).sort((a, b) => Buffer.compare(text(a), text(b))));
      for (const name of odd) await bucket.delete(`odd/${name}/x`, never);
      assert.deepEqual(await keys(""), []);
    });

    it("keys: what some engine could not keep is refused by all", async () => {
      for (const key of ["", "/a", "a/", "a//b", ".", "..", "a/../b", "../../etc/x", "a/./b", "nul\0", "line\n", "half\ud800", "x".repeat(1000)]) {
        await refused(bucket.put(key, text("x"), {}, never), "BUCKET_KEY_INVALID");
        await refused(bucket.get(key, never), "BUCKET_KEY_INVALID");
        await refused(bucket.delete(key, never), "BUCKET_KEY_INVALID");
      }
      assert.deepEqual(await keys(""), []);
    });

    it("keys: one of 800 bytes in segments works", async () => {
      const key = Array.from({ length: 4 }, (_, i) => `${i}${"k".repeat(199)}`).join("/");
      await put(key, "long");
      assert.equal(await read(key), "long");
      assert.deepEqual(await keys(""), [key]);
    });

    it("large: 20 MiB go in and out unharmed, and by range", async function () {
      this.timeout(60_000);
      const bytes = new Uint8Array(20 * 2 ** 20);
      for (let i = 0; i < bytes.length; i += 1021) bytes[i] = i >> 10;
      await bucket.put("big/one", bytes, { ifAbsent: true }, never);
      assert.isTrue(Buffer.from(await bucket.get("big/one", never)).equals(bytes));
      const range = await bucket.getRange("big/one", 9_999_999, 3_000_001, never);
      assert.isTrue(Buffer.from(range).equals(bytes.subarray(9_999_999, 13_000_000)));
    });

    it("large: beyond the bound is refused before anything is read", async () => {
      assert.throws(() => checkObjectSize(bucket.name, "k", OBJECT_SIZE_BYTES_MAX + 1), BucketError);
      const fake = { length: OBJECT_SIZE_BYTES_MAX + 1 } as Uint8Array; // only its length may be looked at
      await refused(bucket.put("k/huge", fake, {}, never), "BUCKET_OBJECT_TOO_LARGE");
    });

    it("signal: what is aborted already rejects with its reason, and does nothing", async () => {
      const reason = new Error("the caller went away");
      const aborted = AbortSignal.abort(reason);
      const outcomes = await Promise.allSettled([
        bucket.create(aborted),
        bucket.check(aborted),
        bucket.get("k/a", aborted),
        bucket.getRange("k/a", 0, 1, aborted),
        bucket.head("k/a", aborted),
        bucket.put("k/a", text("x"), {}, aborted),
        bucket.delete("k/a", aborted),
        (async () => {
          for await (const _page of bucket.list("", {}, aborted)) assert.fail("a page after the abort");
        })(),
      ]);
      for (const outcome of outcomes) assert.deepEqual(outcome, { status: "rejected", reason });
      assert.deepEqual(await keys(""), []);
    });

    if (suite.openAgain !== undefined) {
      it("another node sees it all", async () => {
        const other = await suite.openAgain!();
        try {
          await put("shared/a", "from one");
          assert.equal(Buffer.from(await other.get("shared/a", never)).toString(), "from one");
          assert.deepEqual(await other.put("shared/a", text("from two"), { ifAbsent: true }, never), { isCreated: false });
          await other.delete("shared/a", never);
          assert.deepEqual(await keys(""), []);
        } finally {
          await other.close();
        }
      });
    }
  });
}

async function refused(work: Promise<unknown>, code: BucketErrorCode): Promise<BucketError> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.instanceOf(outcome, BucketError, `expected ${code}`);
  const error = outcome as BucketError;
  assert.equal(error.code, code, error.message);
  return error;
}
