import { expect } from "chai";
import { HISTORIES } from "./testing/model-histories.ts";
import { runHistory } from "./testing/model-world.ts";
import { runRandomHistory } from "./testing/random-history.ts";

describe("membership: the histories of the model, over member tables", () => {
  for (const { name, world, off, history, violation } of HISTORIES) {
    it(`${name}: ${violation} without ${off.join(", ")}, kept with every rule`, () => {
      const mustAnswer = violation === "refusedForEver";
      expect(runHistory(world, off, history, mustAnswer)?.kind).to.equal(violation);
      expect(runHistory(world, [], history, mustAnswer)).to.equal(undefined);
    });
  }
});

describe("membership: random histories of the model, over member tables", () => {
  // Tens of thousands were run when the rules were written; these few guard against what is broken at once.
  it("keep every promise", () => {
    for (let seed = 1; seed <= 60; seed++) expect(runRandomHistory(seed).violation, `seed ${seed}`).to.equal(undefined);
  }).timeout(60_000);

  it("are the same again from the same seed", () => {
    const first = runRandomHistory(7);
    expect(runRandomHistory(7).history).deep.equal(first.history);
    expect(first.world.counts.acks).to.be.greaterThan(0);
  });
});
