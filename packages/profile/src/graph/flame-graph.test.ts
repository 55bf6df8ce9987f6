import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { flameGraphDiff } from "./flame-graph-diff.ts";
import { flameGraph } from "./flame-graph.ts";
import { NameTreeBuilder } from "./name-tree.ts";
import type { Int64 } from "../model/results.ts";
import type { NameTree } from "../model/stacktrace-tree.ts";
import { INT64_MAX, sumAt } from "../model/sums.ts";
import { topTable } from "./top-table.ts";
import { decodeTree, encodeTree } from "./tree-bytes.ts";

/** `a;b` -> value, root first. */
function treeOf(stacktraces: Readonly<Record<string, Int64>>): NameTree {
  const builder = new NameTreeBuilder();
  for (const [path, value] of Object.entries(stacktraces)) builder.addStacktrace(path.split(";"), value);
  return builder.result();
}

function selfsOf(tree: NameTree): Record<string, Int64> {
  const paths: string[] = [""];
  const selfs: Record<string, Int64> = {};
  for (let node = 1; node < tree.nodeCount; node++) {
    const above = paths[tree.nodeParent[node]!]!;
    paths[node] = (tree.nodeParent[node] === 0 ? "" : `${above};`) + tree.names[tree.nodeName[node]!]!;
    const self = sumAt(tree.self, node);
    if (self !== 0) selfs[paths[node]!] = self;
  }
  return selfs;
}

const stacktraces = fc.dictionary(
  fc.array(fc.constantFrom("a", "b", "c", "other", "ü", "z.y"), { minLength: 1, maxLength: 6 }).map((names) => names.join(";")),
  fc.oneof(fc.integer({ min: 1, max: 1_000_000 }), fc.bigInt({ min: 2n ** 53n, max: 2n ** 61n })),
  { maxKeys: 25, noNullPrototype: true },
);

