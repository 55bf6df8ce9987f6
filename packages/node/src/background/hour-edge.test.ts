/** Records at the end of a window, the aligned hour: which window a record is in, and whether it is flushed, listed and answered there. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseTenantId } from "@pyromesh/base";
import { parseObjectKey } from "@pyromesh/block";
import { expect } from "chai";
import { endingOf, NodeWorld, HOUR_MS } from "../testing/node-world.ts";

const A = parseTenantId("a");
const HOUR_END_MS = Date.UTC(2026, 2, 2, 15);
const FORMER_MS = HOUR_END_MS - HOUR_MS;
const signal = new AbortController().signal;

describe("flush at the end of an hour", function () {
  this.timeout(30_000);
  let world: NodeWorld;

  beforeEach(() => {
    world = new NodeWorld({ nowMs: HOUR_END_MS - 60_000 });
  });
  afterEach(async () => {
    await world.stop();
    world.remove();
  });

  const windows = async (): Promise<string[]> =>
    (await world.keys()).map((key) => `${(parseObjectKey(key)!.windowStartMs - FORMER_MS) / HOUR_MS}:${endingOf(key)}`).sort();
  const flush = (): Promise<unknown> => world.node.admin.flush(signal);
  const totalOf = async (startMs: number, endMs: number): Promise<number> => (await world.answer(A, { startMs, endMs })).total;

  it("a record's window is its own time's, not the flush's: a minute of pushes across the hour makes one segment of each window", async () => {
    await world.start();
    // 59:00 to 00:40 of the next hour, and one on the last millisecond and one on the first.
    for (let i = 0; i < 6; i++) {
      await world.push(A, 1);
      await world.pass(20_000);
    }
    await world.push(A, 100, world.clock.nowMs() - (HOUR_END_MS - 1));
    await world.push(A, 1000, world.clock.nowMs() - HOUR_END_MS);
    await flush();
    expect(await windows()).deep.equal(["0:0.seg", "1:0.seg"]);
    expect([await totalOf(FORMER_MS, HOUR_END_MS - 1), await totalOf(HOUR_END_MS, HOUR_END_MS + HOUR_MS), await totalOf(HOUR_END_MS - 1, HOUR_END_MS)], "the former window, the next, and two milliseconds around the hour").deep.equal([103, 1003, 1101]);
  });

  it("a record of the former window that comes after that window's cut gets a segment of its own there, under the next ordinal, and is counted once", async () => {
    await world.start();
    await world.push(A, 1);
    await flush();
    await world.pass(90_000);
    await world.push(A, 20, 60_000); // of 14:59:30
    await world.push(A, 300);
    expect(await world.total(A), "in memory, beside the segment of its window").equal(321);
    await flush();
    expect(await windows()).deep.equal(["0:0.seg", "0:1.seg", "1:0.seg"]);
    expect([await totalOf(FORMER_MS, HOUR_END_MS - 1), await totalOf(HOUR_END_MS, HOUR_END_MS + HOUR_MS)]).deep.equal([21, 300]);
    await world.push(A, 20, 60_000);
    expect(await world.total(A), "sent again after its segment was uploaded").equal(321);
    await flush();
    expect(await world.total(A)).equal(321);
  });

  it("a record that comes between the cut of its window and the seal is in no segment of that cut, and in each answer", async () => {
    await world.start();
    await world.push(A, 1);
    // Nothing can be sealed while a file stands where the folder of the tenant's segments belongs.
    const folder = join(world.dir, "sealed/v1", A);
    mkdirSync(dirname(folder), { recursive: true });
    writeFileSync(folder, "");
    const flushing = flush();
    await world.until(async () => (await world.metric("pyromesh_flush_unsealed_cuts")) === 1, "it is cut");
    await world.push(A, 20);
    for (let step = 0; step < 20; step++) {
      expect(await world.total(A)).equal(21);
      await world.pass(100);
    }
    rmSync(folder);
    await world.until(async () => (await world.keys()).length === 1, "it is uploaded");
    await flushing;
    expect(await windows()).deep.equal(["0:0.seg"]);
    await world.pass(60_000);
    await flush();
    expect(await windows()).deep.equal(["0:0.seg", "0:1.seg"]);
    expect(await world.total(A)).equal(21);
  });

  it("the flush of the last minute may come in the next hour: by age it is cut a minute after the push, and until then answered from memory", async () => {
    await world.start([["flush_interval", "60s"]]);
    await world.pass(59_000);
    await world.push(A, 5); // of 14:59:59
    const pushedMs = world.clock.nowMs();
    await world.until(async () => (await world.keys()).length === 1, "it is uploaded");
    expect(world.clock.nowMs() - pushedMs).within(60_000, 61_000);
    expect(await windows()).deep.equal(["0:0.seg"]);
    expect(await totalOf(FORMER_MS, HOUR_END_MS - 1)).equal(5);
  });

  it("another node's segment of the former window, uploaded after the hour, is in the answers within a minute", async () => {
    const other = new NodeWorld({ nowMs: HOUR_END_MS - 1000, seed: 80 });
    await other.start();
    await other.push(A, 7);
    await other.node.admin.flush(signal);
    const [key] = await other.keys();
    const bytes = await other.memory.get(key!, signal);
    await other.stop();
    other.remove();

    await world.start();
    await world.push(A, 1); // of 14:59:00
    await flush();
    await world.pass(119_000); // 15:00:59
    await world.memory.put(key!, bytes, {}, signal);
    await world.pass(60_000);
    expect(await totalOf(FORMER_MS, HOUR_END_MS - 1)).equal(8);
  });

  it("a push is refused by the age of its time, not by its window: 59 minutes old in the former hour is taken, 61 is not", async () => {
    await world.start([["limits.reject_older_than", "1h"]]);
    await world.pass(61_000); // 15:00:01
    await world.push(A, 5, 59 * 60_000);
    const refusal = await world.push(A, 7, 61 * 60_000).then(() => undefined, (error: unknown) => error);
    expect(refusal).property("message").contain("3660 s in the past");
    await flush();
    expect(await windows()).deep.equal(["0:0.seg"]);
  });
});
