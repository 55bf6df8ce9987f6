import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { expect } from "chai";
import { measureFolder } from "./disk-use.ts";
import { DiskWatch } from "./disk-watch.ts";
import { listeningLogger } from "../testing/fixtures.ts";

describe("the watch over the head's disk", () => {
  /** Timers run when the test says so. */
  function manualClock(): { readonly clock: Clock; readonly delays: number[]; nowMs: number; fire(): void } {
    let run: (() => void) | undefined;
    const manual = {
      nowMs: 0,
      delays: [] as number[],
      clock: {
        ...systemClock,
        monotonicMs: () => manual.nowMs,
        after: (delayMs: number, then: () => void) => {
          manual.delays.push(delayMs);
          run = then;
          return { cancel: () => (run = undefined) };
        },
      },
      fire: () => run?.(),
    };
    return manual;
  }
  const use = { storeBytes: 1, otherBytes: 2 };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it("measures each second, later where measuring takes long, and soon once where someone was refused", async () => {
    const manual = manualClock();
    let tookMs = 0;
    let measuredCount = 0;
    const watch = new DiskWatch({
      clock: manual.clock,
      logger: silentLogger,
      measure: async () => {
        manual.nowMs += tookMs;
        return use;
      },
      mayRest: () => true,
      onBegin: () => 7,
      onMeasured: (found, begun) => {
        expect([found, begun]).to.deep.equal([use, 7]);
        measuredCount++;
      },
      onFailed: () => {},
    });
    await watch.start();
    for (const next of [10, 300, 9000, 0]) {
      tookMs = next;
      manual.fire();
      await turn();
    }
    expect(manual.delays).to.deep.equal([1000, 1000, 3000, 5000, 1000]);
    watch.hurry();
    watch.hurry();
    expect(manual.delays.slice(5)).to.deep.equal([100]);
    await watch.stop();
    manual.fire();
    await turn();
    expect(measuredCount).to.equal(5);
  });

  it("measures nothing at the start where the folders were measured just before", async () => {
    const manual = manualClock();
    let measureCount = 0;
    const found: unknown[] = [];
    const watch = new DiskWatch({
      clock: manual.clock,
      logger: silentLogger,
      measure: async () => {
        measureCount++;
        return use;
      },
      mayRest: () => true,
      onBegin: () => 7,
      onMeasured: (...measured) => void found.push(measured),
      onFailed: () => {},
    });
    await watch.start({ storeBytes: 5, otherBytes: 6 });
    expect([measureCount, found]).to.deep.equal([0, [[{ storeBytes: 5, otherBytes: 6 }, 7]]]);
    expect(manual.delays).to.deep.equal([1000]);
    manual.fire();
    await turn();
    expect(measureCount).to.equal(1);
    await watch.stop();
  });

  it("rests where nothing is written and it finds the same again and again, until something is written", async () => {
    const manual = manualClock();
    let mayRest = true;
    const watch = new DiskWatch({ clock: manual.clock, logger: silentLogger, measure: async () => use, mayRest: () => mayRest, onBegin: () => 0, onMeasured: () => {}, onFailed: () => {} });
    const pass = async (count: number): Promise<number[]> => {
      for (let at = 0; at < count; at++) {
        manual.fire();
        await turn();
      }
      return manual.delays.splice(0);
    };
    await watch.start();
    expect(await pass(6)).to.deep.equal([1000, 1000, 1000, 1000, 1000, 10_000, 10_000]);
    watch.noteWrite();
    watch.noteWrite();
    expect(manual.delays.splice(0), "the next one comes as soon as ever").to.deep.equal([1000]);
    expect(await pass(5)).to.deep.equal([1000, 1000, 1000, 1000, 10_000]);
    watch.hurry();
    expect(manual.delays.splice(0)).to.deep.equal([100]);
    mayRest = false;
    expect(await pass(2), "while the disk allows less than the budget").to.deep.equal([1000, 1000]);
    await watch.stop();
  });

  it("a measurement that fails is said once, and tried again", async () => {
    const manual = manualClock();
    const lines: { level: string; message: string; fields: object }[] = [];
    let failedCount = 0;
    const watch = new DiskWatch({
      clock: manual.clock,
      logger: listeningLogger(lines),
      measure: () => Promise.reject(new Error("EACCES")),
      mayRest: () => true,
      onBegin: () => 0,
      onMeasured: () => {},
      onFailed: () => failedCount++,
    });
    await watch.start();
    manual.fire();
    await turn();
    expect([failedCount, lines.length, manual.delays.length]).to.deep.equal([2, 1, 2]);
    await watch.stop();
  });

  it("a folder holds what its files occupy, in folders below it too; one that is not there holds nothing", async () => {
    const dir = mkdtempSync(join(tmpdir(), "pyromesh-disk-use-"));
    try {
      mkdirSync(join(dir, "a", "b"), { recursive: true });
      writeFileSync(join(dir, "one"), Buffer.alloc(100_000));
      writeFileSync(join(dir, "a", "b", "two"), Buffer.alloc(1));
      expect(await measureFolder(dir)).to.be.within(100_001, 100_001 + 2 * 65_536);
      expect(await measureFolder(join(dir, "none"))).to.equal(0);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
