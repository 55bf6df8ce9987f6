import type { ProfileSource } from "@pyromesh/api";
import { CodedError, Metrics } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { QueuedSource } from "./queued-source.ts";

/** Some turns of the loop: a question waits a few before it is asked, so that who has left already asks nothing. */
const turn = async (): Promise<void> => {
  for (let i = 0; i < 8; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
};
const never = new AbortController().signal;

/** A source whose answers come when told, by the question's number. */
class Rig {
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly running = new Map<number, { readonly end: (answer?: unknown) => void; readonly signal: AbortSignal }>();
  readonly queued: QueuedSource;
  /** Why nobody can answer. */
  refusal: Error | undefined;

  constructor(options: { readonly scans?: number; readonly waitingMax?: number } = {}) {
    const method = (query: { readonly number: number }, signal: AbortSignal): Promise<unknown> =>
      new Promise((resolve, reject) => {
        this.running.set(query.number, { signal, end: (answer = `answer ${query.number}`) => (answer instanceof Error ? reject(answer) : resolve(answer)) });
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      });
    const source = { flameGraph: method, listing: method } as unknown as ProfileSource; // only what is asked here
    const sourceNow = (): ProfileSource => {
      if (this.refusal !== undefined) throw this.refusal;
      return source;
    };
    this.queued = new QueuedSource({ runningMax: { scan: options.scans ?? 1, listing: 1 }, waitingMax: options.waitingMax ?? 10, waitMaxMs: 60_000 }, { source: sourceNow, clock: this.clock, metrics: this.metrics });
  }

  async ask(number: number, { tenant = "t1", method = "flameGraph", signal = never }: { tenant?: string; method?: "flameGraph" | "listing"; signal?: AbortSignal } = {}): Promise<unknown> {
    return (this.queued[method] as (query: object, signal: AbortSignal) => Promise<unknown>)({ tenants: [tenant], number }, signal);
  }

  get runningNumbers(): number[] {
    return [...this.running.keys()];
  }

  async end(number: number, answer?: unknown): Promise<void> {
    this.running.get(number)!.end(answer);
    this.running.delete(number);
    await turn();
  }
}

async function refusalOf(asked: Promise<unknown>): Promise<CodedError> {
  const error = await asked.then(
    () => new Error("answered"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CodedError)) throw error;
  return error;
}

describe("queries in a queue", () => {
  it("where one scan may run at once they run one after the other, tenants in turn; a listing runs meanwhile", async () => {
    const rig = new Rig();
    const asked = [rig.ask(1), rig.ask(2), rig.ask(3), rig.ask(4, { tenant: "t2" }), rig.ask(5, { method: "listing" })];
    await turn();
    expect(rig.runningNumbers).to.deep.equal([1, 5]);
    for (const [number, then] of [[1, 2], [2, 4], [4, 3]] as const) {
      await rig.end(number);
      expect(rig.runningNumbers).to.include(then);
    }
    await rig.end(3);
    await rig.end(5);
    expect(await Promise.all(asked)).to.deep.equal([1, 2, 3, 4, 5].map((number) => `answer ${number}`));
  });

  it("are refused at once while nobody can answer, and take no place in the queue", async () => {
    const rig = new Rig({ waitingMax: 0 });
    rig.refusal = new CodedError({ code: "NODE_STARTING", kind: "unavailable", message: "the node is starting" });
    for (const number of [1, 2, 3]) expect((await refusalOf(rig.ask(number))).code).to.equal("NODE_STARTING");
    rig.refusal = undefined;
    const asked = rig.ask(4);
    await turn();
    await rig.end(4);
    expect(await asked).to.equal("answer 4");
  });

  it("one that fails gives its place to the next", async () => {
    const rig = new Rig();
    const [first, second] = [rig.ask(1).catch((error: Error) => error.message), rig.ask(2)];
    await turn();
    await rig.end(1, new Error("damaged"));
    expect(await first).to.equal("damaged");
    await rig.end(2);
    expect(await second).to.equal("answer 2");
  });

  it("past the bound a query is refused with 503 and the time in which those that wait will have had their turn", async () => {
    const rig = new Rig({ waitingMax: 4 });
    const asked = [1, 2, 3, 4, 5, 6].map((number) => rig.ask(number).catch((error: unknown) => error));
    for (const number of [1, 2]) {
      await turn();
      rig.clock.advance(3_000);
      await rig.end(number);
    }
    await turn();
    const full = (await asked[5]) as CodedError;
    expect([full.code, full.kind]).to.deep.equal(["QUERY_QUEUE_FULL", "unavailable"]);
    const more = [7, 8, 9].map((number) => rig.ask(number).catch((error: unknown) => error));
    const refused = (await more[2]) as CodedError;
    // Four wait, and this one; one ends in three seconds.
    expect(refused.details["retryAfterSeconds"]).to.equal(15);
    for (const number of [3, 4, 5, 7, 8]) await rig.end(number);
    await Promise.all([...asked, ...more]);
    const text = await rig.metrics.text();
    expect(text).to.include('pyromesh_queries_refused_total{reason="full",tenant="t1"} 2');
    expect(text).to.include('pyromesh_queries_waiting{class="scan"} 0');
    expect(text).to.include('pyromesh_queries_running{class="scan"} 0');
    expect(text).to.include('pyromesh_query_wait_seconds_count{class="scan"} 7');
  });

  it("another tenant's first query finds a place in a full queue, and the newest query of the tenant with most in it is refused", async () => {
    const rig = new Rig({ waitingMax: 2 });
    const asked = [1, 2, 3].map((number) => rig.ask(number).catch((error: unknown) => error));
    await turn();
    const other = rig.ask(4, { tenant: "t2" });
    expect(((await asked[2]) as CodedError).code).to.equal("QUERY_QUEUE_FULL");
    for (const number of [1, 2, 4]) await rig.end(number);
    expect(await other).to.equal("answer 4");
    await Promise.all(asked);
  });

  it("one that has waited too long is refused, and the others stay", async () => {
    const rig = new Rig();
    const first = rig.ask(1);
    const late = rig.ask(2).catch((error: unknown) => error);
    await turn();
    rig.clock.advance(30_000);
    const next = rig.ask(3);
    await turn();
    rig.clock.advance(30_000);
    const refused = (await late) as CodedError;
    expect([refused.code, refused.kind]).to.deep.equal(["QUERY_QUEUE_TIMEOUT", "unavailable"]);
    expect(refused.details["retryAfterSeconds"]).to.be.at.least(1);
    await rig.end(1);
    await rig.end(3);
    expect(await Promise.all([first, next])).to.deep.equal(["answer 1", "answer 3"]);
  });

  it("a caller that leaves while its query waits takes it out: it never runs", async () => {
    const rig = new Rig();
    const gone = new AbortController();
    const first = rig.ask(1);
    const left = rig.ask(2, { signal: gone.signal }).catch((error: Error) => error.message);
    const third = rig.ask(3);
    await turn();
    gone.abort(new Error("left"));
    expect(await left).to.equal("left");
    await rig.end(1);
    expect(rig.runningNumbers).to.deep.equal([3]);
    await rig.end(3);
    await Promise.all([first, third]);
  });

  it("a caller that leaves while its query runs ends it, and the next one runs", async () => {
    const rig = new Rig();
    const gone = new AbortController();
    const left = rig.ask(1, { signal: gone.signal }).catch((error: Error) => error.message);
    const second = rig.ask(2);
    await turn();
    gone.abort(new Error("left"));
    expect(await left).to.equal("left");
    await turn();
    expect(rig.running.get(1)!.signal.aborted).to.equal(true);
    await rig.end(2);
    expect(await second).to.equal("answer 2");
  });

  it("equal questions whose callers have all left already begin no run", async () => {
    const rig = new Rig();
    const gone = Array.from({ length: 5 }, () => new AbortController());
    const asked = gone.map(({ signal }) => rig.ask(1, { signal }).catch((error: Error) => error.message));
    // It is known of one after the other.
    for (const caller of gone) {
      caller.abort(new Error("left"));
      await Promise.resolve();
    }
    expect(new Set(await Promise.all(asked))).to.deep.equal(new Set(["left"]));
    await turn();
    expect(rig.runningNumbers).to.deep.equal([]);
  });

  it("equal questions take one place in the queue, and those that joined are counted", async () => {
    const rig = new Rig({ waitingMax: 1 });
    const first = rig.ask(1);
    const equal = Array.from({ length: 50 }, () => rig.ask(2));
    await turn();
    await rig.end(1);
    await rig.end(2);
    expect(new Set(await Promise.all(equal))).to.deep.equal(new Set(["answer 2"]));
    await first;
    expect(await rig.metrics.text()).to.include("pyromesh_queries_shared_total 49");
  });

  it("a question after a push was committed is asked anew", async () => {
    const rig = new Rig({ scans: 2 });
    const before = rig.ask(1);
    await turn();
    const { end } = rig.running.get(1)!;
    rig.running.clear();
    rig.queued.onCommitted("t1");
    const after = rig.ask(1);
    await turn();
    expect(rig.runningNumbers).to.deep.equal([1]);
    end("before");
    await rig.end(1, "after");
    expect(await Promise.all([before, after])).to.deep.equal(["before", "after"]);
  });

  it("a refusal is counted by tenant, as long as there are few tenants", async () => {
    const rig = new Rig({ waitingMax: 0 });
    const first = rig.ask(0);
    await turn();
    for (let i = 0; i < 1_002; i++) expect((await refusalOf(rig.ask(i + 1, { tenant: `tenant-${i}` }))).code).to.equal("QUERY_QUEUE_FULL");
    const lines = (await rig.metrics.text()).split("\n").filter((line) => line.startsWith("pyromesh_queries_refused_total{"));
    expect(lines.length).to.equal(1_001);
    expect(lines.at(-1)).to.equal('pyromesh_queries_refused_total{reason="full",tenant="(other)"} 2');
    await rig.end(0);
    await first;
  });
});
