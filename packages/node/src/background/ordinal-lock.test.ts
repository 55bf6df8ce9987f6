import { expect } from "chai";
import { OrdinalLock } from "./ordinal-lock.ts";

describe("ordinal lock", () => {
  it("callers come one after the other, in the order in which they asked, also after one that fails", async () => {
    const lock = new OrdinalLock();
    const steps: string[] = [];
    const work = (name: string, fails = false) => async (): Promise<string> => {
      steps.push(`${name} begins`);
      await Promise.resolve();
      steps.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
    const outcomes = await Promise.allSettled([lock.run(work("a")), lock.run(work("b", true)), lock.run(work("c"))]);
    expect(steps).deep.equal(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
    expect(outcomes.map(({ status }) => status)).deep.equal(["fulfilled", "rejected", "fulfilled"]);
  });
});
