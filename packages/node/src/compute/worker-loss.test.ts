/** Workers that die: real threads, and a head of its own in memory. */
import { CodedError, systemClock } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { windowStartOf } from "@pyromesh/profile";
import { expect } from "chai";
import type { FinishSpec, ScanPartial, ScanTask } from "./compute.ts";
import { nodeThreads } from "./node-threads.ts";
import type { WorkerCall } from "./worker-protocol.ts";
import { isPush } from "./worker-protocol.ts";
import type { WorkerThread, WorkerThreads } from "./worker-threads.ts";
import { NOW_MS, PROFILE_TYPE, scanOf, serviceOf, SETTINGS, taskOf, WorkerRig } from "../testing/worker-rig.ts";

/** As in buffer-pool.ts. */
const SLOT_COUNT = 64;
const SLOT_BYTES = 64 * 2 ** 10;
const never = new AbortController().signal;
const profileType = PROFILE_TYPE;
const [HERE, THERE] = [serviceOf(0), serviceOf(1)];

const isScan = (call: WorkerCall): boolean => !isPush(call) && call.method === "scan";
const isInsert = (call: WorkerCall): boolean => !isPush(call) && call.method === "insert";
const isInsertOf = (service: string) => (call: WorkerCall): boolean => !isPush(call) && call.method === "insert" && call.records.some((record) => record.service === service);

/** Threads that end when they are told to. */
class Threads implements WorkerThreads {
  /** A thread that is sent such a call dies with it; called for each. */
  dieAt: ((call: WorkerCall, worker: number) => boolean) | undefined;
  /** A thread dies when it starts. */
  diesAtOnce = false;
  startCount = 0;
  readonly last: (WorkerThread | undefined)[] = [];

  readonly encodeSection = nodeThreads.encodeSection;

  readonly start: WorkerThreads["start"] = (start, events) => {
    this.startCount++;
    const real = nodeThreads.start(start, events);
    if (this.diesAtOnce) void real.end();
    const thread: WorkerThread = {
      post: (batch) => {
        const [number, ...calls] = batch;
        if (this.dieAt !== undefined && calls.some((call) => this.dieAt!(call, start.worker))) {
          Atomics.store(start.begun, 0, BigInt(number)); // it begins the call, and dies of it
          void real.end();
        } else real.post(batch);
      },
      busyMs: () => real.busyMs(),
      end: () => real.end(),
    };
    this.last[start.worker] = thread;
    return thread;
  };

  /** Ends the thread of a worker, and waits until that is known. */
  async kill(worker: number): Promise<void> {
    await this.last[worker]!.end();
  }
}

/** Real threads, and the real clock, whose waits a test can shorten. */
class Rig extends WorkerRig<Threads> {
  laterMs: (delayMs: number) => number;

  constructor() {
    const later = (delayMs: number): number => this.laterMs(delayMs);
    const clock: Clock = { ...systemClock, after: (delayMs, run) => systemClock.after(later(delayMs), run), sleep: (delayMs, signal) => systemClock.sleep(later(delayMs), signal) };
    super({ threads: new Threads(), clock, headClock: systemClock });
    this.laterMs = (delayMs) => delayMs;
  }
}

const errorOf = async (work: Promise<unknown>): Promise<CodedError> => {
  const error = await work.then(() => undefined, (thrown: unknown) => thrown);
  expect(error).to.be.instanceOf(CodedError);
  return error as CodedError;
};

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(2);
}

/** A promise, and what resolves it. */
function gate(): { readonly passed: Promise<void>; readonly pass: () => void } {
  let pass!: () => void; // set before the constructor returns
  const passed = new Promise<void>((resolve) => (pass = resolve));
  return { passed, pass };
}

