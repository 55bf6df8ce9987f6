import type { TenantId } from "@pyromesh/base";
import { parseTenantId } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import type { ListScope } from "../listing/list-pass.ts";
import type { Mark, ReadableKey } from "../listing/object-path.ts";
import { markKey, parseObjectKey, segmentKey } from "../listing/object-path.ts";
import type { OwnOrdinals } from "../listing/own-ordinals.ts";
import { NO_OWN_ORDINALS } from "../listing/own-ordinals.ts";
import { describeGap } from "../listing/segment-gaps.ts";
import type { RefreshOutcome } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";

const START_MS = Date.UTC(2026, 2, 2, 14);
const OURS = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const THEIRS = "ff".repeat(16);
const A = parseTenantId("a");

interface Place {
  readonly storeId?: string;
  readonly tenant?: TenantId;
  readonly window?: number;
}

const metaOf = (ordinal: number, { storeId = THEIRS, tenant = A, window = 0 }: Place): { tenant: TenantId; windowStartMs: number; minTimeMs: number; maxTimeMs: number; storeId: string; ordinal: number } => {
  const windowStartMs = START_MS + window * WINDOW_MS;
  return { tenant, windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs + 1000, storeId, ordinal };
};
const seg = (ordinal: number, place: Place = {}): string => segmentKey(metaOf(ordinal, place));
const marked = (mark: Mark, ordinal: number, place: Place = {}): string => markKey({ ...metaOf(ordinal, place), mark });

