/** The flush of a whole node on a fake world, where the store refuses, the disk refuses, or the bucket does; by a clock that moves when told. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { parseObjectKey } from "@pyromesh/block";
import { expect } from "chai";
import { endingOf, NodeWorld } from "../testing/node-world.ts";
import { settle } from "../testing/index.ts";

const HOUR_MS = 3_600_000;
const signal = new AbortController().signal;
const A = parseTenantId("a");
const B = parseTenantId("b");

const messageOf = (work: Promise<unknown>): Promise<string> => work.then(() => "resolved", (error: unknown) => String((error as Error).message));

describe("flusher", function () {
  this.timeout(30_000);
  let world: NodeWorld;

  beforeEach(() => {
    world = new NodeWorld();
  });
  afterEach(async () => {
    world.bucket.heal();
    world.disk.onBatch = undefined;
    await world.stop();
    world.remove();
  });

  describe("a write that the store refused but kept", () => {
    it("of a cut: what was pushed before and after it is answered, flushed, and answered again", async () => {
      await world.start();
      await world.push(A, 5);
      world.refuse("cut", "kept");
      const flushing = world.node.admin.flush(signal);
      await world.until(() => world.disk.onBatch === undefined, "the cut is refused");
      await world.pass(1500);
      await world.push(A, 7);
      expect(await world.total(A)).equal(12);
      await flushing;
      expect(await world.total(A)).equal(12);
      await world.node.admin.flush(signal);
      expect(await world.total(A)).equal(12);
      expect((await world.keys()).map(endingOf)).deep.equal(["0.seg", "1.seg"]);
    });

    it("of a seal: its rows leave memory, it makes one segment, and no cut more", async () => {
      await world.start();
      await world.push(A, 5);
      world.refuse("seal", "kept");
      void world.node.admin.flush(signal).catch(() => undefined);
      await world.pass(10_000);
      await world.push(A, 7);
      await world.pass(10_000);
      expect(await world.metric("pyromesh_flush_unsealed_cuts")).equal(0);
      expect(await world.metric("pyromesh_head_records"), "only what came after").equal(1);
      expect(world.droppedCount, "generations that left memory").equal(1);
      expect((await world.keys()).map(endingOf)).deep.equal(["0.seg"]);
      expect(await world.total(A)).equal(12);
    });

    it("of a seal that was not kept: it is made again under the same ordinal, and what the first try wrote is removed", async () => {
      await world.start();
      await world.push(A, 5);
      world.bucket.goDown();
      world.refuse("seal", "not kept");
      const flushing = world.node.admin.flush(signal).catch(() => undefined);
      await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 1, "it is sealed");
      expect(world.localFiles().map(endingOf)).deep.equal(["0.seg"]);
      world.bucket.heal();
      await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 0, "it is uploaded");
      await flushing;
      await settle();
      expect(world.localFiles()).deep.equal([]);
      expect(await world.total(A)).equal(5);
    });
  });

  describe("a cut that cannot be sealed", () => {
    /** A file where the folder of the tenant's segments belongs. */
    const block = (tenant: TenantId): (() => void) => {
      const path = join(world.dir, "sealed/v1", tenant);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "");
      return () => rmSync(path);
    };

    it("holds up no other: later ones are cut, sealed and uploaded, and it follows when it can", async () => {
      await world.start();
      const unblock = block(A);
      await world.push(A, 5);
      const first = messageOf(world.node.admin.flush(signal));
      await world.until(async () => (await world.metric("pyromesh_flush_unsealed_cuts")) === 1, "it is cut");
      await world.push(B, 7);
      const second = messageOf(world.node.admin.flush(signal));
      await world.until(async () => (await world.keys()).length === 1, "the other is uploaded");
      expect((await world.keys())[0]).contain("v1/b/");
      expect(await world.total(A)).equal(5);
      expect(await world.total(B)).equal(7);
      await world.pass(31_000);
      expect(await first, "names the cut").match(/1 cuts could not be sealed \(cut 2: .*v1\/a\//);
      expect(await second).match(/cut 2/);
      unblock();
      await world.until(async () => (await world.keys()).length === 2, "it is uploaded");
      expect(await world.total(A)).equal(5);
    });

    it("makes no cut of its retries: with nothing pushed there stays one, tried with a growing pause", async () => {
      await world.start();
      block(A);
      await world.push(A, 5);
      const flushing = messageOf(world.node.admin.flush(signal));
      await world.pass(31_000);
      expect(await flushing).contain("cut 2");
      expect(await world.metric("pyromesh_flush_unsealed_cuts")).equal(1);
      // At 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 30.5 s.
      expect(await world.metric('pyromesh_flush_failures_total\\{step="seal"\\}')).within(3, 7);
    });

    it("with four of them the head is not cut any more and keeps what comes", async () => {
      await world.start([["flush_interval", "1s"]]);
      const unblock = block(A);
      for (let value = 1; value <= 8; value++) {
        await world.push(A, value);
        await world.pass(2000);
      }
      expect(await world.metric("pyromesh_flush_unsealed_cuts")).equal(4);
      expect(await world.metric("pyromesh_head_records")).equal(8);
      expect(await world.total(A)).equal(36);
      unblock();
      await world.until(async () => (await world.metric("pyromesh_head_records")) === 0, "all is sealed");
      expect(await world.total(A)).equal(36);
    });
  });

  describe("uploads", () => {
    /** So many segments, each in an hour of its own. */
    async function seal(tenant: TenantId, count: number): Promise<void> {
      for (let hour = 0; hour < count; hour++) await world.push(tenant, hour + 1, hour * HOUR_MS);
    }

    const tries = (): Promise<number> => world.metric('pyromesh_flush_failures_total\\{step="upload"\\}');

    it("a failed POST /flush leaves the pauses as they are: three tries in 12 s, not 24", async () => {
      await world.start();
      world.bucket.schedule(({ operation }) => (operation === "put" ? { kind: "status", status: 503 } : undefined)); // all else would be asked whose bucket it is
      await seal(A, 3);
      const outcome = messageOf(world.node.admin.flush(signal));
      await world.until(async () => (await tries()) >= 2, "the bucket was asked");
      await world.pass(31_000);
      expect(await outcome).match(/on local disk wait 3 segments \(v1\/a\//);
      const before = await tries();
      const again = messageOf(world.node.admin.flush(signal));
      await settle();
      expect((await tries()) - before, "one try at once").within(0, 1);
      await world.pass(12_000);
      expect((await tries()) - before, "in the 12 s after it").within(1, 3);
      world.bucket.heal();
      await world.until(async () => (await world.keys()).length === 3, "the bucket has them");
      expect(await again).equal("resolved");
    });

    it("in an outage one put at a time is tried, however many queues wait, and its end wakes all of them", async () => {
      await world.start();
      world.bucket.goDown();
      await seal(A, 12);
      await seal(B, 12);
      const outcome = world.node.admin.flush(signal).catch(() => undefined);
      await world.until(async () => (await tries()) >= 3, "the bucket was asked");
      await world.pass(20_000);
      expect(await tries()).within(4, 12);
      world.bucket.heal();
      await world.until(async () => (await world.keys()).length > 0, "the bucket is asked again");
      const sinceMs = world.clock.monotonicMs();
      await world.until(async () => (await world.keys()).length === 24, "the bucket has them");
      expect(world.clock.monotonicMs() - sinceMs, "nobody waits for a pause of its own").lessThan(5000);
      await outcome;
    });

    it("one tenant's prefix that is refused holds up none of another's 21 segments", async () => {
      await world.start();
      world.failPuts(A, { kind: "status", status: 403 });
      await seal(A, 2);
      await seal(B, 21);
      const flushing = messageOf(world.node.admin.flush(signal));
      await world.until(async () => (await world.keys()).length === 21, "the other's are in the bucket");
      expect((await world.keys()).every((key) => key.startsWith("v1/b/"))).equal(true);
      await world.pass(31_000);
      expect(await flushing).match(/: on local disk wait 2 segments/);
      expect(world.puts(A).length, "and is asked with growing pauses").within(4, 20);
      world.bucket.heal();
      await world.until(async () => (await world.keys()).length === 23, "it is taken");
    });

    it("one tenant's prefix that is refused is not asked more often because another tenant's uploads succeed", async () => {
      await world.start([["flush_interval", "3s"]]);
      world.failPuts(A, { kind: "status", status: 403 });
      await seal(A, 2); // with no other tenant's segment waiting, two queues that fail look like an outage
      await world.pass(30_000);
      const before = world.puts(A).length;
      for (let value = 1; value <= 10; value++) {
        await world.push(B, value);
        await world.pass(4000);
      }
      expect((await world.keys()).length, "the other's are in the bucket").equal(10);
      expect(world.puts(A).length - before, "tries in 40 s of two queues whose pauses have grown to 15 s; one success each 4 s does not shorten them").within(2, 14);
    });

    for (const fault of [{ kind: "status", status: 500 }, { kind: "hang" }] as const) {
      it(`one tenant's puts that ${fault.kind === "hang" ? "hang" : "fail"} hold up no other's`, async () => {
        await world.start();
        world.failPuts(A, fault);
        await seal(A, 5);
        await seal(B, 5);
        const flushing = messageOf(world.node.admin.flush(signal));
        await world.until(async () => (await world.keys()).length === 5, "the other's are in the bucket");
        expect((await world.keys()).every((key) => key.startsWith("v1/b/"))).equal(true);
        await world.pass(31_000);
        expect(await flushing).match(/on local disk wait 5 segments/);
      });
    }

    it("of one tenant and window come in the order of their ordinals, also where one is refused", async () => {
      await world.start();
      world.failPuts(A, { kind: "status", status: 403 });
      for (const value of [1, 2, 3]) {
        await world.push(A, value);
        void world.node.admin.flush(signal).catch(() => undefined);
        await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === value, "it is sealed");
      }
      expect(new Set(world.puts(A).map(({ key }) => endingOf(key)))).deep.equal(new Set(["0.seg"]));
      world.bucket.heal();
      await world.until(async () => (await world.keys()).length === 3, "they are taken");
      expect(world.puts(A).slice(-3).map(({ key }) => endingOf(key))).deep.equal(["0.seg", "1.seg", "2.seg"]);
    });
  });

  describe("what a query has planned", () => {
    /** A query that is held before its scan, with its end and what it answers. */
    async function held(): Promise<{ readonly answer: Promise<number>; end(): void }> {
      let end!: () => void; // set before the constructor returns
      const ended = new Promise<void>((resolve) => (end = resolve));
      let isScanning = false;
      world.beforeScan = () => {
        isScanning = true;
        return ended;
      };
      const answer = world.total(A);
      await world.until(() => isScanning, "the query scans");
      world.beforeScan = async () => {};
      return { answer, end };
    }

    it("stays in memory until the query ends, though its cut is sealed and uploaded", async () => {
      await world.start();
      await world.push(A, 5);
      const { answer, end } = await held();
      await world.node.admin.flush(signal);
      await settle();
      expect(world.droppedCount).equal(0);
      end();
      expect(await answer).equal(5);
      expect(world.droppedCount).equal(1);
    });

    it("stays on local disk until the query ends, though the bucket has it", async () => {
      await world.start();
      world.bucket.goDown();
      await world.push(A, 5);
      void world.node.admin.flush(signal).catch(() => undefined);
      await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 1, "it is sealed");
      const { answer, end } = await held();
      world.bucket.heal();
      await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 0, "it is uploaded");
      await settle();
      expect(world.localFiles()).length(1);
      end();
      expect(await answer).equal(5);
      await settle();
      expect(world.localFiles()).deep.equal([]);
    });
  });

  it("a corrupted segment's mark of loss is remembered over restarts, and comes to the bucket in its turn", async () => {
    await world.start();
    world.bucket.goDown();
    for (const value of [1, 2, 3]) {
      await world.push(A, value);
      void world.node.admin.flush(signal).catch(() => undefined);
      await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === value, "it is sealed");
    }
    await world.stop();
    const [, second] = world.localFiles().sort();
    writeFileSync(join(world.dir, "sealed", second!), "rot");
    await world.start();
    await world.until(() => world.node.admin.quarantine().length === 1, "the corruption is found");
    await settle();
    await world.stop();
    await world.start();
    expect(await world.metric("pyromesh_flush_backlog_segments")).equal(3);
    world.bucket.heal();
    await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 0, "all is uploaded");
    expect((await world.keys()).map(endingOf).sort()).deep.equal(["0.seg", "1.lost", "2.seg"]);
    expect(world.puts().slice(-3).map(({ key }) => endingOf(key))).deep.equal(["0.seg", "1.lost", "2.seg"]);
    expect(world.node.admin.quarantine(), "said once").length(1);
    await world.node.admin.acknowledgeQuarantine();
    await world.pass(5000); // it is listed
    expect(await world.total(A)).equal(4);
  });

  it("a store that may have forgotten ordinals goes on under a new id, and what waits under the former one follows it", async () => {
    await world.start();
    world.bucket.goDown();
    await world.push(A, 1);
    void world.node.admin.flush(signal).catch(() => undefined);
    await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 1, "it is sealed");
    await world.push(A, 2);
    await world.stop();
    const former = world.localFiles()[0]!;
    for (const key of world.disk.keys()) if (Buffer.from(key).toString("latin1").startsWith("o/")) world.disk.tamper(key, () => undefined);
    world.bucket.heal();
    await world.start();
    expect(await world.total(A)).equal(3);
    await world.node.admin.flush(signal);
    expect(await world.total(A)).equal(3);
    const keys = (await world.keys()).map((key) => parseObjectKey(key)!);
    const ids = new Set(keys.map((key) => (key.kind === "block" ? "" : key.storeId)));
    expect([...ids]).length(1);
    expect(former).not.contain([...ids][0]);
    expect((await world.keys()).map(endingOf).sort()).deep.equal(["0.seg", "1.seg"]);
    await settle();
    expect(world.localFiles()).deep.equal([]);
  });

  it("a sealed file whose entry the head forgot is set aside, not deleted", async () => {
    await world.start();
    world.bucket.goDown();
    await world.push(A, 1);
    void world.node.admin.flush(signal).catch(() => undefined);
    await world.until(async () => (await world.metric("pyromesh_flush_backlog_segments")) === 1, "it is sealed");
    await world.stop();
    const [file] = world.localFiles();
    for (const key of world.disk.keys()) if (Buffer.from(key).toString("latin1").startsWith("s/")) world.disk.tamper(key, () => undefined);
    world.bucket.heal();
    await world.start();
    expect(world.node.admin.quarantine()).length(1);
    expect(world.localFiles()).deep.equal([join("%rot", file!)]);
  });
});
