import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { v8Flags } from "./v8-flags.ts";

describe("v8 flags", () => {
  it("are known to this Node: one that is not would do nothing", () => {
    const known = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
    for (const flag of v8Flags({ heapGrowingPercent: 300 })) expect(known).to.include(` --${flag.replace(/^--(no-)?/, "").replace(/=.*/, "")} `);
  });
});
