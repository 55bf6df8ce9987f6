import { WINDOW_MS } from "@pyromesh/profile";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { CodedError, TenantId } from "@pyromesh/base";
import { parseTenantId, silentLogger, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import fc from "fast-check";
import { Catalog } from "./catalog.ts";
import type { CatalogEntry } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";
import { FooterCache } from "./footer-cache.ts";
import type { SegmentFooter } from "./format.ts";
import { LocalFiles } from "./local-file.ts";
import { MemoryBucket } from "./memory-bucket.ts";
import type { ReadableKey } from "./object-path.ts";
import { parseObjectKey, segmentKey } from "./object-path.ts";
import { buildSegment, encodeSection } from "./segment-writer.ts";
import { Snapshots } from "./snapshots.ts";
import { FaultyBucket, ManualClock } from "./testing/index.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const A = parseTenantId("a");
const B = parseTenantId("b");

function keyOf(ordinal: number, options: { tenant?: TenantId; minMs?: number; maxMs?: number } = {}): string {
  const { tenant = A, minMs = START_MS, maxMs = minMs + 1000 } = options;
  return segmentKey({ tenant, windowStartMs: Math.floor(minMs / WINDOW_MS) * WINDOW_MS, minTimeMs: minMs, maxTimeMs: maxMs, storeId: STORE, ordinal });
}
function entryOf(key: string, place: "bucket" | "local" = "bucket", sizeBytes = 100): CatalogEntry {
  return { key, meta: parseObjectKey(key) as ReadableKey, sizeBytes, place };
}
const objectOf = (key: string): { key: string; sizeBytes: number; lastModifiedMs: number } => ({ key, sizeBytes: 100, lastModifiedMs: 0 });
const ALL: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER];

describe("catalog view", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(1000);
  });
  const planned = (): string[] => view.plan([A, B], ...ALL).map(({ key }) => key);
  const list = (...keys: string[]): ReturnType<CatalogView["endList"]> => view.endList(view.beginList(), keys.map(objectOf));

  it("plan: exactly the entries of these tenants that overlap the range, ends included", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ minute: fc.nat(400), length: fc.nat(20), isB: fc.boolean(), ordinal: fc.nat(1e6) }), { maxLength: 40, selector: ({ ordinal }) => ordinal }),
        fc.nat(450),
        fc.nat(200),
        (items, from, length) => {
          const some = new CatalogView(1000);
          const entries = items.map(({ minute, length: minutes, isB, ordinal }) => {
            const minMs = START_MS + minute * 60_000;
            const endOfWindowMs = (Math.floor(minMs / WINDOW_MS) + 1) * WINDOW_MS - 1;
            return entryOf(keyOf(ordinal, { tenant: isB ? B : A, minMs, maxMs: Math.min(endOfWindowMs, minMs + minutes * 60_000) }));
          });
          for (const entry of entries) some.add(entry);
          const [startMs, endMs] = [START_MS + from * 60_000, START_MS + (from + length) * 60_000];
          const expected = entries.filter(({ meta }) => meta.tenant === A && meta.minTimeMs <= endMs && meta.maxTimeMs >= startMs).map(({ key }) => key);
          assert.deepEqual(some.plan([A], startMs, endMs).map(({ key }) => key), expected.toSorted());
        },
      ),
    );
  });

  it("plan: an entry counts once though a tenant is named twice", () => {
    view.add(entryOf(keyOf(1)));
    assert.lengthOf(view.plan([A, A], ...ALL), 1);
  });

  it("add: a key that is there is not added again; replace moves it", () => {
    assert.isTrue(view.add(entryOf(keyOf(1), "local")));
    assert.isFalse(view.add(entryOf(keyOf(1), "bucket")));
    assert.equal(view.get(keyOf(1))?.place, "local");
    view.replace(entryOf(keyOf(1), "bucket"));
    assert.equal(view.get(keyOf(1))?.place, "bucket");
    assert.equal(view.entryCount, 1);
  });

  it("LIST: what it shows comes, what it showed and shows no more goes", () => {
    assert.deepEqual(list(keyOf(1), keyOf(2)), { addedCount: 2, removedCount: 0, foreignCount: 0 });
    assert.deepEqual(list(keyOf(2), keyOf(3)), { addedCount: 1, removedCount: 1, foreignCount: 0 });
    assert.deepEqual(planned(), [keyOf(2), keyOf(3)]);
  });

  it("LIST: a local entry stays though the bucket has it not, and stays local though it has", () => {
    view.add(entryOf(keyOf(1), "local"));
    list();
    list(keyOf(1));
    list();
    list();
    assert.equal(view.get(keyOf(1))?.place, "local");
  });

  it("LIST: an entry that came while it ran is not taken for gone", () => {
    const number = view.beginList();
    view.add(entryOf(keyOf(1)));
    view.add(entryOf(keyOf(2), "local"));
    view.replace(entryOf(keyOf(2)));
    view.endList(number, []);
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)]);
  });

  it("LIST: an entry listed once, whose upload ended while a later LIST ran, is not taken for gone", () => {
    view.add(entryOf(keyOf(1), "local"));
    list(keyOf(1)); // the put was through, its reply not yet here
    const number = view.beginList();
    view.replace(entryOf(keyOf(1)));
    view.endList(number, []);
    assert.deepEqual(planned(), [keyOf(1)]);
  });

  it("LIST: hearsay that two whole LISTs do not show goes; one is not enough", () => {
    view.add(entryOf(keyOf(1)));
    list();
    assert.deepEqual(planned(), [keyOf(1)]);
    list();
    assert.deepEqual(planned(), []);
  });

  it("LIST: what was removed while it ran does not come back by it", () => {
    list(keyOf(1), keyOf(2));
    const number = view.beginList();
    view.remove(keyOf(1));
    view.endList(number, [keyOf(1), keyOf(2)].map(objectOf));
    assert.deepEqual(planned(), [keyOf(2)]);
    list(keyOf(1), keyOf(2));
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)], "but a LIST begun later is believed");
  });

  it("LIST: names that are not ours are counted and left out", () => {
    assert.deepEqual(list("v1/other", keyOf(1)), { addedCount: 1, removedCount: 0, foreignCount: 1 });
    assert.equal(view.entryCount, 1);
  });

  it("at its bound nothing more is added: CATALOG_FULL", () => {
    const small = new CatalogView(2);
    small.add(entryOf(keyOf(1)));
    small.add(entryOf(keyOf(2)));
    small.replace(entryOf(keyOf(2)));
    try {
      small.add(entryOf(keyOf(3)));
      assert.fail("added");
    } catch (error) {
      assert.equal((error as CodedError).code, "CATALOG_FULL");
    }
    small.remove(keyOf(1));
    assert.isTrue(small.add(entryOf(keyOf(3))));
  });
});

