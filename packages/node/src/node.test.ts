import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ANONYMOUS, Metrics, seededRandom } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { bytesSource, FolderFiles, MemoryBucket, OBJECT_PREFIX, readDataset, readFooter, TAG } from "@pyromesh/block";
import { openSection } from "@pyromesh/block/segment";
import type { Bucket } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { Head } from "@pyromesh/head";
import { listeningLogger, MemoryDisk, MemoryFile, MemoryCheckpoint } from "@pyromesh/head/testing";
import { parseProfileType, PprofWriter } from "@pyromesh/profile";
import type { ArrivedProfile } from "@pyromesh/api";
import { expect } from "chai";
import { loadConfig } from "./config/load-config.ts";
import { Node } from "./node.ts";
import { graphTotal, openLocalCompute, passUntil } from "./testing/index.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 2, 2, 14, 30);
const signal = new AbortController().signal;

/** Each is awaited before what it is named after goes on. */
interface MakeOptions {
  readonly openingHead?: () => Promise<void>;
  readonly settling?: () => Promise<void>;
  readonly encoding?: () => Promise<void>;
  readonly building?: () => Promise<void>;
  /** Awaited by every scan that has read its rows. */
  readonly scanned?: () => Promise<void>;
  readonly flags?: Readonly<Record<string, string>>;
}

/** A node on a fake world: memory for the head and the bucket, workers in place. */
class World {
  readonly dir: string = mkdtempSync(join(tmpdir(), "pyromesh-node-"));
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly checkpoint: MemoryCheckpoint = new MemoryCheckpoint();
  readonly file: MemoryFile = new MemoryFile();
  readonly clock: ManualClock = new ManualClock(NOW_MS);
  readonly memory: MemoryBucket = new MemoryBucket({ clock: this.clock });
  readonly bucket: FaultyBucket = new FaultyBucket(this.memory, { clock: this.clock });
  /** What was logged. */
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  /** Beside `flush_interval`. */
  readonly flags: Map<string, string[]> = new Map();
  node: Node | undefined;

  /** Not started. */
  make(bucket: Bucket = this.bucket, more: MakeOptions = {}): Node {
    const random = seededRandom(7);
    const metrics = new Metrics();
    const modules = { clock: this.clock, random, logger: listeningLogger(this.lines), metrics };
    const compute = openLocalCompute({ random, clock: this.clock });
    const flags = Object.entries({ flush_interval: "1h", ...more.flags }).map(([key, value]): [string, string[]] => [key, [value]]);
    this.node = new Node(loadConfig({ flags: new Map([...flags, ...this.flags]), env: {}, readFile: () => "" }), {
      ...modules,
      compute: {
        ...compute,
        settle: more.settling ?? compute.settle,
        encode: async (task) => {
          await more.encoding?.();
          return compute.encode(task);
        },
        build: async (...args) => {
          await more.building?.();
          return compute.build(...args);
        },
        scan: async (task, by) => {
          const partials = await compute.scan(task, by);
          await more.scanned?.();
          return partials;
        },
      },
      buildInfo: { version: "0", revision: "", buildDate: "", nodeVersion: "" },
      openBucket: () => Promise.resolve(bucket),
      openLocal: () => FolderFiles.open({ dir: join(this.dir, "sealed") }, modules),
      openHead: async (hooks) => {
        await more.openingHead?.();
        return Head.open({ diskBudgetBytes: 2 ** 30 }, { ...modules, ...hooks, opener: this.disk, checkpoint: this.checkpoint, quarantineFile: this.file });
      },
    });
    return this.node;
  }

  async start(bucket: Bucket = this.bucket): Promise<Node> {
    const node = this.make(bucket);
    await node.start();
    return node;
  }

