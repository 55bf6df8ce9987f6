import { expect } from "chai";
import { MemoryBudget } from "./memory-budget.ts";
import { ManualClock } from "./testing/manual-clock.ts";

function open(bytesMax: number): { readonly budget: MemoryBudget; readonly clock: ManualClock } {
  const clock = new ManualClock();
  return { budget: new MemoryBudget({ bytesMax, waitTimeoutMs: 5000 }, { clock }), clock };
}

/** Undefined while the caller waits. */
async function stateOf(outcome: Promise<boolean>): Promise<boolean | undefined> {
  return Promise.race([outcome, Promise.resolve().then(() => undefined)]);
}

describe("memory budget", () => {
  it("holds no more than its bound, and what is given back is free again", () => {
    const { budget } = open(100);
    expect(budget.tryTake(60)).to.equal(true);
    expect(budget.tryTake(41)).to.equal(false);
    expect(budget.tryTake(40)).to.equal(true);
    budget.give(60);
    expect(budget.bytes).to.equal(40);
    expect(budget.tryBegin(60, false)).to.equal(true);
  });

  it("a caller that finds no room waits, first come first served, and holds nothing meanwhile", async () => {
    const { budget, clock } = open(100);
    budget.tryTake(100);
    const first = budget.wait(50, false);
    const second = budget.wait(50, false);
    const third = budget.wait(10, false);
    expect(budget.bytes).to.equal(100);
    budget.give(50);
    expect([await stateOf(first.outcome), await stateOf(second.outcome), await stateOf(third.outcome)]).to.deep.equal([true, undefined, undefined]);
    budget.give(100);
    expect(await Promise.all([second.outcome, third.outcome])).to.deep.equal([true, true]);
    expect([budget.bytes, budget.waitingCount, clock.timerCount]).to.deep.equal([60, 0, 0]);
  });

  it("nobody overtakes a caller in the same queue", () => {
    const { budget } = open(100);
    budget.tryTake(90);
    budget.wait(50, false);
    expect(budget.tryBegin(5, false)).to.equal(false);
  });

  it("a caller that waits too long is refused and holds nothing; one behind it that fits gets in", async () => {
    const { budget, clock } = open(100);
    budget.tryTake(60);
    const large = budget.wait(80, false);
    clock.advance(4000);
    const small = budget.wait(30, false);
    clock.advance(1000);
    expect([await large.outcome, await small.outcome]).to.deep.equal([false, true]);
    expect(budget.bytes).to.equal(90);
  });

  it("a caller that cancels its wait changes nothing for the others", async () => {
    const { budget, clock } = open(100);
    budget.tryTake(100);
    const gone = budget.wait(10, false);
    gone.cancel();
    gone.cancel();
    expect(await gone.outcome).to.equal(false);
    budget.give(100);
    expect([budget.bytes, clock.timerCount]).to.deep.equal([0, 0]);
  });

  it("large requests leave a quarter free, and small ones do not wait behind them", async () => {
    const { budget } = open(100);
    expect(budget.largeBytesMax).to.equal(75);
    expect(budget.tryBegin(76, true), "it would never get in").to.equal(false);
    expect(budget.tryBegin(75, true)).to.equal(true);
    const large = budget.wait(60, true);
    expect(budget.tryBegin(25, false)).to.equal(true);
    budget.give(75);
    expect(await stateOf(large.outcome), "25 and 60 are more than 75").to.equal(undefined);
    budget.give(25);
    expect(await large.outcome).to.equal(true);
  });

  it("bytes that exist already count, even beyond the bound", async () => {
    const { budget } = open(100);
    budget.add(150);
    const waiting = budget.wait(10, false);
    budget.give(70);
    expect(await waiting.outcome).to.equal(true);
    expect(budget.bytes).to.equal(90);
  });
});
