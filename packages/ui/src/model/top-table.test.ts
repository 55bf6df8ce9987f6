import { expect } from "chai";
import fc from "fast-check";
import { boxName, boxOfPath, layOutFlameGraph } from "./flame-graph-layout.ts";
import { flameGraphOf, GOLDEN } from "./flame-graph-fixture.test.ts";
import { DEFAULT_SORT, isCutWithin, nextSort, sortRows, topRows } from "./top-table.ts";

describe("top table", () => {
  it("the worked example gives each function its self and total, without the root", () => {
    expect(sortRows(topRows(layOutFlameGraph(GOLDEN), 0), { column: "name", direction: "ascending" })).to.deep.equal([
      { name: "a", self: 0, total: 4 },
      { name: "b", self: 0, total: 1 },
      { name: "c", self: 2, total: 3 },
      { name: "d", self: 1, total: 1 },
      { name: "e", self: 1, total: 1 },
    ]);
  });

  it("a recursive function counts its self each time and its total once", () => {
    const rows = topRows(layOutFlameGraph(flameGraphOf([[["f", "g", "f"], 5], [["f"], 2], [["g", "f", "f"], 3]])), 0);
    expect(rows).to.deep.include({ name: "f", self: 10, total: 10 });
    expect(rows).to.deep.include({ name: "g", self: 0, total: 8 });
  });

  it("self values add up to the total, and no function exceeds it", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(fc.constantFrom<string>("a", "b", "c"), { minLength: 1, maxLength: 7 }), fc.integer({ min: 1, max: 99 })), { minLength: 1 }), (stacks) => {
        const layout = layOutFlameGraph(flameGraphOf(stacks));
        const rows = topRows(layout, 0);
        expect(rows.reduce((sum, { self }) => sum + self, 0)).to.equal(layout.total[0]);
        for (const row of rows) {
          const containing = stacks.filter(([stack]) => stack.includes(row.name)).reduce((sum, [, value]) => sum + value, 0);
          expect(row.total).to.equal(containing);
        }
      }),
    );
  });

  it("within a zoomed box only what lies below it counts", () => {
    const layout = layOutFlameGraph(GOLDEN);
    const box = boxOfPath(layout, ["a", "c"]);
    expect(boxName(layout, box)).to.equal("c");
    expect(sortRows(topRows(layout, box), DEFAULT_SORT)).to.deep.equal([
      { name: "c", self: 2, total: 3 },
      { name: "d", self: 1, total: 1 },
    ]);
  });

  it("a graph is cut where it has a leaf called other, and no further down", () => {
    const layout = layOutFlameGraph(flameGraphOf([[["a", "b", "other"], 1], [["a", "other", "c"], 2], [["d", "e"], 4]]));
    const cutAt = (...path: string[]): boolean => isCutWithin(layout, boxOfPath(layout, path));
    expect([cutAt(), cutAt("a"), cutAt("a", "b"), cutAt("a", "b", "other"), cutAt("a", "other"), cutAt("d")]).to.deep.equal([true, true, true, false, false, false]);
    expect(isCutWithin(layOutFlameGraph(GOLDEN), 0)).to.equal(false);
    expect(isCutWithin(layOutFlameGraph({ names: ["total"], levels: [] }), 0)).to.equal(false);
  });

  it("functions without self are ordered by their total", () => {
    const rows = [
      { name: "a", self: 0, total: 1 },
      { name: "b", self: 0, total: 9 },
      { name: "c", self: 1, total: 1 },
    ];
    expect(sortRows(rows, DEFAULT_SORT).map(({ name }) => name)).to.deep.equal(["c", "b", "a"]);
  });

  it("equal costs are ordered by name in either direction", () => {
    const rows = ["c", "a", "b"].map((name) => ({ name, self: 1, total: 1 }));
    expect(sortRows(rows, { column: "self", direction: "descending" }).map(({ name }) => name)).to.deep.equal(["a", "b", "c"]);
    expect(sortRows(rows, { column: "self", direction: "ascending" }).map(({ name }) => name)).to.deep.equal(["a", "b", "c"]);
  });

  it("a heading clicked again turns its order round", () => {
    expect(nextSort(DEFAULT_SORT, "self")).to.deep.equal({ column: "self", direction: "ascending" });
    expect(nextSort(DEFAULT_SORT, "total")).to.deep.equal({ column: "total", direction: "descending" });
    expect(nextSort(DEFAULT_SORT, "name")).to.deep.equal({ column: "name", direction: "ascending" });
  });

  it("a graph without boxes has no rows", () => {
    expect(topRows(layOutFlameGraph({ names: ["total"], levels: [[0, 0, 0, 0]] }), 0)).to.deep.equal([]);
  });
});
