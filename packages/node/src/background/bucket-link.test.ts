import { CodedError, Metrics, parseTenantId, seededRandom, silentLogger } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { Catalog, IDENTITY_KEY, markKey, MemoryBucket, OBJECT_PREFIX, parseObjectKey, readIdentity, segmentKey } from "@pyromesh/block";
import type { Mark } from "@pyromesh/block";
import { FaultyBucket, ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { settle } from "../testing/index.ts";
import { BucketLink } from "./bucket-link.ts";
import type { BucketLinkOptions, LinkedHead } from "./bucket-link.ts";

const signal = new AbortController().signal;
const WINDOW_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 2, 2, 14, 30);
const START_MS = Date.UTC(2026, 2, 2, 14);
const A = parseTenantId("a");
const OURS = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const THEIRS = "ff".repeat(16);
const X = "aa".repeat(16);
const Y = "bb".repeat(16);

const seg = (ordinal: number, { storeId = OURS, hoursAgo = 0 } = {}): string => {
  const windowStartMs = START_MS - hoursAgo * WINDOW_MS;
  return segmentKey({ tenant: A, windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs + 5, storeId, ordinal });
};
const marked = (mark: Mark, ordinal: number): string => markKey({ tenant: A, windowStartMs: START_MS, minTimeMs: START_MS, maxTimeMs: START_MS + 5, storeId: OURS, ordinal, mark });

/** A head as the link sees it; what a test does not set says nothing. */
class FakeHead implements LinkedHead {
  storeId: Uint8Array = Buffer.from(OURS, "hex");
  bucketMark: LinkedHead["bucketMark"];
  isFirstFormat = false;
  givenOrdinalCount = 0;
  next: Record<string, number> = {};
  pending: string[] = [];
  quarantined: unknown[] = [];

  async adoptBucket(mark: { readonly bucketId: string; readonly clusterName: string }): Promise<void> {
    this.bucketMark = mark;
    if (this.isFirstFormat) this.storeId = Buffer.from(Y, "hex");
    this.isFirstFormat = false;
  }

  ordinals(): ReturnType<LinkedHead["ordinals"]> {
    return Object.entries(this.next).map(([storeId, next]) => ({ storeId, tenant: A, windowStartMs: START_MS, next }));
  }

  sealed(): readonly { readonly key: string }[] {
    return this.pending.map((key) => ({ key }));
  }

  quarantine(): readonly unknown[] {
    return this.quarantined;
  }
}

