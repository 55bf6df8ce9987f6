import { expect } from "chai";
import { systemClock } from "./clock.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { SuspendableClock } from "./testing/suspendable-clock.ts";

const DAY_MS = 86_400_000;

/** The waits that `start` asks timers for, each of which fires at once. */
function timersOf(start: () => void): number[] {
  const realTimeout = globalThis.setTimeout;
  const delaysMs: number[] = [];
  const due: (() => void)[] = [];
  globalThis.setTimeout = ((run: () => void, delayMs: number) => {
    delaysMs.push(delayMs);
    due.push(run);
    return { unref: () => {} };
  }) as unknown as typeof setTimeout; // what the clock uses of it
  try {
    start();
    for (let run = due.shift(); run !== undefined; run = due.shift()) run();
  } finally {
    globalThis.setTimeout = realTimeout;
  }
  return delaysMs;
}

describe("system clock", () => {
  // Node.js makes a millisecond of a wait beyond 2^31 - 1 ms: a program with a scrape_interval of 90d was asked 178 times in 3 s.
  it("waits as long as it is told, also longer than one timer of Node.js can", () => {
    for (const wait of [(run: () => void) => void systemClock.after(90 * DAY_MS, run), (run: () => void) => void systemClock.sleep(90 * DAY_MS).then(run)]) {
      const delaysMs = timersOf(() => wait(() => {}));
      expect(delaysMs.reduce((sum, delayMs) => sum + delayMs, 0)).to.equal(90 * DAY_MS);
      expect(Math.max(...delaysMs)).to.be.most(2 ** 31 - 1);
    }
  });

  it("runs what is due once, after the last of them", () => {
    let runCount = 0;
    const delaysMs = timersOf(() => systemClock.after(60 * DAY_MS, () => void runCount++));
    expect([runCount, delaysMs.length]).to.deep.equal([1, 3]);
    expect(timersOf(() => systemClock.after(20, () => void runCount++))).to.deep.equal([20]);
    expect(runCount).to.equal(2);
  });
});

describe("a sleep", () => {
  it("ends at its time, or with the reason of its signal, and leaves no timer behind", async () => {
    const time = new ManualClock();
    for (const clock of [time, new SuspendableClock(time)]) {
      const controller = new AbortController();
      const reasonOf = (sleep: Promise<void>): Promise<unknown> => sleep.then(() => "none", (reason: unknown) => reason);
      const [whole, cut] = [reasonOf(clock.sleep(10)), reasonOf(clock.sleep(10, controller.signal))];
      controller.abort("enough");
      expect([await cut, time.timerCount]).to.deep.equal(["enough", 1]);
      time.advance(10);
      expect([await whole, await reasonOf(clock.sleep(10, controller.signal)), time.timerCount]).to.deep.equal(["none", "enough", 0]);
    }
  });
});