  until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    return passUntil(this.clock, holds, what);
  }

  /** What a test awaits that takes the node's time. */
  async ended(work: Promise<unknown>, what: string): Promise<void> {
    let hasEnded = false;
    work.then(() => (hasEnded = true), () => (hasEnded = true));
    await this.until(() => hasEnded, what);
    await work;
  }

  async stop(): Promise<void> {
    await this.node?.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

interface PushParts {
  readonly name?: Partial<Pick<ArrivedProfile, "profileId" | "idempotencyKey">>;
  readonly leaf?: string;
  readonly caller?: AbortSignal;
}

/** Without a clock where `timeMs` is 0. */
async function push(node: Node, timeMs: number, value: number, { name = {}, leaf = "work", caller = signal }: PushParts = {}): Promise<void> {
  const types = { sampleTypes: [{ type: "cpu", unit: "nanoseconds" }], periodType: { type: "cpu", unit: "nanoseconds" }, period: 1, timeNs: BigInt(timeMs) * 1_000_000n, durationNs: 0n };
  const writer = new PprofWriter(types);
  writer.sample([writer.frame(leaf), writer.frame("main")], [value]);
  const profile = {
    labels: [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: "api" }],
    pprof: writer.finish(),
    profileId: undefined,
    fallbackTimeMs: undefined,
    idempotencyKey: undefined,
    ingest: undefined,
    describe: "series 0, profile 0",
    ...name,
  };
  const outcome = await node.sink.push(ANONYMOUS, [profile], caller);
  expect(outcome.refused).to.deep.equal([]);
}

/** The strings of every dataset in the bucket. */
async function stringsIn(bucket: Bucket): Promise<string[]> {
  const found: string[] = [];
  for await (const page of bucket.list(OBJECT_PREFIX, {}, signal)) {
    for (const { key } of page) {
      const source = bytesSource(await bucket.get(key, signal));
      const footer = await readFooter(source, key, signal);
      for (const { service } of footer.datasets) {
        const { bytes, entry } = (await readDataset(source, footer, service, signal))!;
        found.push(Buffer.from(openSection(bytes, entry, TAG.strings, key)!).toString("latin1"));
      }
    }
  }
  return found;
}

/** `moreMs`: makes it another range. */
function rangeOf(nowMs: number, moreMs = 0): { startMs: number; endMs: number } {
  return { startMs: NOW_MS - HOUR_MS, endMs: NOW_MS + HOUR_MS + moreMs };
}

