import { CodedError, Metrics, silentLogger, systemClock } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { decodeRecord, PprofWriter, windowStartOf } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import { expect } from "chai";
import type { EncodeTask, Generation, ScanTask } from "./compute.ts";
import { workerOf } from "./worker-of.ts";
import { WorkerCompute } from "./worker-compute.ts";
import { OTLP_JSON, otlpJson } from "../testing/otlp-json.ts";
import { NOW_MS, scanOf, SETTINGS, taskOf as pushOf, WORKER_COUNT } from "../testing/worker-rig.ts";

/** As in buffer-pool.ts. */
const SLOT_COUNT = 64;
const SLOT_BYTES = 64 * 2 ** 10;
const CPU = { type: "cpu", unit: "nanoseconds" };
const never = new AbortController().signal;

interface Push {
  /** Tells its record from others: its name and its value. */
  readonly number: number;
  readonly service?: string;
  readonly generation?: Generation;
  /** Distinct function names, for size. */
  readonly frameCount?: number;
  /** Each splits off a record of its own. */
  readonly endpoints?: readonly string[];
}

function taskOf({ number, service = "shop", generation = 0, frameCount = 1, endpoints = ["/"] }: Push): EncodeTask {
  const writer = new PprofWriter({ sampleTypes: [CPU], periodType: CPU, period: 1, timeNs: BigInt(NOW_MS + number) * 1_000_000n, durationNs: 0n });
  for (const endpoint of endpoints) {
    for (let frame = 0; frame < frameCount; frame++) writer.sample([writer.frame(nameOf(number, frame))], [number], [{ name: "endpoint", value: endpoint }]);
  }
  return { ...pushOf(number, service, generation), pprof: writer.finish() };
}

/** Some 60 bytes; records are not compressed. */
function nameOf(number: number, frame: number): string {
  return `push-${number}-frame-${frame}-${"x".repeat(40)}`;
}

/** What a record says in its own bytes: whose push it is, in every string and value. */
function expectIntact(record: EncodedRecord, { number, frameCount = 1 }: Push): void {
  const { symbols, values, sampleCount } = decodeRecord(record.bytes, "r");
  const text = Buffer.from(symbols.stringBytes.buffer, symbols.stringBytes.byteOffset, symbols.stringBytes.length).toString();
  expect(text.match(/push-\d+/g)).to.deep.equal(Array.from({ length: frameCount }, () => `push-${number}`));
  expect([...values[0]!.subarray(0, sampleCount)]).to.deep.equal(Array.from({ length: frameCount }, () => number));
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
  );
}

