/**
 * Workers that die at any moment. One history of pushes, queries, a cut, its build and its seal runs over threads in place; in each run a
 * thread dies at another moment of it. Whatever is refused then may be asked again; nothing that was acked is missing from an answer
 * that was asked later, and nothing counts twice.
 */
import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { CRASHED, InPlaceThreads, OUT_OF_MEMORY } from "../testing/in-place-threads.ts";
import type { ThreadMoment } from "../testing/in-place-threads.ts";
import { SeededWorld } from "../testing/seeded-world.ts";
import { scanOf, serviceOf, taskOf, WorkerRig } from "../testing/worker-rig.ts";
import { isPush } from "./worker-protocol.ts";
import type { WorkerCall } from "./worker-protocol.ts";
import type { ThreadEnd } from "./worker-threads.ts";

const SERVICES = [serviceOf(0), serviceOf(1), serviceOf(0, "other")] as const;
const never = new AbortController().signal;

/** What a client may get where workers die, and then asks again. */
const ASKED_AGAIN = new Set(["WORKER_LOST", "WORKER_ROWS_LATE", "BUILD_KILLS_WORKERS"]);
/** It was at work at two deaths, and is given up. */
const GIVEN_UP = new Set(["QUERY_KILLS_WORKERS", "PUSH_KILLS_WORKERS"]);

type EndAt = (moment: ThreadMoment) => ThreadEnd | undefined;

class History {
  readonly world: SeededWorld;
  readonly threads: InPlaceThreads;
  readonly rig: WorkerRig<InPlaceThreads>;
  /** Of pushes, as bits: the value of push i is 2^i. */
  #begun = 0;
  #acked = 0;
  readonly #bitOf = new Map<string, number>();
  /** Of the cut. Once it is sealed its rows are in segments, which this rig has none of. */
  #cut: { readonly cutId: number; readonly bits: number } | undefined;
  answerCount = 0;
  refusalCount = 0;

  constructor(seed: number, endAt?: EndAt) {
    this.world = new SeededWorld(seed);
    const { random, deliver } = this.world;
    this.threads = new InPlaceThreads({ random, deliver, ...(endAt === undefined ? {} : { endAt }) });
    this.rig = new WorkerRig({ threads: this.threads, clock: this.world.clock, slotCount: 2 });
    this.rig.pageBytes = 200; // a record a page: rows are read back in steps
  }

