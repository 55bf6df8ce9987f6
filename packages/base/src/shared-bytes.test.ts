import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { countShared, sharedBytes } from "./shared-bytes.ts";

const MIB = 2 ** 20;

describe("shared bytes", () => {
  it("are collected while a thread makes them by the gigabyte and little else", async () => {
    expect(await liveCountMax(), "of 200").to.be.at.most(50);
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

/**
 * Makes 200 buffers of 16 MiB in a thread of its own, and resolves with how many of them existed at most at once. Beside the heap of the
 * other tests V8 would take longer to mark, and more of them would be made meanwhile.
 */
async function liveCountMax(): Promise<number> {
  const script = `
    import { setImmediate } from "node:timers/promises";
    import { parentPort } from "node:worker_threads";
    import { sharedBytes } from ${JSON.stringify(new URL("./shared-bytes.js", import.meta.url).href)};
    let [liveCount, liveCountMax] = [0, 0];
    const collected = new FinalizationRegistry(() => liveCount--);
    for (let made = 0; made < 200; made++) {
      collected.register(sharedBytes(${16 * MIB}).buffer, undefined);
      liveCountMax = Math.max(liveCountMax, ++liveCount);
      for (let turn = 0; turn < 4; turn++) await setImmediate(); // V8 marks, and runs finalizers, between turns
    }
    parentPort.postMessage(liveCountMax);`;
  const [count] = (await once(new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`)), "message")) as [number];
  return count;
}
