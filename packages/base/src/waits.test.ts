import { expect } from "chai";
import { ManualClock } from "./testing/manual-clock.ts";
import { retryDelayMs, untilAborted, within } from "./waits.ts";

const never = new Promise<never>(() => undefined);
const lateError = (): Error => new Error("late");
const outcomeOf = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => (error as Error).message);

describe("waits", () => {
  it("the wait for shared work ends with its own signal, and the work goes on", async () => {
    const leaving = new AbortController();
    let finish!: (value: number) => void; // the promise sets it at once
    const work = new Promise<number>((resolve) => (finish = resolve));
    const [mine, others] = [untilAborted(work, leaving.signal), untilAborted(work, new AbortController().signal)];
    leaving.abort(new Error("gone"));
    expect(await outcomeOf(mine)).to.equal("gone");
    expect(await outcomeOf(untilAborted(work, leaving.signal)), "gone before it asks").to.equal("gone");
    finish(7);
    expect(await others).to.equal(7);
  });

  it("work that takes longer than its time limit is refused with the late error; other work has its own outcome", async () => {
    const { signal } = new AbortController();
    const clock = new ManualClock();
    const late = outcomeOf(within(never, { timeoutMs: 60_000, lateError }, { clock, signal }));
    clock.advance(60_000);
    expect(await late).to.equal("late");
    expect(await within(Promise.resolve(7), { timeoutMs: 60_000, lateError }, { clock, signal })).to.equal(7);
    expect(await outcomeOf(within(Promise.reject(new Error("failed")), { timeoutMs: 60_000, lateError }, { clock, signal }))).to.equal("failed");
    expect(await outcomeOf(within(never, { timeoutMs: 60_000, lateError }, { clock, signal: AbortSignal.abort(new Error("gone")) }))).to.equal("gone");
    expect(clock.timerCount).to.equal(0);
  });

  it("the wait after a failure doubles up to its bound and stays there", () => {
    const delaysMs = [1, 2, 3, 4, 5, 6, 7, 5000].map((failureCount) => retryDelayMs(failureCount, { firstMs: 500, maxMs: 15_000 }));
    expect(delaysMs).to.deep.equal([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });
});