describe("worker compute", () => {
  let compute: WorkerCompute;
  let lost: Error | undefined;
  beforeEach(() => {
    lost = undefined;
    compute = new WorkerCompute(
      { workerCount: WORKER_COUNT, openDatasetBytesMax: 2 ** 20, memory: { heapMb: 256, outsideBytesMax: 2 ** 28 } },
      { clock: systemClock, logger: silentLogger, metrics: new Metrics(), onHopeless: (error) => (lost = error) },
    );
  });
  afterEach(async () => {
    await compute.stop();
    expect(lost, "no worker was given up").to.equal(undefined);
  });

  const recordCount = async (...generations: Generation[]): Promise<number> => {
    const partials = await compute.scan(scanOf(generations), never);
    return partials.reduce((sum, partial) => sum + partial.recordCount, 0);
  };
  const isPooled = ({ bytes }: EncodedRecord): boolean => bytes.buffer.byteLength === SLOT_BYTES * SLOT_COUNT;
  /** A service whose datasets lie in that worker. */
  const serviceOf = (worker: number): string => {
    for (let i = 0; ; i++) if (workerOf({ tenant: "t1", service: `s${i}` }, WORKER_COUNT) === worker) return `s${i}`;
  };

  it("a profile whose labels split it into more records than memory allows is refused, and leaves nothing behind", async () => {
    await compute.stop();
    compute = new WorkerCompute(
      { workerCount: 1, openDatasetBytesMax: 2 ** 20, recordBytesMax: 200_000, memory: { heapMb: 256, outsideBytesMax: 2 ** 28 } },
      { clock: systemClock, logger: silentLogger, metrics: new Metrics(), onHopeless: (error) => (lost = error) },
    );
    const endpoints = Array.from({ length: 10 }, (_, i) => `/${i}`);
    const split = taskOf({ number: 1, frameCount: 500, endpoints });
    expect(split.pprof.length).to.be.below(200_000);
    expect(await codeOf(compute.encode(split))).to.equal("PROFILE_TOO_LARGE");
    compute.insert(0, await compute.encode(taskOf({ number: 2, frameCount: 500 })));
    expect(await recordCount(0)).to.equal(1);
  });

  it("of a body of which some profiles are refused the records come back, after the refusals were told", async () => {
    let told: readonly CodedError[] = [];
    const task = { ...pushOf(1, "shop", 0), labels: [], pprof: otlpJson({ service: "shop" }, { service: "dangling", stack: 9 }, { service: "early", timeMs: 1 }), format: OTLP_JSON };
    const records = await compute.encode({ ...task, onRefused: (refused) => (told = refused) });
    expect(told.map((error) => [error instanceof CodedError, error.code, error.kind, error.details["reason"]])).to.deep.equal([
      [true, "PROFILE_MALFORMED", "invalid_argument", "malformed_profile"],
      [true, "PROFILE_OUTSIDE_WINDOW", "invalid_argument", "not_in_ingestion_window"],
    ]);
    expect(records.map(({ service }) => service)).to.deep.equal(["shop"]);
    compute.release(records);
    expect(await codeOf(compute.encode({ ...task, pprof: otlpJson({ service: "dangling", stack: 9 }) }))).to.equal("PROFILE_MALFORMED");
  });

  it("a push goes in between the steps of a body of many profiles, a second such body waits for the first, and all are whole", async () => {
    await compute.stop();
    compute = new WorkerCompute(
      { workerCount: 1, openDatasetBytesMax: 2 ** 20, memory: { heapMb: 256, outsideBytesMax: 2 ** 28 } },
      { clock: systemClock, logger: silentLogger, metrics: new Metrics(), onHopeless: (error) => (lost = error) },
    );
    const body = (name: string): EncodeTask => ({ ...pushOf(1, "shop", 0), labels: [], pprof: otlpJson(...Array.from({ length: 600 }, (_, i) => ({ service: `${name}-${i}` }))), format: OTLP_JSON });
    const ended: string[] = [];
    const encode = async (name: string, task: EncodeTask): Promise<readonly EncodedRecord[]> => {
      const records = await compute.encode(task);
      ended.push(name);
      return records;
    };
    const all = await Promise.all([encode("first body", body("first")), encode("second body", body("second")), encode("push", taskOf({ number: 1 }))]);
    expect(ended).to.deep.equal(["push", "first body", "second body"]);
    expect(all.map((records) => new Set(records.map(({ service }) => service)).size)).to.deep.equal([600, 600, 1]);
    for (const records of all) compute.release(records);
  });

  describe("pushes that fit into no slot", () => {
    /** Some 100 kB of pprof, and a record of about as much. */
    const large = (number: number): EncodeTask => taskOf({ number, frameCount: 1500 });
    const open = async (pushBytesMax: number, clock: Clock = systemClock): Promise<void> => {
      await compute.stop();
      compute = new WorkerCompute(
        { workerCount: WORKER_COUNT, openDatasetBytesMax: 2 ** 20, pushBytesMax, memory: { heapMb: 256, outsideBytesMax: 2 ** 28 } },
        { clock, logger: silentLogger, metrics: new Metrics(), onHopeless: (error) => (lost = error) },
      );
    };

    it("wait until the records of those before them are released", async () => {
      await open(200_000);
      const first = await compute.encode(large(1));
      let isDone = false;
      const second = compute.encode(large(2)).finally(() => (isDone = true));
      const small = await compute.encode(taskOf({ number: 3 }));
      expect(isPooled(small[0]!), "a small one has its slot").to.equal(true);
      expect(isDone).to.equal(false);
      compute.release(first);
      expectIntact((await second)[0]!, { number: 2, frameCount: 1500 });
      compute.release(await second);
      compute.release(small);
    });

    it("are refused as unavailable where that takes too long, and hold nothing", async () => {
      // The only timers of compute here are those of waits.
      await open(200_000, { ...systemClock, after: (_, run) => systemClock.after(1, run) });
      const first = await compute.encode(large(1));
      const refusal = await compute.encode(large(2)).catch((thrown: unknown) => thrown as CodedError);
      expect(refusal).to.include({ code: "PUSHES_TOO_MANY", kind: "unavailable" });
      expect((refusal as CodedError).details).to.deep.equal({ retryAfterSeconds: 5 });
      compute.release(first);
      compute.release(await compute.encode(large(2)));
    });

    it("that are larger than all of it go through alone", async () => {
      await open(1000);
      const both = await Promise.all([1, 2].map(async (number) => {
        const records = await compute.encode(large(number));
        compute.release(records);
        return records.length;
      }));
      expect(both).to.deep.equal([1, 1]);
    });
  });

  it("a slot of the buffer pool is used again after the release, and not before", async () => {
    const held = { number: 1_000 };
    const [first] = await compute.encode(taskOf(held));
    for (let number = 1; number <= SLOT_COUNT * 2; number++) {
      const records = await compute.encode(taskOf({ number }));
      expect(isPooled(records[0]!), "each finds a free slot").to.equal(true);
      expectIntact(records[0]!, { number });
      compute.insert(0, records);
      compute.release(records);
    }
    expectIntact(first!, held);
    compute.insert(0, [first!]);
    compute.release([first!]);
    expect(await recordCount(0)).to.equal(SLOT_COUNT * 2 + 1);
  });

  it("a release made twice gives a slot back once", async () => {
    const records = await compute.encode(taskOf({ number: 1 }));
    compute.release(records);
    compute.release(records);
    const pushes = Array.from({ length: SLOT_COUNT + 1 }, (_, number) => ({ number: number + 2 }));
    const encoded = await Promise.all(pushes.map((push) => compute.encode(taskOf(push))));
    expect(encoded.filter(([record]) => isPooled(record!)).length).to.equal(SLOT_COUNT);
    for (const [index, [record]] of encoded.entries()) expectIntact(record!, pushes[index]!);
  });

  it("where no slot is free pushes travel in memory of their own, and leave the pusher's memory alone", async () => {
    const pushes = Array.from({ length: SLOT_COUNT + 20 }, (_, number) => ({ number: number + 1 }));
    const tasks = pushes.map(taskOf);
    const before = tasks.map(({ pprof }) => Buffer.from(pprof).toString("hex"));
    const encoded = await Promise.all(tasks.map((task) => compute.encode(task)));
    expect(tasks.map(({ pprof }) => Buffer.from(pprof).toString("hex"))).to.deep.equal(before);
    for (const [index, [record]] of encoded.entries()) expectIntact(record!, pushes[index]!);
    compute.insert(0, encoded.flat());
    for (const records of encoded) compute.release(records);
    expect(await recordCount(0)).to.equal(pushes.length);
    const [again] = await compute.encode(taskOf({ number: 1_000 }));
    expect(isPooled(again!), "all are back").to.equal(true);
  });

  it("a profile larger than a slot, and records that do not fit into theirs, arrive whole", async () => {
    const large = { number: 1, frameCount: 2_000 };
    const task = taskOf(large);
    expect(task.pprof.length).to.be.above(SLOT_BYTES);
    // A third of a slot as pprof, and one record of that for each endpoint: together more than a slot.
    const split = { number: 2, frameCount: 300, endpoints: ["/a", "/b", "/c", "/d", "/e"] };
    const [alone, parts] = await Promise.all([compute.encode(task), compute.encode(taskOf(split))]);
    expectIntact(alone[0]!, large);
    expect(parts.length).to.equal(split.endpoints.length);
    expect(new Set(parts.map(isPooled)), "some fit and some do not").to.deep.equal(new Set([true, false]));
    for (const part of parts) expectIntact(part, split);
    compute.insert(0, [...alone, ...parts]);
    compute.release(alone);
    compute.release(parts);
    expect(await recordCount(0)).to.equal(1 + split.endpoints.length);
  });

  it("a slot is free again only when all records of its push are released", async () => {
    const split = { number: 1, endpoints: ["/a", "/b"] };
    const [first, second] = await compute.encode(taskOf(split));
    compute.release([first!]);
    const others = await Promise.all(Array.from({ length: SLOT_COUNT }, (_, i) => compute.encode(taskOf({ number: i + 2 }))));
    expect(others.filter(([record]) => isPooled(record!)).length).to.equal(SLOT_COUNT - 1);
    expectIntact(second!, split);
  });

  it("what was released without an insert is never seen, neither by a query nor by a build", async () => {
    const kept = await compute.encode(taskOf({ number: 1 }));
    const refused = await compute.encode(taskOf({ number: 2 }));
    const partly = await compute.encode(taskOf({ number: 3, endpoints: ["/a", "/b", "/c"] }));
    compute.insert(0, kept);
    compute.insert(0, [partly[1]!]);
    for (const records of [kept, refused, partly]) compute.release(records);
    expect(await recordCount(0)).to.equal(2);
    const built = await compute.build(0, "t1", windowStartOf(NOW_MS));
    expect(built.map((dataset) => dataset.recordCount)).to.deep.equal([2]);
  });

  it("a generation that turned between encode and insert: the row goes into the new one, once", async () => {
    const before = await compute.encode(taskOf({ number: 1, generation: 0 }));
    const late = await compute.encode(taskOf({ number: 2, generation: 0 }));
    compute.insert(0, before);
    compute.insert(1, late);
    for (const records of [before, late]) compute.release(records);
    expect([await recordCount(0), await recordCount(1), await recordCount(0, 1)]).to.deep.equal([1, 1, 2]);
  });

  it("a push on its way while its generation is built or dropped: it changes neither, and is kept in the next", async () => {
    const first = await compute.encode(taskOf({ number: 1, generation: 0 }));
    compute.insert(0, first);
    compute.release(first);
    const building = compute.build(0, "t1", windowStartOf(NOW_MS));
    const late = await compute.encode(taskOf({ number: 2, generation: 0 }));
    compute.insert(1, late);
    compute.release(late);
    expect((await building).map((dataset) => dataset.recordCount)).to.deep.equal([1]);
    compute.drop(0);
    const later = await compute.encode(taskOf({ number: 3, generation: 0 }));
    compute.insert(1, later);
    compute.release(later);
    expect([await recordCount(0), await recordCount(1)]).to.deep.equal([0, 2]);
  });

  it("pushes that a busy worker passes on to another lie with their service in the end, once each", async () => {
    const pushes = Array.from({ length: 40 }, (_, number) => ({ number: number + 1, service: serviceOf(0) }));
    const encoded = await Promise.all(pushes.map((push) => compute.encode(taskOf(push))));
    compute.insert(0, encoded.flat());
    for (const records of encoded) compute.release(records);
    const partials = await compute.scan(scanOf([0]), never);
    expect(partials.map((partial) => partial.recordCount)).to.deep.equal([pushes.length, 0]);
    const built = await compute.build(0, "t1", windowStartOf(NOW_MS));
    expect(built.map((dataset) => dataset.recordCount)).to.deep.equal([pushes.length]);
  });

  it("a push that is refused gives its slot back, and the next one works", async () => {
    for (let i = 0; i < SLOT_COUNT * 2; i++) {
      expect(await codeOf(compute.encode({ ...taskOf({ number: 1 }), pprof: Uint8Array.of(0x1f, 0x8b, 1, 2, 3) }))).to.equal("PROFILE_GZIP_BROKEN");
    }
    const records = await compute.encode(taskOf({ number: 7 }));
    expect(isPooled(records[0]!)).to.equal(true);
    expectIntact(records[0]!, { number: 7 });
    compute.insert(0, records);
    compute.release(records);
    expect(await recordCount(0)).to.equal(1);
  });

  it("settings beyond what a worker remembers are sent again, and each push is held to its own", async () => {
    const settings = Array.from({ length: 600 }, (_, i) => ({ ...SETTINGS, profileSizeBytesMax: i % 2 === 0 ? 1 : 2 ** 20 }));
    const codes = await Promise.all(settings.map((own) => codeOf(compute.encode({ ...taskOf({ number: 1 }), settings: own }).then((records) => compute.release(records)))));
    expect(codes).to.deep.equal(settings.map((_, i) => (i % 2 === 0 ? "PROFILE_TOO_LARGE" : "none")));
  });

  it("a query leaves no listener on its signal, whether it ends or is cancelled", async () => {
    const caller = new AbortController();
    let count = 0;
    const { signal } = caller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>): void => (count++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>): void => (count--, remove(...args));
    await compute.scan(scanOf([0]), signal);
    expect(count).to.equal(0);
    const canceled = codeOf(compute.scan(scanOf([0]), signal));
    expect(count).to.equal(WORKER_COUNT);
    caller.abort();
    expect(await canceled).to.equal("QUERY_CANCELED");
    expect(count).to.equal(0);
    expect(await recordCount(0), "the worker goes on").to.equal(0);
  });

  describe("a query whose caller goes away", () => {
    const ROW_COUNT = 2_000;
    /** All rows in one worker, and the workers idle. */
    const fill = async (): Promise<void> => {
      const endpoints = Array.from({ length: 100 }, (_, i) => `/${i}`);
      for (let number = 1; number <= ROW_COUNT / endpoints.length; number++) {
        const records = await compute.encode(taskOf({ number, endpoints }));
        compute.insert(0, records);
        compute.release(records);
      }
      expect(await recordCount(0)).to.equal(ROW_COUNT);
    };
    /** The one dataset again and again: half a minute for a million times, longer than mocha waits for a test. */
    const longScan = (times = 1_000_000): ScanTask => scanOf(Array.from({ length: times }, () => 0));
    /** By then the worker has what it was sent. */
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

    it("leaves its worker free, long before its scan would have ended, and the next scan is whole", async () => {
      await fill();
      const caller = new AbortController();
      const canceled = codeOf(compute.scan(longScan(), caller.signal));
      await turn();
      caller.abort();
      expect(await canceled).to.equal("QUERY_CANCELED");
      // Behind it, in the same worker.
      expect([await recordCount(0), await recordCount(0)]).to.deep.equal([ROW_COUNT, ROW_COUNT]);
    });

    it("and that is still waiting does not end the one at work, nor let an ended one go on", async () => {
      await fill();
      const [atWork, waiting] = [new AbortController(), new AbortController()];
      const first = compute.scan(longScan(1_000), atWork.signal);
      await turn();
      const second = codeOf(compute.scan(longScan(), waiting.signal));
      waiting.abort();
      expect(await second).to.equal("QUERY_CANCELED");
      expect((await first).reduce((sum, partial) => sum + partial.recordCount, 0)).to.equal(ROW_COUNT);

      const [ended, behind] = [new AbortController(), new AbortController()];
      const third = codeOf(compute.scan(longScan(), ended.signal));
      await turn();
      const fourth = codeOf(compute.scan(longScan(), behind.signal));
      ended.abort();
      behind.abort();
      expect([await third, await fourth]).to.deep.equal(["QUERY_CANCELED", "QUERY_CANCELED"]);
      expect(await recordCount(0)).to.equal(ROW_COUNT);
    });

    it("leaves its worker free of its finish as well", async () => {
      await fill();
      const wide = await compute.encode(taskOf({ number: ROW_COUNT, frameCount: 4_000 }));
      compute.insert(0, wide);
      compute.release(wide);
      const [partial] = (await compute.scan(scanOf([0]), never)).filter((one) => one.recordCount > 0);
      const partials = Array.from({ length: 1_000_000 }, () => partial!);
      const caller = new AbortController();
      const canceled = codeOf(compute.finish({ kind: "flame-graph", maxNodes: 10, form: "json" }, partials, caller.signal));
      await turn();
      caller.abort();
      expect(await canceled).to.equal("QUERY_CANCELED");
      expect(await recordCount(0)).to.equal(ROW_COUNT + 1);
    });
  });

  describe("while one worker scans without end", () => {
    const ROW_COUNT = 2_000;
    let only: WorkerCompute;
    let caller: AbortController;
    let scan: Promise<string>;
    /** The one dataset a million times: half a minute, longer than mocha waits. What is answered before it is left was done between two of its slices. */
    beforeEach(async () => {
      only = new WorkerCompute(
        { workerCount: 1, openDatasetBytesMax: 2 ** 20, memory: { heapMb: 256, outsideBytesMax: 2 ** 28 } },
        { clock: systemClock, logger: silentLogger, metrics: new Metrics(), onHopeless: (error) => (lost = error) },
      );
      const endpoints = Array.from({ length: 100 }, (_, i) => `/${i}`);
      for (let number = 1; number <= ROW_COUNT / endpoints.length; number++) await keep({ number, endpoints });
      caller = new AbortController();
      scan = codeOf(only.scan(scanOf(Array.from({ length: 1_000_000 }, () => 0)), caller.signal));
    });
    afterEach(async () => {
      caller.abort();
      expect(await scan, "it was at work until now").to.equal("QUERY_CANCELED");
      await only.stop();
    });
    const keep = async (push: Push): Promise<void> => {
      const records = await only.encode(taskOf(push));
      for (const record of records) if (push.endpoints === undefined) expectIntact(record, push);
      only.insert(push.generation ?? 0, records);
      only.release(records);
    };
    const labelNames = (generations: readonly Generation[]): ScanTask => ({
      ...scanOf(generations),
      spec: { kind: "listing", startNs: 0n, endNs: 2n ** 62n, selectors: [], listing: { kind: "names", alphabet: "utf8" }, bounds: { entryCountMax: 0, bytesMax: 0 } },
    });

    it("pushes are answered, also into the dataset that it reads, and are in the next answer", async () => {
      for (let number = 1; number <= 20; number++) await keep({ number });
      await keep({ number: 21, frameCount: 4_000 });
      caller.abort();
      expect(await scan).to.equal("QUERY_CANCELED");
      const [partial] = await only.scan(scanOf([0]), never);
      expect(partial!.recordCount).to.equal(ROW_COUNT + 21);
    });

    it("a large push is answered, which has a batch of its own", async () => {
      await keep({ number: 1, frameCount: 15_000 });
      await keep({ number: 2 });
    });

    it("a listing is answered, and sees what was pushed before it was asked", async () => {
      await keep({ number: 1 });
      const [partial] = await only.scan(labelNames([0]), never);
      const listed = await only.finish({ kind: "listing", listing: { kind: "names", alphabet: "utf8" }, bounds: { entryCountMax: 0, bytesMax: 0 }, limit: 0, form: "json" }, [partial!], never);
      expect("bytes" in listed && Buffer.from(listed.bytes).toString()).to.include("service_name");
    });

    it("a listing that came before the scan is answered before it, not after", async () => {
      caller.abort();
      expect(await scan).to.equal("QUERY_CANCELED");
      await only.scan(scanOf([0]), never); // idle now
      const left = new AbortController();
      const listing = only.scan(labelNames(Array.from({ length: 5_000 }, () => 0)), never);
      const later = codeOf(only.scan(scanOf(Array.from({ length: 1_000_000 }, () => 0)), left.signal));
      expect(await listing).to.have.length(1);
      left.abort();
      expect(await later).to.equal("QUERY_CANCELED");
    });

    it("a listing without end is left, and pushes go on between its slices", async () => {
      const left = new AbortController();
      const listing = codeOf(only.scan(labelNames(Array.from({ length: 1_000_000 }, () => 0)), left.signal));
      await keep({ number: 1 });
      left.abort();
      expect(await listing).to.equal("QUERY_CANCELED");
      await keep({ number: 2 });
    });

    it("a segment is built, step by step, and its generation is dropped", async () => {
      await keep({ number: 1, generation: 1 });
      const [dataset] = await only.build(1, "t1", windowStartOf(NOW_MS));
      expect(dataset!.recordCount).to.equal(1);
      only.drop(1);
      await only.settle();
    });

    it("another scan waits for its turn, and is left there", async () => {
      const left = new AbortController();
      const waiting = codeOf(only.scan(scanOf([0]), left.signal));
      await keep({ number: 1 });
      left.abort();
      expect(await waiting).to.equal("QUERY_CANCELED");
    });
  });

  it("a full queue refuses pushes, and yet a generation is dropped", async () => {
    const first = await compute.encode(taskOf({ number: 1 }));
    compute.insert(0, first);
    compute.release(first);
    expect(await recordCount(0)).to.equal(1);
    // Empty generations: nothing but the waiting costs time.
    const flood = Array.from({ length: 4096 }, () => codeOf(compute.scan(scanOf([7]), never)));
    expect(await codeOf(compute.encode(taskOf({ number: 2 })))).to.equal("COMPUTE_BUSY");
    compute.drop(0);
    expect(new Set(await Promise.all(flood))).to.deep.equal(new Set(["none"]));
    expect(await recordCount(0)).to.equal(0);
  });

  it("what still waits when it stops is refused", async () => {
    const waiting = codeOf(compute.encode(taskOf({ number: 1 })));
    await compute.stop();
    expect([await waiting, await codeOf(compute.encode(taskOf({ number: 2 })))]).to.deep.equal(["COMPUTE_STOPPED", "COMPUTE_STOPPED"]);
  });
});
