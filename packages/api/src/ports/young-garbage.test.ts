import { expect } from "chai";
import { youngCollector } from "./young-garbage.ts";

const MIB = 2 ** 20;

describe("young garbage", () => {
  it("buffers that nothing refers to any more leave the process, and those in use stay", () => {
    const collect = youngCollector();
    const used = Buffer.alloc(MIB, 7);
    const beforeBytes = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 8; n++) Buffer.alloc(MIB, n);
    expect(process.memoryUsage().arrayBuffers - beforeBytes).to.be.at.least(6 * MIB);
    // V8 frees what a collection found beside the thread, and counts it at the next one.
    collect();
    collect();
    expect(process.memoryUsage().arrayBuffers - beforeBytes).to.be.at.most(2 * MIB);
    expect(used.every((byte) => byte === 7)).to.equal(true);
  });
});
