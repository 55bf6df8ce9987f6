import { expect } from "chai";
import { ByteBudget, readAhead } from "./read-ahead.ts";
import type { JobContext } from "./read-ahead.ts";

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Jobs that end when told. */
class Jobs {
  readonly begun: string[] = [];
  readonly contexts = new Map<string, JobContext>();
  readonly #ends = new Map<string, { resolve: (value: string) => void; reject: (error: Error) => void }>();
  /** Bytes of each, asked for before it begins its work. */
  sizeBytes = 0;

  readonly run = async (name: string, context: JobContext): Promise<string> => {
    if (this.sizeBytes > 0) await context.reserve(this.sizeBytes);
    this.begun.push(name);
    this.contexts.set(name, context);
    return new Promise((resolve, reject) => {
      this.#ends.set(name, { resolve, reject });
      context.signal.addEventListener("abort", () => reject(context.signal.reason as Error));
    });
  };

  end(...names: readonly string[]): void {
    for (const name of names) this.#ends.get(name)!.resolve(name);
  }
}

const GROUPS = [["a1", "a2", "a3"], ["b1"], ["c1", "c2"], ["d1"]];
const few = { jobCountMax: 2, aheadCountMax: 100 };
const reasonOf = (asked: Promise<unknown>): Promise<unknown> => asked.then(() => undefined, (reason: unknown) => reason);

