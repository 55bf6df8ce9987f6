/** The read path of a whole node over a fake world: what is counted, what is bounded, what a caller that leaves stops. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MergeQuery, PointsQuery } from "@pyromesh/api";
import { ANONYMOUS, CodedError, decodeUtf8, Metrics, parseTenantId, seededRandom, silentLogger } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { bytesSource, FolderFiles, MemoryBucket, parseObjectKey, readFooter, segmentKey } from "@pyromesh/block";
import type { SegmentKey } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { MemoryDisk, MemoryFile, MemoryCheckpoint } from "@pyromesh/head/testing";
import { makeMatcher, parseProfileType, PprofWriter } from "@pyromesh/profile";
import { expect } from "chai";
import { Profile } from "pprof-format";
import type { Compute, ScanTask } from "../compute/compute.ts";
import type { Config } from "../config/config.ts";
import type { LimitsInForce } from "../config/limits.ts";
import { loadConfig } from "../config/load-config.ts";
import { Node } from "../node.ts";
import { graphTotal, openLocalCompute, readJson, settle } from "../testing/index.ts";

const HOUR_MS = 3_600_000;
const BASE_MS = 500_000 * HOUR_MS;
const never = new AbortController().signal;
const pods = { listing: { kind: "values", name: "pod" }, bounds: { entryCountMax: 0, bytesMax: 0 }, limit: 0, form: "json" } as const;
const ID_A = new Uint8Array(16).fill(0xa1);

class World {
  readonly dir: string = mkdtempSync(join(tmpdir(), "pyromesh-reader-"));
  readonly clock: ManualClock = new ManualClock(BASE_MS + 24 * HOUR_MS);
  readonly #stored = new MemoryBucket({ clock: this.clock });
  bucket: FaultyBucket = new FaultyBucket(this.#stored, { clock: this.clock });
  readonly scans: ScanTask[] = [];
  onScan: () => void | Promise<void> = () => {};
  merges = 0;
  metrics = new Metrics();
  /** Of the node that was started; another `inForce` takes hold at once. */
  limits: { inForce: LimitsInForce } | undefined;
  #node: Node | undefined;
  #flags: Readonly<Record<string, string>> = {};
  #head = { opener: new MemoryDisk(), checkpoint: new MemoryCheckpoint(), quarantineFile: new MemoryFile() };

  get node(): Node {
    return this.#node!;
  }

  settings(flags: Readonly<Record<string, string>> = {}, yaml = ""): Config {
    const given = { flush_interval: "1h", "limits.reject_older_than": "0", "limits.reject_newer_than": "0", ...(yaml === "" ? {} : { config: "c.yaml" }), ...flags };
    return loadConfig({ flags: new Map(Object.entries(given).map(([key, value]) => [key, [value]])), env: {}, readFile: () => yaml });
  }

  async start(flags: Readonly<Record<string, string>> = {}, yaml = ""): Promise<Node> {
    const { clock } = this;
    this.#flags = flags;
    this.metrics = new Metrics();
    this.bucket = new FaultyBucket(this.#stored, { clock });
    const modules = { clock, random: seededRandom(7), logger: silentLogger, metrics: this.metrics };
    const config = this.settings(flags, yaml);
    this.limits = { inForce: config };
    const local = openLocalCompute(modules);
    const compute: Compute = {
      ...local,
      scan: async (task, signal) => {
        this.scans.push(task);
        await this.onScan();
        return local.scan(task, signal);
      },
      merge: (spec, partials, signal) => {
        this.merges++;
        return local.merge(spec, partials, signal);
      },
    };
    this.#node = await Node.open(config, {
      ...modules,
      limits: this.limits,
      bucket: this.bucket,
      compute,
      local: await FolderFiles.open({ dir: join(this.dir, "sealed") }, modules),
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      openHead: (hooks) => Head.open({ diskBudgetBytes: 2 ** 30 }, { ...modules, ...hooks, ...this.#head }),
    });
    await this.#node.start();
    return this.#node;
  }

  /** Another node, of an empty head, on the same bucket: nothing is cached. */
  async restart(): Promise<void> {
    await this.#node?.stop();
    this.#head = { opener: new MemoryDisk(), checkpoint: new MemoryCheckpoint(), quarantineFile: new MemoryFile() };
    this.scans.length = 0;
    await this.start(this.#flags);
  }

  /** Ranges read of segments, by key. */
  rangesRead(): string[] {
    return this.bucket.calls.filter(({ operation }) => operation === "getRange").map(({ key }) => key);
  }

  async stop(): Promise<void> {
    await this.#node?.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

interface Push {
  readonly timeMs: number;
  /** Value of one sample each, under a sample label `route`. */
  readonly routes: Readonly<Record<string, number>>;
  readonly service?: string;
  readonly profileId?: Uint8Array;
  readonly tenant?: TenantId;
  readonly durationS?: number;
}

async function push(node: Node, { timeMs, routes, service = "api", profileId, tenant = ANONYMOUS, durationS = 0 }: Push): Promise<void> {
  const types = { sampleTypes: [{ type: "cpu", unit: "nanoseconds" }], periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, durationNs: BigInt(durationS) * 1_000_000_000n };
  const writer = new PprofWriter(types);
  for (const [route, value] of Object.entries(routes)) writer.sample([writer.frame("work"), writer.frame("main")], [value], [{ name: "route", value: route }]);
  const profile = {
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }],
    pprof: writer.finish(),
    profileId,
    fallbackTimeMs: undefined,
    idempotencyKey: undefined,
    ingest: undefined,
    describe: "series 0, profile 0",
  };
  expect((await node.sink.push(tenant, [profile], never)).refused).to.deep.equal([]);
}

function query(startMs: number, endMs: number, more: Partial<MergeQuery> = {}): MergeQuery {
  return {
    tenants: [ANONYMOUS],
    startMs,
    endMs,
    allowPartial: false,
    profileType: parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
    selector: [],
    callSite: [],
    profileIds: [],
    spanIds: [],
    traceIds: [],
    ...more,
  };
}

const whole = { ...query(BASE_MS, BASE_MS + 24 * HOUR_MS), maxNodes: 100, form: "json" } as const;

/** A signal of its own each time: one that lives for the whole run would gather listeners. */
const flush = (node: Node): Promise<unknown> => node.admin.flush(new AbortController().signal);

const refusalOf = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("reader", function () {
  this.timeout(20_000);
  let world: World;

  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  describe("profiles that are several records", () => {
    const step: Pick<PointsQuery, "stepMs" | "groupBy" | "aggregation" | "limit" | "exemplars"> = { stepMs: 60_000, groupBy: [], aggregation: "average", limit: 0, exemplars: "individual" };
    const means = async (node: Node, more: Partial<PointsQuery> = {}): Promise<unknown> => {
      const answer = await node.source.points({ ...query(BASE_MS, BASE_MS + HOUR_MS), ...step, form: "json", ...more }, never);
      const { series } = readJson<{ series: { labels?: { value: string }[]; points: { value: number; exemplars: { value: string }[] }[] }[] }>(answer);
      return series.map(({ labels = [], points }) => [labels.map((label) => label.value).join(), ...points.map((point) => [point.value, point.exemplars.map((exemplar) => Number(exemplar.value))])]);
    };
    const counts = async (node: Node): Promise<number> => {
      const answer = await node.source.heatmap({ ...query(BASE_MS, BASE_MS + HOUR_MS), ...step, of: "individual", exemplars: "none", form: "json" }, never);
      return readJson<{ series: { slots: { counts: number[] }[] }[] }>(answer).series.flatMap(({ slots }) => slots.flatMap((slot) => slot.counts)).reduce((sum, count) => sum + count, 0);
    };
    /** One profile of 1 + 2 + 3, one of 10: the mean is 8. */
    const expectBoth = async (node: Node): Promise<void> => {
      expect(await means(node)).to.deep.equal([["", [8, [10]]]]);
      expect(await counts(node)).to.equal(2);
      expect(await means(node, { groupBy: ["route"] })).to.deep.equal([["a", [5.5, [10]]], ["c", [3, [3]]], ["b", [2, [2]]]]);
    };

    it("count once in the head, and in a segment", async () => {
      const node = await world.start();
      await push(node, { timeMs: BASE_MS + 1000, routes: { a: 1, b: 2, c: 3 } });
      await push(node, { timeMs: BASE_MS + 2000, routes: { a: 10 } });
      await expectBoth(node);
      await flush(node);
      await expectBoth(node);
    });

    it("count once where a segment, another segment and the head each hold a part", async () => {
      const node = await world.start();
      const part = (routes: Readonly<Record<string, number>>): Promise<void> => push(node, { timeMs: BASE_MS + 1000, routes, profileId: ID_A });
      await part({ a: 1 });
      await flush(node);
      await part({ b: 2 });
      await flush(node);
      await push(node, { timeMs: BASE_MS + 2000, routes: { a: 10 } });
      await part({ c: 3 });
      await expectBoth(node);
      await flush(node);
      await expectBoth(node);
    });

    it("take their time once in a pprof and in its drawing, in the head, in segments and over both", async () => {
      const node = await world.start();
      const seconds = async (): Promise<readonly (number | undefined)[]> => {
        const { value: pprof } = await node.source.pprof({ ...whole, goPgo: undefined, form: "proto" }, never);
        const { value: dot } = await node.source.dot({ ...whole, form: "text" }, never);
        return [Number(Profile.decode(pprof).durationNanos) / 1e9, Number(/Duration: ([\d.]+)s/.exec(decodeUtf8(dot))?.[1])];
      };
      await push(node, { timeMs: BASE_MS + 1000, routes: { a: 1, b: 2, c: 3 }, durationS: 10 });
      expect(await seconds()).to.deep.equal([10, 10]);
      await push(node, { timeMs: BASE_MS + 2000, routes: { a: 1 }, durationS: 10 });
      const part = (routes: Readonly<Record<string, number>>, service: string): Promise<void> =>
        push(node, { timeMs: BASE_MS + 3000, routes, service, profileId: ID_A, durationS: 10 });
      await part({ a: 1 }, "api");
      expect(await seconds()).to.deep.equal([30, 30]);
      await flush(node);
      expect(await seconds()).to.deep.equal([30, 30]);
      await part({ b: 1 }, "api");
      await part({ c: 1 }, "another");
      expect(await seconds()).to.deep.equal([30, 30]);
      await flush(node);
      expect(await seconds()).to.deep.equal([30, 30]);
    });

    it("count once where two services hold a part each", async () => {
      const node = await world.start();
      await push(node, { timeMs: BASE_MS + 1000, routes: { a: 1 }, service: "one", profileId: ID_A });
      await push(node, { timeMs: BASE_MS + 1000, routes: { a: 5 }, service: "two", profileId: ID_A });
      await push(node, { timeMs: BASE_MS + 2000, routes: { a: 2 }, service: "two" });
      expect(await means(node)).to.deep.equal([["", [4, [6]]]]);
      expect(await means(node, { groupBy: ["service_name"] })).to.deep.equal([["two", [3.5, [5]]], ["one", [1, [1]]]]);
      expect(await counts(node)).to.equal(2);
    });
  });

  describe("bounds", () => {
    /** Four windows with a segment each, of two services. */
    const fill = async (node: Node, tenant?: TenantId): Promise<void> => {
      for (let hour = 0; hour < 4; hour++) {
        for (const service of ["api", "web"]) {
          await push(node, { timeMs: BASE_MS + hour * HOUR_MS, routes: { a: 1 }, service, ...(tenant === undefined ? {} : { tenant }) });
        }
      }
      await flush(node);
    };
    /** What one window's dataset weighs: two of them less one, so that their common footer is left out. */
    const datasetBytes = async (node: Node): Promise<number> => {
      const bytesOf = async (service: string): Promise<number> => {
        const { value } = await node.source.analyze({ ...query(BASE_MS, BASE_MS + HOUR_MS - 1), selectors: [[makeMatcher("service_name", "=~", service)]] }, never);
        return value.totalBytesInRange;
      };
      return (await bytesOf("api|web")) - (await bytesOf("api"));
    };

    it("max_query_bytes: a query that would read more is refused before it reads, a narrower one is answered", async () => {
      const first = await world.start();
      await fill(first);
      const bytes = await datasetBytes(first);
      await world.stop();
      world = new World();
      const node = await world.start({ "limits.max_query_bytes": String(Math.floor(bytes * 2.5)) });
      await fill(node);
      world.bucket.calls.length = 0;
      const refusal = await refusalOf(node.source.flameGraph(whole, never));
      expect(refusal).to.be.instanceOf(CodedError);
      expect(refusal).to.include({ code: "QUERY_TOO_LARGE", kind: "invalid_argument" });
      expect((refusal as Error).message).to.include("max_query_bytes");
      expect(world.scans).to.deep.equal([]);
      // Each object's footer at most, and no dataset.
      expect(world.rangesRead().length).to.equal(new Set(world.rangesRead()).size);

      const oneService = { ...query(BASE_MS, BASE_MS + 2 * HOUR_MS - 1), selector: [makeMatcher("service_name", "=", "api")], maxNodes: 100, form: "json" } as const;
      expect(graphTotal(await node.source.flameGraph(oneService, never))).to.equal(2);
      expect(await refusalOf(node.source.flameGraph({ ...oneService, endMs: whole.endMs }, never))).to.include({ code: "QUERY_TOO_LARGE" });
    });

    it("max_query_bytes is each tenant's own; of several the smallest holds; 0 lifts it", async () => {
      const [small, large] = [parseTenantId("small"), parseTenantId("large")];
      const node = await world.start({ multitenancy: "true" }, "limits:\n  max_query_bytes: 0\noverrides:\n  small:\n    max_query_bytes: 10\n");
      await fill(node, small);
      await fill(node, large);
      expect(graphTotal(await node.source.flameGraph({ ...whole, tenants: [large] }, never))).to.equal(8);
      for (const tenants of [[small], [large, small]]) expect(await refusalOf(node.source.flameGraph({ ...whole, tenants }, never))).to.include({ code: "QUERY_TOO_LARGE" });
    });

    it("max_query_bytes: another one in the configuration file bounds the next query", async () => {
      // The reader once kept the limits of the start, while every other limit followed the file.
      const node = await world.start();
      await fill(node);
      expect(graphTotal(await node.source.flameGraph(whole, never))).to.equal(8);
      world.limits!.inForce = world.settings({ "limits.max_query_bytes": "10" });
      expect(await refusalOf(node.source.flameGraph(whole, never))).to.include({ code: "QUERY_TOO_LARGE" });
    });

    it("every kind of query is bounded", async () => {
      const node = await world.start({ "limits.max_query_bytes": "10" });
      await fill(node);
      const points = { ...whole, stepMs: 1000, groupBy: [], aggregation: "sum", limit: 0, exemplars: "none" } as const;
      const asked = [
        node.source.treeBytes(whole, never),
        node.source.dot(whole, never),
        node.source.pprof({ ...whole, goPgo: undefined }, never),
        node.source.diff(whole, whole, { maxNodes: 10, form: "json" }, never),
        node.source.render(points, never),
        node.source.topTable({ ...whole, limit: 0, sort: "self", nameContains: "", form: "json" }, never),
        node.source.points(points, never),
        node.source.heatmap({ ...points, of: "individual" }, never),
        node.source.listing({ ...whole, ...pods, selectors: [] }, never),
      ];
      for (const refusal of await Promise.all(asked.map(refusalOf))) expect(refusal).to.include({ code: "QUERY_TOO_LARGE" });
    });

    it("a caller that goes away in the middle has what is being read given up, and nothing more read, nor scanned", async () => {
      const node = await world.start();
      await fill(node);
      const controller = new AbortController();
      const gone = new CodedError({ code: "CLIENT_GONE", kind: "canceled", message: "the client closed its connection" });
      // All but the first object's reads hang, and the caller leaves while the first is scanned.
      let firstKey: string | undefined;
      world.bucket.schedule(({ operation, key }) => (operation !== "getRange" || key === (firstKey ??= key) ? undefined : { kind: "hang" }));
      const scanning = new Promise<void>((resolve) => (world.onScan = resolve));
      world.bucket.calls.length = 0;
      const asked = refusalOf(node.source.flameGraph(whole, controller.signal));
      await scanning;
      controller.abort(gone);
      expect(await asked).to.equal(gone);
      const callCount = world.bucket.calls.length;
      expect(new Set(world.rangesRead()).size, "read ahead").to.equal(4);
      world.bucket.heal();
      // What was asked for later ran to its end: had the first query gone on, its reads would be here too.
      expect(graphTotal(await node.source.flameGraph({ ...whole, startMs: BASE_MS + 20 * HOUR_MS }, never))).to.equal(0);
      expect(world.bucket.calls.length).to.equal(callCount);
      expect(world.scans.length).to.equal(2);
    });

    it("a caller that goes away during a scan has no later window scanned", async () => {
      const node = await world.start();
      await fill(node);
      const controller = new AbortController();
      world.onScan = () => controller.abort(new Error("gone"));
      expect(await refusalOf(node.source.flameGraph(whole, controller.signal))).to.have.property("message", "gone");
      expect(world.scans.length).to.equal(1);
    });

    it("a query whose caller left before it began reads nothing", async () => {
      const node = await world.start();
      await fill(node);
      const before = world.bucket.calls.length;
      expect(await refusalOf(node.source.flameGraph(whole, AbortSignal.abort(new Error("gone"))))).to.have.property("message", "gone");
      expect([world.bucket.calls.length, world.scans.length]).to.deep.equal([before, 0]);
    });

    // Its leaving is behind its question in the socket: fifty such questions over 20,160 objects cost the main thread a second.
    it("a query whose caller leaves right after it was sent is not planned, and reads nothing", async () => {
      const node = await world.start();
      await fill(node);
      const before = world.bucket.calls.length;
      const controller = new AbortController();
      const asked = refusalOf(node.source.flameGraph(whole, controller.signal));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort(new Error("gone"));
      expect(await asked).to.have.property("message", "gone");
      expect([world.bucket.calls.length, world.scans.length]).to.deep.equal([before, 0]);
    });
  });

  describe("what cannot be read", () => {
    const SERVICES = { a: 1, ab: 20, b: 300 };
    /** One object of the three services. Each is a prefix of another's name, or has it as one. */
    const fill = async (node: Node): Promise<string> => {
      for (const [service, value] of Object.entries(SERVICES)) await push(node, { timeMs: BASE_MS, routes: { a: value }, service });
      await flush(node);
      return world.bucket.calls.find(({ key, operation }) => operation === "put" && key.endsWith(".seg"))!.key;
    };
    const rewrite = async (key: string, change: (bytes: Uint8Array) => Uint8Array): Promise<Uint8Array> => {
      const before = (await world.bucket.get(key, never)).slice();
      await world.bucket.delete(key, never);
      await world.bucket.put(key, change(before.slice()), {}, never);
      world.bucket.calls.length = 0;
      return before;
    };
    /** In the strings, which every flame graph opens, of the dataset that begins there. */
    const flipAt = (offset: number) => (bytes: Uint8Array) => bytes.map((byte, at) => (at === offset ? byte ^ 1 : byte));
    const total = async (node: Node, more: Partial<MergeQuery> = {}): Promise<[number, readonly string[]]> => {
      const answer = await node.source.flameGraph({ ...whole, ...more }, never);
      return [graphTotal(answer), answer.missing];
    };
    const ofService = (service: string): Partial<MergeQuery> => ({ selector: [makeMatcher("service_name", "=", service)] });
    const unreadable = async (): Promise<number> => Number(/^pyromesh_unreadable_objects (\d+)$/m.exec(await world.metrics.text())![1]);

    it("a query that needs a damaged dataset is refused, and the refusal names it; where it may be missing, all others are answered", async () => {
      const node = await world.start();
      const key = await fill(node);
      // Where each dataset begins: they lie in the order of their names.
      const { datasets } = await readFooter(bytesSource(await world.bucket.get(key, never)), key, never);
      const ab = datasets.find(({ service }) => service === "ab")!;
      await rewrite(key, flipAt(ab.offset + 2));
      const refusal = await refusalOf(node.source.flameGraph(whole, never));
      expect(refusal).to.include({ code: "OBJECT_UNREADABLE", kind: "unavailable" });
      expect((refusal as CodedError).details).to.deep.equal({ canBePartial: true, retryAfterSeconds: 1 });
      const [partial, missing] = await total(node, { allowPartial: true });
      expect(partial, "damage in ab is none in a").to.equal(301);
      expect(missing).to.have.lengthOf(1);
      expect(missing[0]).to.include(`${key} dataset ab is corrupt`);
      for (const [service, value] of [["a", 1], ["b", 300]] as const) expect(await total(node, ofService(service))).to.deep.equal([value, []]);
      expect(await unreadable()).to.equal(1);
    });

    for (const [name, damage] of [
      ["torn", (bytes: Uint8Array) => bytes.slice(0, bytes.length >> 1)],
      ["torn to nothing", () => new Uint8Array(0)],
      ["flipped in its footer", (bytes: Uint8Array) => flipAt(bytes.length - 20)(bytes)],
      ["flipped in a dataset", (bytes: Uint8Array) => flipAt(10)(bytes)],
    ] as const) {
      it(`an object that is ${name} is refused with the time at which it is read again, and heals by itself soon after it was repaired`, async () => {
        const key = await fill(await world.start());
        await world.restart();
        const again = world.node;
        const before = await rewrite(key, damage);
        const refusal = (await refusalOf(again.source.flameGraph(whole, never))) as CodedError;
        expect(refusal).to.include({ code: "OBJECT_UNREADABLE" });
        expect(await unreadable()).to.equal(1);
        // The footer, for the datasets that may be whole, where it is.
        expect(await refusalOf(again.source.flameGraph(whole, never))).to.include({ code: "OBJECT_UNREADABLE" });
        const readCount = world.bucket.calls.length;
        expect(await refusalOf(again.source.flameGraph(whole, never))).to.include({ code: "OBJECT_UNREADABLE" });
        expect(world.bucket.calls.length, "nobody reads it before its time").to.equal(readCount);

        // It stays damaged for a while, and is looked at less and less often.
        for (let i = 0; i < 60; i++) {
          world.clock.advance(1000);
          await settle();
        }
        expect(await unreadable()).to.equal(1);
        const late = (await refusalOf(again.source.flameGraph(whole, never))) as CodedError;
        const { retryAfterSeconds } = late.details as { retryAfterSeconds: number };
        expect(retryAfterSeconds).to.be.within(1, 30);
        await rewrite(key, () => before);
        world.clock.advance(retryAfterSeconds * 1000);
        await settle();
        expect(await total(again), "at the time that was told").to.deep.equal([321, []]);
        expect(await unreadable()).to.equal(0);
      });
    }

    it("a damaged object that is gone leaves the metric, though no query asks for it", async () => {
      const key = await fill(await world.start());
      await world.restart();
      await rewrite(key, flipAt(10));
      expect(await refusalOf(world.node.source.flameGraph(whole, never))).to.include({ code: "OBJECT_UNREADABLE" });
      await world.bucket.delete(key, never);
      world.clock.advance(1000);
      await settle();
      expect(await unreadable()).to.equal(0);
    });

    it("where the bucket does not answer no object is taken for a damaged one, and the refusal has no time", async () => {
      const node = await world.start();
      await fill(node);
      world.bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "status", status: 503 } : undefined));
      const refusal = (await refusalOf(node.source.flameGraph(whole, never))) as CodedError;
      expect(refusal).to.include({ code: "OBJECT_UNREADABLE" });
      expect(refusal.details).to.deep.equal({ canBePartial: true });
      expect(await unreadable()).to.equal(0);
      world.bucket.heal();
      expect(await total(node)).to.deep.equal([321, []]);
    });

    it("a tenant's segment under another tenant's key is answered to neither, and one under the key of the hour before is not counted twice", async () => {
      const [mine, other] = [parseTenantId("owner"), parseTenantId("other")];
      const node = await world.start({ multitenancy: "true" });
      await push(node, { timeMs: BASE_MS, routes: { a: 300 }, tenant: mine });
      await push(node, { timeMs: BASE_MS, routes: { a: 500 }, tenant: other });
      await flush(node);
      const [ofMine, ofOther] = [mine, other].map((tenant) => world.bucket.calls.find(({ operation, key }) => operation === "put" && key.includes(`/${tenant}/`))!.key);
      const bytes = await world.bucket.get(ofOther!, never);
      await rewrite(ofMine!, () => bytes);
      expect(await refusalOf(node.source.flameGraph({ ...whole, tenants: [mine] }, never))).to.include({ code: "OBJECT_UNREADABLE" });
      const [partial, missing] = await total(node, { tenants: [mine], allowPartial: true });
      expect([partial, missing.length]).to.deep.equal([0, 1]);
      expect(missing[0]).to.include("as its key says");

      const key = parseObjectKey(ofOther!)!;
      expect(key.kind).to.equal("segment");
      const earlier = segmentKey({ ...(key as SegmentKey), windowStartMs: key.windowStartMs - HOUR_MS, minTimeMs: key.minTimeMs - HOUR_MS, maxTimeMs: key.maxTimeMs - HOUR_MS });
      await world.bucket.put(earlier, bytes, {}, never);
      await world.restart();
      const wide = { tenants: [other], startMs: BASE_MS - 2 * HOUR_MS, allowPartial: true };
      const [once, named] = await total(world.node, wide);
      expect([once, named.length]).to.deep.equal([500, 1]);
      expect(named[0]).to.include(earlier);
      expect(await refusalOf(world.node.source.flameGraph({ ...whole, ...wide, allowPartial: false }, never))).to.include({ code: "OBJECT_UNREADABLE" });
    });
  });

  describe("cold", () => {
    it("many objects are read at once and scanned in order: sixty at 30 ms a read take the time of a few", async () => {
      const node = await world.start();
      for (let hour = 0; hour < 20; hour++) {
        for (let i = 0; i < 3; i++) {
          await push(node, { timeMs: BASE_MS + hour * HOUR_MS + i, routes: { a: 1 } });
          await flush(node);
        }
      }
      await world.restart();
      let [atOnce, atOnceMax] = [0, 0];
      world.bucket.calls.length = 0;
      world.bucket.schedule(({ operation }) => {
        if (operation !== "getRange") return undefined;
        atOnceMax = Math.max(atOnceMax, ++atOnce);
        return { kind: "slow", delayMs: 30 };
      });
      const asked = world.node.source.flameGraph(whole, never);
      let [hasEnded, waitedMs] = [false, 0];
      void asked.finally(() => (hasEnded = true));
      for (; ; waitedMs += 30) {
        await settle();
        if (hasEnded) break;
        atOnce = 0;
        world.clock.advance(30);
      }
      expect(graphTotal(await asked)).to.equal(60);
      expect(world.rangesRead().length, "a small object takes one read").to.equal(60);
      expect(atOnceMax).to.equal(16);
      expect(waitedMs).to.equal(120);
      expect(world.scans.slice(0, 20).map(({ firstWindowMs, parts }) => [firstWindowMs, parts.length])).to.deep.equal(Array.from({ length: 20 }, (_, hour) => [BASE_MS + hour * HOUR_MS, 3]));
    });

    it("parts of many windows are merged on the way, and the answer is the same", async () => {
      const node = await world.start();
      for (let hour = 0; hour < 70; hour++) await push(node, { timeMs: BASE_MS + hour * HOUR_MS, routes: { a: 1, [`r${hour}`]: 2 }, durationS: 1 });
      const wide = { ...whole, endMs: BASE_MS + 70 * HOUR_MS };
      const step = { stepMs: HOUR_MS, groupBy: ["route"], aggregation: "average", limit: 0, exemplars: "individual" } as const;
      const answers = async (): Promise<unknown[]> => [
        readJson(await node.source.flameGraph(wide, never)),
        readJson(await node.source.treeBytes(wide, never)),
        readJson(await node.source.dot(wide, never)),
        readJson(await node.source.pprof({ ...wide, goPgo: undefined }, never)),
        readJson(await node.source.render({ ...wide, ...step }, never)),
        readJson(await node.source.points({ ...wide, ...step }, never)),
        readJson(await node.source.heatmap({ ...wide, ...step, of: "individual" }, never)),
        decodeUtf8((await node.source.listing({ ...wide, ...pods, listing: { kind: "series", names: [], alphabet: "utf8" }, selectors: [] }, never)).value.bytes),
        (await node.source.analyze({ ...wide, selectors: [] }, never)).value.totalSeries,
      ];
      // In memory one scan covers all windows; from segments each window is scanned by itself.
      const before = await answers();
      await flush(node);
      expect(world.merges, "nothing to merge").to.equal(0);
      const after = await answers();
      expect(world.merges).to.be.above(7);
      // What lies where differs: all but what an analysis counts of it.
      expect(after).to.deep.equal(before);
    });
  });

  describe("about the store", () => {
    const analyze = async (node: Node, more: Partial<MergeQuery> = {}): Promise<Record<string, number>[]> => {
      const { value } = await node.source.analyze({ ...whole, ...more, selectors: [more.selector ?? []] }, never);
      const [head, segments] = value.scopes;
      const sum = value.scopes.reduce((bytes, scope) => bytes + scope.indexBytes + scope.profileBytes + scope.symbolBytes, 0);
      expect(value.totalBytesInRange).to.equal(sum);
      return [head!, segments!].map(({ blockCount, seriesCount, profileCount, sampleCount }) => ({ blockCount, seriesCount, profileCount, sampleCount }));
    };
    const nothing = { blockCount: 0, seriesCount: 0, profileCount: 0, sampleCount: 0 };

    it("an analysis counts what the query would read, in the head and in segments apart", async () => {
      const node = await world.start();
      await push(node, { timeMs: BASE_MS, routes: { a: 1, b: 2 } });
      await push(node, { timeMs: BASE_MS + HOUR_MS, routes: { a: 1 }, service: "web" });
      // The first push is one profile, though its samples' labels make two records of it.
      expect(await analyze(node)).to.deep.equal([{ blockCount: 0, seriesCount: 3, profileCount: 2, sampleCount: 3 }, nothing]);
      await flush(node);
      expect(await analyze(node)).to.deep.equal([nothing, { blockCount: 2, seriesCount: 3, profileCount: 2, sampleCount: 3 }]);
      await push(node, { timeMs: BASE_MS + 5000, routes: { a: 1 } });
      expect(await analyze(node)).to.deep.equal([
        { blockCount: 0, seriesCount: 1, profileCount: 1, sampleCount: 1 },
        { blockCount: 2, seriesCount: 3, profileCount: 2, sampleCount: 3 },
      ]);
      expect(await analyze(node, { selector: [makeMatcher("service_name", "=", "web")] })).to.deep.equal([nothing, { blockCount: 1, seriesCount: 1, profileCount: 1, sampleCount: 1 }]);
      expect(await analyze(node, { startMs: 1, endMs: 2 })).to.deep.equal([nothing, nothing]);
      const { value } = await node.source.analyze({ ...whole, selectors: [] }, never);
      expect(value.totalSeries).to.equal(3);
    });

    it("an analysis counts each record once while a flush runs under it, and where a segment and the head hold the same one", async () => {
      const node = await world.start();
      const once = { timeMs: BASE_MS, routes: { a: 1, b: 2 }, profileId: ID_A };
      await push(node, once);
      await push(node, { timeMs: BASE_MS + 1000, routes: { a: 1 } });
      let flushCount = 0;
      world.onScan = async () => {
        if (flushCount++ === 0) await flush(node);
      };
      const counted = { seriesCount: 2, profileCount: 2, sampleCount: 3 };
      expect(await analyze(node)).to.deep.equal([{ blockCount: 0, ...counted }, nothing]);
      expect(await analyze(node), "all is flushed").to.deep.equal([nothing, { blockCount: 1, ...counted }]);
      await push(node, once);
      expect(await analyze(node), "sent again").to.deep.equal([nothing, { blockCount: 1, ...counted }]);
      const { value, receipt } = await node.source.analyze({ ...whole, selectors: [] }, never);
      expect([value.totalSeries, receipt.recordCount, receipt.objectCount]).to.deep.equal([2, 3, 1]);
    });

    it("an analysis's bytes are those of the objects, to the last but their headers", async () => {
      const node = await world.start();
      await push(node, { timeMs: BASE_MS, routes: { a: 1, b: 2 } });
      await flush(node);
      const { value } = await node.source.analyze({ ...whole, selectors: [] }, never);
      const [object] = world.bucket.calls.filter(({ key, operation }) => operation === "put" && key.endsWith(".seg"));
      const { sizeBytes } = await world.bucket.head(object!.key, never);
      for (const kind of ["indexBytes", "profileBytes", "symbolBytes"] as const) expect(value.scopes[1]![kind], kind).to.be.greaterThan(5);
      expect(value.totalBytesInRange).to.equal(sizeBytes - 8 - 12);
    });

    it("ages span the head and segments; a store whose bucket was not listed yet is not called empty", async () => {
      const node = await world.start();
      expect(await node.source.stats(ANONYMOUS, never)).to.equal(undefined);
      await push(node, { timeMs: BASE_MS + HOUR_MS, routes: { a: 1 } });
      expect(await node.source.stats(ANONYMOUS, never)).to.deep.equal({ oldestMs: BASE_MS + HOUR_MS, newestMs: BASE_MS + HOUR_MS });
      await flush(node);
      await push(node, { timeMs: BASE_MS, routes: { a: 1 } });
      expect(await node.source.stats(ANONYMOUS, never)).to.deep.equal({ oldestMs: BASE_MS, newestMs: BASE_MS + HOUR_MS });
      expect(await node.source.stats(parseTenantId("other"), never)).to.equal(undefined);
    });
  });
});
