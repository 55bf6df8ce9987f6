import { expect } from "chai";
import fc from "fast-check";
import type { QueryState } from "./query-state.ts";
import { DEFAULT_STATE, parseQueryState, printQueryState } from "./query-state.ts";
import { NO_SEARCH } from "./search.ts";

const text = fc.string({ unit: "grapheme", maxLength: 30 });
const states: fc.Arbitrary<QueryState> = fc.record({
  tenant: text,
  service: text,
  profileType: text,
  selector: text,
  range: fc.oneof(
    fc.record({ kind: fc.constant("last" as const), spanMs: fc.integer({ min: 1, max: 900_000 }).map((seconds) => seconds * 1000) }),
    fc.tuple(fc.integer({ min: 1e12, max: 2e12 }), fc.integer({ min: 1, max: 1e9 })).map(([startMs, spanMs]) => ({ kind: "between" as const, startMs, endMs: startMs + spanMs })),
  ),
  search: fc.oneof(
    fc.constant(NO_SEARCH),
    text.filter((value) => value.trim() !== "").map((value) => ({ kind: "text" as const, text: value })),
    text.map((name) => ({ kind: "function" as const, name })),
  ),
  zoom: fc.array(text, { maxLength: 5 }),
  sort: fc.record({ column: fc.constantFrom("name", "self", "total"), direction: fc.constantFrom("ascending", "descending") }),
  isAutoRefresh: fc.boolean(),
  allowsPartial: fc.boolean(),
  maxNodes: fc.nat(1_000_000),
});

describe("query state", () => {
  it("reading what was printed gives the same state", () => {
    fc.assert(
      fc.property(states, (state) => {
        expect(parseQueryState(new URLSearchParams(printQueryState(state)))).to.deep.equal(state);
      }),
    );
  });

  it("the default state leaves the URL bare", () => {
    expect(printQueryState(DEFAULT_STATE)).to.equal("");
    expect(parseQueryState(new URLSearchParams())).to.deep.equal(DEFAULT_STATE);
  });

  it("any URL gives some state", () => {
    fc.assert(
      fc.property(fc.webQueryParameters(), (query) => {
        expect(parseQueryState(new URLSearchParams(query))).to.have.all.keys(Object.keys(DEFAULT_STATE));
      }),
    );
  });

  it("a link is readable", () => {
    const state: QueryState = { ...DEFAULT_STATE, service: "checkout", profileType: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", range: { kind: "last", spanMs: 3_600_000 } };
    expect(printQueryState(state)).to.equal("service=checkout&type=process_cpu%3Acpu%3Ananoseconds%3Acpu%3Ananoseconds&from=now-1h&until=now");
  });

  it("a zoom too long for a URL is left out", () => {
    const state: QueryState = { ...DEFAULT_STATE, service: "checkout", zoom: Array.from({ length: 100 }, () => "x".repeat(100)) };
    expect(printQueryState(state)).to.equal("service=checkout");
  });
});
