import { Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { DEFAULT_ACCEPTANCE_WINDOW, DEFAULT_PROFILE_LIMITS, PprofWriter } from "@pyromesh/profile";
import { expect } from "chai";
import type { EncodeTask, ScanTask } from "../compute/compute.ts";
import { WorkerCompute } from "../compute/worker-compute.ts";
import { AMPLE_MEMORY } from "../process/memory-plan.ts";
import { InPlaceThreads, OUT_OF_MEMORY } from "./in-place-threads.ts";
import type { InPlaceWorld } from "./in-place-threads.ts";

const CPU = { type: "cpu", unit: "nanoseconds" };
const SETTINGS = { limits: DEFAULT_PROFILE_LIMITS, window: DEFAULT_ACCEPTANCE_WINDOW };
const profileType = { name: "process_cpu", sampleType: CPU.type, sampleUnit: CPU.unit, periodType: CPU.type, periodUnit: CPU.unit };
const never = new AbortController().signal;

function taskOf(value: number, service: string): EncodeTask {
  const writer = new PprofWriter({ sampleTypes: [CPU], periodType: CPU, period: 1, timeNs: 1_700_000_000_000_000_000n + BigInt(value), durationNs: 0n });
  writer.sample([writer.frame(`f-${value}`)], [value]);
  const labels = [{ name: "__name__", value: "process_cpu" }, { name: "service_name", value: service }];
  return { tenant: "t1", labels, pprof: writer.finish(), folded: undefined, profileId: undefined, fallbackTimeNs: 1n, idempotencyKey: undefined, nowMs: 1_700_000_000_000, ingest: undefined, settings: SETTINGS, generation: 0 };
}

function scanTask(): ScanTask {
  const query = { startNs: 0n, endNs: 2n ** 62n, profileType, selector: [], callSite: [], profileIds: [], spanIds: [], traceIds: [] };
  return { spec: { kind: "names", query }, tenants: ["t1"], firstWindowMs: 0, lastWindowMs: 2 ** 42, generations: [0], parts: [] };
}

/** Deliveries in an order that a seed draws. */
class SeededDeliveries {
  readonly history: string[] = [];
  readonly #due: { readonly what: string; readonly run: () => void }[] = [];
  readonly #float: () => number;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#float = () => random.float();
  }

  readonly deliver: InPlaceWorld["deliver"] = (what, run) => void this.#due.push({ what, run });

  /** Until nothing is under way. */
  async run(): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < 50; turn++) await Promise.resolve(); // what a delivery woke up goes on
      if (this.#due.length === 0) return;
      const [next] = this.#due.splice(Math.floor(this.#float() * this.#due.length), 1);
      this.history.push(next!.what);
      next!.run();
    }
  }
}

/** Pushes and queries at the same time over two workers. */
async function runHistory(seed: number): Promise<{ readonly history: readonly string[]; readonly recordCount: number }> {
  const deliveries = new SeededDeliveries(seed);
  const threads = new InPlaceThreads({ random: seededRandom(seed), deliver: deliveries.deliver });
  const modules = { clock: new ManualClock(), logger: silentLogger, metrics: new Metrics(), threads, onHopeless: (error: Error) => { throw error; } };
  const compute = new WorkerCompute({ workerCount: 2, openDatasetBytesMax: 2 ** 20, memory: AMPLE_MEMORY.worker }, modules);
  const push = async (number: number): Promise<void> => {
    const records = await compute.encode(taskOf(number, `svc-${number % 5}`));
    compute.insert(0, records);
    compute.release(records);
  };
  const work = [1, 2, 3, 4, 5, 6, 7, 8].map(push);
  work.push(compute.scan(scanTask(), never).then(() => undefined));
  await deliveries.run();
  await Promise.all(work);
  const scan = compute.scan(scanTask(), never);
  await deliveries.run();
  const recordCount = (await scan).reduce((sum, partial) => sum + partial.recordCount, 0);
  const stopped = compute.stop();
  await deliveries.run();
  await stopped;
  return { history: deliveries.history, recordCount };
}

describe("threads in place", () => {
  it("the same seed gives the same history, and another seed another with the same answer", async () => {
    const histories = await Promise.all([1, 1, 2].map(runHistory));
    expect(histories[0]).to.deep.equal(histories[1]);
    expect(histories[2]!.history).to.not.deep.equal(histories[0]!.history);
    expect(histories.map(({ recordCount }) => recordCount)).to.deep.equal([8, 8, 8]);
  });

  it("a message is a copy, what cannot be cloned throws, and shared memory is shared", async () => {
    const deliveries = new SeededDeliveries(1);
    const threads = new InPlaceThreads({ random: seededRandom(1), deliver: deliveries.deliver });
    const replies: unknown[] = [];
    const [begun, canceled] = [new BigInt64Array(new SharedArrayBuffer(8)), new BigInt64Array(new SharedArrayBuffer(16))];
    const start = { worker: 0, workerCount: 1, epoch: 0, openBytesMax: 1, shared: new SharedArrayBuffer(8), canceled, begun, heapMb: 1, outsideBytesMax: 1, recordBytesMax: 1 };
    const thread = threads.start(start, { onReply: (reply) => replies.push(reply), onGone: () => replies.push("gone") });
    const settings = { ...SETTINGS };
    thread.post([7, { method: "settings", number: 1, settings, isFirst: true }, { method: "barrier" }]);
    expect(() => thread.post([8, { method: "drop", generation: (() => {}) as unknown as number }])).to.throw(/could not be cloned/);
    expect(begun[0], "nothing is done in the turn of the post").to.equal(0n);
    await deliveries.run();
    expect(begun[0]).to.equal(7n);
    expect(replies).to.deep.equal([[7, undefined, undefined]]);
    thread.post([8, { method: "barrier" }]);
    const ended = threads.kill(0, OUT_OF_MEMORY);
    thread.post([9, { method: "barrier" }]);
    await deliveries.run();
    await ended;
    expect(replies, "what had not arrived is lost with the thread").to.deep.equal([[7, undefined, undefined], "gone"]);
    expect(begun[0]).to.equal(7n);
  });
});
