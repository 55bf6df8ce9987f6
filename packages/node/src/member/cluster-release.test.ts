/** Flush, release and takeover of several members, as histories: those of the cluster's model that are about them, and crashes in between. */
import { parseTenantId } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { segmentKey } from "@pyromesh/block";
import { WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import { expect } from "chai";
import { DUE_AFTER_MS, FLUSH_INTERVAL_MS, ReleaseWorld } from "../testing/release-world.ts";
import { writeOf } from "../testing/node-world.ts";
import { settle } from "../testing/settle.ts";
import { openStatusAnswer, packStatusRequest } from "../cluster/status-message.ts";

const never = new AbortController().signal;
const ALL = ["a", "b", "c"];
const VALUES = [1, 2, 3, 4, 5];

describe("flush, release and takeover", function () {
  this.timeout(30_000);
  let world: ReleaseWorld;
  beforeEach(async () => {
    world = new ReleaseWorld(ALL);
    await world.start();
  });
  afterEach(() => world.stop());

  const held = (): Promise<number[][]> => Promise.all(ALL.map((name) => world.of(name).held(VALUES)));
  const takeovers = async (): Promise<number[]> => Promise.all(ALL.map((name) => world.of(name).takeovers()));
  const isFlushed = async (): Promise<boolean> => (await held()).every((values) => values.length === 0);

  it("without a fault each record is in the bucket once, nobody takes anything over, and every head is empty before the due time", async () => {
    await world.put([1, 2], ["a", "b", "c"]);
    await world.put([3, 4], ["b", "c", "a"]);
    await world.put([5], ["c", "a", "b"]);
    await world.pass(FLUSH_INTERVAL_MS + 5_000);
    expect(await held()).deep.equal([[], [], []]);
    await world.pass(4 * DUE_AFTER_MS);
    expect(await world.inBucket(VALUES)).deep.equal([1, 1, 1, 1, 1]);
    expect(await takeovers()).deep.equal([0, 0, 0]);
  });

  it("where an announcement is lost, a LIST leads to the release", async () => {
    world.cluster.onRequest = (from, to, method) => (method === "announce" ? Promise.reject(new Error("lost")) : undefined);
    await world.put(VALUES, ALL);
    await world.pass(FLUSH_INTERVAL_MS + 5_000);
    expect(await held()).deep.equal([[], VALUES, VALUES]);
    await world.of("b").list();
    await settle();
    expect(await held()).deep.equal([[], [], VALUES]);
  });

  it("where both are lost, the store of rank 0 says into which segment it flushed", async () => {
    world.cluster.onRequest = (from, to, method) => (method === "announce" ? Promise.reject(new Error("lost")) : undefined);
    await world.put(VALUES, ALL);
    await world.pass(DUE_AFTER_MS + 6_000);
    expect(await held()).deep.equal([[], [], []]);
    expect([await world.inBucket(VALUES), await takeovers()]).deep.equal([[1, 1, 1, 1, 1], [0, 0, 0]]);
  });

  it("rank 0 is dead: rank 1 flushes after the due time, rank 2 waits for it", async () => {
    await world.put(VALUES, ALL);
    await world.kill("a");
    await world.pass(DUE_AFTER_MS - 1_000);
    expect(await world.inBucket(VALUES)).deep.equal([0, 0, 0, 0, 0]);
    await world.pass(FLUSH_INTERVAL_MS);
    expect((await held()).slice(1)).deep.equal([[], []]);
    expect((await takeovers()).slice(1)).deep.equal([5, 0]);
    expect(await world.of("b").held(VALUES)).deep.equal([]);
  });

  it("ranks 0 and 1 are dead: rank 2 flushes", async () => {
    await world.put(VALUES, ALL);
    await world.kill("a", "b");
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect((await takeovers())[2]).equal(5);
    expect(await world.of("c").held(VALUES)).deep.equal([]);
  });

  it("rank 0 never had the record: the next live rank flushes it", async () => {
    await world.put(VALUES, ALL, ["b", "c"]);
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect([await held(), await world.inBucket(VALUES), await takeovers()]).deep.equal([[[], [], []], [1, 1, 1, 1, 1], [0, 5, 0]]);
  });

  // Seed 830148 of the simulator, three nodes: rank 0 never had the record, and had read it for a query in a segment that waited at a member whose disk was then put back to an earlier state.
  it("rank 0 read the record in a segment that waited on another member's disk, and is gone with it: the next live rank flushes it", async () => {
    await world.put(VALUES, ALL, ["b", "c"]);
    const records = await Promise.all(VALUES.map((value) => world.record(value)));
    const { tenant, timeMs } = records[0]!; // there are five
    const windowStartMs = windowStartOf(timeMs);
    const storeId = "cd".repeat(16); // of no member
    const meta = { tenant: parseTenantId(tenant), windowStartMs, windowMs: WINDOW_MS, level: 0, storeId, ordinal: 2, minTimeMs: timeMs, maxTimeMs: timeMs + 9, recordCount: 5, sources: [{ storeId, firstOrdinal: 2, lastOrdinal: 2 }] };
    world.of("a").segments.matches.add({ key: segmentKey(meta), sizeBytes: 1_000, isUploaded: false, meta }, Buffer.concat(records.map(({ identity }) => identity)));
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect([await held(), await world.inBucket(VALUES), await takeovers()]).deep.equal([[[], [], []], [1, 1, 1, 1, 1], [0, 5, 0]]);
  });

  it("rank 0 still buffers it: the others wait, as long as it is not late", async () => {
    await world.put(VALUES, ALL);
    world.of("a").disk.onBatch = (ops) => {
      if (ops.some(({ kind, key }) => kind === "put" && key[0] === "c".charCodeAt(0))) throw new Error("EIO"); // it cannot cut
    };
    await world.pass(2 * DUE_AFTER_MS);
    expect(await takeovers()).deep.equal([0, 0, 0]);
    world.of("a").disk.onBatch = undefined;
    await world.until(isFlushed, "it is flushed");
    expect([await world.inBucket(VALUES), await takeovers()]).deep.equal([[1, 1, 1, 1, 1], [0, 0, 0]]);
  });

  it("after three due times the next rank flushes anyway, whatever rank 0 says, or does not", async () => {
    await world.put(VALUES, ALL);
    world.of("a").disk.onBatch = () => {
      throw new Error("EIO");
    };
    world.cluster.stop("a");
    await world.pass(3 * DUE_AFTER_MS - 2_000);
    expect(await takeovers()).deep.equal([0, 0, 0]);
    await world.pass(8_000);
    expect(await takeovers()).deep.equal([0, 5, 0]);
    expect(await world.inBucket(VALUES)).deep.equal([1, 1, 1, 1, 1]);
    world.of("a").disk.onBatch = undefined;
  });

  // Two pushes of one record, under two lists: each store takes the other for rank 0.
  it("each says that the other is rank 0: neither claims to flush it, and one does", async () => {
    await world.put([1], ["a", "b", "c"], ["b"]);
    await world.put([1], ["b", "a", "c"], ["a"]);
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect(await held()).deep.equal([[], [], []]);
    expect((await world.inBucket([1]))[0]).within(1, 2);
  });

  it("hearsay releases nothing: what rank 0 has sealed and cannot upload stays with the others, and is flushed by them when it is gone", async () => {
    await world.put(VALUES, ALL);
    world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
    await world.pass(DUE_AFTER_MS + 6_000);
    expect([await world.of("a").held(VALUES), await world.of("b").held(VALUES)], "sealed at a").deep.equal([[], VALUES]);
    expect(await takeovers()).deep.equal([0, 0, 0]);
    await world.kill("a");
    world.bucket.heal();
    await world.pass(FLUSH_INTERVAL_MS);
    expect([await world.of("b").held(VALUES), await world.of("c").held(VALUES)]).deep.equal([[], []]);
    expect(await world.inBucket(VALUES)).deep.equal([1, 1, 1, 1, 1]);
  });

  // Seed 96140 of the simulator, three nodes: the others took the segment that never was into their plans, and refused all queries of its hour.
  it("a segment whose seal failed is named to nobody, though another cut has taken its ordinal", async () => {
    const { disk, head } = world.of("a");
    world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
    await world.put([1, 2], ALL);
    disk.onBatch = (ops) => {
      if (writeOf(ops) !== "seal") return;
      disk.onBatch = undefined;
      throw new Error("EIO");
    };
    await world.until(() => disk.onBatch === undefined, "the seal is refused");
    const isTaken = (): Promise<boolean> => world.put([3], ALL).then(() => true, () => false);
    await world.until(isTaken, "the store takes writes again, and the seal waits for its next try");
    await head.cut({ ranks: new Set([0]) });
    await world.until(() => head.stats.openCount + head.stats.cutCount === 0, "both cuts are sealed");
    const records = await Promise.all([1, 2, 3].map((value) => world.record(value)));
    const window = { tenant: parseTenantId(records[0]!.tenant), windowStartMs: windowStartOf(records[0]!.timeMs), identities: Buffer.concat(records.map(({ identity }) => identity)) };
    const answer = await world.of("b").cluster.peers.request("a", "status", packStatusRequest({ windows: [window] }), { timeoutMs: 1_000 });
    const named = openStatusAnswer(answer, 3).statuses.map((status) => (status.kind === "segment" ? status.segment.key : status.kind));
    const sealed = head.sealed().map(({ key }) => key);
    expect([sealed.length, named.length]).deep.equal([2, 3]);
    expect(named.filter((key) => !sealed.includes(key))).deep.equal([]);
  });

  it("a takeover lists and looks before it flushes: what rank 0 flushed before it died is not flushed again", async () => {
    world.cluster.onRequest = (from, to, method) => (method === "announce" ? Promise.reject(new Error("lost")) : undefined);
    await world.put(VALUES, ALL);
    await world.pass(FLUSH_INTERVAL_MS + 5_000);
    await world.kill("a");
    await world.pass(DUE_AFTER_MS);
    expect((await held()).slice(1)).deep.equal([[], []]);
    expect([await world.inBucket(VALUES), await takeovers()]).deep.equal([[1, 1, 1, 1, 1], [0, 0, 0]]);
  });

  // Seed 26 of the simulator, three nodes and no fault: a push had reached ranks 1 and 2 when a flush was asked for, and rank 0 a few milliseconds later.
  it("a record that reaches rank 0 after it was asked, and before the cut, is left to it", async () => {
    await world.put([1], ALL, ["b", "c"]);
    let isAsked = false;
    let arrival: Promise<void> | undefined;
    world.cluster.onRequest = (from, to, method) => {
      if (from === "b" && to === "a" && method === "status") isAsked = true;
      return undefined;
    };
    world.bucket.schedule(({ operation }) => {
      if (operation === "list" && isAsked) arrival ??= world.put([1], ALL, ["a"]);
      return undefined;
    });
    await world.until(isFlushed, "it is flushed");
    await arrival;
    expect(arrival, "it came while the bucket was listed").not.equal(undefined);
    expect([await world.inBucket([1]), await takeovers()]).deep.equal([[1], [0, 0, 0]]);
  });

  // Seed 92119 of the simulator, three nodes and no fault: a flush was asked for while the write of rank 0 was under way.
  it("a record that is on its way to the disk of rank 0 is left to it", async () => {
    await world.put([1], ALL, ["b", "c"]);
    let isWritten: () => void = () => {};
    world.of("a").disk.onBatch = () => new Promise<void>((resolve) => (isWritten = resolve));
    const arrival = world.put([1], ALL, ["a"]);
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect([await world.inBucket([1]), await takeovers()]).deep.equal([[0], [0, 0, 0]]);
    world.of("a").disk.onBatch = undefined;
    isWritten();
    await arrival;
    await world.until(isFlushed, "it is flushed");
    expect([await world.inBucket([1]), await takeovers()]).deep.equal([[1], [0, 0, 0]]);
  });

  it("two that take over at once put two copies into the bucket, and both heads are empty", async () => {
    await world.put(VALUES, ALL);
    await world.kill("a");
    world.cluster.of("b").updateMember("c", { state: "dead" });
    world.cluster.of("c").updateMember("b", { state: "dead" });
    world.cluster.cut("b", "c");
    await world.pass(DUE_AFTER_MS + FLUSH_INTERVAL_MS);
    expect((await held()).slice(1)).deep.equal([[], []]);
    const counts = await world.inBucket(VALUES);
    expect(Math.max(...counts)).within(1, 2);
    expect(Math.min(...counts)).least(1);
  });

  it("while the bucket cannot be listed nothing is taken over, and afterwards it is", async () => {
    await world.put(VALUES, ALL);
    await world.kill("a");
    world.bucket.goDown();
    await world.pass(2 * DUE_AFTER_MS);
    expect((await held()).slice(1)).deep.equal([VALUES, VALUES]);
    world.bucket.heal();
    await world.pass(FLUSH_INTERVAL_MS);
    expect([(await held()).slice(1), await world.inBucket(VALUES)]).deep.equal([[[], []], [1, 1, 1, 1, 1]]);
  });

  it("what others took over while its own cut could not be sealed leaves the head of rank 0, and the cut is sealed without a segment", async () => {
    await world.put(VALUES, ALL);
    world.of("a").disk.onBatch = (ops) => {
      if (ops.some(({ kind, key }) => kind === "put" && key[0] === "s".charCodeAt(0))) throw new Error("EIO"); // it cannot seal
    };
    await world.until(async () => (await world.of("b").takeovers()) === 5, "it is late");
    await world.until(isFlushed, "all heads are empty");
    world.of("a").disk.onBatch = undefined;
    await world.until(() => world.of("a").head.cuts().length === 0, "the cut is sealed");
    expect([await world.inBucket(VALUES), world.of("a").flusher.backlog.count]).deep.equal([[1, 1, 1, 1, 1], 0]);
  });

  it("a takeover's cut that others have flushed before it was sealed is sealed without a segment", async () => {
    await world.put(VALUES, ALL, ["b", "c"]);
    world.of("b").disk.onBatch = (ops) => {
      if (ops.some(({ kind, key }) => kind === "put" && key[0] === "s".charCodeAt(0))) throw new Error("EIO"); // it cannot seal
    };
    await world.until(async () => (await world.of("b").takeovers()) === 5, "b has cut them");
    await world.until(async () => (await world.of("c").takeovers()) === 5, "c is late");
    await world.until(isFlushed, "all heads are empty");
    world.of("b").disk.onBatch = undefined;
    await world.until(() => world.of("b").head.cuts().length === 0, "the cut is sealed");
    expect([await world.inBucket(VALUES), world.of("b").flusher.backlog.count]).deep.equal([[1, 1, 1, 1, 1], 0]);
  });

  it("a record of a takeover that cannot be read is quarantined, and the others are flushed", async () => {
    await world.put(VALUES, ALL, ["b"]);
    const { disk } = world.of("b");
    const key = disk.keys().find((one) => one[0] === "r".charCodeAt(0))!; // it holds records
    disk.tamper(key, (value) => value.map((byte, at) => (at === value.length - 1 ? byte ^ 1 : byte)));
    await world.until(async () => (await world.of("b").held(VALUES)).length === 0, "it is flushed");
    await settle();
    expect((await world.inBucket(VALUES)).toSorted()).deep.equal([0, 1, 1, 1, 1]);
    expect(world.of("b").head.quarantine()).length(1);
  });

  it("a flush whose open records others have flushed meanwhile waits for no cut", async () => {
    await world.put(VALUES, ALL, ["b", "c"]);
    const early = world.of("b").release.flush.flush(30_000, never);
    await world.pass(5_000);
    await early;
    world.of("a").disk.onBatch = (ops) => {
      if (ops.some(({ kind, key }) => kind === "put" && key[0] === "c".charCodeAt(0))) throw new Error("EIO"); // it cannot cut
    };
    await world.put(VALUES, ALL, ["a"]);
    const flushing = world.of("a").flusher.flush(30_000, never);
    await world.of("a").list();
    await world.pass(3_000);
    await flushing;
    expect([await world.of("a").held(VALUES), await world.inBucket(VALUES)]).deep.equal([[], [1, 1, 1, 1, 1]]);
    world.of("a").disk.onBatch = undefined;
  });

  describe("a crash in a takeover", () => {
    /** Fails the first write of b's store that `isMeant` from then on: nothing is written any more. */
    async function crashAt(isMeant: (keys: readonly string[]) => boolean, fate: "kept" | "not kept"): Promise<void> {
      await world.put(VALUES, ALL);
      await world.kill("a", "c");
      let isDown = false;
      world.of("b").disk.onBatch = (ops) => {
        if (isDown) throw new Error("EIO");
        if (!isMeant(ops.map(({ kind, key }) => `${kind} ${Buffer.from(key).toString("latin1", 0, 2)}`))) return;
        isDown = true;
        if (fate === "kept") return "after";
        throw new Error("EIO");
      };
      await world.until(() => isDown, "it is there");
      await world.of("b").crash();
      world.of("b").disk.onBatch = undefined;
      await world.of("b").start();
      await world.until(async () => (await world.of("b").held(VALUES)).length === 0 && world.of("b").flusher.backlog.count === 0, "it is flushed");
      expect(await world.inBucket(VALUES)).deep.equal([1, 1, 1, 1, 1]);
    }

    for (const fate of ["kept", "not kept"] as const) {
      it(`at the cut, which was ${fate}`, () => crashAt((keys) => keys.includes("put c/"), fate));
      it(`at the seal, which was ${fate}`, () => crashAt((keys) => keys.includes("put s/"), fate));
      it(`at the unseal, which was ${fate}`, () => crashAt((keys) => keys.includes("delete s/"), fate));
    }
  });

  for (const [what, isMeant] of [
    ["cut of a takeover", (keys: readonly string[]) => keys.includes("put c/")],
    ["seal of a takeover", (keys: readonly string[]) => keys.includes("put s/")],
    ["release", (keys: readonly string[]) => keys.includes("delete r/") && !keys.includes("put s/")],
  ] as const) {
    it(`a ${what} that the store refused and kept is found out, and all is flushed once`, async () => {
      await world.put(VALUES, ALL);
      if (what !== "release") {
        await world.kill("a");
      }
      let count = 0;
      world.of("b").disk.onBatch = (ops) => {
        if (count > 0 || !isMeant(ops.map(({ kind, key }) => `${kind} ${Buffer.from(key).toString("latin1", 0, 2)}`))) return;
        count++;
        return "after";
      };
      await world.until(async () => count > 0 && (await world.of("b").held(VALUES)).length === 0 && world.of("b").flusher.backlog.count === 0, "it is flushed");
      await world.until(async () => (await world.of("c").held(VALUES)).length === 0, "others have released it");
      expect([count, await world.inBucket(VALUES)]).deep.equal([1, [1, 1, 1, 1, 1]]);
    });
  }

  describe("a store that is lost", () => {
    const lose = async (name: string): Promise<void> => {
      const { storeId, incarnation } = world.cluster.of(name).view.self;
      await world.kill(name);
      world.cluster.update({ lostStores: [{ member: name, storeId, incarnation, acksHeld: 2, isCleared: false, isReplaced: false, fencedBy: [], flushedBy: [] }] });
    };
    const flushed = (name: string): number => world.cluster.of(name).flushed.length;

    it("makes the others flush at once what came before, and each says so only when it has read all of it in the bucket", async () => {
      await world.put([1, 2], ["a", "b", "c"]);
      await world.put([3], ["b", "c", "a"]);
      await world.put([4], ["c", "a", "b"]);
      world.bucket.goDown();
      await lose("a");
      await world.pass(FLUSH_INTERVAL_MS / 2);
      expect([flushed("b"), flushed("c")]).deep.equal([0, 0]);
      world.bucket.heal();
      await world.pass(6_000);
      expect([await world.inBucket([1, 2, 3, 4]), (await held()).slice(1)]).deep.equal([[1, 1, 1, 1], [[], []]]);
      expect([flushed("b") > 0, flushed("c") > 0]).deep.equal([true, true]);
    });

    it("what comes after it was learned is not waited for, and is not flushed early", async () => {
      await lose("a");
      await settle();
      expect([flushed("b"), flushed("c")]).deep.equal([1, 1]);
      await world.put([5], ["b", "c"]);
      await world.pass(2_000);
      expect(await world.inBucket([5])).deep.equal([0]);
    });

    it("a restart learns of it again: what the replay found counts as older", async () => {
      await lose("a");
      await world.put([5], ["b", "c"]);
      const before = flushed("b");
      await world.of("b").crash();
      world.bucket.goDown();
      await world.of("b").start();
      expect(flushed("b")).equal(before);
      world.bucket.heal();
      await world.until(async () => flushed("b") > before, "it says so");
      expect(await world.inBucket([5])).deep.equal([1]);
    });
  });

  describe("POST /flush", () => {
    it("at any member brings to the bucket what any member accepted before, takeovers included", async () => {
      await world.put([1, 2], ["a", "b", "c"]);
      await world.put([3], ["b", "c", "a"]);
      await world.put([4], ["a", "b", "c"], ["b", "c"]);
      const flushing = world.of("c").release.flush.flush(30_000, never);
      await world.pass(5_000);
      const { segmentCount } = await flushing;
      expect(segmentCount).least(2);
      expect([await world.inBucket([1, 2, 3, 4]), await held()]).deep.equal([[1, 1, 1, 1], [[], [], []]]);
    });

    // Three nodes under load: some of the last pushes were answered by two stores, and reached the third, their rank 0, when it had cut its head. The flush waited for the next cut by age.
    it("does not wait for the next cut by age of a rank 0 that a record reaches after its cut", async () => {
      await world.put([1], ["a", "b", "c"], ["b", "c"]);
      await world.put([2], ["b", "c", "a"], ["c", "a"]);
      const arrivals = new Map<string, Promise<void>>();
      world.cluster.onRequest = (_, to, method) => {
        // Each is asked for what it has flushed when it has cut already.
        if (method === "status" && to === "a" && !arrivals.has(to)) arrivals.set(to, world.put([1], ["a", "b", "c"], ["a"]));
        if (method === "status" && to === "b" && !arrivals.has(to)) arrivals.set(to, world.put([2], ["b", "c", "a"], ["b"]));
        return undefined;
      };
      const flushing = world.of("c").release.flush.flush(FLUSH_INTERVAL_MS - 2_000, never);
      await world.pass(FLUSH_INTERVAL_MS - 3_000);
      expect([...arrivals.keys()].sort()).deep.equal(["a", "b"]);
      expect([await world.inBucket([1, 2]), await held(), await takeovers()]).deep.equal([[1, 1], [[], [], []], [0, 0, 0]]);
      await flushing;
    });

    it("flushes what a dead member was to flush", async () => {
      await world.put(VALUES, ALL);
      await world.kill("a");
      const flushing = world.of("c").release.flush.flush(30_000, never);
      await world.pass(5_000);
      await flushing;
      expect(await world.inBucket(VALUES)).deep.equal([1, 1, 1, 1, 1]);
    });

    it("names what stays, and at which member", async () => {
      await world.put(VALUES, ALL);
      world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
      const flushing = world.of("c").release.flush.flush(5_000, never).catch((error: unknown) => error);
      world.cluster.stop("b");
      await world.pass(7_000);
      const error = (await flushing) as CodedError;
      expect([error.code, error.kind]).deep.equal(["FLUSH_TIMEOUT", "unavailable"]);
      expect(error.message).match(/a: .*on local disk wait 1 segments/);
      expect(error.message).match(/b: .*has not answered/);
      expect(error.message).match(/c: .*5 records are kept here for other stores/);
    });
  });

  it("a segment that waits at a member is in the others' catalogs, and is told again to a member that appears", async () => {
    world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
    await world.put(VALUES, ALL);
    await world.pass(FLUSH_INTERVAL_MS + 2_000);
    const placesOf = (name: string): string[] => [...world.of(name).catalog.entries()].map(({ place }) => place);
    const { storeId } = world.cluster.of("a").view.self;
    expect([placesOf("a"), placesOf("b"), placesOf("c")]).deep.equal([["local"], [`store:${storeId}`], [`store:${storeId}`]]);
    await world.of("b").crash();
    await world.of("b").start();
    await settle();
    expect(placesOf("b")).deep.equal([`store:${storeId}`]);
    world.bucket.heal();
    await world.until(isFlushed, "it is flushed");
    expect([placesOf("b"), placesOf("c")]).deep.equal([["bucket"], ["bucket"]]);
  });

  it("a store names the segments into which it sealed or released, also those that wait here after a restart", async () => {
    const named = (name: string): (readonly [number, boolean])[] => world.of(name).segments.releasedInto.within(["shop"], 0, Infinity).map(({ meta, isUploaded }) => [meta.ordinal, isUploaded] as const);
    world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined));
    await world.put(VALUES, ALL);
    await world.pass(FLUSH_INTERVAL_MS + 2_000);
    expect([named("a"), named("b")]).deep.equal([[[0, false]], []]);
    await world.of("a").crash();
    await world.of("a").start();
    expect(named("a")).deep.equal([[0, false]]);
    world.bucket.heal();
    await world.until(isFlushed, "it is flushed");
    expect([named("a"), named("b"), named("c")]).deep.equal([[[0, true]], [[0, true]], [[0, true]]]);
    for (const name of ALL) {
      await world.of(name).crash();
      await world.of(name).start();
    }
    expect([named("a"), named("b"), named("c")], "after power loss").deep.equal([[[0, true]], [[0, true]], [[0, true]]]);
  });
});
