import type { TenantId } from "@pyromesh/base";
import { parseTenantId } from "@pyromesh/base";
import { NO_FLOOR_MS, parseObjectKey, segmentKey } from "@pyromesh/block";
import type { CatalogEntry, ReadableKey } from "@pyromesh/block";
import { makeMatcher, WINDOW_MS } from "@pyromesh/profile";
import { expect } from "chai";
import type { ScanSpec } from "../compute/compute.ts";
import { datasetFilter, objectsByWindow, quarantinesWithin, spanAbove, specAbove, windowsCovered } from "./read-plan.ts";

const START_MS = Date.UTC(2026, 2, 2, 14);
const A = parseTenantId("a");
const B = parseTenantId("b");

function entry(tenant: TenantId, hour: number, ordinal: number): CatalogEntry {
  const windowStartMs = START_MS + hour * WINDOW_MS;
  const key = segmentKey({ tenant, windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs, storeId: "00".repeat(16), ordinal });
  return { key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 1, place: "bucket" };
}

describe("read plan", () => {
  it("objects of a tenant's window are one group, in the order of the plan; another tenant's of the same hour are another", () => {
    const entries = [entry(A, 0, 0), entry(A, 0, 1), entry(A, 2, 0), entry(B, 2, 0)];
    const groups = objectsByWindow(entries);
    expect(groups.map((group) => group.length)).deep.equal([2, 1, 1]);
    expect(groups.flat()).deep.equal(entries);
    expect(windowsCovered(groups, A)).deep.equal([START_MS, START_MS + 2 * WINDOW_MS]);
    expect(windowsCovered(groups, B)).deep.equal([START_MS + 2 * WINDOW_MS]);
    expect(objectsByWindow([])).deep.equal([]);
  });

  it("a dataset is read when its times touch the range, ends included, and one of the selectors admits its service", () => {
    const dataset = { service: "api", minTimeMs: 100, maxTimeMs: 200 };
    const within = (startMs: number, endMs: number): boolean => datasetFilter({ startMs, endMs }, [])(dataset);
    expect([within(200, 300), within(0, 100), within(201, 300), within(0, 99)]).deep.equal([true, true, false, false]);
    const selected = (...selectors: string[][]): boolean =>
      datasetFilter({ startMs: 0, endMs: 300 }, selectors.map((values) => values.map((value) => makeMatcher("service_name", "=", value))))(dataset);
    expect([selected(["api"]), selected(["web"]), selected(["web"], ["api"]), selected(["web", "api"]), selected([])]).deep.equal([true, false, true, false, true]);
    const pod = datasetFilter({ startMs: 0, endMs: 300 }, [[makeMatcher("pod", "=", "none")]]);
    expect(pod(dataset), "only the service rules a dataset out").equal(true);
  });

  it("a quarantine without an end, or a beginning, reaches as far as that goes", () => {
    const span = (startMs: number | undefined, endMs: number | undefined): boolean => quarantinesWithin([{ id: "q", reason: "", startMs, endMs }], 100, 200).length > 0;
    expect([span(200, 300), span(0, 100), span(201, 300), span(0, 99)]).deep.equal([true, true, false, false]);
    expect([span(undefined, 99), span(undefined, 100), span(200, undefined), span(201, undefined), span(undefined, undefined)]).deep.equal([false, true, true, false, true]);
  });

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
