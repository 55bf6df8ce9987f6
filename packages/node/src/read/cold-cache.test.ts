/** Queries at the same time where nothing is cached: each range of an object is read once, and what one query meets or does is its own. */
import { CodedError, parseTenantId } from "@pyromesh/base";
import type { MemoryBucket } from "@pyromesh/block";
import { expect } from "chai";
import { ColdReader } from "../testing/cold-reader.ts";
import { settle } from "../testing/index.ts";
import { HOUR_MS, NodeWorld } from "../testing/node-world.ts";

const A = parseTenantId("a");
const never = new AbortController().signal;

const outcomeOf = (asked: Promise<number>): Promise<unknown> => asked.catch((error: unknown) => (error instanceof CodedError ? error.code : (error as Error).message));

describe("queries on a cold cache", function () {
  this.timeout(20_000);
  let world: NodeWorld;
  let stored: MemoryBucket;
  /** Of three windows, the newest first: 1, 20 and 300. */
  let keys: string[];
  let reader: ColdReader;

  beforeEach(async () => {
    world = new NodeWorld();
    await world.start();
    await world.push(A, 1);
    await world.push(A, 20, HOUR_MS, { symbolBytes: 200_000 }); // its footer is read by itself
    await world.push(A, 300, 2 * HOUR_MS);
    await world.node.admin.flush(never);
    stored = world.memory;
    keys = (await world.keys()).sort().reverse();
    reader = await ColdReader.open(stored, world.clock);
  });
  afterEach(async () => {
    reader.stop();
    await world.stop();
    world.remove();
  });

  /** Covers so many of the windows, the newest first; `number` makes it another question. */
  const rangeOf = (windowCount: number, number = 0): { startMs: number; endMs: number } => ({
    startMs: world.clock.nowMs() - (windowCount - 1) * HOUR_MS,
    endMs: world.clock.nowMs() + number,
  });

  it("twenty questions over the same objects read each range once, as one question does", async () => {
    expect(await reader.total(A, rangeOf(3))).equal(321);
    const alone = keys.map((key) => reader.readCount(key));
    expect(alone, "one read of a small object; the footer and the dataset of a large one").deep.equal([1, 2, 1]);

    reader = await ColdReader.open(stored, world.clock);
    reader.bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "slow", delayMs: 100 } : undefined));
    const asked = Array.from({ length: 20 }, (_, number) => reader.total(A, rangeOf(3, number)));
    await world.pass(1000);
    expect(await Promise.all(asked)).deep.equal(asked.map(() => 321));
    expect(keys.map((key) => reader.readCount(key))).deep.equal(alone);
    expect([reader.budget.usedBytes, reader.pinCount]).deep.equal([0, 0]);
  });

  it("what is read by one question is not read again by a later one that wants more", async () => {
    expect(await reader.total(A, rangeOf(1))).equal(1);
    expect(await reader.total(A, rangeOf(3))).equal(321);
    expect(keys.map((key) => reader.readCount(key))).deep.equal([1, 2, 1]);
  });

  it("a damaged dataset is read once, refuses those that need it and no other, and is said once", async () => {
    const damaged = keys[1]!;
    const bytes = Uint8Array.from(await stored.get(damaged, never));
    bytes[10]! ^= 1; // in the dataset
    await stored.put(damaged, bytes, {}, never);
    const asked = [rangeOf(3), rangeOf(2), rangeOf(1), rangeOf(3, 1), rangeOf(2, 1), rangeOf(1, 1)].map((range) => outcomeOf(reader.total(A, range)));
    const partial = reader.total(A, rangeOf(3, 2), { allowPartial: true });
    expect(await Promise.all(asked)).deep.equal(["OBJECT_UNREADABLE", "OBJECT_UNREADABLE", 1, "OBJECT_UNREADABLE", "OBJECT_UNREADABLE", 1]);
    expect(await partial).equal(301);
    // Its footer and the dataset; and its footer again, since all that was cached of the object was dropped when the damage was found.
    expect(reader.readCount(damaged)).most(3);
    expect(await reader.metric("pyromesh_unreadable_objects")).equal(1);
    expect([reader.budget.usedBytes, reader.pinCount]).deep.equal([0, 0]);
  });

  it("one that is cancelled while others wait for the same read is answered at once, and the read goes on for them", async () => {
    reader.bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "slow", delayMs: 1000 } : undefined));
    const controllers = [0, 1, 2].map(() => new AbortController());
    const asked = controllers.map(({ signal }, number) => outcomeOf(reader.total(A, rangeOf(1, number), { signal })));
    await settle();
    controllers[0]!.abort(new Error("gone"));
    expect(await asked[0]).equal("gone");
    await world.pass(1000);
    expect(await Promise.all(asked)).deep.equal(["gone", 1, 1]);
    expect(reader.readCount()).equal(1);
    expect([reader.budget.usedBytes, reader.pinCount]).deep.equal([0, 0]);
  });

  it("where all that wait are cancelled, the read is given up, and who asks next begins another", async () => {
    reader.bucket.schedule(({ operation }) => (operation === "getRange" ? { kind: "hang" } : undefined));
    const controllers = [0, 1].map(() => new AbortController());
    const asked = controllers.map(({ signal }, number) => outcomeOf(reader.total(A, rangeOf(1, number), { signal })));
    await settle();
    for (const controller of controllers) controller.abort(new Error("gone"));
    expect(await Promise.all(asked)).deep.equal(["gone", "gone"]);
    reader.bucket.heal();
    expect(await reader.total(A, rangeOf(1))).equal(1);
    expect(reader.readCount()).equal(2);
    expect([reader.budget.usedBytes, reader.pinCount]).deep.equal([0, 0]);
  });
});
