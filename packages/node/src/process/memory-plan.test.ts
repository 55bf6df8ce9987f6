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
    const { worker: _, ...caches } = planMemory({ memoryBytes: 512 * MIB, workerCount: 2 });
    expect(caches, "and what requests hold").to.deep.equal({
      objectCacheBytes: 32 * MIB,
      openDatasetBytes: 16 * MIB,
      readAheadBytes: 32 * MIB,
      windowBytesMax: 64 * MIB,
      bodyBytes: 32 * MIB,
      unpackedBytes: 32 * MIB,
      slotCount: 64,
      pushBytes: 32 * MIB,
      recordBytesMax: 16 * MIB,
      replyBytes: 8 * MIB,
      queriesAtOnceMax: 2,
      heapGrowingPercent: 50,
    });
  });

  it("workers' heaps take two fifths of the memory together, and what queries build outside of them one", () => {
    expect(planMemory({ memoryBytes: 8 * GIB, workerCount: 4 }).worker).to.deep.equal({ heapMb: 819, outsideBytesMax: Math.floor((8 * GIB * 0.2) / 4) });
  });

  it("all parts together leave a fifth of the memory to the main thread and the rows, from 512 MB a worker on", () => {
    for (const workerCount of [1, 2, 8]) {
      for (const memoryBytes of [512 * MIB * workerCount, 4 * GIB * workerCount]) {
        const { objectCacheBytes, openDatasetBytes, readAheadBytes, worker } = planMemory({ memoryBytes, workerCount });
        const planned = objectCacheBytes + readAheadBytes + workerCount * (openDatasetBytes + worker.heapMb * MIB + worker.outsideBytesMax);
        expect(planned).to.be.at.most(memoryBytes * 0.8);
      }
    }
  });

  it("replies that are not read take a sixty-fourth of the memory, 128 MiB at most", () => {
    expect([512 * MIB, 2 * GIB, 4 * GIB, 64 * GIB].map((memoryBytes) => planMemory({ memoryBytes, workerCount: 1 }).replyBytes / MIB)).to.deep.equal([8, 32, 64, 128]);
  });

  it("what requests hold follows the memory, between what one push of the default limits needs and what an attacker may take", () => {
    const partsOf = (memoryBytes: number): number[] => {
      const { bodyBytes, unpackedBytes, pushBytes, recordBytesMax } = planMemory({ memoryBytes, workerCount: 1 });
      return [bodyBytes, unpackedBytes, pushBytes, recordBytesMax].map((bytes) => bytes / MIB);
    };
    expect(partsOf(64 * MIB)).to.deep.equal([8, 8, 8, 16]);
    expect(partsOf(1 * GIB)).to.deep.equal([64, 64, 64, 32]);
    expect(partsOf(64 * GIB)).to.deep.equal([128, 64, 128, 64]);
  });

  it("a worker's part is never so little that ordinary queries fail, nor more than V8 gives a heap", () => {
    expect(planMemory({ memoryBytes: 256 * MIB, workerCount: 4 }).worker).to.deep.equal({ heapMb: 128, outsideBytesMax: 64 * MIB });
    expect(planMemory({ memoryBytes: 1024 * GIB, workerCount: 1 }).worker).to.deep.equal({ heapMb: 4096, outsideBytesMax: 4 * GIB });
  });

  it("beyond what helps more memory changes nothing", () => {
    const [large, ample] = [1024 * GIB, Infinity].map((memoryBytes) => planMemory({ memoryBytes, workerCount: 8 }));
    expect({ ...large, windowBytesMax: Infinity }, "but how large a window may be that is read at once").to.deep.equal(ample);
  });
});
