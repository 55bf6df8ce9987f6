import { expect } from "chai";
import { garbageCollector } from "./garbage-collector.ts";

const MIB = 2 ** 20;

describe("the garbage collector", () => {
  it("of what is young lets buffers that nothing refers to any more leave the process, and those in use stay", () => {
    const collect = garbageCollector();
    const used = Buffer.alloc(MIB, 7);
    const beforeBytes = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 8; n++) Buffer.alloc(MIB, n);
    expect(process.memoryUsage().arrayBuffers - beforeBytes).to.be.at.least(6 * MIB);
    // V8 frees what a collection found beside the thread, and counts it at the next one.
    collect({ type: "minor" });
    collect({ type: "minor" });
    expect(process.memoryUsage().arrayBuffers - beforeBytes).to.be.at.most(2 * MIB);
    expect(used.every((byte) => byte === 7)).to.equal(true);
  });
});
