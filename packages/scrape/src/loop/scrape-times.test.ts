import { expect } from "chai";
import fc from "fast-check";
import { firstDelayMs, nextDueMs } from "./scrape-times.ts";

describe("scrape times", () => {
  it("a target has the same place in each interval, whenever it is looked at", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 600_000 }), fc.integer({ min: 0, max: 2 ** 42 }), fc.integer({ min: 0, max: 10_000_000 }), (key, intervalMs, nowMs, laterMs) => {
        const delayMs = firstDelayMs(key, intervalMs, nowMs);
        expect(delayMs).within(0, intervalMs);
        const place = (nowMs + delayMs) % intervalMs;
        const later = (nowMs + laterMs + firstDelayMs(key, intervalMs, nowMs + laterMs)) % intervalMs;
        const apartMs = Math.abs(place - later);
        expect(Math.min(apartMs, intervalMs - apartMs)).below(0.01);
      }),
    );
  });

  it("many targets are spread over the interval", () => {
    const delays = Array.from({ length: 1_000 }, (_, i) => firstDelayMs(`target ${i}`, 15_000, 0)).sort((a, b) => a - b);
    for (const [index, delay] of delays.entries()) expect(delay / 15_000 - index / 1_000).within(-0.06, 0.06);
  });

  it("a scrape that took longer than the interval is followed at the next time that has not passed", () => {
    const every = { intervalMs: 10, isContinuous: false };
    expect([nextDueMs(100, 104, every), nextDueMs(100, 110, every), nextDueMs(100, 111, every), nextDueMs(100, 135, every)]).deep.equal([110, 110, 120, 140]);
  });

  it("where the program measures while it is asked, it is asked again at once", () => {
    const every = { intervalMs: 10, isContinuous: true };
    expect([nextDueMs(100, 104, every), nextDueMs(100, 110, every), nextDueMs(100, 111, every)]).deep.equal([110, 110, 111]);
  });
});
