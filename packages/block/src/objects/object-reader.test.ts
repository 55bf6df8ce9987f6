import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CorruptionError, parseTenantId, systemRandom } from "@pyromesh/base";
import type { CodedError, TenantId } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import type { CatalogEntry } from "../catalog/catalog-entry.ts";
import type { DatasetInput, SegmentMeta } from "../segment/format.ts";
import { FolderFiles } from "./local-file.ts";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import { ObjectCache } from "./object-cache.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { parseObjectKey, segmentKey } from "../listing/object-path.ts";
import { ObjectReader } from "./object-reader.ts";
import { PlacedSource } from "./object-source.ts";
import { buildSegment, encodeSection } from "../segment/segment-writer.ts";
import { FaultyBucket, ManualClock } from "../testing/index.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const A = parseTenantId("a");
const B = parseTenantId("b");
const KIB = 1024;

type Named = Pick<SegmentMeta, "tenant" | "windowStartMs" | "storeId" | "ordinal" | "minTimeMs" | "maxTimeMs">;

const named: Named = { tenant: A, windowStartMs: START_MS, storeId: STORE, ordinal: 1, minTimeMs: START_MS, maxTimeMs: START_MS + 1000 };

/** A segment of these services, each of so many bytes. */
function segment(services: Readonly<Record<string, number>>, more: Partial<Named> = {}): { readonly entry: CatalogEntry; readonly bytes: Uint8Array } {
  const times = { minTimeMs: START_MS, maxTimeMs: START_MS + 1000, recordCount: 1 };
  const meta = { ...named, recordCount: 1, ...more, windowMs: WINDOW_MS, level: 0, sources: [] };
  const datasets = Object.entries(services).map(([service, lengthBytes]): DatasetInput => ({ service, ...times, sections: [encodeSection(8, systemRandom.bytes(lengthBytes))] }));
  return entryFor(meta, buildSegment(meta, datasets));
}

function entryFor(named: Named, bytes: Uint8Array): { readonly entry: CatalogEntry; readonly bytes: Uint8Array } {
  const key = segmentKey(named);
  return { entry: { key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: bytes.length, place: "bucket" }, bytes };
}

const refusalOf = (asked: Promise<unknown>): Promise<unknown> => asked.then(() => undefined, (error: unknown) => error);

