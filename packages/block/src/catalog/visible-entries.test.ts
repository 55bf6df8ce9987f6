import { CorruptionError, parseTenantId, silentLogger } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import fc from "fast-check";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import type { SourceRange } from "../segment/format.ts";
import { buildSegment, encodeSection } from "../segment/segment-writer.ts";
import { FaultyBucket, ManualClock } from "../testing/index.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { blockKey, parseObjectKey, segmentKey } from "../listing/object-path.ts";
import { describeGap } from "../listing/segment-gaps.ts";
import { readSources } from "./block-sources.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import { Catalog } from "./catalog.ts";
import { CatalogView } from "./catalog-view.ts";
import { SourceSet } from "./source-set.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const A = parseTenantId("a");
const STORES = ["0f1e2d3c4b5a69788796a5b4c3d2e1f0", "ff".repeat(16)] as const;
const TIMES = { tenant: A, windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS + 1000 };

const seg = (ordinal: number, store = 0): string => segmentKey({ ...TIMES, storeId: STORES[store]!, ordinal });
const blk = (id: number, level = 1): string => blockKey({ ...TIMES, level, blockId: id.toString(16).padStart(16, "0") });
const range = (firstOrdinal: number, lastOrdinal = firstOrdinal, store = 0): SourceRange => ({ storeId: STORES[store]!, firstOrdinal, lastOrdinal });
const entryOf = (key: string, place: "bucket" | "local" = "bucket"): CatalogEntry => ({ key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: 100, place });
const objectOf = (key: string): { key: string; sizeBytes: number; lastModifiedMs: number } => ({ key, sizeBytes: 100, lastModifiedMs: 0 });

function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

describe("source set", () => {
  it("ranges in any order, overlapping or touching, are the same set, and come out as one list", () => {
    const set = new SourceSet([range(5, 7), range(0, 1), range(9, 9, 1), range(2, 3), range(6, 8)]);
    assert.deepEqual(set.ranges(), [range(0, 3), range(5, 8), range(9, 9, 1)]);
    assert.deepEqual([4, 5, 8, 9].map((ordinal) => set.has(STORES[0], ordinal)), [false, true, true, false]);
    assert.isFalse(set.has("00".repeat(16), 5));
  });

  it("has and includes: as sets of single ordinals", () => {
    const ranges = fc.array(fc.tuple(fc.nat(12), fc.nat(4), fc.nat(1)).map(([first, length, store]) => range(first, first + length, store)), { maxLength: 6 });
    const singles = (list: readonly SourceRange[]): Set<string> =>
      new Set(list.flatMap(({ storeId, firstOrdinal, lastOrdinal }) => Array.from({ length: lastOrdinal - firstOrdinal + 1 }, (_, i) => `${storeId}/${firstOrdinal + i}`)));
    fc.assert(
      fc.property(ranges, ranges, (a, b) => {
        const [inA, inB] = [singles(a), singles(b)];
        assert.equal(new SourceSet(a).includes(new SourceSet(b)), [...inB].every((one) => inA.has(one)));
        for (let ordinal = 0; ordinal < 20; ordinal++) assert.equal(new SourceSet(a).has(STORES[1], ordinal), inA.has(`${STORES[1]}/${ordinal}`));
        assert.deepEqual([...singles(new SourceSet(a).ranges())].sort(), [...inA].sort());
      }),
    );
  });
});

