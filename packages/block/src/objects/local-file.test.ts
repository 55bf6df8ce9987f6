import { WINDOW_MS } from "@pyromesh/profile";
import { mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CodedError, CorruptionError, parseTenantId, systemClock, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import { FolderFiles } from "./local-file.ts";
import { segmentKey } from "../listing/object-path.ts";

const never = new AbortController().signal;

describe("local files", () => {
  let dir: string;
  let files: FolderFiles;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-local-"));
    files = await open();
  });
  afterEach(async () => {
    await files.close();
    await rm(dir, { recursive: true, force: true });
  });
  const open = (): Promise<FolderFiles> => FolderFiles.open({ dir, openFileCountMax: 3 }, { clock: systemClock, random: systemRandom });
  const read = async (key: string, offset: number, length: number): Promise<string> => Buffer.from(await files.read(key, offset, length, never)).toString();

  it("what was written is read by ranges, also after opening again", async () => {
    assert.isTrue(await files.write("v1/a/x.seg", Buffer.from("0123456789")));
    assert.equal(await read("v1/a/x.seg", 2, 3), "234");
    await files.close();
    files = await open();
    const source = await files.source("v1/a/x.seg");
    assert.equal(source.sizeBytes, 10);
    assert.equal(Buffer.from(await source.read(9, 1, never)).toString(), "9");
    assert.equal((await readFile(files.pathOf("v1/a/x.seg"))).toString(), "0123456789");
  });

  it("sealing the same key again keeps the first file", async () => {
    await files.write("k", Buffer.from("first"));
    assert.isFalse(await files.write("k", Buffer.from("other")));
    assert.equal(await read("k", 0, 5), "first");
  });

  it("the longest key there can be fits", async () => {
    const key = segmentKey({ tenant: parseTenantId("*".repeat(150)), windowStartMs: WINDOW_MS * 400_000, minTimeMs: WINDOW_MS * 400_000, maxTimeMs: WINDOW_MS * 400_000, storeId: "f".repeat(32), ordinal: 2 ** 53 - 1 });
    await files.write(key, Buffer.from("x"));
    assert.deepEqual((await files.list()).map((file) => file.key), [key]);
  });

  it("list gives keys and sizes in order; delete takes one away, and again is fine", async () => {
    for (const key of ["v1/b/2", "v1/a/1", "v1/a/3"]) await files.write(key, Buffer.from(key));
    assert.deepEqual((await files.list()).map(({ key, sizeBytes }) => [key, sizeBytes]), [["v1/a/1", 6], ["v1/a/3", 6], ["v1/b/2", 6]]);
    assert.deepEqual((await files.list("v1/a/")).map(({ key }) => key), ["v1/a/1", "v1/a/3"]);
    await files.delete("v1/a/1");
    await files.delete("v1/a/1");
    assert.deepEqual((await files.list()).map(({ key }) => key), ["v1/a/3", "v1/b/2"]);
  });

  it("a file set aside is in no list and cannot be read, but its bytes stay on disk, however often and over another start", async () => {
    const places: string[] = [];
    for (const text of ["first", "second"]) {
      await files.write("v1/a/1", Buffer.from(text));
      await read("v1/a/1", 0, 5);
      places.push((await files.setAside("v1/a/1"))!);
      const error: unknown = await files.read("v1/a/1", 0, 1, never).catch((thrown: unknown) => thrown);
      assert.equal((error as CodedError).code, "LOCAL_FILE_MISSING");
    }
    assert.isUndefined(await files.setAside("v1/a/1"), "there is nothing any more");
    await files.close();
    files = await open();
    assert.deepEqual(await files.list(), []);
    assert.deepEqual(await Promise.all(places.map(async (place) => (await readFile(place)).toString())), ["first", "second"]);
  });

  it("no more files stay open than allowed, whatever is read", async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `k/${i}`);
    for (const key of keys) await files.write(key, Buffer.from(key.padEnd(10)));
    await Promise.all([...keys, ...keys, ...keys].map(async (key) => assert.equal(await read(key, 0, 10), key.padEnd(10))));
    assert.isAtMost(files.openFileCount, 3);
  });

  it("a read under way ends well although the file is deleted", async () => {
    await files.write("k", new Uint8Array(16 * 2 ** 20).fill(7));
    await files.read("k", 0, 1, never);
    const reading = files.read("k", 0, 16 * 2 ** 20, never);
    await files.delete("k");
    assert.equal((await reading).at(-1), 7);
    assert.equal(files.openFileCount, 0);
  });

  it("a file that is not there is LOCAL_FILE_MISSING, and is found once it is", async () => {
    for (const work of [() => files.source("k"), () => files.read("k", 0, 1, never)]) {
      const error = await work().then((): unknown => undefined, (reason: unknown) => reason);
      assert.instanceOf(error, CodedError);
      assert.equal((error as CodedError).code, "LOCAL_FILE_MISSING");
    }
    assert.equal(files.openFileCount, 0);
    await files.write("k", Buffer.from("x"));
    assert.equal(await read("k", 0, 1), "x");
  });

  it("a file that is shorter than it was is corrupt, with the place", async () => {
    await files.write("k", Buffer.from("0123456789"));
    await truncate(files.pathOf("k"), 6);
    const error = await files.read("k", 4, 6, never).then((): unknown => undefined, (reason: unknown) => reason);
    assert.instanceOf(error, CorruptionError);
    assert.equal((error as CorruptionError).offset, 6);
  });

  it("an aborted read rejects with the caller's reason", async () => {
    await files.write("k", Buffer.from("x"));
    const reason = new Error("the caller went away");
    assert.strictEqual(await files.read("k", 0, 1, AbortSignal.abort(reason)).then((): unknown => undefined, (error: unknown) => error), reason);
  });
});
