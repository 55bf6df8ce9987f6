import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { countShared, sharedBytes } from "./shared-bytes.ts";

const MIB = 2 ** 20;

/** Makes and fills 200 buffers of 16 MiB, each garbage at once, and says how many of them were alive at most. V8 collects beside that work. */
const MAKE_AND_COUNT = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { setImmediate } = require("node:timers/promises");
  (async () => {
    const { sharedBytes } = await import(workerData);
    let [liveCount, liveCountMax] = [0, 0];
    const collected = new FinalizationRegistry(() => liveCount--);
    for (let made = 0; made < 200; made++) {
      collected.register(sharedBytes(16 * 2 ** 20).fill(1).buffer, undefined);
      liveCountMax = Math.max(liveCountMax, ++liveCount);
      await setImmediate(); // a finalizer runs in a turn of its own
    }
    parentPort.postMessage(liveCountMax);
  })();
`;

describe("shared bytes", () => {
  it("are collected while a thread makes them by the gigabyte and little else", async () => {
    // In a thread of its own: how soon V8 is done with a collection depends on all that is alive there.
    const thread = new Worker(MAKE_AND_COUNT, { eval: true, workerData: new URL("./shared-bytes.js", import.meta.url).href });
    const [liveCountMax] = (await once(thread, "message")) as [number];
    await thread.terminate();
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
