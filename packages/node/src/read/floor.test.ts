/** A tenant's floor, seen from a whole node: what lies below is in no answer, be it in an object or in memory. */
import type { MergeQuery } from "@pyromesh/api";
import { Metrics, parseTenantId, seededRandom, silentLogger } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { floorKey, MemoryBucket } from "@pyromesh/block";
import type { LocalFiles } from "@pyromesh/block";
import { ManualClock } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { MemoryCheckpoint, MemoryDisk, MemoryFile } from "@pyromesh/head/testing";
import { parseProfileType, PprofWriter, WINDOW_MS } from "@pyromesh/profile";
import { expect } from "chai";
import { loadConfig } from "../config/load-config.ts";
import { Node } from "../node.ts";
import { graphTotal, openLocalCompute, readJson } from "../testing/index.ts";

const never = new AbortController().signal;
const MINUTE_MS = 60_000;
const HOUR_MS = Date.UTC(2026, 2, 2, 14);
const A = parseTenantId("a");
const B = parseTenantId("b");

class World {
  readonly clock = new ManualClock(HOUR_MS + WINDOW_MS + 30 * MINUTE_MS);
  readonly bucket = new MemoryBucket({ clock: this.clock });
  readonly #head = { opener: new MemoryDisk(), checkpoint: new MemoryCheckpoint(), quarantineFile: new MemoryFile() };
  readonly #files = new Map<string, Uint8Array>();
  node!: Node;

