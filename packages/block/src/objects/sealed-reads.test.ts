/** Sealed segments read at the node that has them: by its peers, as any other object. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { CodedError } from "@pyromesh/base";
import { parseTenantId, silentLogger, systemRandom } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { assert } from "chai";
import { FileTree } from "../bucket/file-tree.ts";
import { MemoryBucket } from "../bucket/memory-bucket.ts";
import type { CatalogEntry } from "../catalog/catalog-entry.ts";
import { Catalog } from "../catalog/catalog.ts";
import type { ReadableKey } from "../listing/object-path.ts";
import { parseObjectKey, segmentKey } from "../listing/object-path.ts";
import { buildSegment, encodeSection } from "../segment/segment-writer.ts";
import { FaultyBucket, ManualClock } from "../testing/index.ts";
import type { LocalFiles } from "./local-file.ts";
import { ObjectReader } from "./object-reader.ts";
import type { SealedPeers } from "./object-source.ts";
import { PlacedSource } from "./object-source.ts";
import { SEALED_READ_BYTES_MAX, SealedReads } from "./sealed-reads.ts";

const never = new AbortController().signal;
const START_MS = Date.UTC(2026, 2, 2, 14);
const STORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const A = parseTenantId("a");
const ALL: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER];

const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => "done", (error: CodedError) => error.code);
const own = async (bytes: Uint8Array): Promise<Uint8Array> => bytes;

/** A node as far as its sealed segments go: files, a catalog, and the serving side. */
class Owner {
  readonly bucket: FaultyBucket;
  readonly catalog: Catalog;
  readonly files = new Map<string, Uint8Array>();
  readonly reads: SealedReads;
  /** While set, reads of files wait for it. */
  held: Promise<void> | undefined;

  constructor(bucket: FaultyBucket, bytesAtOnceMax?: number) {
    this.bucket = bucket;
    this.catalog = new Catalog({}, { bucket, logger: silentLogger });
    const localFiles: Pick<LocalFiles, "read"> = {
      read: async (key, offset, lengthBytes) => {
        await this.held;
        return this.files.get(key)!.subarray(offset, offset + lengthBytes);
      },
    };
    this.reads = new SealedReads(bytesAtOnceMax === undefined ? {} : { bytesAtOnceMax }, { catalog: this.catalog, localFiles });
  }

  seal(ordinal: number, lengthBytes: number): CatalogEntry {
    const times = { minTimeMs: START_MS, maxTimeMs: START_MS + 1000, recordCount: 1 };
    const meta = { ...times, tenant: A, windowStartMs: START_MS, windowMs: WINDOW_MS, level: 0, storeId: STORE, ordinal, sources: [{ storeId: STORE, firstOrdinal: ordinal, lastOrdinal: ordinal }] };
    const bytes = buildSegment(meta, [{ service: "api", ...times, sections: [encodeSection(8, systemRandom.bytes(lengthBytes))] }]);
    const key = segmentKey(meta);
    this.files.set(key, bytes);
    const entry: CatalogEntry = { key, meta: parseObjectKey(key) as ReadableKey, sizeBytes: bytes.length, place: "local" };
    this.catalog.add(entry);
    return entry;
  }

  async upload(entry: CatalogEntry): Promise<void> {
    await this.bucket.put(entry.key, this.files.get(entry.key)!, {}, never);
    this.catalog.replace({ ...entry, place: "bucket" });
    this.catalog.whenUnused(() => void this.files.delete(entry.key));
  }

  read(key: string, offset: number, lengthBytes: number): Promise<Uint8Array> {
    return this.reads.readSealed(key, { offset, lengthBytes }, own, never);
  }
}

