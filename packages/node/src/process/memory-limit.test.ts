import { expect } from "chai";
import { limitOf } from "./memory-limit.ts";

const MIB = 2 ** 20;

describe("memory limit", () => {
  it("is the cgroup's where there is one, and never more than the machine has", () => {
    expect(limitOf(512 * MIB, 8192 * MIB)).to.equal(512 * MIB);
    for (const none of [undefined, 0, 2 ** 64]) expect(limitOf(none, 8192 * MIB)).to.equal(8192 * MIB);
  });
});
