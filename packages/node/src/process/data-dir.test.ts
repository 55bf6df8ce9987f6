import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { dataDirError, prepareDataDir } from "./data-dir.ts";

describe("data directory", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "pyromesh-data-dir-"));
  });
  afterEach(() => {
    chmodSync(dir, 0o700);
    rmSync(dir, { recursive: true, force: true });
  });
  const refusalOf = async (path: string): Promise<string> => {
    const thrown = await prepareDataDir(path).then(() => undefined, (error: unknown) => error);
    if (thrown === undefined) return "taken";
    expect(thrown).to.include({ code: "DATA_DIR_UNUSABLE", kind: "failed_precondition" });
    return (thrown as CodedError).message;
  };

  it("is made where it is missing, with the folders above it, and taken as it is where it is there", async () => {
    const path = join(dir, "a", "b");
    expect(await refusalOf(path)).to.equal("taken");
    expect(statSync(path).isDirectory()).to.equal(true);
    mkdirSync(join(path, "head", "db"), { recursive: true });
    expect(await refusalOf(path)).to.equal("taken");
  });

  it("a file in its place, or above it, or in the place of a folder in it, is named", async () => {
    const file = join(dir, "file");
    writeFileSync(file, "");
    const words = "a file is there where a folder is needed (ENOTDIR); move the file away, or name another with --data-dir";
    expect(await refusalOf(file)).to.equal(`the data directory ${file} cannot be made: ${words}`);
    expect(await refusalOf(join(file, "x"))).to.equal(`the data directory ${join(file, "x")} cannot be made: ${words}`);
    for (const name of ["sealed", "head", "head/db"]) {
      const data = join(dir, "data");
      const path = join(data, name);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, "");
      expect(await refusalOf(data)).to.equal(`the folder ${path} cannot be written to: ${words}`);
      rmSync(data, { recursive: true });
    }
  });

  // Root may write everywhere.
  (process.getuid?.() === 0 ? it.skip : it)("one that this user may not write to is refused with what to do", async () => {
    chmodSync(dir, 0o500);
    expect(await refusalOf(dir)).to.match(/the user of this process has no right to it \(EACCES\); give the user/);
  });

  it("what the system refuses while it is opened is told in the same words, and a bug of ours is not", () => {
    const system = Object.assign(new Error("EROFS: read-only file system, open"), { code: "EROFS", path: "/d/head/witness" });
    expect(dataDirError("/d", system)).to.include({ code: "DATA_DIR_UNUSABLE", message: "in the data directory, /d/head/witness cannot be used: its file system is read-only (EROFS); mount it for writing, or name another with --data-dir" });
    for (const thrown of [new TypeError("x"), new CodedError({ code: "HEAD_LOCKED", kind: "failed_precondition", message: "m", cause: system })]) {
      expect(dataDirError("/d", thrown)).to.equal(thrown);
    }
  });
});