describe("sealed reads", () => {
  let bucket: FaultyBucket;
  let owner: Owner;
  beforeEach(() => {
    const clock = new ManualClock();
    bucket = new FaultyBucket(new MemoryBucket({ clock }), { clock });
    owner = new Owner(bucket);
  });

  it("gives exactly the bytes of the range", async () => {
    const { key, sizeBytes } = owner.seal(0, 1000);
    const file = owner.files.get(key)!;
    for (const [offset, lengthBytes] of [[0, 1], [100, 200], [sizeBytes - 1, 1], [0, sizeBytes]] as const) {
      assert.deepEqual(await owner.read(key, offset, lengthBytes), file.subarray(offset, offset + lengthBytes));
    }
  });

  it("refuses ranges beyond the segment, empty ones, halves of a byte and more than it gives at a time", async () => {
    const { key, sizeBytes } = owner.seal(0, SEALED_READ_BYTES_MAX + 1000);
    for (const [offset, lengthBytes] of [[-1, 2], [sizeBytes, 1], [sizeBytes - 1, 2], [0, 0], [0, -1], [0.5, 1], [0, 1.5], [0, SEALED_READ_BYTES_MAX + 1], [NaN, 1], [0, Infinity]] as const) {
      assert.equal(await codeOf(owner.read(key, offset, lengthBytes)), "SEALED_RANGE_INVALID", `${offset}, ${lengthBytes}`);
    }
    assert.equal(owner.reads.bytesAtOnce, 0);
  });

  it("serves only what waits here: no other key, no path, and nothing that the bucket has", async () => {
    const entry = owner.seal(0, 1000);
    for (const key of ["", "../../etc/passwd", entry.key.replace("v1/a/", "v1/b/"), `${entry.key}/`, "x".repeat(10_000)]) assert.equal(await codeOf(owner.read(key, 0, 1)), "SEALED_NOT_HERE");
    await owner.upload(entry);
    assert.equal(await codeOf(owner.read(entry.key, 0, 1)), "SEALED_NOT_HERE");
  });

  it("bounds the bytes of all replies together, until they are sent; at the bound it refuses", async () => {
    owner = new Owner(bucket, 2000);
    const { key } = owner.seal(0, 5000);
    let sent = (): void => {};
    const sending = owner.reads.readSealed(key, { offset: 0, lengthBytes: 1500 }, () => new Promise<void>((resolve) => (sent = resolve)), never);
    const second = owner.read(key, 0, 500);
    assert.equal(owner.reads.bytesAtOnce, 2000);
    assert.equal(await codeOf(owner.read(key, 0, 1)), "SEALED_READS_BUSY");
    await second;
    assert.equal(await codeOf(owner.read(key, 0, 501)), "SEALED_READS_BUSY", "the first reply is not sent yet");
    sent();
    await sending;
    assert.equal(owner.reads.bytesAtOnce, 0);
    const broken = owner.reads.readSealed(key, { offset: 0, lengthBytes: 2000 }, () => Promise.reject(new Error("the peer went away")), never);
    assert.equal(await broken.then(() => "", (error: Error) => error.message), "the peer went away");
    assert.equal(owner.reads.bytesAtOnce, 0);
  });

  it("a read under way keeps the file, though the upload ends meanwhile", async () => {
    const entry = owner.seal(0, 1000);
    let release = (): void => {};
    owner.held = new Promise<void>((resolve) => (release = resolve));
    const reading = owner.read(entry.key, 0, 10);
    await owner.upload(entry);
    await new Promise((resolve) => setImmediate(resolve));
    assert.isTrue(owner.files.has(entry.key));
    release();
    assert.lengthOf(await reading, 10);
    await new Promise((resolve) => setImmediate(resolve));
    assert.isFalse(owner.files.has(entry.key));
  });

  describe("of a peer", () => {
    let asked: number;
    let reader: Catalog;
    let objects: ObjectReader;
    beforeEach(() => {
      asked = 0;
      const peers: SealedPeers = {
        readSealed: async (storeId, key, offset, lengthBytes, signal) => {
          asked++;
          assert.equal(storeId, STORE);
          return owner.reads.readSealed(key, { offset, lengthBytes }, own, signal);
        },
      };
      reader = new Catalog({}, { bucket, logger: silentLogger });
      const none: Pick<LocalFiles, "read" | "source"> = { read: () => assert.fail("no file of its own"), source: () => assert.fail("no file of its own") };
      objects = new ObjectReader({ cacheBytesMax: 2 ** 26 }, { source: new PlacedSource({ bucket, localFiles: none, peers }) });
    });
    const told = (entry: CatalogEntry, isUploaded = false): void => {
      const meta = { ...entry.meta, windowMs: WINDOW_MS, storeId: STORE, ordinal: 0, recordCount: 1, sources: [] };
      assert.notEqual(reader.addByMeta({ key: entry.key, sizeBytes: entry.sizeBytes, meta, isUploaded }, { storeId: STORE }).kind, "refused");
    };
    const readPlanned = async (): Promise<Uint8Array> => {
      const [entry] = reader.plan([A], ...ALL);
      const { datasets } = await objects.footer(entry!, never);
      return objects.range(entry!, datasets[0]!, never);
    };

    it("a segment that waits there is planned and read like any object, in pieces where it is large", async () => {
      const lengthBytes = 2 * SEALED_READ_BYTES_MAX + 5;
      const entry = owner.seal(0, lengthBytes);
      told(entry);
      assert.deepEqual(await readPlanned(), owner.files.get(entry.key)!.slice(8, 8 + lengthBytes));
      assert.equal(asked, 1 + 3, "a footer, and three pieces");
      assert.lengthOf(bucket.calls, 0);
      await readPlanned();
      assert.equal(asked, 4, "and it is cached like any object");
    });

    it("uploaded meanwhile it is not there any more, and is read from the bucket", async () => {
      const entry = owner.seal(0, 100_000);
      told(entry);
      await owner.upload(entry);
      assert.lengthOf(await readPlanned(), 100_000);
      assert.isAbove(asked, 0);
    });

    it("where it is neither there nor in the bucket, the read says that it is gone", async () => {
      const entry = owner.seal(0, 100_000);
      told(entry);
      owner.catalog.remove(entry.key);
      assert.equal(await codeOf(readPlanned()), "BUCKET_NOT_FOUND");
    });

    it("many queries at once on a cold cache ask the peer for each range once", async () => {
      told(owner.seal(0, 100_000));
      const all = await Promise.all(Array.from({ length: 8 }, readPlanned));
      assert.equal(asked, 2);
      for (const bytes of all) assert.strictEqual(bytes, all[0]);
    });

    it("a peer that sends another length than was asked for is refused", async () => {
      const source = new PlacedSource({ bucket, localFiles: {} as never, peers: { readSealed: async () => new Uint8Array(3) } }); // no file is read
      assert.equal(await codeOf(source.read({ key: "k", place: `store:${STORE}`, sizeBytes: 10 }, 0, 4, never)), "SEALED_READ_FAILED");
    });
  });

  it("a node that is alone reads no peer's segments", async () => {
    const source = new PlacedSource({ bucket, localFiles: {} as never }); // no file is read
    const object = { key: "k", place: `store:${STORE}`, sizeBytes: 10 } as const;
    assert.equal(await codeOf(source.read(object, 0, 4, never)), "BUCKET_NOT_FOUND");
    assert.equal(await source.sizeOf(object, never), 10);
  });
});

describe("object source", () => {
  it("the size of an object is that of its place: of the bucket's object, and of the file", async () => {
    const clock = new ManualClock();
    const bucket = new MemoryBucket({ clock });
    await bucket.put("v1/k", new Uint8Array(7), {}, never);
    const dir = await mkdtemp(path.join(tmpdir(), "pyromesh-source-"));
    const tree = await FileTree.open(dir, { clock, random: systemRandom });
    await tree.write("v1/k", new Uint8Array(9), { ifAbsent: true });
    const localFiles = { read: () => assert.fail("no bytes"), source: async (key: string) => ({ ...(await tree.stat(key)), read: () => assert.fail("no bytes") }) };
    const source = new PlacedSource({ bucket, localFiles });
    assert.deepEqual([await source.sizeOf({ key: "v1/k", place: "bucket", sizeBytes: 1 }, never), await source.sizeOf({ key: "v1/k", place: "local", sizeBytes: 1 }, never)], [7, 9]);
    await rm(dir, { recursive: true, force: true });
  });
});
