/** A bucket that takes longer than a query may: the query ends with its own error, and whatever it held is given back. */
import { CodedError, parseTenantId } from "@pyromesh/base";
import type { BucketFault } from "@pyromesh/block/testing";
import { expect } from "chai";
import { ColdReader, mergeQuery } from "../testing/cold-reader.ts";
import type { ColdReaderOptions } from "../testing/cold-reader.ts";
import { settle } from "../testing/index.ts";
import { HOUR_MS, NodeWorld } from "../testing/node-world.ts";

const A = parseTenantId("a");
const never = new AbortController().signal;
/** As the API ends a request that takes too long. */
const TIMEOUT_MS = 60_000;
const TOOK_TOO_LONG = new CodedError({ code: "DEADLINE_EXCEEDED", kind: "deadline_exceeded", message: "the request took longer than 60 s" });

describe("a query of a slow bucket", function () {
  this.timeout(20_000);
  let world: NodeWorld;
  let reader: ColdReader;

  /** Four windows with a large object each, 1, 20, 300 and 4000, the oldest first. */
  beforeEach(async () => {
    world = new NodeWorld();
    await world.start();
    for (const [hour, value] of [1, 20, 300, 4000].entries()) await world.push(A, value, (3 - hour) * HOUR_MS, { symbolBytes: 200_000 });
    await world.node.admin.flush(never);
  });
  afterEach(async () => {
    reader.stop();
    await world.stop();
    world.remove();
  });

  const open = async (options: ColdReaderOptions = {}): Promise<void> => {
    reader = await ColdReader.open(world.memory, world.clock, options);
  };
  const whole = (number = 0): { startMs: number; endMs: number } => ({ startMs: world.clock.nowMs() - 50 * HOUR_MS, endMs: world.clock.nowMs() + number });

  /** From the read with this number on, ranges meet the fault. */
  const failReadsFrom = (number: number, fault: BucketFault): void => {
    let readCount = 0;
    reader.bucket.schedule(({ operation }) => (operation === "getRange" && readCount++ >= number ? fault : undefined));
  };

  /** What the query ends with, and when. */
  async function timedOut(number = 0): Promise<{ readonly error: unknown; readonly afterMs: number }> {
    const controller = new AbortController();
    const timer = world.clock.after(TIMEOUT_MS, () => controller.abort(TOOK_TOO_LONG));
    const sinceMs = world.clock.monotonicMs();
    let ended: { readonly error: unknown; readonly afterMs: number } | undefined;
    void reader.total(A, whole(number), { signal: controller.signal }).then(
      (total) => (ended = { error: total, afterMs: world.clock.monotonicMs() - sinceMs }),
      (error: unknown) => (ended = { error, afterMs: world.clock.monotonicMs() - sinceMs }),
    );
    await world.until(() => ended !== undefined, "the query has ended");
    timer.cancel();
    return ended!; // waited for just above
  }

  const expectNothingHeld = async (): Promise<void> => {
    await settle();
    expect({
      readAheadBytes: reader.budget.usedBytes,
      pins: reader.pinCount,
      running: await reader.metric('pyromesh_queries_running\\{class="scan"\\}'),
      unreadable: await reader.metric("pyromesh_unreadable_objects"),
    }).deep.equal({ readAheadBytes: 0, pins: 0, running: 0, unreadable: 0 });
  };

  for (const [what, number] of [["the footers", 0], ["a footer in the middle", 2], ["the datasets", 4], ["the last dataset, while others were scanned", 7]] as const) {
    for (const fault of [{ kind: "hang" }, { kind: "slow", delayMs: 2 * TIMEOUT_MS }] as const) {
      it(`that ${fault.kind === "hang" ? "hangs at" : "is slow with"} ${what}: the query's own error at its own time, nothing is held, and the next query is answered`, async () => {
        await open();
        failReadsFrom(number, fault);
        expect(await timedOut()).deep.equal({ error: TOOK_TOO_LONG, afterMs: TIMEOUT_MS });
        await expectNothingHeld();
        reader.bucket.heal();
        expect(await reader.total(A, whole())).equal(4321);
        await expectNothingHeld();
      });
    }
  }

  it("that is slow, but within the query's time: the answer is exact, and the reads are under way together", async () => {
    await open();
    failReadsFrom(0, { kind: "slow", delayMs: TIMEOUT_MS / 3 });
    expect(await timedOut()).deep.equal({ error: 4321, afterMs: (TIMEOUT_MS / 3) * 2 }); // footers, then datasets
    await expectNothingHeld();
  });

  it("whose client gives up before the query: the object is named as unreadable now, not as damaged, and left out where that is allowed", async () => {
    await open();
    failReadsFrom(4, { kind: "status", status: 503 });
    const { error } = await timedOut();
    expect(error).include({ code: "OBJECT_UNREADABLE", kind: "unavailable" });
    expect((error as CodedError).details).deep.equal({ canBePartial: true });
    await expectNothingHeld();
    failReadsFrom(3, { kind: "status", status: 503 });
    const partial = await reader.total(A, whole(), { allowPartial: true });
    expect(partial).below(4321);
    await expectNothingHeld();
  });

  it("that keeps the bytes to read ahead from another query: that one goes on once the slow one is ended", async () => {
    await open({ readAheadBytes: 1 });
    failReadsFrom(4, { kind: "hang" }); // all footers are read, and one dataset at a time
    const slow = timedOut();
    await settle();
    reader.bucket.heal();
    let answer: number | undefined;
    const other = reader.total(A, whole(1)).then((total) => (answer = total));
    await settle();
    expect(answer, "its first window waits for the other's").equal(undefined);
    expect(await slow).deep.equal({ error: TOOK_TOO_LONG, afterMs: TIMEOUT_MS });
    expect(await other).equal(4321);
    await expectNothingHeld();
  });

  it("that takes all places of running queries: one that waits runs once the slow ones have ended, by their own time", async () => {
    await open({ queriesAtOnceMax: 2 });
    failReadsFrom(0, { kind: "hang" });
    const slow = [timedOut(0), timedOut(1)];
    await settle();
    reader.bucket.heal();
    let answer: number | undefined;
    const waiting = reader.total(A, whole(2)).then((total) => (answer = total));
    await settle();
    expect([answer, await reader.metric('pyromesh_queries_waiting\\{class="scan"\\}')]).deep.equal([undefined, 1]);
    for (const { error } of await Promise.all(slow)) expect(error).equal(TOOK_TOO_LONG);
    await waiting;
    expect(answer).equal(4321);
    await expectNothingHeld();
  });

  it("of which one side of a diff fails: the other side, which hangs, is given up with it", async () => {
    await open();
    const [oldest] = (await world.keys()).sort();
    const bytes = Uint8Array.from(await world.memory.get(oldest!, never));
    bytes[10]! ^= 1; // in the dataset
    await world.memory.put(oldest!, bytes, {}, never);
    reader.bucket.schedule(({ operation, key }) => (operation === "getRange" && key !== oldest ? { kind: "hang" } : undefined));
    const hourMs = (hoursAgo: number): { startMs: number; endMs: number } => ({ startMs: world.clock.nowMs() - hoursAgo * HOUR_MS, endMs: world.clock.nowMs() - hoursAgo * HOUR_MS });
    const diff = reader.queries.diff(mergeQuery(A, hourMs(3)), mergeQuery(A, hourMs(1)), { maxNodes: 10, form: "json" }, new AbortController().signal);
    expect(await diff.catch((error: unknown) => error)).include({ code: "OBJECT_UNREADABLE" });
    await settle();
    expect([reader.budget.usedBytes, reader.pinCount]).deep.equal([0, 0]);
  });
});