describe("read ahead", () => {
  it("hands groups out in order, in whatever order their jobs end, with `jobCountMax` jobs under way", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(100)];
    const groups = readAhead(GROUPS, jobs.run, { budget, signal: never }, few);
    const first = groups.next();
    await turn();
    expect(jobs.begun).to.deep.equal(["a1", "a2"]);
    jobs.end("a2");
    await turn();
    jobs.end("a3");
    await turn();
    expect(jobs.begun).to.deep.equal(["a1", "a2", "a3", "b1"]);
    jobs.end("a1");
    expect((await first).value).to.deep.equal(["a1", "a2", "a3"]);
    jobs.end("b1");
    await turn();
    expect(jobs.begun, "while the first group is scanned").to.include.members(["c1", "c2"]);
    expect((await groups.next()).value).to.deep.equal(["b1"]);
    jobs.end("c2", "c1");
    expect((await groups.next()).value).to.deep.equal(["c1", "c2"]);
    await turn();
    jobs.end("d1");
    expect((await groups.next()).value).to.deep.equal(["d1"]);
    expect((await groups.next()).done).to.equal(true);
  });

  it("at most `aheadCountMax` outcomes wait, however slow the first group is", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(100)];
    const groups = readAhead([["slow"], ...Array.from({ length: 20 }, (_, i) => [`g${i}`])], jobs.run, { budget, signal: never }, { jobCountMax: 3, aheadCountMax: 5 });
    const first = groups.next();
    for (let i = 0; i < 20; i++) {
      await turn();
      jobs.end(...jobs.begun.filter((name) => name !== "slow"));
    }
    expect(jobs.begun).to.deep.equal(["slow", "g0", "g1", "g2", "g3"]);
    jobs.end("slow");
    await first;
    await turn();
    expect(jobs.begun.length).to.equal(6);
    await groups.return(undefined);
  });

  it("a later group waits for bytes; the current one never does, though it is larger than the budget", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(100)];
    jobs.sizeBytes = 60;
    const groups = readAhead(GROUPS, jobs.run, { budget, signal: never }, { jobCountMax: 10, aheadCountMax: 100 });
    const first = groups.next();
    await turn();
    expect(jobs.begun, "180 bytes of the current group").to.deep.equal(["a1", "a2", "a3"]);
    jobs.end("a1", "a2", "a3");
    await first;
    await turn();
    expect(budget.usedBytes, "not given back before the next group is asked for").to.equal(180);
    const second = groups.next();
    await turn();
    expect(jobs.begun.slice(3)).to.deep.equal(["b1"]);
    jobs.end("b1");
    await second;
    const third = groups.next();
    await turn();
    expect(jobs.begun.slice(4)).to.deep.equal(["c1", "c2"]);
    jobs.end("c1", "c2");
    await third;
    await groups.return(undefined);
    expect(budget.usedBytes).to.equal(0);
  });

  it("all queries share the bytes: one that waits goes on as soon as another has scanned its group", async () => {
    const [mine, other, budget] = [new Jobs(), new Jobs(), new ByteBudget(100)];
    mine.sizeBytes = other.sizeBytes = 40;
    const first = readAhead([["a"], ["b"]], mine.run, { budget, signal: never }, few);
    const second = readAhead([["x"], ["y"]], other.run, { budget, signal: never }, few);
    const asked = [first.next(), second.next()];
    await turn();
    expect([...mine.begun, ...other.begun]).to.deep.equal(["a", "b", "x"]);
    mine.end("a", "b");
    await asked[0];
    await first.next();
    await turn();
    expect(other.begun, "80 bytes are held still").to.deep.equal(["x"]);
    await first.return(undefined);
    await turn();
    expect(other.begun).to.deep.equal(["x", "y"]);
    other.end("x", "y");
    await asked[1];
    await second.next();
    await second.return(undefined);
    expect(budget.usedBytes).to.equal(0);
  });

  it("past the bound the current group of one query is read, and those of others wait until it is scanned", async () => {
    const budget = new ByteBudget(100);
    const queries = Array.from({ length: 20 }, () => new Jobs());
    for (const jobs of queries) jobs.sizeBytes = 60;
    const groups = queries.map((jobs) => readAhead([["a", "b"], ["c"]], jobs.run, { budget, signal: new AbortController().signal }, few));
    const asked = groups.map((group) => group.next());
    const isBegun = ({ begun }: Jobs): boolean => begun.length > 0;
    const heldBytes: number[] = [];
    let current = 0;
    while (current < queries.length) {
      await turn();
      heldBytes.push(budget.usedBytes);
      current = queries.findIndex(({ begun }, index) => begun.includes("b") && index >= current);
      expect(current, "one of them goes on").to.be.at.least(0);
      queries[current]!.end("a", "b");
      await asked[current];
      await groups[current]!.return(undefined);
      current++;
    }
    expect(queries.filter(isBegun).length, "each was read in the end").to.equal(queries.length);
    expect(Math.max(...heldBytes), "the bound and one group of 120").to.be.at.most(220);
    expect(budget.usedBytes).to.equal(0);
  });

  it("the outcomes handed out are emptied when the next group is asked for, although the caller still has the array", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(100)];
    const groups = readAhead([["a"], ["b"]], jobs.run, { budget, signal: never }, few);
    const first = groups.next();
    await turn();
    jobs.end("a", "b");
    const handedOut: readonly string[] = (await first).value ?? [];
    expect(handedOut).to.deep.equal(["a"]);
    await groups.next();
    expect(handedOut).to.deep.equal([]);
    await groups.return(undefined);
  });

  it("a query that ends while it is past the bound lets the next one go on", async () => {
    const [mine, other, budget, caller] = [new Jobs(), new Jobs(), new ByteBudget(100), new AbortController()];
    mine.sizeBytes = other.sizeBytes = 150;
    const first = readAhead([["a"]], mine.run, { budget, signal: caller.signal }, few);
    const second = readAhead([["x"]], other.run, { budget, signal: never }, few);
    const asked = [reasonOf(first.next()), second.next()];
    await turn();
    expect([...mine.begun, ...other.begun]).to.deep.equal(["a"]);
    caller.abort(new Error("gone"));
    await asked[0];
    await turn();
    expect(other.begun).to.deep.equal(["x"]);
    other.end("x");
    await asked[1];
    await second.return(undefined);
    expect(budget.usedBytes).to.equal(0);
  });

  it("a group that is larger than may ever be held is refused", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(100, { groupBytesMax: 250 })];
    jobs.sizeBytes = 100;
    const reason = await reasonOf(readAhead([["a", "b", "c"]], jobs.run, { budget, signal: never }, { jobCountMax: 10, aheadCountMax: 100 }).next());
    expect(reason).to.include({ code: "QUERY_OUT_OF_MEMORY", kind: "failed_precondition" });
    expect(budget.usedBytes).to.equal(0);
  });

  it("when the caller goes away jobs under way end, none begins, and all bytes are given back", async () => {
    const [jobs, budget, caller] = [new Jobs(), new ByteBudget(1000), new AbortController()];
    jobs.sizeBytes = 10;
    const groups = readAhead(GROUPS, jobs.run, { budget, signal: caller.signal }, few);
    const first = reasonOf(groups.next());
    await turn();
    const gone = new Error("gone");
    caller.abort(gone);
    expect(await first).to.equal(gone);
    await turn();
    expect(jobs.begun).to.deep.equal(["a1", "a2"]);
    expect(jobs.contexts.get("a1")!.signal.aborted).to.equal(true);
    expect(budget.usedBytes).to.equal(0);
  });

  it("leaving the loop ends the jobs under way and gives all bytes back, too", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(1000)];
    const groups = readAhead(GROUPS, jobs.run, { budget, signal: never }, few);
    const first = groups.next();
    await turn();
    jobs.end("a1", "a2");
    await turn();
    jobs.end("a3");
    await first;
    await turn();
    await groups.return(undefined);
    expect(jobs.contexts.get("b1")!.signal.aborted).to.equal(true);
    const countBefore = jobs.begun.length;
    await turn();
    expect(jobs.begun.length).to.equal(countBefore);
  });

  it("a query whose caller had left before it began begins nothing", async () => {
    const [jobs, budget] = [new Jobs(), new ByteBudget(1000)];
    const gone = new Error("gone");
    expect(await reasonOf(readAhead(GROUPS, jobs.run, { budget, signal: AbortSignal.abort(gone) }).next())).to.equal(gone);
    expect(jobs.begun).to.deep.equal([]);
  });
});
