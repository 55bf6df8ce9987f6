import { parseTenantId } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import fc from "fast-check";
import type { SegmentMeta } from "../segment/format.ts";
import { floorKey } from "../listing/floor.ts";
import type { ListPass } from "../listing/list-pass.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { blockKey, markKey, parseObjectKey, segmentKey } from "../listing/object-path.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import type { RefreshOutcome } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";
import type { HeardObject, HeardOutcome } from "./heard-object.ts";
import { SourceSet } from "./source-set.ts";

const START_MS = Date.UTC(2026, 2, 2, 14);
const A = parseTenantId("a");
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const OTHER = "ff".repeat(16);
const ORIGIN = { storeId: STORE };
const TIMES = { tenant: A, windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS + 1000 };
const META: SegmentMeta = { ...TIMES, windowMs: WINDOW_MS, level: 0, storeId: STORE, ordinal: 3, recordCount: 5, sources: [{ storeId: STORE, firstOrdinal: 3, lastOrdinal: 3 }] };

const seg = (ordinal: number, storeId = STORE): string => segmentKey({ ...TIMES, storeId, ordinal });
const heard = (ordinal = 3, more: Partial<HeardObject> = {}): HeardObject => ({ key: seg(ordinal), sizeBytes: 100, meta: { ...META, ordinal }, isUploaded: true, ...more });
const waiting = (ordinal = 3): HeardObject => heard(ordinal, { isUploaded: false });
const BLOCK = blockKey({ ...TIMES, level: 1, blockId: "ab".repeat(8) });
const heardBlock: HeardObject = { key: BLOCK, sizeBytes: 100, isUploaded: true, meta: { ...META, level: 1, storeId: "00".repeat(16), ordinal: 0, sources: [{ storeId: STORE, firstOrdinal: 0, lastOrdinal: 9 }] } };

function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

