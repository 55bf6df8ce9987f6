import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { V8_FLAGS } from "./v8-flags.ts";

describe("v8 flags", () => {
  it("are known to this Node: one that is not would do nothing", () => {
    const known = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
    for (const flag of V8_FLAGS) expect(known).to.include(` --${flag.replace(/^--(no-)?/, "").replace(/=.*/, "")} `);
  });
});