describe("catalog view: gaps", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(1000);
  });

  function list(keys: readonly string[], own: Partial<OwnOrdinals> = {}, scope: ListScope = { kind: "all" }): RefreshOutcome {
    const pass = view.beginList(scope);
    for (const _pause of view.takePage(pass, keys.map((key) => ({ key, sizeBytes: 100, lastModifiedMs: 0 }))));
    const steps = view.endList(pass, { ...NO_OWN_ORDINALS, ...own });
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }
  /** `?` where it is only suspected. */
  const shown = (): string[] => view.gapsWithin([A], START_MS, START_MS).map((gap) => `${describeGap(gap).replace(/^.*: /, "").replace(/ may be .*/, "?").replace(" missing", "")}`);
  const given = (next: number, place: Place = {}): Partial<OwnOrdinals> => ({ stores: [{ storeId: place.storeId ?? OURS, tenant: A, windowStartMs: START_MS, next }], currentStoreId: OURS });

  it("another store's: at the head and in the middle, suspected by the first LIST, a hole by the second", () => {
    const first = list([seg(1), seg(4)]);
    assert.deepEqual(shown(), ["0, 2-3?"]);
    assert.deepEqual(first.doubts, [{ tenant: A, windowStartMs: START_MS }]);
    assert.deepEqual(list([seg(1), seg(4)]).doubts, []);
    assert.deepEqual(shown(), ["0, 2-3"]);
  });

  it("an ordinal that one LIST misses and the next shows is no gap", () => {
    list([seg(0), seg(2)]);
    assert.deepEqual(shown(), ["1?"]);
    list([seg(0), seg(1), seg(2)]);
    assert.deepEqual(shown(), []);
  });

  it("one's own: the tail too, but for what waits on this disk", () => {
    const key = seg(1, { storeId: OURS });
    const own = { ...given(4), pendingKeys: [key, marked("lost", 2, { storeId: OURS })] };
    view.add({ key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 1, place: "local" });
    list([seg(0, { storeId: OURS })], own);
    list([seg(0, { storeId: OURS })], own);
    assert.deepEqual(shown(), ["3"]);
  });

  it("a segment that is uploaded and still waits on this disk is not removed, whatever LISTs miss: its gap would not be reported", () => {
    const key = seg(0, { storeId: OURS });
    view.add({ key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 1, place: "bucket" });
    for (let round = 0; round < 3; round++) list([], { ...given(1), pendingKeys: [key] });
    assert.deepEqual([view.get(key)?.place, shown()], ["bucket", []]);
    for (let round = 0; round < 3; round++) list([], given(1));
    assert.deepEqual([view.get(key), shown()], [undefined, ["0"]], "once it waits no more, it is missing");
  });

  it("one's own window of which nothing is left", () => {
    list([], given(2));
    list([], given(2));
    assert.deepEqual(shown(), ["0-1"]);
  });

  it("marks: void and forgotten fill a gap, lost alone is one", () => {
    for (let round = 0; round < 2; round++) list([seg(0), marked("void", 1), marked("lost", 2), seg(3)]);
    assert.deepEqual(shown(), ["2"]);
    list([seg(0), marked("void", 1), marked("lost", 2), marked("forgotten", 2), seg(3)]);
    assert.deepEqual(shown(), []);
    assert.sameMembers([...view.marks()].map(({ mark }) => mark), ["void", "lost", "forgotten"]);
  });

  it("stores that wrote before ordinals were given without gaps are exempt", () => {
    for (let round = 0; round < 2; round++) list([seg(3)], { exemptStoreIds: new Set([THEIRS]) });
    assert.deepEqual(shown(), []);
  });

  it("a segment that was known and vanishes is missing, though it was another store's last", () => {
    list([seg(0), seg(1)]);
    list([seg(0)]);
    assert.deepEqual(shown(), [], "one LIST that misses a key changes nothing");
    assert.lengthOf(list([seg(0)]).doubts, 1);
    assert.deepEqual(shown(), ["1?"]);
    list([seg(0)]);
    assert.deepEqual(shown(), ["1"]);
    list([seg(0), seg(1)]);
    assert.deepEqual(shown(), []);
  });

  it("only the windows and tenants of the question", () => {
    for (let round = 0; round < 2; round++) list([seg(1, { window: 1 }), seg(1, { tenant: parseTenantId("b") })]);
    assert.deepEqual(shown(), []);
    assert.lengthOf(view.gapsWithin([A], START_MS, START_MS + WINDOW_MS), 1);
    assert.lengthOf(view.gapsWithin([A], START_MS + 2 * WINDOW_MS, START_MS + 3 * WINDOW_MS), 0);
    assert.lengthOf(view.gaps, 2);
  });

  it("a LIST of one window decides whether that window has a gap, and no other window", () => {
    list([seg(1), seg(1, { window: 1 })]);
    list([seg(1)], {}, { kind: "window", tenant: A, windowStartMs: START_MS });
    assert.deepEqual(shown(), ["0"]);
    assert.match(describeGap(view.gapsWithin([A], START_MS + WINDOW_MS, START_MS + WINDOW_MS)[0]!), /^window 20260302T15, store f{32}: 0 may be missing/);
  });

  it("another writer under our store id: a segment at or above what we gave, or a second one of an ordinal", () => {
    assert.deepEqual(list([seg(0, { storeId: OURS })], given(1)).storeConflicts, []);
    assert.match(list([seg(0, { storeId: OURS }), seg(1, { storeId: OURS })], given(1)).storeConflicts.join(), /segment 1 .* gave only those below 1/);
    const second = seg(0, { storeId: OURS }).replace("-1772460001000-", "-1772460001001-");
    assert.match(list([seg(0, { storeId: OURS }), second], given(9)).storeConflicts.join(), /two segments have one ordinal/);
    view = new CatalogView(1000);
    assert.deepEqual(list([seg(0), seg(5)], given(1)).storeConflicts, [], "of another store it is no conflict");
  });

  it("a segment that is sealed and uploaded while a LIST is taken in is no other writer's", () => {
    const keys = Array.from({ length: 500 }, (_, ordinal) => seg(ordinal, { storeId: OURS }));
    const pass = view.beginList();
    for (const _pause of view.takePage(pass, keys.map((key) => ({ key, sizeBytes: 100, lastModifiedMs: 0 }))));
    const steps = view.endList(pass, { ...NO_OWN_ORDINALS, ...given(500) });
    assert.isFalse(steps.next().done, "it pauses, and others go on");
    for (const [ordinal, place] of [[500, "bucket"], [501, "local"]] as const) {
      const key = seg(ordinal, { storeId: OURS });
      view.add({ key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 1, place: "local" });
      if (place === "bucket") view.replace({ key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 1, place });
    }
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    assert.deepEqual(step.value.storeConflicts, []);
    assert.deepEqual(shown(), []);
  });

  it("what is expected is looked at in slices, and of the LIST's windows alone", () => {
    const windowCount = 5000;
    let lookedAt = 0;
    const stores = Array.from({ length: windowCount }, (_, window) => ({
      storeId: OURS,
      tenant: A as string,
      windowStartMs: START_MS + window * WINDOW_MS,
      get next() {
        lookedAt++;
        return 2;
      },
    }));
    const pass = view.beginList();
    let [most, before] = [0, 0];
    for (const _pause of view.endList(pass, { ...NO_OWN_ORDINALS, stores })) {
      most = Math.max(most, lookedAt - before);
      before = lookedAt;
    }
    assert.isAtMost(most, 200);
    assert.equal(view.gaps.length, windowCount);
    lookedAt = 0;
    assert.deepEqual(list([], { stores }, { kind: "window", tenant: A, windowStartMs: START_MS }).doubts, []);
    assert.equal(view.gapsWithin([A], START_MS, START_MS)[0]!.gaps.holes.length, 1);
  });

  it("a bucket that lost everything is taken in without a look at every gap for every window", () => {
    const stores = Array.from({ length: 40_000 }, (_, window) => ({ storeId: OURS, tenant: A as string, windowStartMs: START_MS + window * WINDOW_MS, next: 2 }));
    for (let round = 0; round < 2; round++) list([], { stores }); // a look at every gap for every window takes a minute and more
    assert.equal(view.gaps.length, 40_000);
  });
});
