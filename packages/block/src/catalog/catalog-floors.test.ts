import { parseTenantId, silentLogger } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import { FaultyBucket, ManualClock } from "../testing/index.ts";
import { floorKey, NO_FLOOR_MS } from "../listing/floor.ts";
import type { ListScope } from "../listing/list-pass.ts";
import { segmentKey } from "../listing/object-path.ts";
import { Catalog } from "./catalog.ts";
import { CatalogView } from "./catalog-view.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const A = parseTenantId("a");
const B = parseTenantId("b");

describe("catalog view: floors", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(1000);
  });
  const keyOf = (hour: number, fromMs: number, toMs: number, { tenant = A, ordinal = 0 } = {}): string => {
    const windowStartMs = START_MS + hour * WINDOW_MS;
    return segmentKey({ tenant, windowStartMs, minTimeMs: windowStartMs + fromMs, maxTimeMs: windowStartMs + toMs, storeId: STORE, ordinal });
  };
  const floor = (floorMs: number, tenant = A): string => floorKey({ tenant, floorMs });
  const list = (keys: readonly string[], scope: ListScope = { kind: "all" }): readonly string[] => {
    const pass = view.beginList(scope);
    for (const _pause of view.takePage(pass, keys.map((key) => ({ key, sizeBytes: 100, lastModifiedMs: 0 }))));
    for (const steps = view.endList(pass); ; ) {
      const step = steps.next();
      if (step.done === true) return step.value.malformedFloors;
    }
  };
  const planned = (tenant = A): string[] => view.plan([tenant], 0, Number.MAX_SAFE_INTEGER).map(({ key }) => key);

  it("nothing that lies below is planned; what straddles it is; the highest of several holds", () => {
    const keys = [keyOf(0, 0, 100), keyOf(1, 0, 99), keyOf(1, 50, 100, { ordinal: 1 }), keyOf(2, 0, 100)];
    list([...keys, floor(START_MS + WINDOW_MS + 100), floor(START_MS + 10)]);
    assert.equal(view.floorOf(A), START_MS + WINDOW_MS + 100);
    assert.deepEqual(planned(), keys.slice(2));
    assert.deepEqual(view.spanOf(A), { oldestMs: START_MS + WINDOW_MS + 100, newestMs: START_MS + 2 * WINDOW_MS + 100 });
    assert.deepEqual(view.plan([A], 0, START_MS + WINDOW_MS + 99), []);
  });

  it("it holds for its tenant alone, also for what is added later", () => {
    const others = keyOf(0, 0, 100, { tenant: B });
    list([keyOf(0, 0, 100), others, floor(START_MS + WINDOW_MS)]);
    list([keyOf(0, 0, 100), keyOf(0, 50, 100, { ordinal: 1 }), others, floor(START_MS + WINDOW_MS)]);
    assert.deepEqual([planned(A), planned(B)], [[], [others]]);
    assert.isUndefined(view.spanOf(A));
  });

  it("it is there until two whole LISTs do not show it; a LIST of one window says nothing of it", () => {
    list([floor(START_MS + 10), floor(START_MS)]);
    for (let round = 0; round < 3; round++) list([], { kind: "window", tenant: A, windowStartMs: START_MS });
    list([floor(START_MS)]);
    assert.equal(view.floorOf(A), START_MS + 10);
    list([floor(START_MS)], { kind: "since", windowStartMs: START_MS });
    assert.equal(view.floorOf(A), START_MS);
    for (let round = 0; round < 2; round++) list([]);
    assert.equal(view.floorOf(A), NO_FLOOR_MS);
  });

  it("one that a stale LIST does not show once stays", () => {
    list([floor(START_MS)]);
    for (let round = 0; round < 3; round++) {
      list([]);
      assert.equal(view.floorOf(A), START_MS);
      list([floor(START_MS)]);
    }
  });

  it("segments that are missing below it are not missed; in the window that it cuts they are", () => {
    const keys = [keyOf(0, 0, 100, { ordinal: 1 }), keyOf(1, 0, 100, { ordinal: 1 })];
    for (let round = 0; round < 2; round++) list(keys);
    assert.lengthOf(view.gaps, 2);
    list([...keys, floor(START_MS + WINDOW_MS)]);
    assert.deepEqual(view.gaps.map(({ windowStartMs }) => windowStartMs), [START_MS + WINDOW_MS]);
    list([...keys, floor(START_MS + WINDOW_MS), floor(START_MS + WINDOW_MS + 5)]);
    assert.lengthOf(view.gapsWithin([A], 0, Number.MAX_SAFE_INTEGER), 1);
  });

  it("a malformed one is named and no more is made of it", () => {
    assert.deepEqual(list(["v1/a/floor-soon.json", keyOf(0, 0, 100), floor(START_MS)]), ["v1/a/floor-soon.json"]);
    assert.deepEqual(planned(), [keyOf(0, 0, 100)]);
    assert.lengthOf(list(Array.from({ length: 30 }, (_, i) => `v1/a/floor-${i}`)), 10);
  });
});

describe("catalog: floors", () => {
  it("a LIST of the newest windows finds them behind the windows that it jumps over, and the log names one that cannot be read", async () => {
    const clock = new ManualClock();
    const bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    const told: string[] = [];
    const logger = { ...silentLogger, error: (message: string, fields?: Readonly<Record<string, unknown>>) => void told.push(`${fields?.code as string} ${String(fields?.keys)}`, message) };
    const catalog = new Catalog({}, { bucket, logger });
    for (let hour = 0; hour < 1200; hour++) {
      const windowStartMs = START_MS + hour * WINDOW_MS;
      await bucket.put(segmentKey({ tenant: A, windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs, storeId: STORE, ordinal: 0 }), new Uint8Array(1), {}, never);
    }
    for (const key of [floorKey({ tenant: A, floorMs: START_MS + 1199 * WINDOW_MS }), "v1/a/floor-soon.json"]) await bucket.put(key, Buffer.from("{}"), {}, never);
    await catalog.refresh(never, { scope: { kind: "since", windowStartMs: START_MS + 1190 * WINDOW_MS } });
    const snapshot = catalog.acquire([A, B], 0, Number.MAX_SAFE_INTEGER);
    assert.lengthOf(snapshot.entries, 1);
    assert.deepEqual([...snapshot.floors], [[A, START_MS + 1199 * WINDOW_MS], [B, NO_FLOOR_MS]]);
    assert.equal(told[0], "FLOOR_MALFORMED v1/a/floor-soon.json");
    snapshot.release();
  });
});
