import { expect } from "chai";
import { limitOf } from "../memory-limit.ts";
import { workerMemory } from "./worker-memory.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

describe("worker memory", () => {
  it("workers' heaps take two fifths of the memory together, and what queries build outside of them one", () => {
    expect(workerMemory(8 * GIB, 4)).to.deep.equal({ heapMb: 819, outsideBytesMax: Math.floor(8 * GIB * 0.2 / 4) });
    for (const workerCount of [1, 2, 8]) {
      const { heapMb, outsideBytesMax } = workerMemory(16 * GIB, workerCount);
      expect((heapMb * MIB + outsideBytesMax) * workerCount).to.be.at.most(16 * GIB * 0.6);
    }
  });

  it("is never so little that ordinary queries fail, nor more than V8 gives a heap", () => {
    expect(workerMemory(256 * MIB, 4)).to.deep.equal({ heapMb: 128, outsideBytesMax: 64 * MIB });
    expect(workerMemory(1024 * GIB, 1)).to.deep.equal({ heapMb: 4096, outsideBytesMax: 4 * GIB });
  });

  it("the process's memory is its cgroup's where that has a limit, else the machine's", () => {
    expect(limitOf(512 * MIB, 8 * GIB)).to.equal(512 * MIB);
    for (const none of [undefined, 0, 2 ** 63]) expect(limitOf(none, 8 * GIB)).to.equal(8 * GIB);
  });
});
