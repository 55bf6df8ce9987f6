import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { countShared, sharedBytes } from "./shared-bytes.ts";

const MIB = 2 ** 20;

describe("shared bytes", () => {
  it("are collected while a thread makes them by the gigabyte and little else", async () => {
    let [liveCount, liveCountMax] = [0, 0];
    const collected = new FinalizationRegistry(() => liveCount--);
    for (let made = 0; made < 200; made++) {
      collected.register(sharedBytes(16 * MIB).buffer, undefined);
      liveCountMax = Math.max(liveCountMax, ++liveCount);
      await setImmediate(); // a finalizer runs in a turn of its own
    }
    expect(liveCountMax).to.be.at.most(50);
  });

  it("are counted once, whoever counts them, and only where they are shared", () => {
    const bytes = sharedBytes(MIB);
    const own = new Uint8Array(MIB);
    const before = process.memoryUsage().external;
    countShared(bytes.subarray(5));
    countShared(own);
    expect(process.memoryUsage().external - before).to.be.below(MIB / 2);
    expect(bytes.every((byte) => byte === 0)).to.equal(true);
  });

  it("of no length are none", () => {
    expect(sharedBytes(0)).to.have.length(0);
  });
});
