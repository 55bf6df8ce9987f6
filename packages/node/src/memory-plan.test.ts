import { expect } from "chai";
import { planMemory } from "./memory-plan.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

describe("memory plan", () => {
  it("all caches together take an eighth of the memory at most, whatever the number of workers", () => {
    for (const memoryBytes of [128 * MIB, 512 * MIB, 2 * GIB, 64 * GIB]) {
      for (const workerCount of [1, 3, 8]) {
        const plan = planMemory({ memoryBytes, workerCount });
        expect(plan.objectCacheBytes + workerCount * plan.openDatasetBytes).to.be.at.most(memoryBytes / 8);
        expect(plan.readAheadBytes).to.be.at.most(memoryBytes / 16);
      }
    }
    expect(planMemory({ memoryBytes: 512 * MIB, workerCount: 2 })).to.deep.equal({ objectCacheBytes: 32 * MIB, openDatasetBytes: 16 * MIB, readAheadBytes: 32 * MIB, windowBytesMax: 64 * MIB, heapGrowingPercent: 50 });
  });

  it("beyond what helps more memory changes nothing", () => {
    const [large, ample] = [64 * GIB, Infinity].map((memoryBytes) => planMemory({ memoryBytes, workerCount: 8 }));
    expect({ ...large, windowBytesMax: Infinity }, "but how large a window may be that is read at once").to.deep.equal(ample);
  });
});