describe("catalog view: blocks and their sources", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(1000);
  });
  const planned = (of: CatalogView = view): string[] => of.plan([A], 0, Number.MAX_SAFE_INTEGER).map(({ key }) => key);
  const addBlock = (key: string, ...ranges: SourceRange[]): void => {
    view.add(entryOf(key));
    view.setSources(key, new SourceSet(ranges));
  };
  const list = (...keys: string[]): void => {
    const pass = view.beginList();
    run(view.takePage(pass, keys.map(objectOf)));
    run(view.endList(pass));
  };

  it("a source is hidden whether it comes before or after its block, and comes back when the block is removed", () => {
    view.add(entryOf(seg(0)));
    addBlock(blk(1), range(0, 1));
    view.add(entryOf(seg(1)));
    view.add(entryOf(seg(2)));
    assert.deepEqual(planned(), [seg(2), blk(1)]);
    view.remove(blk(1));
    assert.deepEqual(planned(), [seg(0), seg(1), seg(2)]);
  });

  it("a source that a stale LIST shows again stays hidden", () => {
    list(seg(0), seg(1));
    addBlock(blk(1), range(0, 1));
    for (let round = 0; round < 2; round++) list(blk(1));
    assert.isUndefined(view.get(seg(0)), "two LISTs did not show it");
    list(seg(0), blk(1));
    assert.isDefined(view.get(seg(0)));
    assert.deepEqual(planned(), [blk(1)]);
  });

  it("a block hides one whose sources are among its own, and a segment of both is hidden by either", () => {
    addBlock(blk(1, 1), range(0, 3));
    addBlock(blk(2, 2), range(0, 9));
    view.add(entryOf(seg(2)));
    assert.deepEqual(planned(), [blk(2, 2)]);
    view.remove(blk(2, 2));
    assert.deepEqual(planned(), [blk(1, 1)]);
  });

  it("two blocks that share only some sources are both read", () => {
    addBlock(blk(1), range(0, 3));
    addBlock(blk(2), range(2, 5));
    assert.deepEqual(planned(), [blk(1), blk(2)]);
  });

  it("of two with the same sources one is read: of the higher level, else the one whose key comes last", () => {
    addBlock(blk(3, 1), range(0, 3));
    addBlock(blk(1, 2), range(0, 3));
    addBlock(blk(2, 2), range(0, 3));
    assert.deepEqual(planned(), [blk(2, 2)]);
  });

  it("a block hides nothing before its footer was read, nor one that names no sources", () => {
    view.add(entryOf(seg(0)));
    view.add(entryOf(blk(1)));
    addBlock(blk(2));
    assert.deepEqual(planned(), [seg(0), blk(1), blk(2)]);
    assert.deepEqual(view.unreadBlocks().map(({ key }) => key), [blk(1)]);
    view.setSources(blk(1), new SourceSet([range(0)]));
    assert.deepEqual(planned(), [blk(1), blk(2)]);
    assert.deepEqual(view.unreadBlocks(), []);
  });

  // Its ordinal may be one that another data dir, of which this is a copy, brought to the bucket: then the block holds other records.
  it("a segment that waits on this node's disk is read until its upload was verified", () => {
    addBlock(blk(1), range(0));
    view.add(entryOf(seg(0), "local"));
    assert.deepEqual(planned(), [seg(0), blk(1)]);
    view.replace(entryOf(seg(0), "bucket"));
    assert.deepEqual(planned(), [blk(1)]);
  });

  it("only within its own window and tenant", () => {
    const later = { ...TIMES, windowStartMs: START_MS + WINDOW_MS, minTimeMs: START_MS + WINDOW_MS, maxTimeMs: START_MS + WINDOW_MS };
    const others = [segmentKey({ ...later, storeId: STORES[0], ordinal: 0 }), segmentKey({ ...TIMES, tenant: parseTenantId("b"), storeId: STORES[0], ordinal: 0 })];
    for (const key of others) view.add(entryOf(key));
    addBlock(blk(1), range(0));
    assert.sameMembers(view.plan([A, parseTenantId("b")], 0, Number.MAX_SAFE_INTEGER).map(({ key }) => key), [blk(1), ...others]);
  });

  it("any order of adds, removes, footers read, uploads and stale LISTs gives the view of a brute-force model", () => {
    const keys = [...Array.from({ length: 6 }, (_, i) => seg(i % 3, Math.floor(i / 3))), blk(1, 1), blk(2, 1), blk(3, 2), blk(4, 2)];
    // Fixed by the block's name, as a footer is.
    const sources = fc.array(fc.array(fc.tuple(fc.nat(2), fc.nat(1)), { maxLength: 5 }), { minLength: 4, maxLength: 4 });
    const step = fc.tuple(fc.constantFrom("add", "add-local", "remove", "read", "replace", "list"), fc.nat(keys.length - 1));
    fc.assert(
      fc.property(sources, fc.array(step, { maxLength: 40 }), (sourcesOf, steps) => {
        const tested = new CatalogView(1000);
        const model = new Map<string, { place: "bucket" | "local"; sources: ReadonlySet<string> | undefined }>();
        const blocksFrom = 6;
        for (const [what, at] of steps) {
          const key = keys[at]!;
          const isBlock = at >= blocksFrom;
          const known = model.get(key);
          if (what === "add" || (what === "add-local" && !isBlock)) {
            const place = what === "add" ? "bucket" : "local";
            tested.add(entryOf(key, place));
            if (known === undefined) model.set(key, { place, sources: undefined });
          } else if (what === "remove") {
            tested.remove(key);
            model.delete(key);
          } else if (what === "replace" && known?.place === "local") {
            tested.replace(entryOf(key));
            model.set(key, { place: "bucket", sources: undefined });
          } else if (what === "list") {
            const pass = tested.beginList();
            run(tested.takePage(pass, [objectOf(key)]));
            tested.abandonList(pass);
            if (known === undefined) model.set(key, { place: "bucket", sources: undefined });
          } else if (what === "read" && isBlock && known !== undefined) {
            const pairs = sourcesOf[at - blocksFrom]!;
            tested.setSources(key, new SourceSet(pairs.map(([ordinal, store]) => range(ordinal, ordinal, store))));
            model.set(key, { ...known, sources: new Set(pairs.map(([ordinal, store]) => seg(ordinal, store))) });
          }
          const isSubset = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => [...a].every((one) => b.has(one));
          const levelOf = (of: string): number => entryOf(of).meta.level;
          const expected = [...model].filter(([own, { place, sources: ownSources }]) => {
            for (const [other, { sources: hidden }] of model) {
              if (hidden === undefined || hidden.size === 0 || other === own) continue;
              if (place === "bucket" && hidden.has(own)) return false;
              if (ownSources === undefined || ownSources.size === 0 || !isSubset(ownSources, hidden)) continue;
              if (!isSubset(hidden, ownSources) || levelOf(other) > levelOf(own) || (levelOf(other) === levelOf(own) && other > own)) return false;
            }
            return true;
          });
          assert.deepEqual(planned(tested), expected.map(([own]) => own).sort());
        }
      }),
    );
  });

  it("gaps: a source of a block is not missing though its segment is gone; what lies between is", () => {
    const shown = (): string[] => view.gaps.map((gap) => describeGap(gap).replace(/^.*: /, ""));
    list(seg(0), seg(1), seg(2), seg(3), seg(5));
    addBlock(blk(1), range(0, 2));
    for (let round = 0; round < 4; round++) list(seg(3), seg(5), blk(1));
    assert.deepEqual(shown(), ["4 missing"]);
    view.remove(blk(1));
    for (let round = 0; round < 2; round++) list(seg(3), seg(5));
    assert.deepEqual(shown(), ["0-2, 4 missing"]);
  });

  it("a block that holds more of this store's segments than it gave: another data dir writes under its id", () => {
    const refresh = (next: number): readonly string[] => {
      const pass = view.beginList();
      run(view.takePage(pass, [objectOf(blk(1))]));
      view.setSources(blk(1), new SourceSet([range(0, 4)]));
      const stores = [{ storeId: STORES[0], tenant: A, windowStartMs: START_MS, next }];
      return run(view.endList(pass, { stores, currentStoreId: STORES[0], pendingKeys: [], exemptStoreIds: new Set() })).storeConflicts;
    };
    assert.deepEqual(refresh(5), []);
    assert.match(refresh(4).join(), /segment 4 .* gave only those below 4/);
  });
});

