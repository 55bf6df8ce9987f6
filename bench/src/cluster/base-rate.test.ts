import { expect } from "chai";
import { baseOf, searchBase } from "./base-rate.ts";

describe("bench cluster overload", () => {
  it("base rate: found from below and from above, within a tenth, in at most 25 trials", async () => {
    for (const limit of [7, 40, 97, 100, 130, 500, 1_000]) {
      for (const first of [10, 100, 900]) {
        const trials = await searchBase(first, async (perSecond) => perSecond <= limit);
        expect(baseOf(trials), `limit ${limit}, first ${first}`).to.be.within(limit * 0.9, limit);
        expect(trials.length).to.be.below(25);
      }
    }
  });

  it("base rate: one trial that fails does not end the search, two of the same rate do", async () => {
    const tried = new Set<number>();
    const trials = await searchBase(100, async (perSecond) => {
      const isFirst = !tried.has(perSecond);
      tried.add(perSecond);
      return perSecond <= 500 && !isFirst;
    });
    expect(baseOf(trials)).to.be.within(450, 500);
  });

  it("base rate: where nothing is taken it says so", async () => {
    const error = await searchBase(10, async () => false).catch((thrown: Error) => thrown);
    expect(error).to.be.instanceOf(Error).with.property("message").that.matches(/not even 1\.\d pushes a second/);
  });
});