describe("snapshots", () => {
  it("what is unused runs at once; what a snapshot may read waits for that one and for no later one", () => {
    const snapshots = new Snapshots();
    const ran: string[] = [];
    snapshots.whenUnused(() => ran.push("free"));
    const first = snapshots.begin();
    const second = snapshots.begin();
    snapshots.whenUnused(() => ran.push("held"));
    const third = snapshots.begin();
    second();
    assert.deepEqual(ran, ["free"]);
    first();
    first();
    assert.deepEqual(ran, ["free", "held"]);
    assert.equal(snapshots.liveCount, 1);
    third();
    assert.equal(snapshots.waitingCount, 0);
  });

  it("in any order of releases nothing runs before all that began before it have ended", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("begin", "wait", "end"), { maxLength: 60 }), fc.infiniteStream(fc.nat()), (steps, picks) => {
        const snapshots = new Snapshots();
        const live: { end: () => void; id: number }[] = [];
        let id = 0;
        for (const step of steps) {
          if (step === "begin") live.push({ end: snapshots.begin(), id: ++id });
          else if (step === "wait") {
            const before = live.map((each) => each.id);
            snapshots.whenUnused(() => assert.isFalse(live.some((each) => before.includes(each.id))));
          } else if (live.length > 0) {
            for (const { end } of live.splice((picks.next().value as number) % live.length, 1)) end();
          }
        }
        for (const { end } of live.splice(0)) end();
        assert.equal(snapshots.waitingCount, 0);
      }),
    );
  });
});

describe("footer cache", () => {
  const footer = (footerBytes: number): SegmentFooter => ({ footerBytes }) as SegmentFooter; // only its weight is looked at
  it("drops what was used longest ago when it weighs too much", () => {
    const cache = new FooterCache(3 * (1024 + 8 * 100));
    for (const key of ["a", "b", "c"]) cache.set(key, footer(100));
    cache.get("a");
    cache.set("d", footer(100));
    assert.deepEqual(["a", "b", "c", "d"].map((key) => cache.get(key) !== undefined), [true, false, true, true]);
    cache.set("a", footer(100));
    assert.equal(cache.footerCount, 3);
    for (const key of ["a", "c", "d"]) cache.delete(key);
    assert.equal(cache.weightBytes, 0);
  });
  it("does not keep one heavier than itself, nor lose the others over it", () => {
    const cache = new FooterCache(10_000);
    cache.set("a", footer(100));
    cache.set("huge", footer(100_000));
    assert.isUndefined(cache.get("huge"));
    assert.isDefined(cache.get("a"));
  });
});

