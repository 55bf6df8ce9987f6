import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { describeSystemError, systemErrorOf } from "./system-errors.ts";

describe("errors of the operating system", () => {
  it("are told in words with their code, also as a cause of another error", async () => {
    const error = await readFile("/dev/null/x").then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(describeSystemError(error)).to.equal("a file is there where a folder is needed (ENOTDIR)");
    expect(systemErrorOf(new Error("opening", { cause: error }))).to.include({ code: "ENOTDIR", path: "/dev/null/x" });
  });

  it("those of LevelDB are recognised by the system's text, which follows the file's name", () => {
    const inner = Object.assign(new Error("IO error: /data/head/db/LOCK: Too many open files"), { code: "LEVEL_IO_ERROR" });
    const outer = Object.assign(new Error("Database failed to open", { cause: inner }), { code: "LEVEL_DATABASE_NOT_OPEN" });
    expect(systemErrorOf(outer)?.code).to.equal("EMFILE");
    for (const [words, code] of [["Read-only file system", "EROFS"], ["Permission denied", "EACCES"], ["No space left on device", "ENOSPC"], ["Too many open files in system", "ENFILE"]]) {
      expect(systemErrorOf(Object.assign(new Error(`IO error: /x: ${words}`), { code: "LEVEL_IO_ERROR" }))?.code).to.equal(code);
    }
  });

  it("a bug of ours is no error of the operating system", () => {
    for (const thrown of [new TypeError("x is not a function"), new Error("permission denied"), Object.assign(new Error("x"), { code: "ERR_INVALID_ARG_TYPE" }), "text", undefined]) {
      expect(describeSystemError(thrown)).to.equal(undefined);
    }
  });
});