describe("catalog: footers of blocks", () => {
  let bucket: FaultyBucket;
  let catalog: Catalog;
  beforeEach(() => {
    const clock = new ManualClock();
    bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    catalog = new Catalog({}, { bucket, logger: silentLogger });
  });
  const put = async (key: string, sources: readonly SourceRange[], ownMeta: Partial<ReadableKey> = {}): Promise<void> => {
    const meta = { ...(parseObjectKey(key) as ReadableKey), windowMs: WINDOW_MS, storeId: "00".repeat(16), ordinal: 0, recordCount: 1, ...ownMeta, sources };
    const dataset = { service: "s", recordCount: 1, minTimeMs: START_MS, maxTimeMs: START_MS, sections: [encodeSection(8, new Uint8Array(16))] };
    await bucket.put(key, buildSegment(meta, [dataset]), {}, never);
  };
  const planned = (): string[] => catalog.plan([A], 0, Number.MAX_SAFE_INTEGER).map(({ key }) => key);
  const reads = (): number => bucket.calls.filter(({ operation }) => operation === "getRange").length;

  it("refresh: reads the footer of each new block once, and hides what it names", async () => {
    for (const ordinal of [0, 1, 2]) await put(seg(ordinal), [], { storeId: STORES[0], ordinal } as Partial<ReadableKey>);
    await put(blk(1), [range(0, 1)]);
    await catalog.refresh(never);
    assert.deepEqual(planned(), [seg(2), blk(1)]);
    await catalog.refresh(never);
    assert.equal(reads(), 1);
  });

  it("refresh: rejects while a block's footer cannot be had, so that its sources are not taken for missing", async () => {
    await put(blk(1), [range(0, 1)]);
    await bucket.put(seg(2), new Uint8Array(10), {}, never);
    bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "status", status: 503 } : undefined));
    for (let round = 0; round < 2; round++) assert.equal(await catalog.refresh(never).then(() => "", (error: { code: string }) => error.code), "BUCKET_UNAVAILABLE");
    assert.deepEqual(catalog.gaps, []);
    bucket.heal();
    await catalog.refresh(never);
    await catalog.refresh(never);
    assert.deepEqual(catalog.gaps, []);
  });

  for (const [name, damage] of [
    ["cut short", async (): Promise<void> => void (await bucket.put(blk(1), new Uint8Array(30), {}, never))],
    ["another tenant's", () => put(blk(1), [range(0)], { tenant: parseTenantId("b") })],
  ] as const) {
    it(`refresh: a block that is ${name} hides nothing, and its footer is read again until it is whole`, async () => {
      await put(seg(0), [], { storeId: STORES[0], ordinal: 0 } as Partial<ReadableKey>);
      await damage();
      await catalog.refresh(never);
      assert.deepEqual(planned(), [seg(0), blk(1)]);
      await readSources(bucket, catalog.get(blk(1))!, never).then(() => assert.fail("read"), (error: unknown) => assert.instanceOf(error, CorruptionError));
      await put(blk(1), [range(0)]);
      await catalog.refresh(never);
      assert.deepEqual(planned(), [blk(1)]);
    });
  }

  it("refresh: a block that may not be read keeps no other from being listed", async () => {
    await put(blk(1), [range(0)]);
    await put(blk(2), [range(1)]);
    for (const ordinal of [0, 1]) await put(seg(ordinal), [], { storeId: STORES[0], ordinal } as Partial<ReadableKey>);
    bucket.schedule(({ operation, key }) => (operation === "getRange" && key === blk(1) ? { kind: "status", status: 403 } : undefined));
    await catalog.refresh(never);
    assert.deepEqual(planned(), [seg(0), blk(1), blk(2)]);
  });

  it("refresh: a block that is gone when its footer is read is passed over", async () => {
    await put(blk(1), [range(0)]);
    bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "status", status: 404 } : undefined));
    await catalog.refresh(never);
    assert.deepEqual(planned(), [blk(1)]);
  });
});