describe("object reader", () => {
  let dir: string;
  let clock: ManualClock;
  let bucket: FaultyBucket;
  let localFiles: FolderFiles;
  let objects: ObjectReader;
  beforeEach(async () => {
    clock = new ManualClock();
    dir = await mkdtemp(path.join(tmpdir(), "pyromesh-objects-"));
    bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    localFiles = await FolderFiles.open({ dir }, { clock, random: systemRandom });
    objects = new ObjectReader({ cacheBytesMax: 2 ** 20 }, { source: new PlacedSource({ bucket, localFiles }) });
  });
  afterEach(async () => {
    await localFiles.close();
    await rm(dir, { recursive: true, force: true });
  });
  const put = async ({ entry, bytes }: ReturnType<typeof segment>): Promise<CatalogEntry> => {
    await bucket.delete(entry.key, never);
    await bucket.put(entry.key, bytes, {}, never);
    bucket.calls.length = 0;
    return entry;
  };
  const readAll = async (entry: CatalogEntry): Promise<Uint8Array[]> => {
    const { datasets } = await objects.footer(entry, never);
    return Promise.all(datasets.map((dataset) => objects.range(entry, dataset, never)));
  };

  it("a small object is read whole with its footer: one read, and none the second time", async () => {
    const small = segment({ api: 1000, web: 500 });
    const entry = await put(small);
    for (let i = 0; i < 2; i++) {
      const ranges = await readAll(entry);
      assert.deepEqual(ranges.map(({ length }) => length), [1000, 500]);
      assert.deepEqual(Buffer.concat(ranges), Buffer.from(small.bytes.subarray(8, 8 + 1500)));
      assert.instanceOf(ranges[0]!.buffer, SharedArrayBuffer);
    }
    assert.lengthOf(bucket.calls, 1);
  });

  it("of a large object each range is read once, however many want it at the same time", async () => {
    const entry = await put(segment({ api: 100 * KIB, web: 200 * KIB }));
    // The bytes of a range that is loaded twice at once were once counted twice, and pushed everything else out.
    const all = await Promise.all(Array.from({ length: 9 }, () => readAll(entry)));
    assert.lengthOf(bucket.calls, 3, "a footer and two ranges");
    for (const ranges of all) assert.deepEqual(ranges.map(({ length }) => length), [100 * KIB, 200 * KIB]);
    await readAll(entry);
    assert.lengthOf(bucket.calls, 3);
    assert.isAtMost(objects.cache.sizeBytes, 310 * KIB);
  });

  it("a slow bucket is asked once for a range, by whoever comes first; those who come while it is read, and later, get the same bytes", async () => {
    const entry = await put(segment({ api: 100 * KIB, web: 200 * KIB }));
    bucket.schedule(() => ({ kind: "slow", delayMs: 1000 }));
    const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
    const readers: Promise<Uint8Array[]>[] = [];
    let answered = 0;
    for (let comes = 0; comes < 8; comes++) {
      const reading = readAll(entry);
      void reading.then(() => answered++);
      readers.push(reading);
      await settle();
      clock.advance(200); // the footer takes until the sixth has come, the ranges until all have
      await settle();
    }
    assert.deepEqual([answered, bucket.calls.length], [0, 3]);
    clock.advance(1000);
    const all = await Promise.all(readers);
    assert.lengthOf(bucket.calls, 3, "a footer and two ranges");
    for (const ranges of all) assert.isTrue(ranges.every((range, i) => range === all[0]![i]));
    assert.strictEqual((await readAll(entry))[0], all[0]![0]);
  });

  it("one caller that goes away does not fail the others", async () => {
    const entry = await put(segment({ api: 100 * KIB }));
    const gone = new AbortController();
    bucket.schedule(() => ({ kind: "slow", delayMs: 10 }));
    const [first, second] = [refusalOf(objects.footer(entry, gone.signal)), objects.footer(entry, never)];
    await new Promise((resolve) => setImmediate(resolve));
    const reason = new Error("gone");
    gone.abort(reason);
    assert.strictEqual(await first, reason);
    clock.advance(10);
    assert.equal((await second).meta.ordinal, 1);
    assert.lengthOf(bucket.calls, 1);
  });

  it("forget: the object is read anew, and what was being read when it was forgotten is not kept", async () => {
    const entry = await put(segment({ api: 100 * KIB, web: 1 }));
    await readAll(entry);
    objects.forget(entry.key);
    assert.equal(objects.cache.entryCount, 0);
    const reading = objects.footer(entry, never);
    await new Promise((resolve) => setImmediate(resolve));
    objects.forget(entry.key);
    await reading;
    assert.equal(objects.cache.sizeBytes, 0);
  });

  // `forget` looked in the cached footer for what was being read. Where the cache had no room for it, the bytes from before a repair were kept.
  it("forget: a range that is being read is not kept, although the cache does not hold the footer that lists it", async () => {
    objects = new ObjectReader({ cacheBytesMax: 110 * KIB }, { source: new PlacedSource({ bucket, localFiles }) });
    const others = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`service-${i}`, 1]));
    const entry = await put(segment({ ...others, api: 100 * KIB }));
    const { datasets } = await objects.footer(entry, never);
    assert.equal(objects.cache.entryCount, 0, "its footer of 401 datasets is larger than the cache");
    bucket.schedule(() => ({ kind: "slow", delayMs: 10 }));
    for (const isForgotten of [false, true]) {
      const reading = objects.range(entry, datasets[0]!, never);
      await new Promise((resolve) => setImmediate(resolve));
      if (isForgotten) objects.forget(entry.key);
      clock.advance(10);
      assert.lengthOf(await reading, 100 * KIB);
      assert.equal(objects.cache.entryCount, isForgotten ? 0 : 1);
      objects.forget(entry.key);
    }
  });

  it("forget: one that is read again after the first read was left is found too", async () => {
    const entry = await put(segment({ api: 100 * KIB }));
    const { datasets } = await objects.footer(entry, never);
    const dataset = datasets[0]!;
    bucket.schedule(() => ({ kind: "slow", delayMs: 10 }));
    const gone = new AbortController();
    const first = refusalOf(objects.range(entry, dataset, gone.signal));
    await new Promise((resolve) => setImmediate(resolve));
    gone.abort(new Error("gone"));
    const second = objects.range(entry, dataset, never);
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    objects.forget(entry.key);
    clock.advance(10);
    await second;
    assert.equal(objects.cache.entryCount, 0);
  });

  describe("an object that is not what its key says is damaged", () => {
    const copies: readonly [string, Partial<Named>][] = [
      ["another tenant's", { tenant: B as TenantId }],
      ["of another hour", { windowStartMs: START_MS - WINDOW_MS, minTimeMs: START_MS - WINDOW_MS, maxTimeMs: START_MS - WINDOW_MS + 1000 }],
      ["of another store", { storeId: "00".repeat(16) }],
      ["of another ordinal", { ordinal: 2 }],
      ["that begins earlier", { minTimeMs: START_MS + 1 }],
      ["that ends later", { maxTimeMs: START_MS + 999 }],
    ];
    for (const [name, changes] of copies) {
      it(name, async () => {
        const { bytes } = segment({ api: 10 });
        const entry = await put(entryFor({ ...named, ...changes }, bytes));
        for (const asked of [objects.footer(entry, never), objects.check(entry, undefined, never)]) {
          const refusal = await refusalOf(asked);
          assert.instanceOf(refusal, CorruptionError);
          assert.equal((refusal as CorruptionError).object, entry.key);
        }
        assert.equal(objects.cache.entryCount, 0, "nothing of it is kept");
      });
    }
  });

  it("check: sees damage of the dataset it is asked about, and of no other, past the cache", async () => {
    const whole = segment({ a: 100, ab: 100 });
    const entry = await put(whole);
    await readAll(entry);
    const torn = whole.bytes.slice();
    torn[8 + 150]! ^= 1; // in ab
    await put({ entry, bytes: torn });
    await objects.check(entry, undefined, never);
    await objects.check(entry, "a", never);
    const damage = (await refusalOf(objects.check(entry, "ab", never))) as CodedError;
    assert.deepEqual(damage.details, { object: entry.key, offset: 8 + 100, service: "ab" });
    await put(whole);
    await objects.check(entry, "ab", never);
  });
});

