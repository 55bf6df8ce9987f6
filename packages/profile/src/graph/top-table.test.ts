import { expect } from "chai";
import fc from "fast-check";
import { NameTreeBuilder } from "./name-tree.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { INT64_MAX } from "../model/sums.ts";
import { topTable } from "./top-table.ts";

type Stack = readonly [names: readonly string[], value: number];

function treeOf(stacks: readonly Stack[]): NameTree {
  const builder = new NameTreeBuilder();
  for (const [names, value] of stacks) builder.addStacktrace(names, value);
  return builder.result();
}

const stacks = fc.array(fc.tuple(fc.array(fc.constantFrom<string>("a", "b", "other", "", "Bc"), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 99 })), { maxLength: 20 });

describe("top tables", () => {
  it("a function that calls itself counts each stacktrace once", () => {
    const { rows, total } = topTable(treeOf([[["f", "g", "f"], 2], [["f", "g"], 1], [["g"], 4]]));
    expect(rows).to.deep.equal([
      { name: "g", self: 5, total: 7 },
      { name: "f", self: 2, total: 3 },
    ]);
    expect(total).to.equal(7);
  });

  it("self is what the stacktraces end in, total what holds the name, whatever the stacktraces", () => {
    fc.assert(
      fc.property(stacks, (all) => {
        const table = topTable(treeOf(all));
        const sum = (some: readonly Stack[]): number => some.reduce((total, [, value]) => total + value, 0);
        expect(table.total).to.equal(sum(all));
        expect(table.rowCount).to.equal(new Set(all.flatMap(([names]) => names)).size);
        for (const { name, self, total } of table.rows) {
          expect(self).to.equal(sum(all.filter(([names]) => names.at(-1) === name)));
          expect(total).to.equal(sum(all.filter(([names]) => names.includes(name))));
        }
      }),
    );
  });

  it("of a call site only its last function counts, and what that called", () => {
    const tree = treeOf([[["main", "f", "g"], 2], [["main", "f", "f"], 1], [["main", "g"], 4], [["f", "g"], 8]]);
    const { rows, total } = topTable(tree, { callSite: ["main", "f"] });
    expect([rows, total]).to.deep.equal([[{ name: "g", self: 2, total: 2 }, { name: "f", self: 1, total: 3 }], 3]);
    expect(topTable(tree, { callSite: ["main", "x"] })).to.deep.equal({ rows: [], total: 0, rowCount: 0, isSaturated: false });
  });

  it("what is cut is counted: the first by self or by total, or those whose name holds a text", () => {
    const tree = treeOf([[["main", "a"], 2], [["main", "b"], 3], [["main", "Bc"], 1]]);
    const names = (options: Parameters<typeof topTable>[1]): unknown => {
      const { rows, rowCount, total } = topTable(tree, options);
      return [rows.map(({ name }) => name), rowCount, total];
    };
    expect(names({ limit: 2 })).to.deep.equal([["b", "a"], 4, 6]);
    expect(names({ limit: 2, sort: "total" })).to.deep.equal([["main", "b"], 4, 6]);
    expect(names({ limit: 1, nameContains: "B" })).to.deep.equal([["b"], 2, 6]);
  });

  it("a function without a name is a row, and no row is the root's", () => {
    expect(topTable(treeOf([[["", "a"], 1], [["total", ""], 2]])).rows).to.deep.equal([
      { name: "", self: 2, total: 3 },
      { name: "a", self: 1, total: 1 },
      { name: "total", self: 0, total: 2 },
    ]);
  });

  it("values beyond int64 are held at its end, and the answer says so", () => {
    const builder = new NameTreeBuilder();
    builder.addStacktrace(["a"], INT64_MAX);
    builder.addStacktrace(["a", "b"], INT64_MAX);
    const { rows, isSaturated } = topTable(builder.result());
    expect([rows[0], isSaturated]).to.deep.equal([{ name: "a", self: INT64_MAX, total: INT64_MAX }, true]);
  });
});
