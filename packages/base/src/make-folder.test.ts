import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makeFolders } from "./make-folder.ts";

describe("folders made one by one", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "pyromesh-folders-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const codeOf = (path: string): Promise<unknown> => makeFolders(path).then(() => "made", (error: unknown) => (error as NodeJS.ErrnoException).code);

  it("missing folders are made and returned, outermost first; the second time there are none", async () => {
    const deep = join(dir, "a", "b", "c");
    expect(await makeFolders(deep)).to.deep.equal([join(dir, "a"), join(dir, "a", "b"), deep]);
    expect(statSync(deep).isDirectory()).to.equal(true);
    expect(await makeFolders(deep)).to.deep.equal([]);
  });

  it("two callers that make the same folders at once both succeed", async () => {
    const deep = join(dir, "a", "b");
    await Promise.all(Array.from({ length: 8 }, () => makeFolders(deep)));
    expect(statSync(deep).isDirectory()).to.equal(true);
  });

  it("a file in a folder's place, or above it, is ENOTDIR", async () => {
    writeFileSync(join(dir, "file"), "");
    expect(await codeOf(join(dir, "file"))).to.equal("ENOTDIR");
    expect(await codeOf(join(dir, "file", "x"))).to.equal("ENOTDIR");
  });

  // Node.js' own recursive mkdir loops forever there, and holds a thread of its pool.
  (process.platform === "linux" ? it : it.skip)("a file system that takes no folders ends it", async () => {
    expect(await codeOf("/proc/pyromesh/x")).to.be.oneOf(["ENOENT", "EACCES", "EPERM", "EROFS"]);
  });
});
