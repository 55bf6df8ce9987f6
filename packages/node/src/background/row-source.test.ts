import type { Head } from "@pyromesh/head";
import { expect } from "chai";
import { Generations } from "./generations.ts";
import { rowSource } from "./row-source.ts";

describe("row source", () => {
  const generations = new Generations(() => {});
  const head = { nextSeq: 7, cuts: () => [{ cutId: 3 }, { cutId: 4 }] } as unknown as Head; // only what is asked here
  const source = rowSource(head, generations);

  it("a record goes to the generation of the cut it belongs to now, one that is not cut yet to the open one", () => {
    const [ofThird, ofFourth] = [0, 1].map((offset) => generations.open + offset);
    generations.turn(3);
    generations.turn(4);
    expect([source.generationOf(3), source.generationOf(4), source.generationOf(undefined)]).deep.equal([ofThird, ofFourth, generations.open]);
    expect([...source.liveGenerations]).have.members([ofThird, ofFourth, generations.open]);
    expect(source.nextSeq).equal(7);
  });

  it("a cut that was sealed meanwhile has none: its records are in a segment", () => {
    generations.leave(3);
    expect(source.generationOf(3)).equal(undefined);
    expect([...source.liveGenerations]).have.members([source.generationOf(4), generations.open]);
  });
});
