import { readFileSync } from "node:fs";
import { expect } from "chai";
import { areLargeBytes, freeBytes, grownTo, largeBytes } from "./large-bytes.ts";

const MIB = 2 ** 20;

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

describe("large bytes", () => {
  it("grow in place and keep what they hold", () => {
    const first = largeBytes(MIB, 4 * MIB).fill(7);
    const grown = grownTo(first, 3 * MIB);
    expect(grown.buffer).to.equal(first.buffer);
    expect([grown.length, grown[MIB - 1], grown[MIB], grown[3 * MIB - 1]]).to.deep.equal([3 * MIB, 7, 0, 0]);
    expect(() => grownTo(grown, 5 * MIB)).to.throw(RangeError);
  });

  it("are gone from the process at once where they are freed, and every view of them is empty", function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    const beforeBytes = residentBytes();
    const bytes = largeBytes(128 * MIB).fill(7);
    const part = bytes.subarray(MIB);
    expect(residentBytes() - beforeBytes).to.be.at.least(100 * MIB);
    freeBytes(part);
    expect(residentBytes() - beforeBytes).to.be.at.most(30 * MIB);
    expect([bytes.length, part.length]).to.deep.equal([0, 0]);
    freeBytes(bytes); // a second time is of no effect
  });

  it("take no memory for a length that they may have and do not", function () {
    if (process.platform !== "linux") this.skip(); // it reads /proc
    const beforeBytes = residentBytes();
    const bytes = largeBytes(0, 256 * MIB);
    expect(residentBytes() - beforeBytes).to.be.at.most(30 * MIB);
    expect(areLargeBytes(bytes)).to.equal(true);
  });

  it("are told from other bytes, which stay as they are", () => {
    const [own, shared] = [new Uint8Array(8).fill(7), new Uint8Array(new SharedArrayBuffer(8)).fill(7)];
    for (const bytes of [own, shared]) {
      expect(areLargeBytes(bytes)).to.equal(false);
      freeBytes(bytes);
      expect([...bytes]).to.deep.equal(Array(8).fill(7));
    }
  });
});
