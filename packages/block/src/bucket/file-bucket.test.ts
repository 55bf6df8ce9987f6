import { chmod, mkdir, mkdtemp, readdir, rename, rm, rmdir, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { seededRandom, systemClock, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import { isBucketError } from "./bucket.ts";
import { FileBucket } from "./file-bucket.ts";
import { describeBucket, ManualClock } from "../testing/index.ts";

const never = new AbortController().signal;

describe("file bucket", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-bucket-"));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });
  const at = (folder = dir): FileBucket => new FileBucket(folder, { clock: systemClock, random: systemRandom });
  const open = async (folder = dir): Promise<FileBucket> => {
    const bucket = at(folder);
    await bucket.create(never);
    return bucket;
  };
  const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => "done", (error: unknown) => (isBucketError(error) ? error.code : error));

  describeBucket("file", { open: () => open(), openAgain: () => open() });

  it("create: makes the folder and those above it", async () => {
    const bucket = await open(path.join(dir, "a", "b", "c"));
    await bucket.put("k", Buffer.from("x"), {}, never);
    assert.sameMembers(await readdir(path.join(dir, "a", "b", "c")), ["%tmp", "k"]);
  });

  it("only create makes the folder: before it every call is BUCKET_MISSING", async () => {
    const bucket = at(path.join(dir, "a", "b"));
    const listed = async (): Promise<void> => {
      for await (const _page of bucket.list("", {}, never)) assert.fail("a page");
    };
    const put = (): Promise<unknown> => bucket.put("k", Buffer.from("x"), {}, never);
    for (const work of [() => bucket.check(never), () => bucket.get("k", never), () => bucket.head("k", never), put, () => bucket.delete("k", never), listed]) {
      assert.equal(await codeOf(work()), "BUCKET_MISSING");
    }
    assert.deepEqual(await readdir(dir), []);
  });

  it("a folder that is empty may be a mount point whose disk is away: it can be listed, and nothing is put there", async () => {
    const bucket = at();
    await bucket.check(never);
    assert.equal(await codeOf(bucket.get("k", never)), "BUCKET_NOT_FOUND");
    assert.equal(await codeOf(bucket.put("v1/k", Buffer.from("x"), {}, never)), "BUCKET_MISSING");
    assert.deepEqual(await readdir(dir), []);
  });

  it("a put does not make a folder anew that vanished, nor fill one that was emptied; and works again when it is back", async () => {
    const root = path.join(dir, "root");
    const bucket = await open(root);
    await bucket.put("v1/a", Buffer.from("x"), {}, never);
    await rename(root, path.join(dir, "away"));
    assert.equal(await codeOf(bucket.put("v1/b", Buffer.from("x"), {}, never)), "BUCKET_MISSING");
    assert.deepEqual(await readdir(dir), ["away"]);
    await mkdir(root);
    assert.equal(await codeOf(bucket.put("v1/b", Buffer.from("x"), {}, never)), "BUCKET_MISSING");
    assert.deepEqual(await readdir(root), []);
    await rmdir(root);
    await rename(path.join(dir, "away"), root);
    assert.equal(await codeOf(bucket.put("v1/b", Buffer.from("x"), {}, never)), "done");
    assert.equal(Buffer.from(await bucket.get("v1/a", never)).toString(), "x");
  });

  it("a copy without the folder for temporary files is a bucket", async () => {
    await mkdir(path.join(dir, "v1"));
    await writeFile(path.join(dir, "v1", "a"), "x");
    const bucket = at();
    assert.equal(Buffer.from(await bucket.get("v1/a", never)).toString(), "x");
    await bucket.put("v1/b", Buffer.from("x"), {}, never);
    await rm(path.join(dir, "%tmp"), { recursive: true });
    await codeOf(bucket.put("v1/c", Buffer.from("x"), {}, never));
    assert.equal(await codeOf(bucket.put("v1/c", Buffer.from("x"), {}, never)), "done");
  });

  it("list: a folder that is swapped for another meanwhile is a failed LIST", async () => {
    const root = path.join(dir, "root");
    const bucket = await open(root);
    for (let i = 0; i < 1500; i++) await writeFile(path.join(root, `k${String(i).padStart(4, "0")}`), "x");
    const listed = (async () => {
      for await (const page of bucket.list("", {}, never)) {
        assert.lengthOf(page, 1000, "the first page, and no other");
        await rename(root, path.join(dir, "away"));
        await mkdir(root);
      }
    })();
    assert.equal(await codeOf(listed), "BUCKET_UNAVAILABLE");
  });

  it("create: removes what was left half written an hour ago, and nothing younger", async () => {
    const clock = new ManualClock(1_700_000_000_000);
    await mkdir(path.join(dir, "%tmp"));
    for (const [name, ageMs] of [["old", 3_700_000], ["young", 3_500_000]] as const) {
      const file = path.join(dir, "%tmp", name);
      await writeFile(file, "half");
      await utimes(file, (clock.nowMs() - ageMs) / 1000, (clock.nowMs() - ageMs) / 1000);
    }
    await new FileBucket(dir, { clock, random: seededRandom(1) }).create(never);
    assert.deepEqual(await readdir(path.join(dir, "%tmp")), ["young"]);
  });

  it("put: leaves no temporary file, taken or not", async () => {
    const bucket = await open();
    await bucket.put("a/b", Buffer.from("1"), {}, never);
    await bucket.put("a/b", Buffer.from("2"), {}, never);
    await bucket.put("a/b", Buffer.from("3"), { ifAbsent: true }, never);
    assert.deepEqual(await readdir(path.join(dir, "%tmp")), []);
  });

  it("put: an abort in the middle leaves nothing behind", async () => {
    const bucket = await open();
    const controller = new AbortController();
    const put = bucket.put("a/b", new Uint8Array(64 * 2 ** 20), {}, controller.signal);
    controller.abort(new Error("the caller went away"));
    assert.equal(await put.then(() => "done", (error: Error) => error.message), "the caller went away");
    assert.deepEqual(await readdir(path.join(dir, "%tmp")), []);
    assert.deepEqual(await readdir(dir), ["%tmp"]);
  });

  it("delete: folders that become empty go, the bucket's own stays", async () => {
    const bucket = await open();
    await bucket.put("v1/t/w/a", Buffer.from("1"), {}, never);
    await bucket.put("v1/t/x/a", Buffer.from("1"), {}, never);
    await bucket.delete("v1/t/w/a", never);
    assert.deepEqual(await readdir(path.join(dir, "v1", "t")), ["x"]);
    await bucket.delete("v1/t/x/a", never);
    assert.deepEqual(await readdir(dir), ["%tmp"]);
  });

  it("list: what is not ours in the folder is not listed", async () => {
    const bucket = await open();
    await bucket.put("v1/ours", Buffer.from("1"), {}, never);
    for (const name of ["v1/with space", "v1/%zz", "v1/%2F", "v1/%41", "%tmp/half"]) await writeFile(path.join(dir, name), "x");
    const keys: string[] = [];
    for await (const page of bucket.list("", {}, never)) for (const { key } of page) keys.push(key);
    assert.deepEqual(keys, ["v1/ours"]);
  });

  it("no key leads outside the folder", async () => {
    const bucket = await open(path.join(dir, "inner"));
    for (const key of ["..", "../../x", "a/../../x", "/etc/x"]) {
      assert.isTrue(await bucket.put(key, Buffer.from("x"), {}, never).then(() => false, (error: unknown) => isBucketError(error, "BUCKET_KEY_INVALID")));
    }
    await bucket.put("a\\..\\..\\x", Buffer.from("x"), {}, never);
    assert.deepEqual(await readdir(dir), ["inner"]);
  });

  it("a folder that is gone is BUCKET_MISSING, for every call", async () => {
    const bucket = await open(path.join(dir, "inner"));
    await rm(path.join(dir, "inner"), { recursive: true });
    for (const work of [() => bucket.check(never), () => bucket.get("k", never), () => bucket.head("k", never), () => bucket.put("k", Buffer.from("x"), {}, never)]) {
      const error = await work().then((): unknown => undefined, (reason: unknown) => reason);
      assert.isTrue(isBucketError(error, "BUCKET_MISSING"), String(error));
    }
  });

  it("a key that is a folder of another is refused", async () => {
    const bucket = await open();
    await bucket.put("a/b", Buffer.from("x"), {}, never);
    for (const key of ["a", "a/b/c"]) {
      const error = await bucket.put(key, Buffer.from("x"), {}, never).then(() => undefined, (reason: unknown) => reason);
      assert.isTrue(isBucketError(error, "BUCKET_KEY_INVALID"), String(error));
    }
  });

  it("a segment of a key too long for the disk is refused", async () => {
    const bucket = await open();
    const error = await bucket.put(`a/${"x".repeat(300)}`, Buffer.from("x"), {}, never).then(() => undefined, (reason: unknown) => reason);
    assert.isTrue(isBucketError(error, "BUCKET_KEY_INVALID"), String(error));
  });

  it("a folder we may not write is BUCKET_FORBIDDEN", async function () {
    if (process.getuid?.() === 0) this.skip(); // root may write everywhere
    const bucket = await open();
    await chmod(dir, 0o500);
    await chmod(path.join(dir, "%tmp"), 0o500);
    const error = await bucket.put("k", Buffer.from("x"), {}, never).then(() => undefined, (reason: unknown) => reason);
    await chmod(dir, 0o700);
    await chmod(path.join(dir, "%tmp"), 0o700);
    assert.isTrue(isBucketError(error, "BUCKET_FORBIDDEN"), String(error));
  });
});
