/** Queries over the heads of several stores and one bucket: the histories of the model (`../shared/model`) that concern reads, and random ones. */
import { expect } from "chai";
import { HeadsWorld } from "../../testing/heads-world.ts";
import type { QueryOutcome } from "../../testing/heads-world.ts";

describe("a query over several heads", () => {
  let world: HeadsWorld;
  beforeEach(async () => {
    world = new HeadsWorld(["a", "b", "c"]);
    await world.start();
  });

  it("counts each record once, whoever keeps it, and is the same from every node", async () => {
    await world.push(0, ["a", "b", "c"]);
    await world.push(1, ["b", "c", "a"]);
    await world.push(2, ["c", "a", "b"], ["c", "b"]);
    await world.push(3, ["a", "b", "c"], ["b", "c"]);
    const answers: QueryOutcome[] = [];
    for (const name of world.names) answers.push(await world.query(name));
    expect([...answers[0]!.counts]).deep.equal([[0, 1], [1, 1], [2, 1], [3, 1]]);
    for (const { answer } of answers) expect(answer.receipt).deep.equal(answers[0]!.answer.receipt);
    expect(answers[0]!.answer.receipt.storeCount).equal(3);
  });
});
