import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { WINDOW_MS } from "@pyromesh/profile";
import type { CodedError, TenantId } from "@pyromesh/base";
import { parseTenantId, silentLogger, systemRandom } from "@pyromesh/base";
import { assert } from "chai";
import fc from "fast-check";
import type { ListPass } from "../listing/list-pass.ts";
import { FolderFiles } from "../objects/local-file.ts";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { parseObjectKey, segmentKey } from "../listing/object-path.ts";
import { ObjectReader } from "../objects/object-reader.ts";
import { PlacedSource } from "../objects/object-source.ts";
import { buildSegment, encodeSection } from "../segment/segment-writer.ts";
import { FaultyBucket, ManualClock } from "../testing/index.ts";
import { Catalog } from "./catalog.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import type { RefreshOutcome } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";
import { Snapshots } from "./snapshots.ts";

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
/** A generator's result, its pauses skipped. */
function run<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
const ALL: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER];

describe("catalog view", () => {
  let view: CatalogView;
  beforeEach(() => {
    view = new CatalogView(1000);
  });
  const planned = (): string[] => view.plan([A, B], ...ALL).map(({ key }) => key);
  const end = (pass: ListPass, ...keys: string[]): RefreshOutcome => {
    run(view.takePage(pass, keys.map(objectOf)));
    return run(view.endList(pass));
  };
  const list = (...keys: string[]): RefreshOutcome => end(view.beginList(), ...keys);

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

  // It sorted 20,160 keys for each query: 25 to 50 ms of the main thread.
  it("plan: of a month of objects costs little once its windows were planned before, and sees every change", () => {
    const month = new CatalogView(100_000);
    const keyAt = (hour: number, ordinal: number): string => keyOf(ordinal, { minMs: START_MS + hour * WINDOW_MS + ordinal * 120_000 });
    for (let ordinal = 27; ordinal >= 0; ordinal--) for (let hour = 719; hour >= 0; hour--) month.add(entryOf(keyAt(hour, ordinal)));
    const plan = (): CatalogEntry[] => month.plan([A], ...ALL);
    assert.deepEqual(plan().map(({ key }) => key), plan().map(({ key }) => key).toSorted());
    const before = process.cpuUsage();
    for (let i = 0; i < 50; i++) assert.lengthOf(plan(), 20_160);
    const { user, system } = process.cpuUsage(before);
    assert.isBelow((user + system) / 1000 / 50, 10, "ms a plan");

    month.remove(keyAt(300, 3));
    month.add(entryOf(keyAt(300, 29), "local"));
    month.replace(entryOf(keyAt(400, 4), "bucket", 7));
    const changed = plan();
    assert.lengthOf(changed, 20_160);
    assert.deepEqual(changed.filter(({ key }) => [keyAt(300, 3), keyAt(300, 29), keyAt(400, 4)].includes(key)).map(({ key, sizeBytes }) => [key, sizeBytes]), [
      [keyAt(300, 29), 100],
      [keyAt(400, 4), 7],
    ]);
  });

  it("span: of all windows together, and as it is after each change", () => {
    assert.isUndefined(view.spanOf(A));
    const keys = [0, 5, 3].map((hour) => keyOf(hour, { minMs: START_MS + hour * WINDOW_MS + 1000 }));
    for (const key of keys) view.add(entryOf(key));
    assert.deepEqual(view.spanOf(A), { oldestMs: START_MS + 1000, newestMs: START_MS + 5 * WINDOW_MS + 2000 });
    view.remove(keys[1]!);
    assert.deepEqual(view.spanOf(A), { oldestMs: START_MS + 1000, newestMs: START_MS + 3 * WINDOW_MS + 2000 });
    view.add(entryOf(keyOf(9, { minMs: START_MS })));
    assert.equal(view.spanOf(A)?.oldestMs, START_MS);
    assert.isUndefined(view.spanOf(B));
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

  it("LIST: an object that it shows is added; one that two in a row do not show is removed", () => {
    assert.include(list(keyOf(1), keyOf(2)), { addedCount: 2, removedCount: 0 });
    const once = list(keyOf(2), keyOf(3));
    assert.include(once, { addedCount: 1, removedCount: 0 });
    assert.deepEqual(once.doubts, [{ tenant: A, windowStartMs: START_MS }]);
    assert.deepEqual(planned(), [keyOf(1), keyOf(2), keyOf(3)]);
    assert.include(list(keyOf(2), keyOf(3)), { addedCount: 0, removedCount: 1 });
    assert.deepEqual(planned(), [keyOf(2), keyOf(3)]);
  });

  it("LIST: one that misses a key once changes nothing, however often that happens", () => {
    list(keyOf(1), keyOf(2));
    for (let round = 0; round < 3; round++) {
      list(keyOf(2));
      assert.deepEqual(list(keyOf(1), keyOf(2)).doubts.filter(() => planned().length < 2), []);
    }
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)]);
  });

  it("LIST: two that overlap count as one", () => {
    list(keyOf(1));
    const first = view.beginList();
    const second = view.beginList();
    end(first);
    end(second);
    assert.deepEqual(planned(), [keyOf(1)]);
    list();
    assert.deepEqual(planned(), []);
  });

  it("LIST: what a later one showed is not missed by an earlier one that ends after it", () => {
    list(keyOf(1));
    list();
    const early = view.beginList();
    list(keyOf(1));
    end(early);
    list();
    assert.deepEqual(planned(), [keyOf(1)]);
  });

  it("LIST: one that failed half way adds what it showed, and removes nothing", () => {
    list(keyOf(1));
    for (let round = 0; round < 3; round++) {
      const pass = view.beginList();
      run(view.takePage(pass, [objectOf(keyOf(2))]));
      view.abandonList(pass);
    }
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)]);
  });

  it("LIST: an object of another size is another object: the entry says its size, and the outcome its key", () => {
    list(keyOf(1), keyOf(2));
    const pass = view.beginList();
    run(view.takePage(pass, [{ ...objectOf(keyOf(1)), sizeBytes: 101 }, objectOf(keyOf(2))]));
    assert.deepEqual(run(view.endList(pass)).changedKeys, [keyOf(1)]);
    assert.equal(view.get(keyOf(1))?.sizeBytes, 101);
  });

  it("LIST: one of the newest windows removes nothing from the older ones", () => {
    const later = keyOf(1, { minMs: START_MS + 2 * WINDOW_MS });
    list(keyOf(1), later);
    for (let round = 0; round < 2; round++) end(view.beginList({ kind: "since", windowStartMs: START_MS + WINDOW_MS }));
    assert.deepEqual(planned(), [keyOf(1)]);
  });

  it("LIST: one of a single window removes nothing from others", () => {
    const others = [keyOf(1, { tenant: B }), keyOf(1, { minMs: START_MS + WINDOW_MS })];
    list(keyOf(1), ...others);
    for (let round = 0; round < 2; round++) end(view.beginList({ kind: "window", tenant: A, windowStartMs: START_MS }));
    assert.sameMembers(planned(), others);
  });

  it("LIST: a local entry stays where the bucket lacks it, and stays local where the bucket has it", () => {
    view.add(entryOf(keyOf(1), "local"));
    list();
    list(keyOf(1));
    list();
    list();
    assert.equal(view.get(keyOf(1))?.place, "local");
  });

  it("LIST: an entry that was added while it ran is not removed", () => {
    const number = view.beginList();
    view.add(entryOf(keyOf(1)));
    view.add(entryOf(keyOf(2), "local"));
    view.replace(entryOf(keyOf(2)));
    end(number);
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)]);
  });

  it("LIST: an entry listed once, whose upload ended while a later LIST ran, is not removed", () => {
    view.add(entryOf(keyOf(1), "local"));
    list(keyOf(1)); // the put was through, its reply not yet here
    const number = view.beginList();
    view.replace(entryOf(keyOf(1)));
    end(number);
    assert.deepEqual(planned(), [keyOf(1)]);
  });

  it("LIST: an object that a member announced is removed when two whole LISTs do not show it; one is not enough", () => {
    view.add(entryOf(keyOf(1)));
    list();
    assert.deepEqual(planned(), [keyOf(1)]);
    list();
    assert.deepEqual(planned(), []);
  });

  it("LIST: an entry that was removed while it ran is not added again", () => {
    list(keyOf(1), keyOf(2));
    const number = view.beginList();
    view.remove(keyOf(1));
    end(number, keyOf(1), keyOf(2));
    assert.deepEqual(planned(), [keyOf(2)]);
    list(keyOf(1), keyOf(2));
    assert.deepEqual(planned(), [keyOf(1), keyOf(2)], "but a LIST begun later is believed");
  });

  it("LIST: names that are not ours are counted and left out", () => {
    assert.include(list("v1/other", keyOf(1)), { addedCount: 1, removedCount: 0, foreignCount: 1 });
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

  it("at its bound marks are not added either: CATALOG_FULL", () => {
    const small = new CatalogView(2);
    small.add(entryOf(keyOf(1)));
    const marks = [2, 3].map((ordinal) => keyOf(ordinal).replace(/seg$/, "forgotten"));
    assert.throws(() => run(small.takePage(small.beginList(), marks.map(objectOf))), "takes no more");
    assert.lengthOf([...small.marks()], 1);
  });
});

