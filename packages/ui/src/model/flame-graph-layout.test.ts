import { expect } from "chai";
import fc from "fast-check";
import { boxAt, boxName, boxOfPath, layOutFlameGraph, pathOf } from "./flame-graph-layout.ts";
import { flameGraphOf, GOLDEN } from "./flame-graph-fixture.test.ts";

describe("flame graph layout", () => {
  it("the worked example of Pyroscope's encoding lies where its stacks say", () => {
    const layout = layOutFlameGraph(GOLDEN);
    const boxes = Array.from({ length: layout.boxCount }, (_, box) => [layout.level[box], boxName(layout, box), layout.start[box], layout.total[box], layout.self[box], layout.parent[box]]);
    expect(boxes).to.deep.equal([
      [0, "total", 0, 4, 0, -1],
      [1, "a", 0, 4, 0, 0],
      [2, "b", 0, 1, 0, 1],
      [2, "c", 1, 3, 2, 1],
      [3, "e", 0, 1, 1, 2],
      [3, "d", 3, 1, 1, 3],
    ]);
  });

  it("every box lies within its parent, and children are one run of numbers", () => {
    fc.assert(
      fc.property(stacks, (all) => {
        const layout = layOutFlameGraph(flameGraphOf(all));
        for (let box = 1; box < layout.boxCount; box += 1) {
          const parent = layout.parent[box]!;
          expect(layout.level[parent]).to.equal(layout.level[box]! - 1);
          expect(layout.start[box]).to.be.at.least(layout.start[parent]!);
          expect(layout.start[box]! + layout.total[box]!).to.be.at.most(layout.start[parent]! + layout.total[parent]!);
          expect(box - layout.childStart[parent]!).to.be.within(0, layout.childCount[parent]! - 1);
        }
      }),
    );
  });

  it("a point in the middle of a box finds that box", () => {
    fc.assert(
      fc.property(stacks, (all) => {
        const layout = layOutFlameGraph(flameGraphOf(all));
        for (let box = 0; box < layout.boxCount; box += 1) {
          expect(boxAt(layout, layout.level[box]!, layout.start[box]! + layout.total[box]! / 2)).to.equal(box);
        }
      }),
    );
  });

  it("a point beside every box, above and below the graph finds none", () => {
    const layout = layOutFlameGraph(GOLDEN);
    expect(boxAt(layout, 3, 2)).to.equal(-1);
    expect(boxAt(layout, 4, 0)).to.equal(-1);
    expect(boxAt(layout, -1, 0)).to.equal(-1);
    expect(boxAt(layout, 0, 4)).to.equal(-1);
  });

  it("a path leads back to its box", () => {
    fc.assert(
      fc.property(stacks, (all) => {
        const layout = layOutFlameGraph(flameGraphOf(all));
        for (let box = 0; box < layout.boxCount; box += 1) expect(boxOfPath(layout, pathOf(layout, box))).to.equal(box);
      }),
    );
  });

  it("a path of which only the beginning is left leads to the end of that beginning", () => {
    const layout = layOutFlameGraph(GOLDEN);
    expect(boxName(layout, boxOfPath(layout, ["a", "c", "gone"]))).to.equal("c");
    expect(boxOfPath(layout, ["gone", "c"])).to.equal(0);
  });

  it("of a function called other and what was left out beside it, the path leads to the function", () => {
    const layout = layOutFlameGraph({ names: ["total", "other", "a"], levels: [[0, 9, 0, 0], [0, 6, 0, 1, 0, 3, 3, 1], [0, 6, 6, 2]] });
    expect(boxOfPath(layout, ["other", "a"])).to.equal(3);
    expect(boxOfPath(layout, pathOf(layout, 2))).to.equal(1);
  });

  it("an empty graph, and one of nothing but an empty root, have no boxes", () => {
    expect(layOutFlameGraph({ names: [], levels: [] }).boxCount).to.equal(0);
    const layout = layOutFlameGraph({ names: ["total"], levels: [[0, 0, 0, 0]] });
    expect(layout.boxCount).to.equal(0);
    expect(boxOfPath(layout, ["a"])).to.equal(0);
    expect(boxAt(layout, 0, 0)).to.equal(-1);
  });

  it("numbers that make no boxes are refused, and the level is named", () => {
    expect(() => layOutFlameGraph({ names: ["total"], levels: [[0, 4, 0]] })).to.throw("level 0");
    expect(() => layOutFlameGraph({ names: ["total"], levels: [[0, 4, 0, 0], [0, 4, 0, 7]] })).to.throw("names function 7 of 1");
    expect(() => layOutFlameGraph({ names: ["total", "a"], levels: [[0, 4, 0, 0], [2, 4, 0, 1]] })).to.throw("level 1");
    expect(() => layOutFlameGraph({ names: ["total"], levels: [[0, 4, 0, 0, 0, 4, 0, 0]] })).to.throw("more than one root");
  });
});

const stacks = fc.array(fc.tuple(fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 1000 })), { maxLength: 25 });