describe("flame graphs", () => {
  it("the worked example: last child first, own value at the left", () => {
    const { graph } = flameGraph(treeOf({ "a;b;e": 1, "a;c": 2, "a;c;d": 1 }), 0);
    expect(graph).to.deep.equal({
      names: ["total", "a", "c", "d", "b", "e"],
      levels: [
        [0, 4, 0, 0],
        [0, 4, 0, 1],
        [0, 1, 0, 4, 0, 3, 2, 2],
        [0, 1, 1, 5, 2, 1, 1, 3],
      ],
      total: 4,
      maxSelf: 2,
    });
  });

  it("truncation keeps ties, and puts the rest into one leaf behind its siblings", () => {
    const { graph } = flameGraph(treeOf({ "a;x": 5, "a;y": 5, "a;z": 1, b: 2, "c;d": 1 }), 1);
    expect(graph).to.deep.equal({
      names: ["total", "other", "a"],
      levels: [
        [0, 14, 0, 0],
        [0, 11, 0, 2, 0, 3, 3, 1],
        [0, 11, 11, 1],
      ],
      total: 14,
      maxSelf: 11,
    });
    const tied = flameGraph(treeOf({ "a;x": 5, "a;y": 5, "a;z": 1 }), 2).graph;
    expect(tied.levels[2]).to.deep.equal([0, 5, 5, 4, 0, 5, 5, 3, 0, 1, 1, 2]);
  });

  it("a function called other keeps its children, where all is kept and where all but it is cut", () => {
    const whole = flameGraph(treeOf({ "main;other;child": 9, "main;b": 1 }), 0).graph;
    expect(whole.names).to.deep.equal(["total", "main", "other", "child", "b"]);
    expect(whole.levels.slice(2)).to.deep.equal([
      [0, 1, 1, 4, 0, 9, 0, 2],
      [1, 9, 9, 3],
    ]);
  });

  it("beside a function called other, what was cut is a leaf of its own behind it", () => {
    const cut = flameGraph(treeOf({ "main;other;child": 9, "main;z": 3, "main;b": 1, "main;c": 1 }), 4).graph;
    expect(cut.names).to.deep.equal(["total", "main", "other", "z", "child"]);
    expect(cut.levels.slice(2)).to.deep.equal([
      [0, 9, 0, 2, 0, 3, 3, 3, 0, 2, 2, 2],
      [0, 9, 9, 4],
    ]);
    // One that is small itself is cut like any other.
    expect(flameGraph(treeOf({ "main;b": 9, "main;other;child": 1, "main;c": 1 }), 2).graph.levels.slice(2)).to.deep.equal([[0, 9, 9, 3, 0, 2, 2, 2]]);
  });

  it("a function without a name has an entry of its own, and so has one called total; nothing at all is one empty bar", () => {
    const { graph } = flameGraph(treeOf({ ";a": 1, "total;;a": 2 }), 0);
    expect(graph.names).to.deep.equal(["total", "total", "", "a"]);
    expect(graph.levels).to.deep.equal([
      [0, 3, 0, 0],
      [0, 1, 0, 2, 0, 2, 0, 1],
      [0, 1, 1, 3, 0, 2, 0, 2],
      [1, 2, 2, 3],
    ]);
    expect(flameGraph(treeOf({ "a;b": 0 }), 0).graph).to.deep.equal({ names: ["total"], levels: [[0, 0, 0, 0]], total: 0, maxSelf: 0 });
  });

  it("children stand in the order of their bytes, not of UTF-16", () => {
    const { graph } = flameGraph(treeOf({ "\u{1f525}": 1, "\uffff": 2, Z: 4, a: 8 }), 0);
    const order = graph.levels[1]!.filter((_, at) => at % 4 === 3).map((name) => graph.names[Number(name)]);
    expect(order).to.deep.equal(["Z", "a", "\uffff", "\u{1f525}"]);
  });

  it("values beyond int64 are held at its end, and the answer says so", () => {
    const { graph, isSaturated } = flameGraph(treeOf({ a: INT64_MAX, b: INT64_MAX, c: 1 }), 0);
    expect(isSaturated).to.equal(true);
    expect(graph.total).to.equal(INT64_MAX);
    const exact = flameGraph(treeOf({ a: 2n ** 53n, b: 1 }), 0);
    expect([exact.graph.total, exact.isSaturated]).to.deep.equal([2n ** 53n + 1n, false]);
  });

  it("a stacktrace a hundred thousand frames deep costs no stack", () => {
    const tree = treeOf({ [Array.from({ length: 100_000 }, (_, at) => `f${at % 7}`).join(";")]: 1 });
    expect(flameGraph(tree, 0).graph.levels.length).to.equal(100_001);
    expect(topTable(tree).rows.map((row) => row.total)).to.deep.equal([1, 1, 1, 1, 1, 1, 1]);
    expect(decodeTree(encodeTree(tree, 0).bytes).nodeCount).to.equal(100_001);
  });

  it("bars never overlap and never leave their parent, and each level adds up, whatever the tree", () => {
    fc.assert(
      fc.property(stacktraces, fc.nat(20), (stacks, maxNodes) => {
        const { graph, isSaturated } = flameGraph(treeOf(stacks), maxNodes);
        // Beyond int64 every bar keeps what it can of its own value, so a parent may be too narrow: the answer says so.
        if (isSaturated) return;
        let above: [bigint, bigint][] = [];
        const total = Object.values(stacks).reduce<bigint>((sum, value) => sum + BigInt(value), 0n);
        let selfs = 0n;
        for (const [depth, level] of graph.levels.entries()) {
          const bars: [bigint, bigint][] = [];
          let end = 0n;
          for (let at = 0; at < level.length; at += 4) {
            expect(BigInt(level[at]!) >= 0n).to.equal(true);
            const x = end + BigInt(level[at]!);
            end = x + BigInt(level[at + 1]!);
            selfs += BigInt(level[at + 2]!);
            if (depth > 0) expect(above.some(([left, right]) => left <= x && end <= right)).to.equal(true);
            bars.push([x, end]);
          }
          above = bars;
        }
        expect([BigInt(graph.total), selfs]).to.deep.equal([total, total]);
      }),
    );
  });
});