describe("a worker that dies", function () {
  this.timeout(30_000);
  let rig: Rig;
  beforeEach(async () => {
    rig = new Rig();
    await rig.start();
  });
  afterEach(async () => {
    await rig.stop();
    expect(rig.hopeless, "no worker was given up").to.equal(undefined);
  });

  /** Values 1, 2, 4, ...: a sum tells which are in. */
  const pushAll = async (from: number, to: number, service = HERE): Promise<void> => {
    for (let i = from; i < to; i++) await rig.push(2 ** i, service);
  };

  it("takes nothing along that was acked: all of it is in the next answer, each once, and in the segment", async () => {
    await pushAll(0, 5);
    await pushAll(5, 8, THERE);
    const before = await rig.answer();
    expect(before).to.deep.equal({ records: 8, sum: 255 });
    await rig.threads.kill(0);
    expect(await rig.answer()).to.deep.equal(before);
    await pushAll(8, 9);
    const { generation } = await rig.cut();
    await pushAll(9, 10);
    expect(await rig.answer()).to.deep.equal({ records: 10, sum: 1023 });
    expect(await rig.built(generation)).to.equal(9);
    expect(await rig.restarts("crashed")).to.equal(1);
  });

  it("that runs out of heap is another that was started again", async () => {
    process.env["PYROMESH_CRASH_WORKER_AT"] = `scan:${HERE}-not-there`;
    const other = new Rig();
    try {
      await other.start();
      await other.push(5, HERE);
      const deadly = other.compute.scan(scanOf([0], [{ name: "service_name", operator: "=", value: `${HERE}-not-there` }]), never);
      expect(await errorOf(deadly)).to.include({ code: "WORKER_LOST", kind: "unavailable" });
      expect(await other.answer()).to.deep.equal({ records: 1, sum: 5 });
      expect(await other.restarts("out_of_memory")).to.be.above(0);
    } finally {
      delete process.env["PYROMESH_CRASH_WORKER_AT"];
      await other.stop();
    }
  });

  it("refuses what was with it, with 503 and a time to come again; what waited for it, and others, go on", async () => {
    await pushAll(0, 1);
    expect(await rig.answer(), "and the workers are idle").to.deep.equal({ records: 1, sum: 1 });
    let deaths = 0;
    rig.threads.dieAt = (call, worker) => isScan(call) && worker === 0 && deaths++ < 1;
    const scan = errorOf(rig.compute.scan(scanOf([0]), never));
    await new Promise((resolve) => void setImmediate(resolve)); // it is sent
    expect(deaths).to.equal(1);
    const waiting = [rig.compute.encode(taskOf(2, HERE, 0)), rig.compute.encode({ ...taskOf(8, HERE, 0), settings: { ...SETTINGS } })];
    const answer = rig.answer();
    const refusal = await scan;
    expect(refusal).to.include({ code: "WORKER_LOST", kind: "unavailable" });
    expect(refusal.details["retryAfterSeconds"]).to.equal(1);
    expect(await answer).to.deep.equal({ records: 1, sum: 1 });
    for (const records of await Promise.all(waiting)) await rig.keep(records);
    await pushAll(2, 3, THERE);
    expect(await rig.answer()).to.deep.equal({ records: 4, sum: 15 });
  });

  it("and what is committed while its rows are read back: counted once, and no answer comes before them", async () => {
    await pushAll(0, 4);
    const hold = gate();
    rig.beforePage = () => hold.passed;
    await rig.threads.kill(0);
    await pushAll(4, 6);
    let hasAnswered = false;
    const answer = rig.answer().finally(() => (hasAnswered = true));
    await pushAll(6, 8);
    expect(hasAnswered, "it would lack rows").to.equal(false);
    hold.pass();
    // A scan that was held reads what was pushed meanwhile as well.
    expect(await answer).to.deep.equal({ records: 8, sum: 255 });
    const { generation } = await rig.cut();
    expect(await rig.built(generation)).to.equal(8);
  });

  it("and a cut that is made while its rows are read back: each row lies in the generation of its cut", async () => {
    await pushAll(0, 6);
    rig.pageBytes = 1;
    let pageCount = 0;
    const [third, hold] = [gate(), gate()];
    rig.beforePage = async () => {
      if (++pageCount !== 3) return;
      third.pass();
      await hold.passed;
    };
    await rig.threads.kill(0);
    await third.passed;
    await pushAll(6, 7);
    const { generation } = await rig.cut();
    await pushAll(7, 8);
    const building = rig.built(generation);
    hold.pass();
    expect(await building).to.equal(7);
    expect(await rig.answer()).to.deep.equal({ records: 8, sum: 255 });
    expect(await rig.answer([rig.open])).to.deep.equal({ records: 1, sum: 128 });
  });

  it("and a cut that is sealed while its rows are read back: they do not come again, and a query that planned them is refused", async () => {
    await pushAll(0, 4);
    const { cutId, generation } = await rig.cut();
    await pushAll(4, 6);
    expect(await rig.built(generation)).to.equal(4);
    rig.pageBytes = 1;
    let pageCount = 0;
    const [third, hold] = [gate(), gate()];
    rig.beforePage = async () => {
      if (++pageCount !== 3) return;
      third.pass();
      await hold.passed;
    };
    await rig.threads.kill(0);
    await third.passed;
    const planned = [rig.open, generation];
    await rig.seal(cutId);
    const early = rig.answer(planned);
    early.catch(() => undefined);
    hold.pass();
    expect((await errorOf(early)).code).to.equal("WORKER_LOST");
    expect((await errorOf(rig.answer(planned))).code).to.equal("WORKER_LOST");
    expect(await rig.answer()).to.deep.equal({ records: 2, sum: 48 });
    expect((await errorOf(rig.compute.build(generation, "t1", windowStartOf(NOW_MS)))).code).to.equal("WORKER_LOST");
  });

  it("again while its rows are read back: they are read back once more", async () => {
    await pushAll(0, 6);
    let deaths = 0;
    rig.threads.dieAt = (call) => isInsert(call) && deaths++ < 2;
    await rig.threads.kill(0);
    await pushAll(6, 7, THERE);
    expect(await rig.answer()).to.deep.equal({ records: 7, sum: 127 });
    expect(rig.head.quarantine()).to.deep.equal([]);
    const { generation } = await rig.cut();
    expect(await rig.built(generation)).to.equal(7);
  });

  it("after it pre-interned rows: they are decoded again, and the memory they lay in is lent again", async () => {
    const [kept, released] = [await rig.compute.encode(taskOf(1, HERE, 0)), await rig.compute.encode(taskOf(2, HERE, 0))];
    await rig.threads.kill(0);
    await pushAll(2, 3); // the next thread gives out the same row numbers
    const later = await rig.compute.encode(taskOf(8, HERE, 0));
    await rig.keep(kept);
    rig.compute.release(released);
    await rig.keep(later);
    expect(await rig.answer()).to.deep.equal({ records: 3, sum: 1 + 4 + 8 });
    const lent = await Promise.all(Array.from({ length: SLOT_COUNT }, (_, i) => rig.compute.encode(taskOf(1000 + i, THERE, 0))));
    expect(lent.every(([record]) => record!.bytes.buffer.byteLength === SLOT_COUNT * SLOT_BYTES), "all slots came back").to.equal(true);
    for (const records of lent) rig.compute.release(records);
  });

  it("with pushes in flight: each is refused, gives its slot back, and can be sent again", async () => {
    rig.threads.dieAt = (call) => isPush(call);
    const first = rig.compute.encode(taskOf(1, HERE, 0));
    const refusal = await errorOf(first);
    expect(refusal).to.include({ code: "WORKER_LOST", kind: "unavailable" });
    rig.threads.dieAt = undefined;
    const lent = await Promise.all(Array.from({ length: SLOT_COUNT }, (_, i) => rig.compute.encode(taskOf(1000 + i, HERE, 0))));
    expect(lent.every(([record]) => record!.bytes.buffer.byteLength === SLOT_COUNT * SLOT_BYTES)).to.equal(true);
    for (const records of lent) rig.compute.release(records);
    await rig.push(1, HERE);
    expect(await rig.answer()).to.deep.equal({ records: 1, sum: 1 });
  });

  it("while a segment is built: the next try builds all of it", async () => {
    await pushAll(0, 4);
    const { generation } = await rig.cut();
    let deaths = 0;
    rig.threads.dieAt = (call) => !isPush(call) && call.method === "build" && deaths++ < 1;
    expect((await errorOf(rig.built(generation))).code).to.equal("WORKER_LOST");
    expect(await rig.built(generation)).to.equal(4);
  });

  it("twice of the same query: it is refused by its shape before it reaches a third, and another is answered", async () => {
    await pushAll(0, 2);
    await pushAll(2, 3, THERE);
    const selector = [{ name: "service_name", operator: "=" as const, value: HERE }];
    rig.threads.dieAt = (call, worker) => worker === 0 && !isPush(call) && call.method === "scan" && "query" in call.task.spec && call.task.spec.query.selector.length > 0;
    for (let time = 0; time < 2; time++) expect((await errorOf(rig.compute.scan(scanOf([0], selector), never))).code).to.equal("WORKER_LOST");
    const refusal = await errorOf(rig.compute.scan(scanOf([0], selector), never));
    expect(refusal).to.include({ code: "QUERY_KILLS_WORKERS", kind: "failed_precondition" });
    expect(refusal.message).to.match(/refused for another \d+ s: ask for less/);
    // A minute later it is the same question, by its length.
    const spec = scanOf([0], selector).spec as Extract<ScanTask["spec"], { kind: "names" }>;
    const later = { ...scanOf([0], selector), spec: { ...spec, query: { ...spec.query, startNs: 60n * 10n ** 9n, endNs: 2n ** 62n + 60n * 10n ** 9n } } };
    expect((await errorOf(rig.compute.scan(later, never))).code).to.equal("QUERY_KILLS_WORKERS");
    expect(await rig.answer()).to.deep.equal({ records: 3, sum: 7 });
    expect(await rig.restarts("crashed")).to.equal(2);
  });

  it("while it did a push between two slices of a query: both are refused; the query is blamed, and the push is tried alone and kept", async () => {
    await pushAll(0, 2);
    const selector = [{ name: "service_name", operator: "=" as const, value: HERE }];
    // The one dataset again and again: longer than this test may take.
    const long = scanOf(Array.from({ length: 1_000_000 }, () => 0), selector);
    for (let time = 0; time < 2; time++) {
      let isAtWork = false;
      rig.threads.dieAt = (call, worker) => {
        isAtWork ||= isScan(call) && worker === 0;
        return isAtWork && isPush(call) && worker === 0;
      };
      const scan = errorOf(rig.compute.scan(long, never));
      await new Promise((resolve) => void setImmediate(resolve)); // it is sent
      const push = errorOf(rig.compute.encode(taskOf(4 + time, HERE, 0)));
      expect([(await scan).code, (await push).code]).to.deep.equal(["WORKER_LOST", "WORKER_LOST"]);
      rig.threads.dieAt = undefined;
      expect((await rig.answer()).records).to.equal(2 + time);
      await rig.push(4 + time, HERE);
    }
    expect((await errorOf(rig.compute.scan(long, never))).code).to.equal("QUERY_KILLS_WORKERS");
    expect(await rig.answer()).to.deep.equal({ records: 4, sum: 12 });
  });

  it("while it prints a reply, of whatever kind: 503 and a time to come again", async () => {
    await pushAll(0, 1);
    const shape = { startMs: 0, endMs: 60_000, stepMs: 15_000, groupBy: [], exemplars: "none" } as const;
    const replies: readonly FinishSpec[] = [
      { kind: "diff", maxNodes: 10, leftCount: 1, profileType, form: "render" },
      { kind: "render", maxNodes: 10, graphCount: 1, profileType, shape: { ...shape, aggregation: "sum" } },
      { kind: "pprof", maxNodes: 10, goPgo: undefined, profileType, timeNs: 1n, form: "json" },
      { kind: "points", shape: { ...shape, aggregation: "sum" }, limit: 0, form: "json" },
    ];
    for (const spec of replies) {
      const partials = await rig.compute.scan(scanOf([0]), never);
      rig.threads.dieAt = (call) => !isPush(call) && call.method === "finish";
      const refusal = await errorOf(rig.compute.finish(spec, partials, never));
      expect(refusal, spec.kind).to.include({ code: "WORKER_LOST", kind: "unavailable" });
      expect(refusal.details["retryAfterSeconds"]).to.equal(1);
      rig.threads.dieAt = undefined;
    }
    expect(await rig.answer()).to.deep.equal({ records: 1, sum: 1 });
  });

  it("twice of the same merge: that is refused, and another merge of the same query is not", async () => {
    await pushAll(0, 2);
    const finish = async (maxNodes: number): Promise<unknown> => rig.compute.finish({ kind: "flame-graph", maxNodes, form: "json" }, await rig.compute.scan(scanOf([0]), never), never);
    rig.threads.dieAt = (call) => !isPush(call) && call.method === "finish" && "maxNodes" in call.spec && call.spec.maxNodes === 7;
    for (let time = 0; time < 2; time++) expect((await errorOf(finish(7))).code).to.equal("WORKER_LOST");
    expect((await errorOf(finish(7))).code).to.equal("QUERY_KILLS_WORKERS");
    expect(await finish(8)).to.include({ kind: "reply" });
  });

  // The right side was no part of the shape: every diff with that left side was refused.
  it("twice of the same diff: that is refused, and one with the same left side and another right side is not", async () => {
    await pushAll(0, 2);
    await pushAll(2, 3, THERE);
    const of = (service: string): Promise<readonly ScanPartial[]> => rig.compute.scan(scanOf([0], [{ name: "service_name", operator: "=", value: service }]), never);
    const diff = async (left: string, right: string): Promise<unknown> => {
      const [a, b] = [await of(left), await of(right)];
      return rig.compute.finish({ kind: "diff", maxNodes: 7, leftCount: a.length, profileType, form: "json" }, [...a, ...b], never);
    };
    rig.threads.dieAt = (call) => !isPush(call) && call.method === "finish";
    for (let time = 0; time < 2; time++) expect((await errorOf(diff(HERE, THERE))).code).to.equal("WORKER_LOST");
    rig.threads.dieAt = undefined;
    expect((await errorOf(diff(HERE, THERE))).code).to.equal("QUERY_KILLS_WORKERS");
    expect(await diff(HERE, HERE)).to.include({ kind: "reply" });
    expect(await diff(THERE, HERE)).to.include({ kind: "reply" });
  });

  it("twice of the same uploaded file: its drawing is refused, and another file is drawn", async () => {
    const draw = (text: string, name: string): Promise<unknown> =>
      rig.compute.draw({ files: [{ name, bytes: Buffer.from(text) }], profileType: undefined, maxNodes: 10, limits: SETTINGS, reply: { id: "1", name, uploadedAt: 1 }, form: "json" }, never);
    rig.threads.dieAt = (call) => !isPush(call) && call.method === "draw";
    for (let time = 0; time < 2; time++) expect((await errorOf(draw("main;work 3\n", `${time}`))).code).to.equal("WORKER_LOST");
    rig.threads.dieAt = undefined;
    const refusal = await errorOf(draw("main;work 3\n", "by another name"));
    expect(refusal).to.include({ code: "QUERY_KILLS_WORKERS", kind: "failed_precondition" });
    expect(refusal.message).to.match(/^the drawing of this file ended two worker threads.*: profile for a shorter time/);
    expect(await draw("main;work 4\n", "0")).to.include({ kind: "reply" });
  });

  it("twice of the same build: it is refused, and queries over those rows go on", async () => {
    await pushAll(0, 2);
    const { generation } = await rig.cut();
    rig.threads.dieAt = (call) => !isPush(call) && call.method === "build";
    for (let time = 0; time < 2; time++) expect((await errorOf(rig.built(generation))).code).to.equal("WORKER_LOST");
    expect((await errorOf(rig.built(generation))).code).to.equal("BUILD_KILLS_WORKERS");
    expect(await rig.answer()).to.deep.equal({ records: 2, sum: 3 });
  });

  it("twice of the same push: it is refused for good reason, and those that were with it are not", async () => {
    const deadly = taskOf(66, HERE, 0);
    const size = deadly.pprof.length;
    rig.threads.dieAt = (call) => isPush(call) && call[4] === "t1" && call[1] === size;
    const company = taskOf(1000, HERE, 0);
    expect(company.pprof.length).not.to.equal(size);
    const [first] = await Promise.all([errorOf(rig.compute.encode(deadly)), errorOf(rig.compute.encode(company))]);
    expect(first.code).to.equal("WORKER_LOST");
    // They travel alone now.
    const [again] = await Promise.all([errorOf(rig.compute.encode(deadly)), rig.compute.encode(company).then((records) => rig.keep(records))]);
    expect(again.code).to.equal("WORKER_LOST");
    expect(await errorOf(rig.compute.encode(deadly))).to.include({ code: "PUSH_KILLS_WORKERS", kind: "invalid_argument" });
    expect(await rig.answer()).to.deep.equal({ records: 1, sum: 1000 });
  });

  it("of a record that no worker can intern: it is found, set aside, quarantined with its time, and the others stay", async () => {
    const poison = serviceOf(0, "poison");
    await pushAll(0, 4);
    await rig.push(2 ** 4, poison);
    await pushAll(5, 8);
    rig.threads.dieAt = isInsertOf(poison);
    await rig.threads.kill(0);
    await pushAll(8, 9);
    expect(await rig.answer()).to.deep.equal({ records: 8, sum: 511 - 16 });
    expect(rig.head.quarantine()).to.have.lengthOf(1);
    expect(rig.head.quarantine()[0]).to.include({ startMs: NOW_MS + 16, endMs: NOW_MS + 16 });
    const { cutId, generation } = await rig.cut();
    expect(await rig.built(generation)).to.equal(8);
    expect(rig.head.cutIdentities(cutId)).to.have.lengthOf(8);
  });

  it("or is ended, since a record cannot be decoded any more: the same", async () => {
    await pushAll(0, 4);
    const [sound] = await rig.compute.encode(taskOf(99, HERE, 0));
    await rig.head.append({ ...sound!, identity: new Uint8Array(16).fill(9), bytes: Uint8Array.of(1, 2, 3) });
    rig.compute.release([sound!]);
    await pushAll(4, 6);
    expect(await rig.answer()).to.deep.equal({ records: 6, sum: 63 });
    expect(rig.head.quarantine()).to.have.lengthOf(1);
    expect(await rig.restarts("failed")).to.be.above(0);
  });

  it("and a record that corrupted on disk meanwhile: quarantined, and the others are read", async () => {
    await pushAll(0, 3);
    const key = rig.disk.keys().find((one) => one[0] === "r".charCodeAt(0))!;
    rig.disk.tamper(key, (value) => value.map((byte, at) => (at === value.length - 1 ? byte ^ 1 : byte)));
    await rig.threads.kill(0);
    expect(await rig.answer()).to.deep.equal({ records: 2, sum: 6 });
    expect(rig.head.quarantine()).to.have.lengthOf(1);
    const { cutId } = await rig.cut();
    expect(rig.head.cutIdentities(cutId)).to.have.lengthOf(2);
  });

  it("and a disk that does not answer: pushes go on, no answer lacks rows, and it is tried until it works", async () => {
    await pushAll(0, 3);
    rig.laterMs = (delayMs) => (delayMs >= 10_000 ? delayMs : delayMs / 100);
    let failures = 0;
    rig.beforePage = async () => {
      if (failures++ < 5) throw new Error("EIO");
    };
    await rig.threads.kill(0);
    await pushAll(3, 4);
    expect(await rig.answer()).to.deep.equal({ records: 4, sum: 15 });
    expect(failures).to.be.above(5);
  });

  it("and the node stops while its rows are read back: that is no error", async () => {
    await pushAll(0, 3);
    let asked!: () => void; // set before the constructor returns
    const asking = new Promise<void>((resolve) => (asked = resolve));
    let open!: () => void; // the same
    const opened = new Promise<void>((resolve) => (open = resolve));
    rig.beforePage = () => {
      asked();
      return opened;
    };
    await rig.threads.kill(0);
    await asking;
    const before = rig.lines.length;
    // As the node stops: the head is closed first, then the workers.
    await rig.head.close();
    open();
    await systemClock.sleep(0);
    await rig.compute.stop();
    expect(rig.lines.slice(before).filter(({ level }) => level === "error")).to.deep.equal([]);
  });

  it("and rows that take too long: what waits for them is refused, with the time it will take, until they are there", async () => {
    await pushAll(0, 3);
    const hold = gate();
    rig.beforePage = () => hold.passed;
    rig.laterMs = (delayMs) => (delayMs === 10_000 ? 20 : delayMs);
    await rig.threads.kill(0);
    const waiting = await errorOf(rig.answer());
    expect(waiting).to.include({ code: "WORKER_ROWS_LATE", kind: "unavailable" });
    expect(waiting.details["retryAfterSeconds"]).to.be.within(1, 600);
    expect((await errorOf(rig.answer())).code).to.equal("WORKER_ROWS_LATE");
    await rig.push(2 ** 3, HERE);
    hold.pass();
    let answer: unknown;
    while (answer === undefined) {
      await systemClock.sleep(2);
      answer = await rig.answer().catch(() => undefined);
    }
    expect(answer).to.deep.equal({ records: 4, sum: 15 });
  });

  it("while the head is replayed: the start goes on, and the rows are read back after it", async () => {
    await pushAll(0, 6);
    await pushAll(6, 8, THERE);
    await rig.stop();
    let deaths = 0;
    rig.threads.dieAt = (call, worker) => isInsert(call) && worker === 0 && deaths++ < 1;
    await rig.start();
    expect(deaths).to.be.above(0);
    expect(await rig.answer()).to.deep.equal({ records: 8, sum: 255 });
    expect(await rig.built((await rig.cut()).generation)).to.equal(8);
  });

  it("again and again, and has done nothing between: the node is told to end", async () => {
    const other = new Rig();
    other.laterMs = (delayMs) => delayMs / 20;
    other.threads.diesAtOnce = true;
    await other.start();
    await until(() => other.hopeless !== undefined);
    expect(other.hopeless?.message).to.match(/^worker \d died 6 times within a minute/);
    expect((await errorOf(other.answer())).code).to.equal("WORKER_HOPELESS");
    await other.stop();
  });
});
