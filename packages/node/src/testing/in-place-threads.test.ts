import { Metrics, silentLogger } from "@pyromesh/base";
import { expect } from "chai";
import { WorkerCompute } from "../compute/worker-compute.ts";
import { AMPLE_MEMORY } from "../process/memory-plan.ts";
import { InPlaceThreads, OUT_OF_MEMORY } from "./in-place-threads.ts";
import { SeededWorld } from "./seeded-world.ts";
import { scanOf, SETTINGS, taskOf } from "./worker-rig.ts";

const never = new AbortController().signal;

/** Pushes and queries at the same time over two workers. */
async function runHistory(seed: number): Promise<{ readonly history: readonly string[]; readonly recordCount: number }> {
  const world = new SeededWorld(seed);
  const threads = new InPlaceThreads(world);
  const modules = { clock: world.clock, logger: silentLogger, metrics: new Metrics(), threads, onHopeless: (error: Error) => { throw error; } };
  const compute = new WorkerCompute({ workerCount: 2, openDatasetBytesMax: 2 ** 20, memory: AMPLE_MEMORY.worker }, modules);
  const push = async (number: number): Promise<void> => {
    const records = await compute.encode(taskOf(number, `svc-${number % 5}`, 0));
    compute.insert(0, records);
    compute.release(records);
  };
  await world.run(Promise.all([...[1, 2, 3, 4, 5, 6, 7, 8].map(push), compute.scan(scanOf([0]), never)]));
  const partials = await world.run(compute.scan(scanOf([0]), never));
  await world.run(compute.stop());
  return { history: world.history, recordCount: partials.reduce((sum, partial) => sum + partial.recordCount, 0) };
}

describe("threads in place", () => {
  it("the same seed gives the same history, and another seed another with the same answer", async () => {
    const histories = await Promise.all([1, 1, 2].map(runHistory));
    expect(histories[0]).to.deep.equal(histories[1]);
    expect(histories[2]!.history).to.not.deep.equal(histories[0]!.history);
    expect(histories.map(({ recordCount }) => recordCount)).to.deep.equal([8, 8, 8]);
  });

  it("a message is a copy, what cannot be cloned throws, and shared memory is shared", async () => {
    const world = new SeededWorld(1);
    const threads = new InPlaceThreads(world);
    const replies: unknown[] = [];
    const [begun, canceled] = [new BigInt64Array(new SharedArrayBuffer(8)), new BigInt64Array(new SharedArrayBuffer(16))];
    const start = { worker: 0, workerCount: 1, epoch: 0, openBytesMax: 1, shared: new SharedArrayBuffer(8), canceled, begun, heapMb: 1, outsideBytesMax: 1, recordBytesMax: 1 };
    const thread = threads.start(start, { onReply: (reply) => replies.push(reply), onGone: () => replies.push("gone") });
    const settings = { ...SETTINGS };
    thread.post([7, { method: "settings", number: 1, settings, isFirst: true }, { method: "barrier" }]);
    expect(() => thread.post([8, { method: "drop", generation: (() => {}) as unknown as number }])).to.throw(/could not be cloned/);
    expect(begun[0], "nothing is done in the turn of the post").to.equal(0n);
    await world.deliverAll();
    expect(begun[0]).to.equal(7n);
    expect(replies).to.deep.equal([[7, undefined, undefined]]);
    thread.post([8, { method: "barrier" }]);
    const ended = threads.kill(0, OUT_OF_MEMORY);
    thread.post([9, { method: "barrier" }]);
    await world.run(ended);
    expect(replies, "what had not arrived is lost with the thread").to.deep.equal([[7, undefined, undefined], "gone"]);
    expect(begun[0]).to.equal(7n);
  });
});