describe("catalog view: what another member told of", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(100_000);
  });
  const planned = (): string[] => view.plan([A], 0, Number.MAX_SAFE_INTEGER).map(({ key, place }) => `${key.slice(-14)} ${place}`);
  const end = (pass: ListPass, ...keys: string[]): RefreshOutcome => {
    run(view.takePage(pass, keys.map((key) => ({ key, sizeBytes: 100, lastModifiedMs: 0 }))));
    return run(view.endList(pass));
  };
  const list = (...keys: string[]): RefreshOutcome => end(view.beginList(), ...keys);
  const codeOf = (outcome: HeardOutcome): string => (outcome.kind === "refused" ? outcome.code : outcome.kind);

  it("is planned at once; heard again it is known, and a LIST that shows it makes it an entry like any other", () => {
    assert.equal(codeOf(view.addByMeta(heard(), ORIGIN)), "added");
    assert.equal(codeOf(view.addByMeta(heard(), { storeId: OTHER })), "known");
    assert.deepEqual(planned(), ["0000000003.seg bucket"]);
    list(seg(3));
    assert.equal(view.forgetHeardFrom(ORIGIN), 0);
    assert.deepEqual(planned(), ["0000000003.seg bucket"]);
  });

  it("is dropped when two whole LISTs, begun after it was heard and one after the other, do not show it; not before", () => {
    const before = view.beginList();
    view.addByMeta(heard(), ORIGIN);
    end(before);
    const [first, overlapping] = [view.beginList(), view.beginList()];
    end(first);
    end(overlapping);
    end(view.beginList({ kind: "window", tenant: A, windowStartMs: START_MS + WINDOW_MS }));
    assert.lengthOf(planned(), 1);
    list();
    assert.deepEqual(planned(), []);
  });

  // A segment that LISTs took away stays known as given, so that another store's last segment is missed: here it would be a hole that never was.
  it("one that never existed leaves no gap when it is dropped, and does not mean that the ordinals before it were given", () => {
    view.addByMeta(heard(1_000), ORIGIN);
    for (let round = 0; round < 4; round++) assert.deepEqual(list().storeConflicts, []);
    assert.deepEqual(view.gaps, []);
    view.addByMeta(heard(1), ORIGIN);
    for (let round = 0; round < 2; round++) list(seg(0), seg(2));
    assert.deepEqual(view.gaps.map(({ gaps }) => gaps.holes), [[{ first: 1, last: 1 }]], "hearsay fills no gap");
  });

  it("a block hides its sources only once a LIST has shown it and its footer was read, whatever the member says", () => {
    list(seg(0));
    view.addByMeta(heardBlock, ORIGIN);
    assert.lengthOf(planned(), 2);
    assert.deepEqual(view.unreadBlocks(), []);
    list(seg(0), BLOCK);
    assert.deepEqual(view.unreadBlocks().map(({ key }) => key), [BLOCK]);
    view.setSources(BLOCK, new SourceSet(heardBlock.meta.sources));
    assert.lengthOf(planned(), 1);
  });

  it("a segment that waits at its member is planned there, whatever LISTs do not show, and in the bucket once that is said or listed", () => {
    for (const ordinal of [1, 2]) assert.equal(codeOf(view.addByMeta(waiting(ordinal), ORIGIN)), "added");
    for (let round = 0; round < 3; round++) list();
    assert.deepEqual(planned(), [`0000000001.seg store:${STORE}`, `0000000002.seg store:${STORE}`]);
    assert.equal(codeOf(view.addByMeta(heard(1), { storeId: OTHER })), "known", "only the member itself says so");
    assert.equal(codeOf(view.addByMeta(heard(1), ORIGIN)), "moved");
    list(seg(2));
    assert.deepEqual(planned(), ["0000000001.seg bucket", "0000000002.seg bucket"]);
  });

  it("when a member is gone, what it announced and no LIST has shown is dropped", () => {
    view.addByMeta(waiting(1), ORIGIN);
    view.addByMeta(heard(2), ORIGIN);
    view.addByMeta({ ...heard(5), key: seg(5, OTHER), meta: { ...META, storeId: OTHER, ordinal: 5 } }, { storeId: OTHER });
    list(seg(2));
    assert.equal(view.forgetHeardFrom(ORIGIN), 1);
    assert.deepEqual(planned(), ["0000000002.seg bucket", "0000000005.seg bucket"]);
  });

  // Its object may be in the bucket all the same: what a LIST shows is there.
  it("a member that goes while a LIST runs takes nothing from that LIST", () => {
    view.addByMeta(heard(2), ORIGIN);
    const running = view.beginList();
    assert.equal(view.forgetHeardFrom(ORIGIN), 1);
    end(running, seg(2));
    assert.deepEqual(planned(), ["0000000002.seg bucket"]);
  });

  it("a segment that is neither at its member nor in the bucket is dropped, and only one that was said to wait there", () => {
    view.addByMeta(waiting(1), ORIGIN);
    view.addByMeta(heard(2), ORIGIN);
    assert.deepEqual([1, 2, 3].map((ordinal) => view.forgetHeard(seg(ordinal))), [true, false, false]);
    assert.deepEqual(planned(), ["0000000002.seg bucket"]);
    assert.equal(codeOf(view.addByMeta(waiting(1), ORIGIN)), "added", "its member may say so again");
  });

  // A put of the former name may land after the segment was named anew. A reader relies on such a LIST: it would not list again.
  it("one that is dropped while a LIST runs is there when that LIST shows it", () => {
    view.addByMeta(waiting(2), ORIGIN);
    const running = view.beginList();
    assert.isTrue(view.forgetHeard(seg(2)));
    end(running, seg(2));
    assert.deepEqual(planned(), ["0000000002.seg bucket"]);
  });

  // Told of before it was sealed, by a member with a copy of this data dir: queries would look for it in the bucket, where it is not yet.
  it("a segment that this node then seals itself is read from its own disk, and stays when LISTs do not show it or the member goes", () => {
    view.addByMeta(heard(3), ORIGIN);
    const own: CatalogEntry = { key: seg(3), meta: parseObjectKey(seg(3)) as ReadableKey, sizeBytes: 7, place: "local" };
    assert.isTrue(view.add(own));
    for (let round = 0; round < 3; round++) list();
    assert.equal(view.forgetHeardFrom(ORIGIN), 0);
    assert.deepEqual(view.get(seg(3)), own);
  });

  it("one that this node knows better stays as it is", () => {
    const own: CatalogEntry = { key: seg(3), meta: parseObjectKey(seg(3)) as ReadableKey, sizeBytes: 7, place: "local" };
    view.add(own);
    assert.equal(codeOf(view.addByMeta(heard(), ORIGIN)), "known");
    assert.deepEqual(view.get(seg(3)), own);
  });

  describe("is refused where the message does not fit together", () => {
    const lies: readonly [string, HeardObject][] = [
      ["a foreign key", heard(3, { key: "v1/a/other" })],
      ["a mark's key", heard(3, { key: markKey({ ...TIMES, storeId: STORE, ordinal: 3, mark: "void" }) })],
      ["another tenant", heard(3, { meta: { ...META, tenant: parseTenantId("b") } })],
      ["another store", heard(3, { meta: { ...META, storeId: OTHER } })],
      ["another ordinal", heard(3, { meta: { ...META, ordinal: 4 } })],
      ["another level", heard(3, { meta: { ...META, level: 1 } })],
      ["other times", heard(3, { meta: { ...META, maxTimeMs: START_MS + 999 } })],
      ["another window length", heard(3, { meta: { ...META, windowMs: 1 } })],
      ["a size that no object has", heard(3, { sizeBytes: 2 ** 40 })],
      ["a size too small for a footer", heard(3, { sizeBytes: 19 })],
      ["half a byte", heard(3, { sizeBytes: 100.5 })],
      ["a block that waits", { ...heardBlock, isUploaded: false }],
      ["a segment that waits at another member", { ...waiting(3), key: seg(3, OTHER), meta: { ...META, storeId: OTHER } }],
    ];
    for (const [name, lie] of lies) {
      it(name, () => {
        assert.equal(codeOf(view.addByMeta(lie, ORIGIN)), "HEARD_MALFORMED");
        assert.equal(view.entryCount, 0);
      });
    }
  });

  it("is refused below the tenant's floor, and kept where it straddles it", () => {
    list(floorKey({ tenant: A, floorMs: START_MS + 1000 }));
    assert.equal(codeOf(view.addByMeta(heard(), ORIGIN)), "added");
    list(floorKey({ tenant: A, floorMs: START_MS + 1001 }));
    assert.equal(codeOf(view.addByMeta(heard(4), ORIGIN)), "HEARD_BELOW_FLOOR");
  });

  it("is bounded by member and over all: one more is refused, and taken again once a LIST has shown others", () => {
    const tell = (storeId: string, ordinal: number): HeardOutcome => view.addByMeta({ ...heard(ordinal), key: seg(ordinal, storeId), meta: { ...META, storeId, ordinal } }, { storeId });
    let [added, members] = [0, 0];
    for (; members < 20; members++) {
      const storeId = members.toString(16).padStart(32, "0");
      for (let ordinal = 0; codeOf(tell(storeId, ordinal)) === "added"; ordinal++) added++;
      assert.isAtMost(added, 2_000 * (members + 1));
    }
    assert.equal(added, 20_000);
    assert.equal(codeOf(tell(OTHER, 0)), "HEARD_TOO_MANY");
    list(seg(0, "0".repeat(32)));
    assert.equal(codeOf(tell(OTHER, 0)), "added");
  });

  it("a full catalog refuses it, and does not throw", () => {
    view = new CatalogView(1);
    list(seg(0));
    assert.equal(codeOf(view.addByMeta(heard(), ORIGIN)), "HEARD_TOO_MANY");
  });

  it("whatever is heard, listed and forgotten in whatever order: once two LISTs have shown the same objects the view is that of the bucket", () => {
    const step = fc.tuple(fc.constantFrom("heard", "list", "list-none", "forget"), fc.nat(5));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.uniqueArray(fc.nat(5)), (steps, there) => {
        view = new CatalogView(1000);
        for (const [what, ordinal] of steps) {
          if (what === "heard") view.addByMeta(heard(ordinal), ORIGIN);
          else if (what === "forget") view.forgetHeardFrom(ORIGIN);
          else list(...(what === "list" ? [seg(ordinal)] : []));
        }
        const keys = there.map((ordinal) => seg(ordinal));
        for (let round = 0; round < 2; round++) list(...keys);
        assert.deepEqual(view.plan([A], 0, Number.MAX_SAFE_INTEGER).map(({ key }) => key), keys.toSorted());
      }),
    );
  });
});
