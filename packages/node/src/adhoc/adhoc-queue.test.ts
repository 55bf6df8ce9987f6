import { CodedError } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import type { QueryTurns } from "../read/query-turns.ts";
import { adHocQueue } from "./adhoc-queue.ts";

const never = (): AbortSignal => new AbortController().signal;

/** Work that ends when it is told. */
class Work {
  hasBegun = false;
  end!: () => void;
  readonly run = (): Promise<string> => {
    this.hasBegun = true;
    return new Promise((resolve) => (this.end = () => resolve("done")));
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const codeOf = (running: Promise<unknown>): Promise<unknown> => running.then(() => "", (thrown: unknown) => (thrown instanceof CodedError ? [thrown.code, thrown.kind] : thrown));

describe("the queue of ad hoc profiles", () => {
  let clock: ManualClock;
  let queue: QueryTurns;
  beforeEach(() => {
    clock = new ManualClock();
    queue = adHocQueue({ clock });
  });

  it("two are drawn at once, and the third when one of them ends", async () => {
    const works = [new Work(), new Work(), new Work()];
    const running = works.map((work) => queue.run("a", "scan", never(), work.run));
    await turn();
    expect(works.map(({ hasBegun }) => hasBegun)).to.deep.equal([true, true, false]);
    works[0]!.end();
    expect(await running[0]).to.equal("done");
    await turn();
    expect(works[2]!.hasBegun).to.equal(true);
  });

  it("a tenant with many waiting does not keep another from its turn", async () => {
    const [first, second] = [new Work(), new Work()];
    void queue.run("a", "scan", never(), first.run);
    void queue.run("a", "scan", never(), second.run);
    const own = Array.from({ length: 32 }, () => new Work());
    const waiting = own.map((work) => codeOf(queue.run("a", "scan", never(), work.run)));
    const other = new Work();
    void queue.run("b", "scan", never(), other.run);
    await turn();
    expect(await waiting.at(-1), "the newest of the tenant with the most makes room").to.deep.equal(["ADHOC_BUSY", "unavailable"]);
    first.end();
    second.end();
    await turn();
    await turn();
    expect([own[0]!.hasBegun, other.hasBegun]).to.deep.equal([true, true]);
  });

  it("who waits too long is refused, and who went away leaves the queue", async () => {
    for (let i = 0; i < 2; i++) void queue.run("a", "scan", never(), new Work().run);
    const late = new Work();
    const refused = codeOf(queue.run("a", "scan", never(), late.run));
    const gone = new AbortController();
    const left = codeOf(queue.run("a", "scan", gone.signal, late.run));
    await turn();
    gone.abort(new Error("gone"));
    expect(String(await left)).to.contain("gone");
    clock.advance(10_000);
    expect(await refused).to.deep.equal(["ADHOC_BUSY", "unavailable"]);
    expect(late.hasBegun).to.equal(false);
  });

  it("work that fails gives its place back", async () => {
    for (let i = 0; i < 5; i++) expect(await codeOf(queue.run("a", "listing", never(), () => Promise.reject(new CodedError({ code: "X", kind: "internal", message: "x" }))))).to.deep.equal(["X", "internal"]);
    expect(await queue.run("a", "listing", never(), () => Promise.resolve(3))).to.equal(3);
  });
});
