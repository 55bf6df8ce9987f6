import { expect } from "chai";
import { clockProblem } from "./clock-check.ts";
import type { ClockReadings } from "./clock-check.ts";

const because = (readings: Partial<ClockReadings>): string | undefined => clockProblem({ bucketAheadMs: undefined, memberCount: 0, membersAheadMs: [], jumpedMs: 0, ...readings });

describe("a clock before something is deleted", () => {
  it("is believed where nothing contradicts it", () => {
    expect(because({})).to.equal(undefined);
    expect(because({ bucketAheadMs: -60_000, membersAheadMs: [60_000], jumpedMs: 60_000 })).to.equal(undefined);
  });

  it("is not believed where the bucket's differs by more than a minute, to either side", () => {
    expect(because({ bucketAheadMs: 60_001 })).to.contain("60 s ahead");
    expect(because({ bucketAheadMs: -3_600_000 })).to.contain("3600 s behind");
    expect(because({ bucketAheadMs: NaN })).to.be.a("string");
  });

  it("is not believed where the median of the members differs: one that is wrong decides nothing", () => {
    expect(because({ membersAheadMs: [0, 10, 86_400_000] })).to.equal(undefined);
    expect(because({ membersAheadMs: [0, -86_400_000, -86_400_000] })).to.contain("86400 s behind");
    expect(because({ membersAheadMs: [61_000] })).to.be.a("string");
    expect(because({ membersAheadMs: [0, 86_400_000] }), "of two that contradict each other").to.be.a("string");
  });

  it("is not believed where either of the two differs", () => {
    expect(because({ bucketAheadMs: 0, membersAheadMs: [-70_000] })).to.be.a("string");
    expect(because({ bucketAheadMs: 70_000, membersAheadMs: [0] })).to.be.a("string");
  });

  it("is not believed where there are other members, none of which says the time, and the bucket has none", () => {
    expect(because({ memberCount: 2 })).to.contain("none of the 2 other members");
    expect(because({ memberCount: 2, membersAheadMs: [0] })).to.equal(undefined);
    expect(because({ memberCount: 2, bucketAheadMs: 0 })).to.equal(undefined);
  });

  it("that jumped is not believed alone, and is where others say the same time", () => {
    expect(because({ jumpedMs: 61_000 })).to.contain("jumped by 61 s");
    expect(because({ jumpedMs: -61_000 })).to.be.a("string");
    expect(because({ jumpedMs: 61_000, bucketAheadMs: 5 })).to.equal(undefined);
    expect(because({ jumpedMs: 61_000, membersAheadMs: [5] })).to.equal(undefined);
  });
});
