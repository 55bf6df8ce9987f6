import { expect } from "chai";
import { Generations } from "./generations.ts";

describe("generations", () => {
  let dropped: number[];
  let generations: Generations;
  beforeEach(() => {
    dropped = [];
    generations = new Generations((generation) => void dropped.push(generation));
  });

  it("a cut ends the open generation, and the next rows go to another", () => {
    const former = generations.open;
    generations.turn(1);
    expect(generations.of(1)).equal(former);
    expect(generations.open).not.equal(former);
    expect([...generations.pin().generations]).have.members([former, generations.open]);
  });

  it("one that no query planned is dropped in the turn in which its cut is sealed", () => {
    const former = generations.open;
    generations.turn(1);
    generations.leave(1);
    expect(dropped).deep.equal([former]);
    expect(generations.of(1)).equal(undefined);
  });

  it("one that queries planned stays until the last of them ends, and no later query plans it", () => {
    const former = generations.open;
    const pins = [generations.pin(), generations.pin()];
    generations.turn(1);
    generations.leave(1);
    expect(generations.pin().generations).not.include(former);
    pins[0]!.release();
    expect(dropped).deep.equal([]);
    pins[1]!.release();
    expect(dropped).deep.equal([former]);
  });

  it("a query that ends twice ends once", () => {
    const [first, second] = [generations.pin(), generations.pin()];
    generations.turn(1);
    generations.leave(1);
    first.release();
    first.release();
    expect(dropped, "the second still reads").deep.equal([]);
    second.release();
    expect(dropped).length(1);
  });

  it("cuts may be sealed in any order, and one that is sealed twice leaves once", () => {
    for (const cutId of [1, 2, 3]) generations.turn(cutId);
    const second = generations.of(2);
    generations.leave(2);
    generations.leave(2);
    expect(dropped).deep.equal([second]);
    expect([generations.of(1), generations.of(3)].every((generation) => generations.pin().generations.includes(generation!))).equal(true);
  });

  it("a query that pins between any two steps plans each generation that holds rows", () => {
    const seen = (): readonly number[] => {
      const { generations: pinned, release } = generations.pin();
      release();
      return pinned;
    };
    const filled = [generations.open];
    for (const cutId of [1, 2]) {
      generations.turn(cutId);
      filled.push(generations.open);
      expect(seen()).have.members(filled);
    }
    generations.leave(1);
    filled.shift();
    expect(seen()).have.members(filled);
  });
});