describe("object cache", () => {
  const footer = (footerBytes: number): Parameters<ObjectCache["keepFooter"]>[1] => ({ footer: { footerBytes, datasets: [] } as never, bytes: undefined }); // only its size is looked at
  const dataset = { service: "api" } as never; // only its name is

  it("drops what was used longest ago, footers and ranges in one budget", () => {
    const cache = new ObjectCache(2 * (1024 + 8 * 100) + 512 + 1000);
    cache.keepFooter("a", footer(100));
    cache.keepFooter("b", footer(100));
    cache.keepRange("a", dataset, new Uint8Array(1000));
    cache.footer("a");
    cache.keepFooter("c", footer(100));
    assert.deepEqual(["a", "b", "c"].map((key) => cache.footer(key) !== undefined), [true, false, true]);
    assert.isDefined(cache.range("a", dataset));
    cache.keepRange("a", dataset, new Uint8Array(1000));
    assert.equal(cache.entryCount, 3);
    for (const key of ["a", "c"]) cache.forget(key);
    assert.equal(cache.sizeBytes, 0);
  });

  it("forgets all of an object and nothing of another, whatever was dropped before", () => {
    const cache = new ObjectCache(5 * (512 + 100));
    const of = (service: string): never => ({ service }) as never; // only its name is looked at
    for (const key of ["a", "ab"]) for (const service of ["", "x", "x y"]) cache.keepRange(key, of(service), new Uint8Array(100));
    assert.isUndefined(cache.range("a", of("")), "the sixth pushed it out");
    cache.forget("a");
    assert.deepEqual(["", "x", "x y"].map((service) => [cache.range("a", of(service)) !== undefined, cache.range("ab", of(service)) !== undefined]), [[false, true], [false, true], [false, true]]);
    cache.forget("ab");
    assert.equal(cache.entryCount, 0);
  });

  it("counts what an entry costs: a thousand entries of one byte take more than a thousand bytes", () => {
    const cache = new ObjectCache(2 ** 20);
    for (let i = 0; i < 10_000; i++) cache.keepRange(`k${i}`, dataset, new Uint8Array(1));
    assert.isAtMost(cache.entryCount, 2 ** 20 / 512);
  });

  it("does not keep one larger than itself, nor lose the others over it", () => {
    const cache = new ObjectCache(10_000);
    cache.keepFooter("a", footer(100));
    cache.keepFooter("huge", footer(100_000));
    assert.isUndefined(cache.footer("huge"));
    assert.isDefined(cache.footer("a"));
  });
});