  async run(): Promise<void> {
    const { rig } = this;
    await rig.start();
    await Promise.all([this.#push(0), this.#push(1), this.#push(2), this.#ask()]);
    const pushes = [3, 4, 5].map((number) => this.#push(number));
    const asked = [this.#ask(), this.#ask()];
    await Promise.all(pushes.splice(0, 2));
    const before = this.#acked;
    const cut = await rig.cut();
    const inCut = rig.head.cutIdentities(cut.cutId)!;
    this.#cut = { cutId: cut.cutId, bits: inCut.reduce((bits, identity) => bits | this.#bitOf.get(identity)!, 0) };
    await Promise.all([...asked, this.#build(cut.generation, inCut.length), this.#push(6), this.#ask(), ...pushes]);
    expect(before & ~this.#cut.bits, "the cut holds what was acked").to.equal(0);
    await Promise.all([this.#push(7), rig.seal(cut.cutId), this.#ask()]);
    await this.#ask();
    await this.#untilAnswered();
    expect(rig.hopeless, "no worker is given up").to.equal(undefined);
    expect(rig.head.quarantine(), "no record is to blame").to.deep.equal([]);
    expect(await rig.restarts("failed"), "no thread is given what it cannot do").to.equal(0);
    await rig.stop();
  }

  async #push(number: number): Promise<void> {
    this.#begun |= 1 << number;
    const { rig } = this;
    const records = await this.#again(() => rig.compute.encode(taskOf(2 ** number, SERVICES[number % SERVICES.length]!, rig.open)));
    if (records === undefined) return;
    for (const { identity } of records) this.#bitOf.set(Buffer.from(identity).toString("latin1"), 1 << number);
    await rig.keep(records);
    this.#acked |= 1 << number;
  }

  /** True where it was answered. */
  async #ask(): Promise<boolean> {
    const mustHold = this.#acked;
    const pin = this.rig.generations.pin();
    const sealed = this.#cut !== undefined && this.rig.generations.of(this.#cut.cutId) === undefined ? this.#cut.bits : 0;
    try {
      const { compute } = this.rig;
      const partials = await compute.scan(scanOf(pin.generations), never);
      const records = partials.reduce((sum, { recordCount }) => sum + recordCount, 0);
      const finished = await compute.finish({ kind: "flame-graph", maxNodes: 100, form: "json" }, partials, never);
      if (finished.kind !== "reply") throw new Error("a flame graph is a reply");
      const { flamegraph } = JSON.parse(Buffer.from(finished.bytes).toString()) as { readonly flamegraph: { readonly total?: string } };
      const found = Number(flamegraph.total ?? 0);
      expect(bitCount(found), "each record counts once").to.equal(records);
      expect(mustHold & ~(found | sealed), "nothing acked is missing").to.equal(0);
      expect(found & ~this.#begun, "nothing is found that was not pushed").to.equal(0);
      expect(found & sealed, "what is in segments is not in memory").to.equal(0);
      this.answerCount++;
      return true;
    } catch (error) {
      if (!(error instanceof CodedError) || !(ASKED_AGAIN.has(error.code) || GIVEN_UP.has(error.code))) throw error;
      this.refusalCount++;
      return false;
    } finally {
      pin.release();
    }
  }

  /** Each answer comes in the end, also to a question that is refused for a while. */
  async #untilAnswered(): Promise<void> {
    while (!(await this.#ask())) await this.world.clock.sleep(1000);
  }

  async #build(generation: number, recordCount: number): Promise<void> {
    expect(await this.#again(() => this.rig.built(generation)), "a segment holds each record of its cut").to.equal(recordCount);
  }

  /** Undefined: given up. */
  async #again<T>(ask: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        if (GIVEN_UP.has(error.code)) return undefined;
        if (!ASKED_AGAIN.has(error.code)) throw error;
        this.refusalCount++;
        await this.world.clock.sleep(1000);
      }
    }
  }
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits; left > 0; left &= left - 1) count++;
  return count;
}

function methodOf(call: WorkerCall): string {
  return isPush(call) ? "push" : call.method;
}

async function runWith(seed: number, endAt?: EndAt): Promise<History> {
  const history = new History(seed, endAt);
  await history.world.run(history.run());
  return history;
}

describe("workers that die at any moment", function () {
  this.timeout(120_000);
  const seeds = [1, 2];
  const stepCounts = new Map<number, number>();
  before(async () => {
    for (const seed of seeds) stepCounts.set(seed, (await runWith(seed)).threads.stepCount);
    for (const seed of seeds) expect(stepCounts.get(seed)).to.be.above(100);
  });

  it("the history, with nobody dying, has a moment of each kind, of each kind of call", async () => {
    const seen = new Set<string>();
    const history = await runWith(1, ({ at, calls }) => {
      for (const call of calls) seen.add(`${at} ${methodOf(call)}`);
      return undefined;
    });
    for (const method of ["push", "scan", "finish", "build", "rows", "settings", "drop"]) for (const at of ["arrival", "call", "reply"]) expect(seen, "seen").to.include(`${at} ${method}`);
    expect(seen).to.include("slice scan");
    expect([history.answerCount > 5, history.refusalCount]).to.deep.equal([true, 0]);
  });

  it("one death, at each moment in turn: what was acked is in every later answer, once, and in the segment", async () => {
    for (const seed of seeds) {
      for (let at = 0; at < stepCounts.get(seed)!; at += seed) {
        const end = at % 2 === 0 ? CRASHED : OUT_OF_MEMORY;
        await runWith(seed, ({ step }) => (step === at ? end : undefined)).catch((error: unknown) => expect.fail(`seed ${seed}, death at step ${at}: ${String(error)}`));
      }
    }
  });

  it("two deaths, the second at any moment after the first, of the same worker or of the other: the same", async () => {
    for (const seed of seeds) {
      for (let at = seed; at < stepCounts.get(seed)!; at += 7) {
        // Soon after it, so that most are while rows are read back.
        for (const after of [1, 3, 8, 21]) {
          await runWith(seed, ({ step }) => (step === at || step === at + after ? CRASHED : undefined)).catch((error: unknown) => expect.fail(`seed ${seed}, deaths at steps ${at} and ${at + after}: ${String(error)}`));
        }
      }
    }
  });

  it("a death at each moment of the read-back: rows are read back once more", async () => {
    let momentCount = 0;
    for (let nth = 0; ; nth++) {
      let [first, count, hasDied] = [true, 0, false];
      await runWith(1, ({ at, calls, epoch, worker }) => {
        // The first: after a push was acked.
        if (first && at === "arrival" && calls.some((call) => methodOf(call) === "scan") && worker === 0) {
          first = false;
          return CRASHED;
        }
        if (first || epoch === 0 || worker !== 0 || hasDied || !calls.some((call) => methodOf(call) === "insert")) return undefined;
        hasDied = count++ === nth;
        return hasDied ? OUT_OF_MEMORY : undefined;
      }).catch((error: unknown) => expect.fail(`moment ${nth} of the read-back: ${String(error)}`));
      if (!hasDied) break;
      momentCount++;
    }
    expect(momentCount, "a page or more were read back").to.be.above(5);
  });

  it("a stop at any moment, also while a worker is started again: it ends, and nobody waits for ever", async () => {
    for (let at = 0; at < 300; at += 3) {
      const history = new History(1, ({ step }) => (step === Math.floor(at / 2) ? CRASHED : undefined));
      let stopping: Promise<void> | undefined;
      let isOver = false;
      const work = history.run().then(
        () => (isOver = true),
        (error: unknown) => {
          if (!(error instanceof CodedError) || error.code !== "COMPUTE_STOPPED") throw error;
          isOver = true;
        },
      );
      await history.world
        .run(work, (step) => {
          if (step === at) stopping = history.rig.compute?.stop();
        })
        .catch((error: unknown) => expect.fail(`stop at step ${at}: ${String(error)}`));
      await history.world.run(stopping ?? Promise.resolve());
      await history.world.deliverAll();
      expect(isOver).to.equal(true);
      expect(history.rig.lines.filter(({ level, message }) => level === "error" && !message.startsWith("a worker thread died")), `stop at step ${at}`).to.deep.equal([]);
    }
  });

  it("the same seed and the same death give the same history", async () => {
    const [a, b] = [await runWith(2, ({ step }) => (step === 40 ? CRASHED : undefined)), await runWith(2, ({ step }) => (step === 40 ? CRASHED : undefined))];
    expect(a.world.history).to.deep.equal(b.world.history);
    expect(a.refusalCount).to.equal(b.refusalCount);
  });
});
