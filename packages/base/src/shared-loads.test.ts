import { expect } from "chai";
import { SharedLoads } from "./shared-loads.ts";

/** A load that ends when the test says so. It keeps its signal. */
class Held {
  readonly signals: AbortSignal[] = [];
  #resolve: (value: string) => void = () => {};
  #reject: (error: Error) => void = () => {};

  readonly load = (signal: AbortSignal): Promise<string> => {
    this.signals.push(signal);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  };

  finish(value: string): void {
    this.#resolve(value);
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const reasonOf = (asked: Promise<unknown>): Promise<unknown> => asked.then(() => undefined, (reason: unknown) => reason);

describe("shared loads", () => {
  it("all callers during a load share it; a later one begins another", async () => {
    const [loads, held] = [new SharedLoads<string>(), new Held()];
    const asked = [1, 2, 3].map(() => loads.run("k", held.load, never));
    await turn();
    expect([held.signals.length, loads.loadCount]).to.deep.equal([1, 1]);
    held.finish("v");
    expect(await Promise.all(asked)).to.deep.equal(["v", "v", "v"]);
    expect(loads.loadCount).to.equal(0);
    const later = loads.run("k", held.load, never);
    await turn();
    expect(held.signals.length).to.equal(2);
    held.finish("w");
    expect(await later).to.equal("w");
  });

  it("a caller that goes away does not fail the others, and when the last one goes the load is aborted", async () => {
    const [loads, held] = [new SharedLoads<string>(), new Held()];
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = [reasonOf(loads.run("k", held.load, first.signal)), reasonOf(loads.run("k", held.load, second.signal))];
    await turn();
    const gone = new Error("the first went away");
    first.abort(gone);
    expect(await asked[0]).to.equal(gone);
    expect(held.signals[0]!.aborted, "the second still waits").to.equal(false);
    const third = loads.run("k", held.load, never);
    second.abort(new Error("the second too"));
    await asked[1];
    expect(held.signals[0]!.aborted, "the third still waits").to.equal(false);
    held.finish("v");
    expect(await third).to.equal("v");

    const last = new AbortController();
    const alone = reasonOf(loads.run("k", held.load, last.signal));
    await turn();
    last.abort(gone);
    expect(await alone).to.equal(gone);
    expect(held.signals[1]!.aborted).to.equal(true);
    expect(loads.loadCount).to.equal(0);
  });

  it("a caller that is gone before it asks begins no load", async () => {
    const [loads, held] = [new SharedLoads<string>(), new Held()];
    const gone = new Error("gone");
    expect(await reasonOf(loads.run("k", held.load, AbortSignal.abort(gone)))).to.equal(gone);
    await turn();
    expect(held.signals.length).to.equal(0);
  });

  it("a failure reaches all callers that wait, and is not kept", async () => {
    const [loads, held] = [new SharedLoads<string>(), new Held()];
    const asked = [1, 2].map(() => reasonOf(loads.run("k", held.load, never)));
    await turn();
    const failure = new Error("no");
    held.fail(failure);
    expect(await Promise.all(asked)).to.deep.equal([failure, failure]);
    const again = loads.run("k", held.load, never);
    await turn();
    held.finish("v");
    expect(await again).to.equal("v");
  });

  it("a forgotten load is aborted once all callers that wait for it have gone", async () => {
    const [loads, held] = [new SharedLoads<string>(), new Held()];
    const last = new AbortController();
    const asked = reasonOf(loads.run("k", held.load, last.signal));
    await turn();
    loads.forget("k");
    const gone = new Error("gone");
    last.abort(gone);
    expect(await asked).to.equal(gone);
    expect(held.signals[0]!.aborted).to.equal(true);
  });

  it("a forgotten load still answers callers that wait, is not current, and is not shared with new ones", async () => {
    const [loads, old, fresh] = [new SharedLoads<string>(), new Held(), new Held()];
    const before = loads.run("k", old.load, never);
    await turn();
    expect(loads.isCurrent("k", old.signals[0]!)).to.equal(true);
    loads.forget("k");
    expect(loads.isCurrent("k", old.signals[0]!)).to.equal(false);
    const after = loads.run("k", fresh.load, never);
    await turn();
    fresh.finish("new");
    old.finish("old");
    expect(await Promise.all([before, after])).to.deep.equal(["old", "new"]);
  });

  it("leaves no listener on a caller's signal", async () => {
    const loads = new SharedLoads<string>();
    const { signal } = new AbortController();
    let count = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>): void => (count++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>): void => (count--, remove(...args));
    await Promise.all([1, 2, 3].map((n) => loads.run(`k${n}`, async () => "v", signal)));
    await turn();
    expect(count).to.equal(0);
  });
});
