import type { TenantId } from "@pyromesh/base";
import { expect } from "chai";
import { checkMaxNodes, checkPprofNodes, checkRange, checkStep, DEFAULT_QUERY_LIMITS, limitsOfAll } from "./query-limits.ts";

const NOW_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

describe("query limits", () => {
  it("a range needs both ends, in order", () => {
    expect(() => checkRange(0, 5, NOW_MS, DEFAULT_QUERY_LIMITS)).to.throw("missing time range");
    expect(() => checkRange(5, 0n, NOW_MS, DEFAULT_QUERY_LIMITS)).to.throw("missing time range");
    expect(() => checkRange(6, 5, NOW_MS, DEFAULT_QUERY_LIMITS)).to.throw("after end time");
  });

  it("nothing is too old or too long by default", () => {
    expect(checkRange(1000, 4000, NOW_MS, DEFAULT_QUERY_LIMITS)).to.deep.equal({ startMs: 1000, endMs: 4000 });
    expect(checkRange(1, NOW_MS, NOW_MS, DEFAULT_QUERY_LIMITS)).to.deep.equal({ startMs: 1, endMs: NOW_MS });
  });

  it("lookback: an older range is empty, one that reaches back is cut, and only then its length counts", () => {
    const limits = { ...DEFAULT_QUERY_LIMITS, queryLookbackMs: 7 * DAY_MS, queryLengthMs: 8 * DAY_MS };
    expect(checkRange(1000, 4000, NOW_MS, limits)).to.deep.equal({ startMs: 0, endMs: 0 });
    expect(checkRange(1000, NOW_MS, NOW_MS, limits)).to.deep.equal({ startMs: NOW_MS - 7 * DAY_MS, endMs: NOW_MS });
  });

  it("length: a longer range is refused", () => {
    const limits = { ...DEFAULT_QUERY_LIMITS, queryLengthMs: DAY_MS };
    expect(checkRange(NOW_MS - DAY_MS, NOW_MS, NOW_MS, limits).startMs).to.equal(NOW_MS - DAY_MS);
    expect(() => checkRange(NOW_MS - DAY_MS - 1, NOW_MS, NOW_MS, limits)).to.throw("max_query_length");
  });

  it("a range beyond int64 nanoseconds is cut to them", () => {
    expect(checkRange(-5, 2n ** 63n - 1n, NOW_MS, DEFAULT_QUERY_LIMITS)).to.deep.equal({ startMs: 0, endMs: 9_223_372_036_854 });
    expect(checkRange(-9, -5, NOW_MS, DEFAULT_QUERY_LIMITS)).to.deep.equal({ startMs: 0, endMs: 0 });
  });

  it("nodes: absent is the default, too many and negative ones are refused", () => {
    expect(checkMaxNodes(undefined, DEFAULT_QUERY_LIMITS)).to.equal(8192);
    expect(checkMaxNodes(0, DEFAULT_QUERY_LIMITS)).to.equal(8192);
    expect(checkMaxNodes(1_048_576, DEFAULT_QUERY_LIMITS)).to.equal(1_048_576);
    expect(() => checkMaxNodes(1_048_577, DEFAULT_QUERY_LIMITS)).to.throw("max_flamegraph_nodes_max");
    expect(() => checkMaxNodes(-1, DEFAULT_QUERY_LIMITS)).to.throw("positive");
  });

  it("step: at least a millisecond, and the millisecond that was meant", () => {
    expect(checkStep(15, DEFAULT_QUERY_LIMITS)).to.equal(15_000);
    expect(checkStep(0.07, DEFAULT_QUERY_LIMITS)).to.equal(70);
    expect(checkStep(0.001, DEFAULT_QUERY_LIMITS)).to.equal(1);
    for (const bad of [0, 0.0009, -1, NaN, Infinity]) expect(() => checkStep(bad, DEFAULT_QUERY_LIMITS), String(bad)).to.throw(">= 1ms");
  });

  it("step: it does not circumvent the length and the lookback", () => {
    const day = DAY_MS / 1000;
    expect(checkStep(10_000 * day, DEFAULT_QUERY_LIMITS)).to.equal(10_000 * DAY_MS);
    for (const name of ["queryLengthMs", "queryLookbackMs"] as const) {
      const limits = { ...DEFAULT_QUERY_LIMITS, [name]: DAY_MS };
      expect(checkStep(day, limits)).to.equal(DAY_MS);
      expect(() => checkStep(day + 1, limits)).to.throw("over the 86400s of max_query_");
    }
  });

  it("a pprof is complete, unless its tenant's limits apply to it too", () => {
    const bounded = { ...DEFAULT_QUERY_LIMITS, isMergeProfileBounded: true };
    expect([0, undefined, 5, 2_000_000].map((asked) => checkPprofNodes(asked, DEFAULT_QUERY_LIMITS))).to.deep.equal([0, 0, 5, 2_000_000]);
    expect([0, undefined, 5].map((asked) => checkPprofNodes(asked, bounded))).to.deep.equal([8192, 8192, 5]);
    expect(() => checkPprofNodes(2_000_000, bounded)).to.throw("max_flamegraph_nodes_max");
    for (const limits of [bounded, DEFAULT_QUERY_LIMITS]) expect(() => checkPprofNodes(-1, limits)).to.throw("positive");
  });

  it("several tenants: the smallest positive limit of each kind holds", () => {
    const limits: Readonly<Record<string, number>> = { a: 0, b: DAY_MS, c: 2 * DAY_MS };
    const all = limitsOfAll(["a", "b", "c"] as TenantId[], (tenant) => ({ ...DEFAULT_QUERY_LIMITS, queryLengthMs: limits[tenant]! }));
    expect(all.queryLengthMs).to.equal(DAY_MS);
    expect(all.queryLookbackMs).to.equal(0);
    expect(all.isMergeProfileBounded).to.equal(false);
    const boundsB = (tenant: TenantId): typeof DEFAULT_QUERY_LIMITS => ({ ...DEFAULT_QUERY_LIMITS, isMergeProfileBounded: tenant === "b" });
    expect(limitsOfAll(["a", "b"] as TenantId[], boundsB).isMergeProfileBounded).to.equal(true);
    const allowsB = (tenant: TenantId): typeof DEFAULT_QUERY_LIMITS => ({ ...DEFAULT_QUERY_LIMITS, isPartialAllowed: tenant === "b" });
    expect([["a"], ["b"], ["a", "b"], []].map((tenants) => limitsOfAll(tenants as TenantId[], allowsB).isPartialAllowed)).to.deep.equal([false, true, false, false]);
  });
});