describe("catalog", () => {
  let dir: string;
  let clock: ManualClock;
  let bucket: FaultyBucket;
  let localFiles: LocalFiles;
  let catalog: Catalog;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-catalog-"));
    clock = new ManualClock();
    bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    localFiles = await LocalFiles.open({ dir }, { clock, random: systemRandom });
    catalog = new Catalog({}, { bucket, localFiles, logger: silentLogger });
  });
  afterEach(async () => {
    await localFiles.close();
    await rm(dir, { recursive: true, force: true });
  });
  const segment = (ordinal: number): { key: string; bytes: Uint8Array } => {
    const key = keyOf(ordinal);
    const times = { minTimeMs: START_MS, maxTimeMs: START_MS + 1000, recordCount: 1 };
    const meta = { ...times, tenant: A, windowStartMs: START_MS, windowMs: WINDOW_MS, level: 0, storeId: STORE, ordinal, sources: [{ storeId: STORE, firstOrdinal: ordinal, lastOrdinal: ordinal }] };
    return { key, bytes: buildSegment(meta, [{ service: "s", ...times, sections: [encodeSection(8, new Uint8Array(16))] }]) };
  };

  it("refresh: takes in what the bucket holds, and reads footers from it", async () => {
    for (const ordinal of [1, 2]) await bucket.put(segment(ordinal).key, segment(ordinal).bytes, {}, never);
    assert.deepEqual(await catalog.refresh(never), { addedCount: 2, removedCount: 0, foreignCount: 0 });
    const [first] = catalog.plan([A], ...ALL);
    const footer = await catalog.footer(first!, never);
    assert.equal(footer.meta.ordinal, 1);
    const calls = bucket.calls.length;
    assert.strictEqual(await catalog.footer(first!, never), footer);
    assert.equal(bucket.calls.length, calls, "the second time from the cache");
  });

  it("refresh: a LIST that breaks half way changes nothing", async () => {
    for (let i = 0; i < 1500; i++) await bucket.put(keyOf(i), new Uint8Array(1), {}, never);
    await catalog.refresh(never);
    assert.equal(catalog.entryCount, 1500);
    let pages = 0;
    bucket.schedule(({ operation }) => (operation === "list" && ++pages === 2 ? { kind: "status", status: 500 } : undefined));
    assert.equal(await catalog.refresh(never).then(() => "done", (error: CodedError) => error.code), "BUCKET_UNAVAILABLE");
    assert.equal(catalog.entryCount, 1500);
  });

  it("a local file is read until it is in the bucket, and deleted only when no snapshot can read it", async () => {
    const { key, bytes } = segment(1);
    await localFiles.write(key, bytes);
    catalog.add({ ...entryOf(key, "local", bytes.length), path: localFiles.pathOf(key) });
    bucket.goDown();
    const snapshot = catalog.acquire([A], ...ALL);
    assert.equal((await catalog.footer(snapshot.entries[0]!, never)).meta.ordinal, 1);

    bucket.heal();
    await bucket.put(key, bytes, { ifAbsent: true }, never);
    catalog.replace(entryOf(key, "bucket", bytes.length));
    const deleted = new Promise<void>((resolve) => catalog.whenUnused(() => localFiles.delete(key).then(resolve)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.lengthOf(await localFiles.list(), 1, "the snapshot still reads it");
    assert.lengthOf(await catalog.source(snapshot.entries[0]!).read(0, bytes.length, never), bytes.length);

    const later = catalog.acquire([A], ...ALL);
    assert.equal(later.entries[0]?.place, "bucket");
    snapshot.release();
    await deleted;
    assert.lengthOf(await localFiles.list(), 0);
    assert.lengthOf(await catalog.source(later.entries[0]!).read(0, bytes.length, never), bytes.length);
    later.release();
    assert.equal(catalog.snapshotCount, 0);
  });

  it("remove forgets the footer too", async () => {
    const { key, bytes } = segment(1);
    await bucket.put(key, bytes, {}, never);
    await catalog.refresh(never);
    const entry = catalog.get(key)!;
    await catalog.footer(entry, never);
    assert.isTrue(catalog.remove(key));
    await bucket.delete(key, never);
    assert.equal(await catalog.footer(entry, never).then(() => "read", (error: CodedError) => error.code), "BUCKET_NOT_FOUND");
  });
});
