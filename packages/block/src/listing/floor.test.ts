import { parseTenantId } from "@pyromesh/base";
import { assert } from "chai";
import fc from "fast-check";
import { floorKey, NO_FLOOR_MS, parseFloorKey, rangeAbove } from "./floor.ts";
import { parseObjectKey, segmentKey } from "./object-path.ts";

const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const A = parseTenantId("a");
const B = parseTenantId("b");

describe("floor", () => {
  it("a name gives back the tenant and time that it was made of, and is no segment's, block's or mark's", () => {
    assert.equal(floorKey({ tenant: A, floorMs: START_MS }), "v1/a/floor-1772460000000.json");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(9999, 11) }), (floorMs) => {
        const key = floorKey({ tenant: B, floorMs });
        assert.deepEqual(parseFloorKey(key), { tenant: B, floorMs });
        assert.isUndefined(parseObjectKey(key));
      }),
    );
  });

  it("a name that only begins like a floor's is malformed; any other is none", () => {
    for (const key of ["v1/a/floor", "v1/a/floor-", "v1/a/floor-x.json", "v1/a/floor-1772460000000", "v1/a/floor-01772460000000.json", "v1/a/floor-999999999999999.json", "v1/a/floor--772460000000.json", "v1/|/floor-1772460000000.json"]) {
      assert.equal(parseFloorKey(key), "malformed", key);
    }
    for (const key of ["v1/a/20260302T14/floor-1772460000000.json", "v1/floor-1772460000000.json", "v2/a/floor-1772460000000.json", segmentKey({ tenant: A, windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS, storeId: STORE, ordinal: 0 })]) {
      assert.isUndefined(parseFloorKey(key), key);
    }
  });

  it("of a range the part above it is left, the floor included", () => {
    assert.deepEqual(rangeAbove(10, { startMs: 5, endMs: 10 }), { startMs: 10, endMs: 10 });
    assert.deepEqual(rangeAbove(10, { startMs: 11, endMs: 12 }), { startMs: 11, endMs: 12 });
    assert.isUndefined(rangeAbove(10, { startMs: 5, endMs: 9 }));
    assert.deepEqual(rangeAbove(NO_FLOOR_MS, { startMs: 0, endMs: 9 }), { startMs: 0, endMs: 9 });
  });
});