class World {
  /** The link's own; a test runs its timers one by one, by `timers`. */
  readonly #time = new ManualClock(NOW_MS);
  readonly memory: MemoryBucket = new MemoryBucket({ clock: this.#time });
  readonly bucket: FaultyBucket = new FaultyBucket(this.memory, { clock: this.#time });
  readonly head: FakeHead = new FakeHead();
  readonly renumbered: string[] = [];
  readonly told: string[] = [];
  readonly forgotten: string[] = [];
  /** What the link waits for: the next LIST, which only the test starts. */
  timers: { readonly delayMs: number; readonly run: () => void; isCancelled: boolean }[] = [];
  #aheadMs = 0;
  catalog!: Catalog;
  link!: BucketLink;

  readonly #clock: Clock = {
    nowMs: () => this.#time.nowMs() + this.#aheadMs,
    nowNs: () => this.#time.nowNs(),
    monotonicMs: () => this.#time.monotonicMs(),
    nextTurn: () => this.#time.nextTurn(),
    sleep: (delayMs, by) => this.#time.sleep(delayMs, by),
    after: (delayMs, run) => {
      const timer = { delayMs, run, isCancelled: false };
      this.timers.push(timer);
      return { cancel: () => void (timer.isCancelled = true) };
    },
  };

  make(options: Partial<BucketLinkOptions> = {}, { entryCountMax = 1000 } = {}): BucketLink {
    const { bucket } = this;
    this.catalog = new Catalog({ entryCountMax }, { bucket, logger: silentLogger });
    this.link = new BucketLink(
      { setting: "s3://b", clusterName: undefined, isInit: false, isCreatable: false, ...options },
      { bucket, catalog: this.catalog, head: this.head, clock: this.#clock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics(), renumber: async (reason) => void this.renumbered.push(reason), forgetObject: (key) => void this.forgotten.push(key) },
    );
    return this.link;
  }

  async start(options: Partial<BucketLinkOptions> = {}): Promise<BucketLink> {
    const link = this.make(options);
    await link.start((words) => void this.told.push(words), signal);
    return link;
  }

  /** Lets time pass, and with it what the link and the bucket sleep for. */
  async pass(ms: number): Promise<void> {
    this.#time.advance(ms);
    await settle();
  }

  /** The machine was suspended for so long: its wall clock was set when it went on, and its monotonic one stood still. */
  setWallClock(aheadMs: number): void {
    this.#aheadMs = aheadMs;
  }

  /** The LIST that the next timer starts, to its end. */
  async nextList(): Promise<void> {
    const timer = this.timers.shift()!;
    await this.pass(timer.delayMs);
    const before = this.timers.length;
    timer.run();
    await settle();
    expect(this.timers.length, "the LIST has ended, and the next one is set").to.equal(before + 1);
  }

  async put(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.memory.put(key, Buffer.from("x"), {}, signal);
  }

  async putIdentity(bucketId: string, more: object = {}): Promise<void> {
    const identity = { format: 1, bucketId, clusterName: "", firstFormatStores: [], createdAtMs: 0, ...more };
    await this.memory.put(IDENTITY_KEY, Buffer.from(JSON.stringify(identity)), {}, signal);
  }

  /** A bucket that this data dir wrote to, with these objects. */
  async own(...keys: readonly string[]): Promise<void> {
    this.head.bucketMark = { bucketId: X, clusterName: "" };
    await this.putIdentity(X);
    await this.put(...keys);
  }

  get missing(): readonly string[] {
    return this.link.gapsWithin([A], START_MS, START_MS);
  }

  keysOf(operation: string): string[] {
    return this.bucket.calls.filter((call) => call.operation === operation).map(({ key }) => key);
  }
}

const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => "done", (error: unknown) => (error instanceof CodedError ? error.code : error));

describe("bucket link", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.link?.stop());

  describe("whose bucket it is", () => {
    it("a fresh data dir makes the identity, remembers it, and takes pushes only then", async () => {
      const link = world.make({ clusterName: "eu" });
      expect(link.waitsBecause).to.include("fresh");
      await link.start(() => {}, signal);
      const identity = await readIdentity(world.memory, signal);
      expect(identity).to.include({ clusterName: "eu" });
      expect(world.head.bucketMark).to.deep.equal({ bucketId: identity!.bucketId, clusterName: "eu" });
      expect([link.waitsBecause, link.incompleteBecause]).to.deep.equal([undefined, undefined]);
    });

    it("a fresh data dir waits for a bucket that is down, says so, and goes on when it is back", async () => {
      world.bucket.goDown();
      const link = world.make();
      const started = link.start((words) => void world.told.push(words), signal);
      await settle();
      expect(world.told.at(-1)).to.include("503");
      expect(link.waitsBecause).to.include("503");
      world.bucket.heal();
      await world.pass(499);
      expect(link.waitsBecause, "asked again after half a second").to.include("503");
      await world.pass(1);
      await started;
      expect(link.waitsBecause).to.equal(undefined);
    });

    it("a refusal ends the start and names the setting", async () => {
      await world.own();
      await world.putIdentity(Y);
      const error = await world.start().then(() => undefined, (thrown: unknown) => thrown);
      expect(error).to.include({ code: "BUCKET_IS_ANOTHER", kind: "failed_precondition" });
      expect((error as Error).message).to.include("--bucket s3://b:");
    });

    it("a bucket that answers 403 ends the start of a fresh data dir; one that has a bucket starts without it", async () => {
      for (const isFresh of [true, false]) {
        world = new World();
        if (!isFresh) await world.own();
        world.bucket.schedule(() => ({ kind: "status", status: 403 }));
        expect(await codeOf(world.start())).to.equal(isFresh ? "BUCKET_REFUSED" : "done");
        if (!isFresh) expect([world.link.waitsBecause, typeof world.link.incompleteBecause]).to.deep.equal([undefined, "string"]);
        world.link.stop();
      }
    });

    it("nothing is uploaded before a LIST since the start: a rolled-back data dir would give an ordinal twice", async () => {
      await world.own(seg(0));
      const link = world.make();
      const put = (): Promise<unknown> => codeOf(link.guarded.put(seg(1), Buffer.from("x"), {}, signal));
      expect(await put()).to.equal("BUCKET_UNAVAILABLE");
      expect(world.keysOf("put")).to.deep.equal([]);
      await link.start(() => {}, signal);
      expect(await put()).to.equal("done");
    });

    for (const what of ["stood still", "was suspended, and its monotonic clock with it"] as const) {
      it(`a node that ${what} uploads nothing before it has listed everything again: what expired meanwhile would come back`, async () => {
        await world.own(seg(0), seg(0, { hoursAgo: 9 }));
        const link = await world.start();
        const put = (ordinal: number): Promise<unknown> => codeOf(link.guarded.put(seg(ordinal), Buffer.from("x"), {}, signal));
        expect(await put(1)).to.equal("done");
        if (what === "stood still") await world.pass(20 * 60_000);
        else world.setWallClock(20 * 60_000);
        await world.memory.delete(seg(0, { hoursAgo: 9 }), signal);
        world.bucket.calls.length = 0;
        world.bucket.schedule(({ operation }) => (operation === "list" ? { kind: "status", status: 503 } : undefined));
        expect(await put(2)).to.equal("BUCKET_UNAVAILABLE");
        expect(world.keysOf("put")).to.deep.equal([]);
        world.bucket.heal();
        world.bucket.calls.length = 0;
        expect(await put(2)).to.equal("done");
        const order = world.bucket.calls.map(({ operation }) => operation);
        expect(order.indexOf("put"), "the LIST comes first").to.be.greaterThan(order.indexOf("list"));
        expect(world.catalog.get(seg(0, { hoursAgo: 9 })), "of everything").to.equal(undefined);
      });
    }

    it("uploads go on while single LISTs fail", async () => {
      await world.own(seg(0));
      const link = await world.start();
      world.bucket.schedule(({ operation }) => (operation === "list" ? { kind: "status", status: 503 } : undefined));
      await world.pass(2 * 60_000);
      expect(await codeOf(link.guarded.put(seg(1), Buffer.from("x"), {}, signal))).to.equal("done");
    });

    it("nothing is uploaded to another bucket, and uploads go on when the right one is back", async () => {
      await world.own();
      const link = await world.start();
      const put = (key: string): Promise<unknown> => codeOf(link.guarded.put(key, Buffer.from("x"), {}, signal));
      expect(await put(seg(0))).to.equal("done");
      const askedCount = world.keysOf("get").length;
      expect(await put(seg(1))).to.equal("done");
      expect(world.keysOf("get").length, "an identity read so lately is not read again").to.equal(askedCount);
      await world.pass(6000);
      await world.putIdentity(Y);
      expect(await put(seg(2))).to.equal("BUCKET_UNAVAILABLE");
      expect(link.incompleteBecause).to.include(Y);
      expect(world.timers.shift()!.isCancelled, "the LIST of the minute").to.equal(true);
      expect(world.timers[0]!.delayMs).to.equal(2000);
      await world.putIdentity(X);
      expect(await put(seg(3))).to.equal("done");
      await world.nextList();
      expect(link.incompleteBecause).to.equal(undefined);
    });

    it("a bucket that lost its identity while the node runs: nothing is forgotten, queries are refused, and it heals within seconds", async () => {
      world.head.next = { [OURS]: 1 };
      await world.own(seg(0));
      const link = await world.start();
      await world.memory.delete(IDENTITY_KEY, signal);
      await world.memory.delete(seg(0), signal);
      for (let round = 0; round < 3; round++) await world.nextList();
      expect(link.incompleteBecause).to.include("no identity");
      expect(world.catalog.entryCount).to.equal(1);
      expect(world.timers[0]!.delayMs).to.equal(2000);
      await world.own(seg(0));
      await world.nextList();
      expect([link.incompleteBecause, world.missing]).to.deep.equal([undefined, []]);
    });

    it("while the bucket is down the catalog keeps what it knows", async () => {
      await world.own(seg(0));
      const link = await world.start();
      world.bucket.goDown();
      await world.nextList();
      expect([link.incompleteBecause, world.catalog.entryCount]).to.deep.equal([undefined, 1]);
      expect(world.timers[0]!.delayMs).to.equal(10_000);
    });

    it("an identity that cannot be read is not taken for a missing one: none is made in its place", async () => {
      await world.memory.put(IDENTITY_KEY, Buffer.from("{"), {}, signal);
      expect(await codeOf(world.start())).to.equal("BUCKET_IDENTITY_UNREADABLE");
      expect(Buffer.from(await world.memory.get(IDENTITY_KEY, signal)).toString()).to.equal("{");
    });

    it("a data dir of format 1 makes the identity in the bucket that lists its segments, and names every store there as exempt", async () => {
      world.head.isFirstFormat = true;
      world.head.givenOrdinalCount = 5;
      await world.put(seg(3), seg(2, { storeId: THEIRS }));
      await world.start();
      expect((await readIdentity(world.memory, signal))?.firstFormatStores).to.have.members([OURS, THEIRS]);
      expect(world.missing).to.deep.equal([]);
    });

    it("a data dir of format 1 that adopts another's identity adds its own store to the exempt ones", async () => {
      world.head.isFirstFormat = true;
      world.head.givenOrdinalCount = 5;
      await world.putIdentity(X, { firstFormatStores: [THEIRS] });
      await world.put(seg(3));
      await world.start();
      expect((await readIdentity(world.memory, signal))?.firstFormatStores).to.deep.equal([THEIRS, OURS]);
      expect(world.missing).to.deep.equal([]);
    });

    it("--bucket-init puts back a lost identity under the data dir's own id; gaps of its own store still count, those of others do not", async () => {
      await world.own(seg(1), seg(2, { storeId: THEIRS }));
      await world.memory.delete(IDENTITY_KEY, signal);
      world.head.next = { [OURS]: 2 };
      await world.start({ isInit: true });
      expect(await readIdentity(world.memory, signal)).to.include({ bucketId: X }).and.property("firstFormatStores").that.deep.equals([THEIRS]);
      expect(world.missing.join()).to.include(`${OURS}: 0 missing`).and.not.include(THEIRS);
    });
  });

  describe("what is missing", () => {
    it("is known when the node is ready: the first, a middle or the last segment of its own", async () => {
      for (const [gone, words] of [[0, "0 missing"], [1, "1 missing"], [2, "2 missing"]] as const) {
        world = new World();
        world.head.next = { [OURS]: 3 };
        await world.own(...[0, 1, 2].filter((ordinal) => ordinal !== gone).map((ordinal) => seg(ordinal)));
        await world.start();
        expect(world.missing).to.deep.equal([`window 20260302T14, store ${OURS}: ${words}`]);
        world.link.stop();
      }
    });

    it("does not include what waits on this disk", async () => {
      world.head.next = { [OURS]: 2 };
      world.head.pending = [seg(1)];
      await world.own(seg(0));
      await world.start();
      expect(world.missing).to.deep.equal([]);
    });

    it("a key that vanishes while the node runs is found by the next LIST, and settled in the same minute", async () => {
      world.head.next = { [OURS]: 3 };
      await world.own(seg(0), seg(1), seg(2));
      await world.start();
      await world.memory.delete(seg(1), signal);
      await world.nextList();
      expect(world.missing).to.deep.equal([`window 20260302T14, store ${OURS}: 1 missing`]);
      await world.put(seg(1));
      await world.nextList();
      expect(world.missing).to.deep.equal([]);
      expect(world.catalog.entryCount).to.equal(3);
    });

    it("a LIST that misses a key once changes nothing", async () => {
      world.head.next = { [OURS]: 2 };
      await world.own(seg(0), seg(1));
      await world.start();
      let isMissed = true;
      const list = world.memory.list.bind(world.memory);
      world.memory.list = async function* (...args) {
        const hides = isMissed && args[0].startsWith(OBJECT_PREFIX);
        if (hides) isMissed = false;
        for await (const page of list(...args)) yield hides ? page.filter(({ key }) => key !== seg(1)) : page;
      };
      await world.nextList();
      expect(isMissed).to.equal(false);
      expect([world.missing, world.catalog.entryCount]).to.deep.equal([[], 2]);
    });

    it("in an old window it is found by the LIST of everything, every ten minutes; or at once when a reader misses an object", async () => {
      await world.own(seg(0, { hoursAgo: 50 }), seg(1, { hoursAgo: 50 }));
      await world.start();
      await world.memory.delete(seg(0, { hoursAgo: 50 }), signal);
      const old = (): number => world.link.gapsWithin([A], START_MS - 50 * WINDOW_MS, START_MS - 50 * WINDOW_MS).length;
      for (let minute = 1; minute <= 10; minute++) await world.nextList();
      expect(old()).to.equal(1);
      await world.memory.delete(seg(1, { hoursAgo: 50 }), signal);
      await world.link.refreshForReader(signal);
      expect(world.catalog.entryCount).to.equal(0);
      expect(old()).to.equal(1);
    });

    it("in an old window a segment that is back, or forgotten, is not missing any more within a minute", async () => {
      const old = (ordinal: number): string => seg(ordinal, { hoursAgo: 50 });
      const missing = (): readonly string[] => world.link.gapsWithin([A], START_MS - 50 * WINDOW_MS, START_MS - 50 * WINDOW_MS);
      await world.own(old(2));
      await world.start();
      expect(missing()).to.deep.equal([`window 20260228T12, store ${OURS}: 0-1 missing`]);
      await world.put(old(0));
      await world.nextList();
      expect(missing()).to.deep.equal([`window 20260228T12, store ${OURS}: 1 missing`]);
      const windowStartMs = START_MS - 50 * WINDOW_MS;
      await world.put(markKey({ tenant: A, windowStartMs, minTimeMs: windowStartMs, maxTimeMs: windowStartMs + 5, storeId: OURS, ordinal: 1, mark: "forgotten" }));
      await world.nextList();
      expect(missing()).to.deep.equal([]);
    });

    it("of the old windows that lack segments 20 are listed each minute, in turn", async () => {
      const windowCount = 50;
      await world.own(...Array.from({ length: windowCount }, (_, window) => seg(1, { hoursAgo: 50 + window })));
      await world.start();
      expect(world.catalog.gaps.length).to.equal(windowCount);
      await world.put(...Array.from({ length: windowCount }, (_, window) => seg(0, { hoursAgo: 50 + window })));
      for (const left of [30, 10, 0]) {
        await world.nextList();
        expect(world.catalog.gaps.length).to.equal(left);
      }
    });

    it("a doubt that another node's uploads prolong is settled within seconds of their end, also in an old window", async () => {
      for (const hoursAgo of [0, 50]) {
        world = new World();
        const theirs = (ordinal: number): string => seg(ordinal, { storeId: THEIRS, hoursAgo });
        const missing = (): readonly string[] => world.link.gapsWithin([A], START_MS - hoursAgo * WINDOW_MS, START_MS - hoursAgo * WINDOW_MS);
        await world.own(theirs(0));
        // Each LIST is behind the place of the one before the newest: it shows the newest and not that one.
        let [newest, isBusy] = [0, true];
        const list = world.memory.list.bind(world.memory);
        world.memory.list = async function* (...args) {
          const isRacing = isBusy && args[0].startsWith(OBJECT_PREFIX);
          if (isRacing) await world.put(theirs(++newest), theirs(++newest));
          const overtaken = theirs(newest - 1);
          for await (const page of list(...args)) yield isRacing ? page.filter(({ key }) => key !== overtaken) : page;
        };
        await world.start();
        expect(missing()).to.have.length(1);
        isBusy = false;
        const { delayMs } = world.timers[0]!;
        await world.nextList();
        expect(missing()).to.deep.equal([]);
        expect(delayMs).to.equal(2000);
        expect(world.timers[0]!.delayMs, "and then it is quiet").to.equal(60_000);
        world.link.stop();
      }
    });

    it("it is known when the last LIST began that showed a time, also where a later one of newer windows began since", async () => {
      await world.own();
      const link = world.make();
      expect(link.listBeganMs(NOW_MS)).equal(-Infinity);
      const wholeMs = NOW_MS;
      await link.start(() => {}, signal);
      expect([link.listBeganMs(0), link.listBeganMs(NOW_MS)]).deep.equal([wholeMs, wholeMs]);
      await world.nextList();
      expect([link.listBeganMs(0), link.listBeganMs(NOW_MS) > wholeMs]).deep.equal([wholeMs, true]);
      const newestMs = link.listBeganMs(NOW_MS);
      world.bucket.goDown();
      await codeOf(link.refresh(signal));
      expect(link.listBeganMs(NOW_MS), "a LIST that failed shows nothing").equal(newestMs);
    });

    it("readers that ask while a LIST runs share the next one", async () => {
      await world.own(seg(0));
      await world.start();
      const before = world.keysOf("get").length;
      await Promise.all(Array.from({ length: 20 }, () => world.link.refreshForReader(new AbortController().signal)));
      expect(world.keysOf("get").length - before, "one that ran, and one after it").to.equal(2);
    });

    it("a reader that joins a LIST of the newest windows which has not begun makes it one of everything", async () => {
      await world.own(seg(0));
      const link = await world.start();
      const scopes: string[] = [];
      const { catalog } = world;
      const refresh = catalog.refresh.bind(catalog);
      catalog.refresh = (by, options) => {
        scopes.push(options?.scope?.kind ?? "all");
        return refresh(by, options);
      };
      const running = link.refresh(signal);
      world.timers.shift()!.run(); // waits for the one that runs
      await Promise.all([running, link.refreshForReader(signal)]);
      expect(scopes).to.deep.equal(["all", "all"]);
    });

    it("a reader of the newest windows has them listed, and no others; one of older windows has everything listed", async () => {
      await world.own(...Array.from({ length: 30 }, (_, hoursAgo) => seg(0, { hoursAgo })));
      const link = await world.start();
      await world.pass(1_000);
      const beganMs = link.listBeganMs(START_MS);
      world.bucket.calls.length = 0;
      await link.refreshForReader(signal, START_MS + 5);
      expect(link.listBeganMs(START_MS)).to.be.greaterThan(beganMs);
      expect(link.listBeganMs(START_MS - 9 * WINDOW_MS)).to.equal(beganMs);
      await world.pass(1_000);
      await link.refreshForReader(signal, START_MS - 9 * WINDOW_MS);
      expect(link.listBeganMs(START_MS - 9 * WINDOW_MS)).to.be.greaterThan(beganMs);
    });

    it("a reader that goes away is answered at once, and the LIST goes on for the others", async () => {
      await world.own(seg(0));
      const link = await world.start();
      const [gone, stays] = [link.refreshForReader(AbortSignal.abort(new Error("went away"))), link.refreshForReader(signal)];
      expect(await gone.then(() => "done", (error: Error) => error.message)).to.equal("went away");
      await stays;
    });

    it("where another data dir writes under our store id a new one is taken, once for each LIST", async () => {
      world.head.next = { [OURS]: 1 };
      await world.own(seg(0), seg(1));
      await world.start();
      expect(world.renumbered).to.have.length(1);
      expect(world.renumbered[0]).to.include("segment 1 in window 20260302T14");
    });

    it("a lost segment is missing until its quarantine is acknowledged: then it is forgotten, and stays so", async () => {
      world.head.next = { [OURS]: 2 };
      world.head.quarantined = [{}];
      await world.own(seg(0), marked("lost", 1));
      await world.start();
      expect(world.missing).to.deep.equal([`window 20260302T14, store ${OURS}: 1 missing`]);
      world.head.quarantined = [];
      await world.link.onQuarantineAcknowledged();
      expect(world.missing).to.deep.equal([]);
      const keys: string[] = [];
      for await (const page of world.memory.list(OBJECT_PREFIX, {}, signal)) keys.push(...page.map(({ key }) => key));
      expect(keys.map((key) => parseObjectKey(key)).filter((meta) => meta?.kind === "mark").map((meta) => (meta as { mark: Mark }).mark)).to.have.members(["lost", "forgotten"]);
    });

    it("a forgotten mark that an operator puts is taken in by the next LIST", async () => {
      world.head.next = { [OURS]: 2 };
      await world.own(seg(0));
      await world.start();
      expect(world.missing).to.have.length(1);
      await world.put(marked("forgotten", 1));
      await world.nextList();
      expect(world.missing).to.deep.equal([]);
    });

    it("what a full catalog could not take in is unknown: queries are refused, though the bucket was listed before", async () => {
      await world.own(seg(0), seg(1));
      const link = world.make({}, { entryCountMax: 2 });
      await link.start(() => {}, signal);
      expect(link.incompleteBecause).to.equal(undefined);
      await world.put(seg(2));
      await world.nextList();
      expect(link.incompleteBecause).to.include("takes no more").and.not.include("retention");
      await world.memory.delete(seg(2), signal);
      await world.nextList();
      expect(link.incompleteBecause).to.equal(undefined);
    });

    it("an object that was replaced by one of another size is forgotten in memory", async () => {
      await world.own(seg(0));
      await world.start();
      await world.memory.put(seg(0), Buffer.from("repaired"), {}, signal);
      await world.nextList();
      expect(world.forgotten).to.deep.equal([seg(0)]);
      expect(world.catalog.get(seg(0))?.sizeBytes).to.equal(8);
    });

    it("of many gaps a refusal names five", async () => {
      await world.own(...Array.from({ length: 9 }, (_, index) => seg(1, { storeId: String(index).repeat(32) })));
      await world.start();
      expect(world.missing).to.have.length(6);
      expect(world.missing.at(-1)).to.equal("and 4 more");
    });
  });
});