describe("flame graph diffs", () => {
  it("the worked example", () => {
    const { graph } = flameGraphDiff(treeOf({ "a;b": 1, "a;c": 2 }), treeOf({ "a;b": 4, "a;c": 8 }), 0);
    expect(graph).to.deep.equal({
      names: ["total", "a", "c", "b"],
      levels: [
        [0, 3, 0, 0, 12, 0, 0],
        [0, 3, 0, 0, 12, 0, 1],
        [0, 1, 1, 0, 4, 4, 3, 0, 2, 2, 0, 8, 8, 2],
      ],
      total: 15,
      maxSelf: 8,
      leftTicks: 3,
      rightTicks: 12,
    });
  });

  it("what only one side has stands with zeros on the other", () => {
    const { graph } = flameGraphDiff(treeOf({ "a;b": 1 }), treeOf({ c: 4 }), 0);
    expect(graph.names).to.deep.equal(["total", "c", "a", "b"]);
    expect(graph.levels).to.deep.equal([
      [0, 1, 0, 0, 4, 0, 0],
      [0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 4, 4, 1],
      [0, 1, 1, 0, 0, 0, 3],
    ]);
  });

  it("a function called other is cut where both sides are small, and keeps its children where one is not", () => {
    const left = treeOf({ "a;other;x": 1, "a;b": 9, "a;c": 1 });
    const cut = flameGraphDiff(left, treeOf({ "a;b": 9 }), 3).graph;
    expect(cut.names).to.deep.equal(["total", "a", "other", "b"]);
    expect(cut.levels[2]).to.deep.equal([0, 9, 9, 0, 9, 9, 3, 0, 2, 2, 0, 0, 0, 2]);
    const kept = flameGraphDiff(left, treeOf({ "a;other;x": 8 }), 5).graph;
    expect(kept.names).to.deep.equal(["total", "a", "other", "x", "b"]);
    expect(kept.levels.slice(2)).to.deep.equal([
      [0, 9, 9, 0, 0, 0, 4, 0, 1, 0, 0, 8, 0, 2, 0, 1, 1, 0, 0, 0, 2],
      [9, 1, 1, 0, 8, 8, 3],
    ]);
  });

  it("a function without a name has an entry of its own", () => {
    const { graph } = flameGraphDiff(treeOf({ ";a": 1 }), treeOf({ ";a": 2 }), 0);
    expect(graph.names).to.deep.equal(["total", "", "a"]);
    expect(graph.levels.map((level) => level[6])).to.deep.equal([0, 1, 2]);
  });

  it("what is left out is left out on both sides at once, and the totals stay", () => {
    fc.assert(
      fc.property(stacktraces, stacktraces, fc.nat(12), (left, right, maxNodes) => {
        const { graph, isSaturated } = flameGraphDiff(treeOf(left), treeOf(right), maxNodes);
        if (isSaturated) return;
        const selfs = [0n, 0n];
        for (const level of graph.levels) {
          for (let at = 0; at < level.length; at += 7) {
            selfs[0]! += BigInt(level[at + 2]!);
            selfs[1]! += BigInt(level[at + 5]!);
          }
        }
        expect(selfs).to.deep.equal([BigInt(graph.leftTicks), BigInt(graph.rightTicks)]);
      }),
    );
  });
});

describe("name trees", () => {
  it("merge exactly, in any order and grouping", () => {
    fc.assert(
      fc.property(fc.array(stacktraces, { maxLength: 5 }), (parts) => {
        const expected: Record<string, bigint> = {};
        for (const part of parts) for (const [path, value] of Object.entries(part)) expected[path] = (expected[path] ?? 0n) + BigInt(value);
        const merge = (trees: readonly NameTree[]): NameTree => {
          const builder = new NameTreeBuilder();
          for (const tree of trees) builder.add(tree);
          return builder.result();
        };
        const trees = parts.map(treeOf);
        const big = (tree: NameTree): Record<string, bigint> => Object.fromEntries(Object.entries(selfsOf(tree)).map(([path, self]) => [path, BigInt(self)]));
        expect(big(merge(trees))).to.deep.equal(expected);
        expect(big(merge([merge(trees.slice(0, 2)), merge(trees.slice(2).reverse())]))).to.deep.equal(expected);
        const [graph, again] = [merge(trees), merge([...trees].reverse())].map((tree) => flameGraph(tree, 10).graph);
        expect(again).to.deep.equal(graph);
      }),
    );
  });
});

describe("tree bytes", () => {
  it("read back what was written", () => {
    fc.assert(
      fc.property(stacktraces, (stacks) => {
        expect(selfsOf(decodeTree(encodeTree(treeOf(stacks), 0).bytes))).to.deep.equal(stacks);
      }),
    );
  });

  it("the parent comes first and its last child next", () => {
    const { bytes } = encodeTree(treeOf({ "a;b": 1, "a;c": 300 }), 0);
    expect([...bytes]).to.deep.equal([0, 0, 1, 1, 97, 0, 2, 1, 99, 0xac, 2, 0, 1, 98, 1, 0]);
  });

  // As Pyroscope's MarshalTruncate: a field that is left out of the answer. It was a root of its own.
  it("a tree of nothing is no bytes, and reads back as one", () => {
    expect([...encodeTree(treeOf({}), 0).bytes]).to.deep.equal([]);
    expect(selfsOf(decodeTree(new Uint8Array(0)))).to.deep.equal({});
  });

  it("a tree torn anywhere, with a tail, or of noise is refused as corrupt, never more", () => {
    const { bytes } = encodeTree(treeOf({ "a;b": 1, "a;c": 300, d: 2n ** 60n }), 0);
    const refused = (input: Uint8Array): void => {
      expect(() => decodeTree(input)).to.throw(CodedError).with.property("code", "CORRUPTION");
    };
    for (let length = 1; length < bytes.length; length++) refused(bytes.subarray(0, length));
    refused(Uint8Array.from([...bytes, 0]));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        try {
          decodeTree(noise);
        } catch (error) {
          expect(error).to.be.instanceOf(CodedError);
        }
      }),
    );
  });
});
