import { expect } from "chai";
import { searchBase } from "./base-rate.ts";
import type { StepLength } from "./base-rate.ts";

describe("bench cluster overload: the base rate", () => {
  it("is found from below and from above, within a fifth, in at most 7 short steps", async () => {
    for (const limit of [97, 100, 130, 300, 1_000]) {
      for (const first of [limit / 2, limit * 0.6, limit * 1.5]) {
        const steps: StepLength[] = [];
        const base = await searchBase(first, async (perSecond, length) => steps.push(length) > 0 && perSecond <= limit);
        expect(base, `limit ${limit}, first ${first}`).to.be.within(limit * 0.8, limit);
        expect(steps.filter((length) => length === "short").length).to.be.at.most(7);
        expect(steps.filter((length) => length === "long")).to.have.length(1);
      }
    }
  });

  it("a rate that only short steps take is none: lower ones are tried until one holds", async () => {
    const base = await searchBase(300, async (perSecond, length) => perSecond <= (length === "short" ? 500 : 400));
    expect(base).to.be.within(280, 400);
  });

  it("where nothing holds it says so", async () => {
    const rates: number[] = [];
    const error = await searchBase(10, async (perSecond) => rates.push(perSecond) < 0).catch((thrown: Error) => thrown);
    expect(error).to.be.instanceOf(Error).with.property("message").that.matches(/^no rate holds, not even 0\.\d pushes a second$/);
    expect(rates).to.have.length(12);
  });
});
