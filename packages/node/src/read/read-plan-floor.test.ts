import { NO_FLOOR_MS } from "@pyromesh/block";
import { expect } from "chai";
import type { ScanSpec } from "../compute/compute.ts";
import { spanAbove, specAbove } from "./read-plan.ts";

describe("read plan: floors", () => {
  it("a scan begins at the floor, where it would begin below; nothing else of it changes", () => {
    const query = { startNs: 5_000_000n, endNs: 9_000_000n, selector: [], profileType: undefined } as never; // only its times are looked at
    const specs: ScanSpec[] = [
      { kind: "names", query },
      { kind: "locations", query },
      { kind: "listing", startNs: 5_000_000n, endNs: 9_000_000n, selectors: [], listing: { kind: "types" }, bounds: { entryCountMax: 0, bytesMax: 0 } },
      { kind: "cardinality", startNs: 5_000_000n, endNs: 9_000_000n, selectors: [] },
    ];
    for (const spec of specs) {
      for (const floorMs of [NO_FLOOR_MS, 4, 5]) expect(specAbove(floorMs, spec)).equal(spec);
      const raised = specAbove(7, spec);
      const startOf = (of: ScanSpec): bigint => ("query" in of ? of.query.startNs : of.startNs);
      expect(startOf(raised)).equal(7_000_000n);
      expect("query" in raised ? { ...raised, query: { ...raised.query, startNs: 5_000_000n } } : { ...raised, startNs: 5_000_000n }).deep.equal(spec);
    }
  });

  it("of a span the part above the floor is left", () => {
    expect(spanAbove(7, { oldestMs: 5, newestMs: 9 })).deep.equal({ oldestMs: 7, newestMs: 9 });
    expect(spanAbove(7, { oldestMs: 8, newestMs: 9 })).deep.equal({ oldestMs: 8, newestMs: 9 });
    expect(spanAbove(7, { oldestMs: 5, newestMs: 6 })).equal(undefined);
    expect(spanAbove(7, undefined)).equal(undefined);
  });
});
