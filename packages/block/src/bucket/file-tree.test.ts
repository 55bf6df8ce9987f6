import type { FileHandle } from "node:fs/promises";
import { mkdtemp, open as openFile, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import { FileTree } from "./file-tree.ts";

describe("file tree: what it asks of the disk", () => {
  let dir: string;
  let prototype: FileHandle;
  let original: FileHandle["sync"];
  let synced: string[];
  let failOn: (file: string) => boolean;

  beforeEach(async function () {
    if (process.platform !== "linux") this.skip(); // the name of an open file is read from /proc
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-tree-"));
    const handle = await openFile(dir, "r");
    prototype = Object.getPrototypeOf(handle) as FileHandle; // every FileHandle's methods
    await handle.close();
    original = prototype.sync;
    synced = [];
    failOn = () => false;
    prototype.sync = async function (this: FileHandle) {
      const file = path.relative(dir, await readlink(`/proc/self/fd/${this.fd}`)) || ".";
      synced.push(file.startsWith("%tmp/") ? "%tmp/*" : file);
      if (failOn(file)) throw Object.assign(new Error("the disk is broken"), { code: "EIO" });
      return original.call(this);
    };
  });
  afterEach(async () => {
    if (prototype !== undefined) prototype.sync = original;
    await rm(dir, { recursive: true, force: true });
  });
  const open = async (): Promise<FileTree> => {
    const tree = await FileTree.open(dir, { clock: systemClock, random: systemRandom });
    synced = [];
    return tree;
  };
  const keys = async (tree: FileTree): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of tree.walk("", "")) found.push(key);
    return found;
  };

  it("a write syncs the bytes first, then every folder up to the root", async () => {
    const tree = await open();
    await tree.write("v1/t/w/a", Buffer.from("x"), { ifAbsent: false });
    assert.deepEqual(synced, ["%tmp/*", "v1/t/w", "v1/t", "v1", "."]);
  });

  it("a name that was taken is synced too: whoever took it may not have come so far", async () => {
    const tree = await open();
    await tree.write("a/b", Buffer.from("x"), { ifAbsent: true });
    synced = [];
    assert.isFalse(await tree.write("a/b", Buffer.from("y"), { ifAbsent: true }));
    assert.deepEqual(synced, ["%tmp/*", "a", "."]);
  });

  it("a delete syncs the folder", async () => {
    const tree = await open();
    await tree.write("a/b", Buffer.from("x"), { ifAbsent: true });
    synced = [];
    assert.isTrue(await tree.delete("a/b"));
    assert.deepEqual(synced, ["a"]);
    assert.isFalse(await tree.delete("a/b"));
  });

  it("bytes that cannot be synced get no name, and leave nothing", async () => {
    const tree = await open();
    failOn = (file) => file.startsWith("%tmp/");
    for (const ifAbsent of [true, false]) {
      const error = await tree.write("a/b", Buffer.from("x"), { ifAbsent }).then(() => undefined, (reason: Error) => reason);
      assert.equal(error?.message, "the disk is broken");
    }
    assert.deepEqual(await keys(tree), []);
    assert.deepEqual(await readdir(path.join(dir, "%tmp")), []);
  });

  it("a folder that cannot be synced fails the write: it is not said to be kept", async () => {
    const tree = await open();
    failOn = (file) => file === "a";
    const error = await tree.write("a/b", Buffer.from("x"), { ifAbsent: true }).then(() => undefined, (reason: Error) => reason);
    assert.equal(error?.message, "the disk is broken");
  });

  it("a new root is synced into the folder above it", async () => {
    await FileTree.open(path.join(dir, "x", "y"), { clock: systemClock, random: systemRandom });
    assert.includeMembers(synced, ["x/y/%tmp", "x/y", "x", "."]);
  });
});