  /** Also a restart: what was flushed is in the bucket, the rest in the head. */
  async start(): Promise<void> {
    await this.node?.stop();
    const modules = { clock: this.clock, random: seededRandom(7), logger: silentLogger, metrics: new Metrics() };
    const flags = { flush_interval: "1h", multitenancy: "true", "limits.reject_older_than": "0" };
    const config = loadConfig({ flags: new Map(Object.entries(flags).map(([name, value]) => [name, [value]])), env: {}, readFile: () => "" });
    this.node = await Node.open(config, {
      ...modules,
      bucket: this.bucket,
      compute: openLocalCompute(modules),
      local: memoryFiles(this.#files),
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      openHead: (hooks) => Head.open({ diskBudgetBytes: 2 ** 30 }, { ...modules, ...hooks, ...this.#head }),
    });
    await this.node.start();
  }

  async push(tenant: TenantId, timeMs: number, value: number): Promise<void> {
    const writer = new PprofWriter({ sampleTypes: [{ type: "cpu", unit: "nanoseconds" }], periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, durationNs: 0n });
    writer.sample([writer.frame("work"), writer.frame("main")], [value]);
    const labels = [{ name: "__name__", value: "process_cpu" }, { name: "pod", value: `${value}` }, { name: "service_name", value: "api" }];
    const profile = { labels, pprof: writer.finish(), profileId: undefined, fallbackTimeMs: undefined, idempotencyKey: undefined, ingest: undefined, describe: "series 0, profile 0" };
    expect((await this.node.sink.push(tenant, [profile], never)).refused).deep.equal([]);
  }

  query(tenants: readonly TenantId[], startMs = 0): MergeQuery {
    const profileType = parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds");
    return { tenants, startMs, endMs: HOUR_MS + 3 * WINDOW_MS, allowPartial: false, profileType, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [] };
  }

  async total(...tenants: readonly TenantId[]): Promise<number> {
    return graphTotal(await this.node.source.flameGraph({ ...this.query(tenants), maxNodes: 100, form: "json" }, never));
  }

  async pods(tenant: TenantId): Promise<readonly string[]> {
    const listing = { listing: { kind: "values", name: "pod" }, bounds: { entryCountMax: 0, bytesMax: 0 }, limit: 0, form: "json" } as const;
    const { value } = await this.node.source.listing({ ...this.query([tenant]), selectors: [], ...listing }, never);
    return readJson<{ readonly names?: string[] }>({ value: value.bytes }).names ?? [];
  }

  raise(tenant: TenantId, floorMs: number): Promise<unknown> {
    return this.bucket.put(floorKey({ tenant, floorMs }), Buffer.from("{}"), {}, never);
  }
}

describe("floor", () => {
  let world: World;
  beforeEach(async () => {
    world = new World();
    await world.start();
    // Two hours of each tenant in objects, the second with its neighbour in memory. Each value is a bit, so that a sum says which are in it.
    for (const tenant of [A, B]) {
      await world.push(tenant, HOUR_MS + 10 * MINUTE_MS, 1);
      await world.push(tenant, HOUR_MS + 40 * MINUTE_MS, 2);
      await world.push(tenant, HOUR_MS + WINDOW_MS + 5 * MINUTE_MS, 4);
    }
    await world.node.admin.flush(new AbortController().signal);
    for (const tenant of [A, B]) {
      await world.push(tenant, HOUR_MS + 20 * MINUTE_MS, 8);
      await world.push(tenant, HOUR_MS + 50 * MINUTE_MS, 16);
      await world.push(tenant, HOUR_MS - WINDOW_MS + 20 * MINUTE_MS, 32);
    }
  });
  afterEach(() => world.node.stop());

  it("an object and memory that it cuts are answered from its time on; what lies wholly below is not answered", async () => {
    expect(await world.total(A)).equal(63);
    await world.raise(A, HOUR_MS + 30 * MINUTE_MS);
    await world.start();
    expect(await world.total(A)).equal(2 + 4 + 16);
    expect((await world.pods(A)).toSorted()).deep.equal(["16", "2", "4"]);
    expect(await world.node.source.stats(A, never)).deep.equal({ oldestMs: HOUR_MS + 30 * MINUTE_MS, newestMs: HOUR_MS + WINDOW_MS + 5 * MINUTE_MS });
  });

  it("the record at the floor's own millisecond is above it", async () => {
    await world.raise(A, HOUR_MS + 40 * MINUTE_MS);
    await world.start();
    expect(await world.total(A)).equal(2 + 4 + 16);
    await world.raise(A, HOUR_MS + 40 * MINUTE_MS + 1);
    await world.start();
    expect(await world.total(A)).equal(4 + 16);
  });

  it("one tenant's hides nothing of another's, in a query over both too", async () => {
    await world.raise(A, HOUR_MS + 30 * MINUTE_MS);
    await world.start();
    expect(await world.total(B)).equal(63);
    expect(await world.total(A, B)).equal(63 + 22);
  });

  it("one above everything leaves nothing", async () => {
    await world.raise(A, HOUR_MS + 2 * WINDOW_MS);
    await world.start();
    expect([await world.total(A), await world.pods(A), await world.node.source.stats(A, never)]).deep.equal([0, [], undefined]);
  });

  it("one that cannot be read keeps no query from being answered", async () => {
    await world.bucket.put("v1/a/floor-soon.json", Buffer.from("{}"), {}, never);
    await world.start();
    expect(await world.total(A)).equal(63);
  });
});

/** Local files without a disk. */
function memoryFiles(files: Map<string, Uint8Array>): LocalFiles {
  const read = async (key: string, offset: number, lengthBytes: number): Promise<Uint8Array> => files.get(key)!.slice(offset, offset + lengthBytes);
  return {
    pathOf: (key) => key,
    write: async (key, bytes) => !files.has(key) && files.set(key, bytes.slice()) !== undefined,
    source: async (key) => ({ sizeBytes: files.get(key)!.length, read: (offset, lengthBytes) => read(key, offset, lengthBytes) }),
    read,
    list: async () => [...files].map(([key, bytes]) => ({ key, sizeBytes: bytes.length, modifiedMs: 0 })),
    delete: async (key) => void files.delete(key),
    setAside: async () => undefined,
    close: async () => {},
  };
}