async function total(node: Node, allowPartial = false, range = rangeOf(NOW_MS)): Promise<{ total: number; records: number; sum: string; missing: readonly string[] }> {
  const answer = await node.source.flameGraph(
    {
      tenants: [ANONYMOUS],
      ...range,
      allowPartial,
      profileType: parseProfileType("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
      selector: [],
      callSite: [],
      profileIds: [],
      spanIds: [],
      traceIds: [],
      maxNodes: 100,
      form: "json",
    },
    signal,
  );
  return { total: graphTotal(answer), records: answer.receipt.recordCount, sum: answer.receipt.identitySum, missing: answer.missing };
}

describe("node", function () {
  this.timeout(20_000);
  let world: World;

  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  describe("with queries in its queue", () => {
    let release: () => void;
    let isHeld: boolean;
    const node = async (flags: Readonly<Record<string, string>>): Promise<Node> => {
      isHeld = true;
      const gate = new Promise<void>((resolve) => (release = resolve));
      const made = world.make(world.bucket, { flags, scanned: () => (isHeld ? gate : Promise.resolve()) });
      await made.start();
      return made;
    };
    const turns = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
    };

    it("a question after a push was answered sees it, though an equal one is in flight; until then equal ones share its answer", async () => {
      const made = await node({});
      await push(made, NOW_MS, 1);
      const first = rangeOf(NOW_MS);
      const asked = [total(made, false, first), total(made, false, first)];
      await turns(10);
      await push(made, NOW_MS + 1, 10);
      isHeld = false;
      const after = await total(made, false, first);
      release();
      expect([...(await Promise.all(asked)), after].map(({ records, total: sum }) => [records, sum])).to.deep.equal([[1, 1], [1, 1], [2, 11]]);
      expect(await made.admin.metricsText()).to.include("pyromesh_queries_shared_total 1");
    });

    it("one more than may run and wait is refused with 503 and a time, and is answered when it comes again", async () => {
      const made = await node({ max_concurrent_queries: "1", max_queued_queries: "1" });
      await push(made, NOW_MS, 1);
      const asked = [1, 2].map((more) => total(made, false, rangeOf(NOW_MS, more)));
      await turns(10);
      const refusal = await total(made, false, rangeOf(NOW_MS, 3)).catch((error: unknown) => error as CodedError);
      expect(refusal).to.include({ code: "QUERY_QUEUE_FULL", kind: "unavailable" });
      expect((refusal as CodedError).details["retryAfterSeconds"]).to.be.at.least(1);
      isHeld = false;
      release();
      expect((await Promise.all(asked)).map(({ records }) => records)).to.deep.equal([1, 1]);
      expect((await total(made, false, rangeOf(NOW_MS, 3))).records).to.equal(1);
    });
  });

  it("gives the same receipt from memory, from segments, and across both", async () => {
    const node = await world.start();
    await push(node, NOW_MS, 1);
    await push(node, NOW_MS - 1000, 2);
    const inHead = await total(node);
    expect(inHead).to.include({ total: 3, records: 2 });
    await node.admin.flush(signal);
    expect(await total(node)).to.deep.equal(inHead);
    await push(node, NOW_MS, 1);
    expect(await total(node), "the same push again").to.deep.equal(inHead);
    await push(node, NOW_MS - 2000, 4);
    expect(await total(node)).to.include({ total: 7, records: 3 });
  });

  it("answers exactly while a flush runs", async () => {
    const node = await world.start();
    for (let round = 1; round <= 5; round++) {
      for (let i = 0; i < 10; i++) await push(node, NOW_MS - round * 1000 - i, 1);
      const flushing = node.admin.flush(signal);
      for (let i = 0; i < 10; i++) expect(await total(node)).to.include({ total: round * 10, records: round * 10 });
      await flushing;
    }
  });

  it("keeps taking pushes while the bucket is down, reads what waits from local disk, and drains by itself", async () => {
    const node = await world.start();
    world.bucket.goDown();
    await push(node, NOW_MS, 1);
    const flushing = node.admin.flush(signal);
    await world.until(() => metricsSay(node, "pyromesh_flush_backlog_segments 1"), "it is sealed");
    await push(node, NOW_MS - 1, 2);
    expect(await total(node)).to.include({ total: 3, records: 2 });
    world.bucket.heal();
    await world.ended(flushing, "it is uploaded");
    expect(await node.admin.metricsText()).to.include("pyromesh_flush_backlog_segments 0");
    expect(await total(node)).to.include({ total: 3, records: 2 });
  });

  it("refuses a query that needs an unreadable object, and says what is missing where partial is allowed", async () => {
    const node = await world.start();
    await push(node, NOW_MS, 1);
    await node.admin.flush(signal);
    world.bucket.goDown();
    const refusal = await total(node).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).to.include({ code: "OBJECT_UNREADABLE", kind: "unavailable" });
    const partial = await total(node, true);
    expect(partial.total).to.equal(0);
    expect(partial.missing.join()).to.include(".seg");
  });

  it("refuses a query over quarantined time until the loss is acknowledged", async () => {
    let node = await world.start();
    await push(node, NOW_MS, 1);
    await push(node, NOW_MS - 1000, 2);
    await node.stop();
    const record = world.disk.keys().find((key) => key[0] === "r".charCodeAt(0));
    world.disk.tamper(record!, (value) => value.map((byte, at) => (at === value.length - 1 ? byte ^ 1 : byte)));
    node = await world.start();
    const refusal = await total(node).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).to.include({ code: "QUARANTINED", kind: "unavailable" });
    expect((await total(node, true)).records).to.equal(1);
    expect(await node.admin.acknowledgeQuarantine()).to.equal(1);
    expect((await total(node)).records).to.equal(1);
  });

  it("counts a push without a clock once, however long after it comes again by its name: in the head, flushed, and after a start", async () => {
    let node = await world.start();
    const byId = { profileId: new Uint8Array(16).fill(7) };
    const byKey = { idempotencyKey: "k" };
    const again = async (): Promise<void> => {
      world.clock.jumpWall(11 * 60_000); // over the bounds of windows, too
      await push(node, 0, 1, { name: byId });
      await push(node, 0, 2, { name: byKey });
    };
    await again();
    const first = await total(node);
    expect(first).to.include({ total: 3, records: 2 });
    await again();
    expect(await total(node), "in the head").to.deep.equal(first);
    await node.stop();
    node = await world.start();
    await again();
    expect(await total(node), "after a start").to.deep.equal(first);
    await node.admin.flush(signal);
    await again();
    expect(await total(node), "across a flush").to.deep.equal(first);
    await node.admin.flush(signal);
    expect(await total(node), "in two segments").to.deep.equal(first);
    await push(node, 0, 2, { name: { idempotencyKey: "l" } });
    expect(await total(node)).to.include({ total: 5, records: 3 });
  });

  it("writes no name to the bucket that only a refused push had", async () => {
    const node = await world.start();
    await push(node, NOW_MS, 1);
    const gone = await push(node, NOW_MS, 2, { leaf: "refused", caller: AbortSignal.abort() }).then(() => "taken", () => "refused");
    await push(node, NOW_MS, 3, { leaf: "other" });
    await node.admin.flush(signal);
    expect(gone).to.equal("refused");
    const strings = await stringsIn(world.memory);
    expect(strings).to.have.lengthOf(1);
    expect(strings[0]).to.include("work").and.include("other").and.not.include("refused");
    expect(await total(node)).to.include({ total: 4, records: 2 });
  });

  it("keeps what is unflushed over a restart", async () => {
    let node = await world.start();
    await push(node, NOW_MS, 5);
    const before = await total(node);
    await node.stop();
    node = await world.start();
    expect(await total(node)).to.deep.equal(before);
  });

  describe("while it starts", () => {
    const refusalOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => "answered", (error: unknown) => (error as { code?: string }).code);

    /** 300 records, unflushed: more than the replay hands out at once. */
    async function fill(): Promise<void> {
      const node = await world.start();
      for (let i = 0; i < 300; i++) await push(node, NOW_MS - i, 1);
      await node.stop();
    }

    it("it says how far it has come, and refuses with NODE_STARTING what it could not answer yet; then nothing is missing", async () => {
      await fill();
      const [opening, settling] = [gate(), gate()];
      const node = world.make(world.bucket, { openingHead: () => opening.opened, settling: () => settling.opened });
      const asked = async (): Promise<void> => {
        expect(await node.admin.metricsText()).to.be.a("string");
        for (const work of [push(node, NOW_MS, 1), total(node), node.admin.flush(signal), node.source.stats(ANONYMOUS, signal), node.admin.acknowledgeQuarantine()]) {
          expect(await refusalOf(work)).to.equal("NODE_STARTING");
        }
        expect(() => node.admin.quarantine()).to.throw().with.property("code", "NODE_STARTING");
      };
      expect(node.admin.notReadyBecause()).to.equal("starting");
      await asked();
      const started = node.start();
      await world.until(() => node.admin.notReadyBecause() === "opening the head", "it opens the head");
      await asked();
      opening.open();
      await world.until(() => /^replaying the head: 256 of 300 records, \d\.\d of \d\.\d MB$/.test(node.admin.notReadyBecause() ?? ""), "it replays");
      await asked();
      settling.open();
      await started;
      expect(node.admin.notReadyBecause()).to.equal(undefined);
      expect(await total(node)).to.include({ total: 300, records: 300 });
    });

    it("a stop ends a replay that would go on, at once and again, and the next start has all of it", async () => {
      await fill();
      const settling = gate();
      const node = world.make(world.bucket, { settling: () => settling.opened });
      const started = node.start();
      await world.until(() => (node.admin.notReadyBecause() ?? "").includes("256 of 300"), "it replays");
      const stopped = Promise.all([node.stop(), node.stop()]);
      expect(node.admin.notReadyBecause()).to.equal("stopping");
      expect(await refusalOf(push(node, NOW_MS, 1))).to.equal("NODE_STOPPING");
      settling.open(); // the workers do their batch to its end
      await stopped;
      expect(await refusalOf(started)).to.equal("STOPPING");
      expect(await total(await world.start())).to.include({ total: 300, records: 300 });
    });

    it("a start that ends while the node stops does not make it ready again: a push under way is waited for, and no other is taken", async () => {
      await fill();
      world.lines.length = 0;
      const [answering, encoding] = [gate(), gate()];
      const node = world.make(silent(world.bucket, { until: answering.opened }), { encoding: () => encoding.opened });
      const started = node.start();
      await world.until(() => (node.admin.notReadyBecause() ?? "").startsWith("waiting for the bucket"), "it waits for the bucket");
      const inFlight = push(node, NOW_MS + 1000, 1);
      const stopped = node.stop();
      answering.open();
      await started;
      expect(node.admin.notReadyBecause()).to.equal("stopping");
      expect(await refusalOf(push(node, NOW_MS + 2000, 1))).to.equal("NOT_TAKING_WRITES");
      encoding.open();
      await inFlight;
      await stopped;
      expect(world.lines.map(({ message }) => message)).not.to.include("ready");
    });

    it("it warns that --retention deletes no segments yet, and does not where it is 0", async () => {
      const warnings = (): number => world.lines.splice(0).filter(({ level, message }) => level === "warn" && message.includes("deletes no segments, whatever --retention says")).length;
      await (await world.start()).stop();
      expect(warnings(), "by default it is 31d").to.equal(1);
      world.flags.set("retention", ["0"]);
      await (await world.start()).stop();
      expect(warnings()).to.equal(0);
    });

    it("a stop before the start leaves nothing open", async () => {
      const node = world.make();
      await node.stop();
      expect(await refusalOf(node.start())).to.equal("STOPPING");
      await world.start();
    });

    it("a stop comes through while a fresh data dir waits for its bucket", async () => {
      const node = world.make(silent(world.bucket));
      const started = node.start();
      await world.until(() => (node.admin.notReadyBecause() ?? "").startsWith("waiting for the bucket"), "it waits for the bucket");
      await node.stop();
      expect(await refusalOf(started)).to.equal("STOPPING");
    });

    it("a bucket that never answers is waited for 2 s where there is data, also one that does not listen to the signal: then the node is ready, and queries say why not", async () => {
      await fill();
      const node = world.make(silent(world.bucket, { isDeaf: true }));
      await world.ended(node.start(), "it is ready");
      expect(world.clock.nowMs() - NOW_MS).to.equal(2000);
      expect(node.admin.notReadyBecause()).to.equal(undefined);
      await push(node, NOW_MS + 1000, 1);
      expect(await refusalOf(total(node))).to.equal("CATALOG_INCOMPLETE");
      const { records, missing } = await total(node, true);
      expect(records).to.equal(301);
      expect(missing.join()).to.include("did not answer within 2 s");
    });

    it("a bucket that answers after the node was ready without it is listed then", async () => {
      await fill();
      const answering = gate();
      const node = world.make(silent(world.bucket, { until: answering.opened }));
      await world.ended(node.start(), "it is ready");
      expect(await refusalOf(total(node))).to.equal("CATALOG_INCOMPLETE");
      answering.open();
      await world.until(() => refusalOf(total(node)).then((outcome) => outcome === "answered"), "queries are answered");
    });

    /** Answers neither `check` nor `list`, until it does; a deaf one not even when it is told to end. */
    function silent(bucket: Bucket, { isDeaf = false, until: answering = new Promise<void>(() => {}) }: { readonly isDeaf?: boolean; readonly until?: Promise<void> } = {}): Bucket {
      const hang = (by: AbortSignal): Promise<void> =>
        new Promise((resolve, reject) => {
          void answering.then(resolve);
          if (!isDeaf) by.addEventListener("abort", () => reject(by.reason as Error));
        });
      return new Proxy(bucket, {
        get: (target, name: keyof Bucket) => {
          if (name === "check") return (by: AbortSignal) => hang(by).then(() => target.check(by));
          if (name === "list") {
            return async function* (...args: Parameters<Bucket["list"]>) {
              await hang(args[2]);
              yield* target.list(...args);
            };
          }
          const value = target[name];
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    }
  });

  describe("a stop is no error:", () => {
    const complaints = (): string[] => world.lines.filter(({ level, message }) => level === "error" || (level === "warn" && !message.includes("--retention"))).map(({ message }) => message);
    /** A flush is asked for and the node is stopped under it. */
    const flushing = (node: Node): void => void node.admin.flush(signal).catch(() => undefined);

    it("while a cut is built, which is built again by the next start", async () => {
      const [called, building] = [gate(), gate()];
      const node = world.make(world.bucket, {
        building: () => {
          called.open();
          return building.opened;
        },
      });
      await node.start();
      await push(node, NOW_MS, 5);
      flushing(node);
      await called.opened;
      const stopped = Promise.all([node.stop(), node.stop()]);
      building.open();
      await stopped;
      expect(complaints()).to.deep.equal([]);
      expect(await total(await world.start())).to.include({ total: 5, records: 1 });
    });

    it("while a segment is uploaded to a bucket that hangs, which is uploaded by the next start", async () => {
      const node = await world.start();
      world.bucket.schedule(({ operation, key }) => (operation === "put" && key.endsWith(".seg") ? { kind: "hang" } : undefined));
      await push(node, NOW_MS, 5);
      flushing(node);
      await world.until(() => world.bucket.calls.some(({ operation, key }) => operation === "put" && key.endsWith(".seg")), "the upload is tried");
      await Promise.all([node.stop(), node.stop()]);
      expect(complaints()).to.deep.equal([]);
      world.bucket.heal();
      const next = await world.start();
      await next.admin.flush(signal);
      expect(await total(next)).to.include({ total: 5, records: 1 });
    });
  });

  describe("a sealed file that is corrupted on disk", () => {
    /** One record, sealed and waiting for a bucket that is down. The file's path. */
    async function sealOne(): Promise<string> {
      const node = await world.start();
      world.bucket.goDown();
      await push(node, NOW_MS, 5);
      node.admin.flush(signal).catch(() => undefined); // the node is stopped under it, or it ends
      await world.until(() => metricsSay(node, "pyromesh_flush_backlog_segments 1"), "it is sealed");
      // The first upload has read the file, and the next tries half a second later: what comes now meets no reader.
      await world.until(() => world.bucket.calls.some(({ operation, key }) => operation === "put" && key.endsWith(".seg")), "the upload is tried");
      return filesUnder("sealed").find((file) => file.endsWith(".seg"))!;
    }

    const filesUnder = (folder: string): string[] =>
      readdirSync(join(world.dir, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));

    function flipByte(file: string): Buffer {
      const bytes = readFileSync(file);
      bytes[12]! ^= 1; // in the first section, the strings, which every flame graph opens
      const descriptor = openSync(file, "r+"); // in place: who reads meanwhile sees no shorter file
      writeSync(descriptor, bytes, 12, 1, 12);
      closeSync(descriptor);
      return bytes;
    }

    const bucketKeys = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const page of world.memory.list(OBJECT_PREFIX, {}, signal)) for (const { key } of page) keys.push(key);
      return keys;
    };

    const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => (error as { code?: string }).code);

    it("is found before the upload: quarantined, set aside, and in the bucket a mark of the loss in its place", async () => {
      const file = await sealOne();
      const corrupt = flipByte(file);
      const node = world.node!;
      expect(await codeOf(total(node)), "a query that reads it before anyone else").to.equal("OBJECT_UNREADABLE");
      world.bucket.heal();
      await world.until(() => node.admin.quarantine().length === 1, "it is quarantined");
      expect(node.admin.quarantine()[0]!.reason).to.match(/^sealed segment .*\.seg has crc32 \w+ on disk instead of \w+$/);
      await world.until(() => !existsSync(file), "the file is gone");
      await node.admin.flush(signal);
      expect((await bucketKeys()).map((key) => key.replace(/^.*-(\d+\.\w+)$/, "$1"))).to.deep.equal(["0000000000.lost"]);
      const aside = filesUnder("sealed/%rot");
      expect(aside.map((path) => readFileSync(path).equals(corrupt))).to.deep.equal([true]);
      expect(await codeOf(total(node))).to.equal("QUARANTINED");
      expect((await total(node, true)).missing.join()).to.include("on disk instead of");
      expect(await node.admin.metricsText()).to.include("pyromesh_quarantined_records_total 1").and.to.include("pyromesh_flush_backlog_segments 0");
    });

    it("is found after a start while the bucket is down, and stays found, once, over another start", async () => {
      const file = await sealOne();
      await world.node!.stop();
      flipByte(file);
      let node = await world.start();
      await world.until(() => node.admin.quarantine().length === 1 && !existsSync(file), "it is quarantined and set aside");
      await node.stop();
      world.bucket.heal();
      node = await world.start();
      expect(node.admin.quarantine()).to.have.lengthOf(1);
      expect(filesUnder("sealed/%rot")).to.have.lengthOf(1);
      expect(await codeOf(total(node))).to.equal("QUARANTINED");
      await push(node, NOW_MS, 7);
      await node.admin.acknowledgeQuarantine();
      expect(await total(node)).to.include({ total: 7, records: 1 });
    });

    it("costs nothing where the bucket has the segment whole: a crash came between upload and unseal", async () => {
      const file = await sealOne();
      const node = world.node!;
      const before = await total(node);
      await node.stop();
      const key = file.slice(join(world.dir, "sealed").length + 1);
      await world.memory.put(key, readFileSync(file), { ifAbsent: true }, signal);
      flipByte(file);
      world.bucket.heal();
      const next = await world.start();
      await world.until(() => !existsSync(file), "the file is gone");
      expect(next.admin.quarantine()).to.deep.equal([]);
      expect(await total(next)).to.deep.equal(before);
    });

    it("is quarantined as well when it is gone, or cut short", async () => {
      for (const harm of [(file: string) => rmSync(file), (file: string) => writeFileSync(file, readFileSync(file).subarray(0, -1))]) {
        const file = await sealOne();
        await world.node!.stop();
        harm(file);
        world.bucket.heal();
        const node = await world.start();
        await world.until(() => node.admin.quarantine().length === 1, "it is quarantined");
        expect(node.admin.quarantine()[0]!.reason).to.match(/is not on disk|has \d+ bytes on disk instead of \d+/);
        await world.until(() => !existsSync(file), "the file is gone");
        expect(await codeOf(total(node))).to.equal("QUARANTINED");
        await node.admin.acknowledgeQuarantine();
        await node.admin.flush(signal);
        await node.stop();
      }
      const marks = (await bucketKeys()).map((key) => key.replace(/^.*-(\d+\.\w+)$/, "$1"));
      expect(marks.filter((mark) => mark.endsWith(".lost")), "each in its turn").to.deep.equal(["0000000000.lost", "0000000001.lost"]);
    });
  });
});

/** A promise and what resolves it. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open!: () => void; // set before the constructor returns
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const metricsSay = (node: Node, text: string): Promise<boolean> => node.admin.metricsText().then((all) => all.includes(text));