describe("snapshots", () => {
  it("a deletion runs at once while there is no snapshot; otherwise it waits for those that have begun and for no later one", () => {
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

  it("in any order of releases no deletion runs before all snapshots that began before it have ended", () => {
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

describe("catalog", () => {
  let dir: string;
  let clock: ManualClock;
  let bucket: FaultyBucket;
  let localFiles: FolderFiles;
  let catalog: Catalog;
  let objects: ObjectReader;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-catalog-"));
    clock = new ManualClock();
    bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    localFiles = await FolderFiles.open({ dir }, { clock, random: systemRandom });
    catalog = new Catalog({}, { bucket, logger: silentLogger });
    objects = new ObjectReader({ cacheBytesMax: 2 ** 20 }, { source: new PlacedSource({ bucket, localFiles }) });
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

  it("refresh: takes in what the bucket holds", async () => {
    for (const ordinal of [1, 2]) await bucket.put(segment(ordinal).key, segment(ordinal).bytes, {}, never);
    assert.include(await catalog.refresh(never), { addedCount: 2, removedCount: 0, foreignCount: 0 });
    const [first] = catalog.plan([A], ...ALL);
    assert.equal((await objects.footer(first!, never)).meta.ordinal, 1);
  });

  it("refresh: of the newest windows it jumps over the old ones, and finds all new ones", async () => {
    const since = START_MS + 400 * WINDOW_MS;
    const recent: string[] = [];
    for (const tenant of [A, parseTenantId("a-b"), B]) {
      for (let window = 0; window < 402; window++) {
        for (let ordinal = 0; ordinal < 6; ordinal++) {
          const key = keyOf(ordinal, { tenant, minMs: START_MS + window * WINDOW_MS });
          await bucket.put(key, new Uint8Array(1), {}, never);
          if (window >= 400) recent.push(key);
        }
      }
    }
    const calls = bucket.calls.length;
    await catalog.refresh(never, { scope: { kind: "since", windowStartMs: since } });
    assert.includeMembers([...catalog.entries()].map(({ key }) => key), recent);
    assert.isAtMost(bucket.calls.length - calls, 7, "a page that ends among the old ones and one of the new, per tenant");
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
    assert.equal((await objects.footer(snapshot.entries[0]!, never)).meta.ordinal, 1);

    bucket.heal();
    await bucket.put(key, bytes, { ifAbsent: true }, never);
    catalog.replace(entryOf(key, "bucket", bytes.length));
    const deleted = new Promise<void>((resolve) => catalog.whenUnused(() => localFiles.delete(key).then(resolve)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.lengthOf(await localFiles.list(), 1, "the snapshot still reads it");
    assert.lengthOf(await objects.source(snapshot.entries[0]!).read(0, bytes.length, never), bytes.length);

    const later = catalog.acquire([A], ...ALL);
    assert.equal(later.entries[0]?.place, "bucket");
    snapshot.release();
    await deleted;
    assert.lengthOf(await localFiles.list(), 0);
    assert.lengthOf(await objects.source(later.entries[0]!).read(0, bytes.length, never), bytes.length);
    later.release();
    assert.equal(catalog.snapshotCount, 0);
  });

  it("refresh: an object that was replaced by one of another size is planned with it", async () => {
    const { key, bytes } = segment(1);
    await bucket.put(key, bytes.subarray(0, 20), {}, never);
    await catalog.refresh(never);
    assert.equal(catalog.plan([A], ...ALL)[0]!.sizeBytes, 20);
    await bucket.put(key, bytes, {}, never);
    assert.deepEqual((await catalog.refresh(never)).changedKeys, [key]);
    assert.equal(catalog.plan([A], ...ALL)[0]!.sizeBytes, bytes.length);
  });

  it("resize: an object of the bucket that has another size now is read by it", async () => {
    const { key, bytes } = segment(1);
    await bucket.put(key, bytes.subarray(0, 20), {}, never);
    await catalog.refresh(never);
    await bucket.delete(key, never);
    await bucket.put(key, bytes, {}, never);
    catalog.resize(key, bytes.length);
    assert.equal((await objects.footer(catalog.get(key)!, never)).meta.ordinal, 1);
    assert.deepEqual((await catalog.refresh(never)).changedKeys, [], "a LIST has nothing to add");
    assert.equal(catalog.plan([A], ...ALL)[0]!.sizeBytes, bytes.length);
    await bucket.delete(key, never);
    for (let round = 0; round < 2; round++) await catalog.refresh(never);
    assert.isUndefined(catalog.get(key), "and it is still known to be listed");
  });
});
