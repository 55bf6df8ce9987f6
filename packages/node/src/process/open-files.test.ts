import { expect } from "chai";
import { openFilesLimit, planOpenFiles } from "./open-files.ts";

describe("open files", () => {
  it("connections get what is left when everything else has its part", () => {
    const plans = [256, 300, 1024, 4096, 11_648, 1_048_576].map((limit) => planOpenFiles(limit, true));
    expect(plans).to.deep.equal([
      { kind: "enough", connectionCountMax: 32, isShort: true },
      { kind: "enough", connectionCountMax: 71, isShort: true },
      { kind: "enough", connectionCountMax: 704, isShort: true },
      { kind: "enough", connectionCountMax: 3392, isShort: true },
      { kind: "enough", connectionCountMax: 10_000, isShort: false },
      { kind: "enough", connectionCountMax: 10_000, isShort: false },
    ]);
  });

  it("with too few it is told what to do; a command needs fewer than the node", () => {
    for (const limit of [0, 64, 255]) {
      const plan = planOpenFiles(limit, true);
      expect(plan.kind).to.equal("too-few");
      expect(plan).to.have.property("message").that.matches(new RegExp(`may have ${limit} files open and needs at least 256: raise the limit \\(ulimit -n`));
    }
    expect(planOpenFiles(200, false).kind).to.equal("enough");
    expect(planOpenFiles(100, false).kind).to.equal("too-few");
  });

  it("where the system does not say, it is taken to be enough", () => {
    expect(planOpenFiles(undefined, true)).to.deep.equal({ kind: "enough", connectionCountMax: 10_000, isShort: false });
    expect(openFilesLimit() ?? 1).to.be.greaterThan(0);
  });
});
