import { parseTenantId, silentLogger } from "@pyromesh/base";
import { Catalog, ObjectReader, PlacedSource, segmentKey } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import { FaultyBucket } from "@pyromesh/block/testing";
import { expect } from "chai";
import { NodeWorld } from "../testing/node-world.ts";
import { recheckObject } from "./recheck-object.ts";

const A = parseTenantId("a");
const signal = new AbortController().signal;

describe("recheck of a damaged object", () => {
  let world: NodeWorld;
  let bucket: FaultyBucket;
  let catalog: Catalog;
  let key: string;
  let whole: Uint8Array;

  beforeEach(async () => {
    world = new NodeWorld();
    await world.start();
    await world.push(A, 1);
    await world.node.admin.flush(signal);
    key = (await world.keys())[0]!;
    whole = Uint8Array.from(await world.memory.get(key, signal));
    bucket = new FaultyBucket(world.memory, { clock: world.clock });
    catalog = new Catalog({}, { bucket, logger: silentLogger });
  });
  afterEach(async () => {
    await world.stop();
    world.remove();
  });

  async function store(bytes: Uint8Array): Promise<void> {
    await world.memory.delete(key, signal);
    await world.memory.put(key, bytes, {}, signal);
  }

  /** `done`, or the error's code. */
  const recheck = (service?: string): Promise<string> => {
    const source = new PlacedSource({ bucket, localFiles: {} as LocalFiles }); // nothing lies on local disk
    const objects = new ObjectReader({ cacheBytesMax: 2 ** 20 }, { source });
    return recheckObject({ key, service }, { source, catalog, objects, signal }).then(() => "done", (error: { code?: string }) => error.code ?? String(error));
  };
  const flippedAt = (at: number): Uint8Array => whole.map((byte, index) => (index === at ? byte ^ 1 : byte));

  it("is done where the object is whole", async () => {
    await catalog.refresh(signal);
    expect([await recheck(), await recheck("api")]).deep.equal(["done", "done"]);
  });

  it("goes on while the footer is damaged; while a dataset is, for that dataset alone", async () => {
    await catalog.refresh(signal);
    await store(flippedAt(whole.length - 20));
    expect([await recheck(), await recheck("api")]).deep.equal(["CORRUPTION", "CORRUPTION"]);
    await store(flippedAt(10));
    expect([await recheck(), await recheck("api"), await recheck("another")]).deep.equal(["done", "CORRUPTION", "done"]);
  });

  it("an object that was torn when it was listed has the size of the repaired one from then on", async () => {
    await store(whole.subarray(0, whole.length >> 1));
    await catalog.refresh(signal);
    expect(await recheck()).equal("CORRUPTION");
    await store(whole);
    expect(await recheck()).equal("done");
    expect(catalog.get(key)?.sizeBytes).equal(whole.length);
  });

  it("is done where the object is gone from the bucket, or is not catalogued any more: no query plans it", async () => {
    await catalog.refresh(signal);
    await world.memory.delete(key, signal);
    expect(await recheck()).equal("done");
    key = segmentKey({ tenant: A, windowStartMs: 0, minTimeMs: 0, maxTimeMs: 0, storeId: "0f".repeat(16), ordinal: 9 });
    expect(await recheck()).equal("done");
  });

  it("a bucket that does not answer says nothing about the object", async () => {
    await catalog.refresh(signal);
    bucket.goDown();
    expect(await recheck()).equal("BUCKET_UNAVAILABLE");
  });
});
