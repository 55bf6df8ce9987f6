import { expect } from "chai";
import { LOOK_INTERVAL_MS, planFlush, UNSEALED_COUNT_MAX } from "./flush-plan.ts";
import { flushRetryMs } from "./flush-retry.ts";
import type { FlushView } from "./flush-plan.ts";

const LIMITS = { intervalMs: 60_000, sizeBytes: 1000 };
const VIEW: FlushView = { nowMs: 5000, openBytes: 10, openCount: 1, oldestAgeMs: 10, isCutAsked: false, cutRetryAtMs: 0, unsealed: [] };
const plan = (view: Partial<FlushView>): unknown => planFlush({ ...VIEW, ...view }, LIMITS);
const wait = (untilMs: number): unknown => ({ kind: "wait", untilMs });

describe("flush plan", () => {
  it("cuts by age, by size, and when asked, and never an empty head", () => {
    expect(plan({})).deep.equal(wait(5000 + LOOK_INTERVAL_MS));
    expect(plan({ oldestAgeMs: 60_000 })).deep.equal({ kind: "cut", reason: "age" });
    expect(plan({ openBytes: 1000 })).deep.equal({ kind: "cut", reason: "size" });
    expect(plan({ isCutAsked: true })).deep.equal({ kind: "cut", reason: "asked" });
    expect(plan({ isCutAsked: true, oldestAgeMs: 60_000, openBytes: 5000, openCount: 0 })).deep.equal(wait(5000 + LOOK_INTERVAL_MS));
  });

  it("seals what is cut before it cuts again, the one that was not tried first", () => {
    expect(plan({ isCutAsked: true, unsealed: [{ cutId: 7, retryAtMs: 4000 }, { cutId: 9, retryAtMs: 0 }] })).deep.equal({ kind: "seal", cutId: 9 });
    expect(plan({ unsealed: [{ cutId: 7, retryAtMs: 0 }, { cutId: 9, retryAtMs: 0 }] })).deep.equal({ kind: "seal", cutId: 7 });
  });

  it("a cut that failed waits for its own time, and another is made meanwhile", () => {
    const unsealed = [{ cutId: 7, retryAtMs: 5200 }];
    expect(plan({ unsealed, oldestAgeMs: 60_000 })).deep.equal({ kind: "cut", reason: "age" });
    expect(plan({ unsealed })).deep.equal(wait(5200));
    expect(plan({ unsealed, nowMs: 5200 })).deep.equal({ kind: "seal", cutId: 7 });
  });

  it("with four unsealed cuts no other is made, whatever asks for it", () => {
    const unsealed = Array.from({ length: UNSEALED_COUNT_MAX }, (_, cutId) => ({ cutId, retryAtMs: 9000 }));
    expect(plan({ unsealed, isCutAsked: true, openBytes: 5000, oldestAgeMs: 1e6 })).deep.equal(wait(5000 + LOOK_INTERVAL_MS));
    expect(plan({ unsealed: unsealed.slice(1), isCutAsked: true })).deep.equal({ kind: "cut", reason: "asked" });
  });

  it("a cut that the store refused is made again after its pause", () => {
    expect(plan({ isCutAsked: true, cutRetryAtMs: 5100 })).deep.equal(wait(5100));
    expect(plan({ isCutAsked: true, cutRetryAtMs: 5000 })).deep.equal({ kind: "cut", reason: "asked" });
  });

  it("a step that fails again and again is tried after 0.5 s, then after twice as long each time, at most 15 s", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 100].map(flushRetryMs)).to.deep.equal([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });
});
