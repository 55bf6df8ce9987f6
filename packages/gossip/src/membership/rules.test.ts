import { expect } from "chai";
import { HISTORIES } from "./testing/model-histories.ts";
import { runHistory } from "./testing/model-world.ts";

describe("membership: the histories of the model, over member tables", () => {
  for (const { name, world, off, history, violation } of HISTORIES) {
    it(`${name}: ${violation} without ${off.join(", ")}, kept with every rule`, () => {
      const mustAnswer = violation === "refusedForEver";
      expect(runHistory(world, off, history, mustAnswer)?.kind).to.equal(violation);
      expect(runHistory(world, [], history, mustAnswer)).to.equal(undefined);
    });
  }
});
