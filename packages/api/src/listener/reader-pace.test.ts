import { expect } from "chai";
import { ReaderPace } from "./reader-pace.ts";
import type { PaceRule } from "./reader-pace.ts";
import { DEFAULT_SERVER_LIMITS } from "./server.ts";

const RULE: PaceRule = { bytesMin: 64_000, slowWindowMs: 30_000, wantedWindowMs: 10_000, stopWindowMs: 2_000, timeoutMs: 120_000 };

/** The second at which a reader is cut off that has read `takenAt(second)` bytes by then; undefined where it is not within two hours. */
function cutAt(takenAt: (second: number) => number, when: { readonly wanted?: (second: number) => boolean; readonly stopAt?: number } = {}): number | undefined {
  const pace = new ReaderPace(RULE, 0);
  for (let second = 0; second < 7200; second++) {
    const stoppingSinceMs = when.stopAt !== undefined && second >= when.stopAt ? when.stopAt * 1000 : undefined;
    if (pace.isTooSlow(takenAt(second), { nowMs: second * 1000, isRoomWanted: when.wanted?.(second) ?? false, stoppingSinceMs })) return second;
  }
  return undefined;
}

describe("reader pace", () => {
  const nothing = (): number => 0;
  const always = (): boolean => true;
  /** A reader with a steady pace in bytes a second. */
  const steady = (bytes: number) => (second: number) => second * bytes;
  /** A slow reader on loopback: the kernel takes 4 MB at once, then 1.5 MB each time. */
  const lumps = (everySeconds: number) => (second: number) => 4_000_000 + Math.floor(second / everySeconds) * 1_500_000;

  it("a client that reads nothing is cut off after the slow window, or the short one where others wait for the memory", () => {
    expect(cutAt(nothing)).to.equal(30);
    expect(cutAt(nothing, { wanted: always })).to.equal(10);
    expect(cutAt(nothing, { wanted: (second) => second >= 17 })).to.equal(17);
    expect(cutAt(() => 3_900_000), "what the kernel took at the beginning is no pace").to.equal(30);
  });

  it("a client that is slow and steady above the minimum is served however long it takes", () => {
    expect(cutAt(steady(2_200))).to.equal(undefined);
    expect(cutAt(lumps(29))).to.equal(undefined);
    expect(cutAt(steady(2_000)), "below it").to.equal(30);
  });

  it("... for two minutes where others wait for the memory, at a better pace", () => {
    expect(cutAt(steady(6_500), { wanted: (second) => second < 119 })).to.equal(undefined);
    expect(cutAt(steady(6_500), { wanted: (second) => second === 500 })).to.equal(500);
    expect(cutAt(steady(2_200), { wanted: always })).to.equal(10);
    expect(cutAt(lumps(9), { wanted: (second) => second < 119 })).to.equal(undefined);
  });

  it("a client that stops reading in the middle is cut off a window later", () => {
    expect(cutAt((second) => Math.min(second, 100) * 1_000_000)).to.equal(130);
  });

  it("a stop requires a good pace, and gives each client one window to show it", () => {
    expect(cutAt(nothing, { stopAt: 5 })).to.equal(7);
    expect(cutAt(lumps(29), { stopAt: 20 })).to.equal(22);
    expect(cutAt(steady(1_000_000), { stopAt: 20 })).to.equal(undefined);
  });

  it("time in which a client cannot read yet does not count", () => {
    const pace = new ReaderPace(RULE, 0);
    pace.pause(100_000);
    expect(pace.isTooSlow(0, { nowMs: 129_000, isRoomWanted: false, stoppingSinceMs: undefined })).to.equal(false);
    expect(pace.isTooSlow(0, { nowMs: 130_000, isRoomWanted: false, stoppingSinceMs: undefined })).to.equal(true);
  });

  it("the time until its memory is free is told by its pace, or by when it is cut off", () => {
    const pace = new ReaderPace(RULE, 0);
    expect(pace.endsInMs(0, 1_000_000, 4_000), "reads nothing").to.equal(6_000);
    expect(pace.endsInMs(1_000_000, 500_000, 4_000), "reads 250 a ms").to.equal(2_000);
    expect(pace.endsInMs(1_000_000, 500_000_000, 4_000), "longer than it may").to.equal(116_000);
  });

  it("a request waits longer for memory than a client that reads nothing may hold it", () => {
    const { replyWaitMs, replyPace } = DEFAULT_SERVER_LIMITS;
    expect(replyWaitMs).to.be.greaterThan(replyPace.wantedWindowMs + 1000);
  });
});
