import { expect } from "chai";
import fc from "fast-check";
import type { Int64 } from "./results.ts";
import { addSums, INT64_MAX, minus, plus, Saturation, SumColumn, sumAt, sumOf, thresholdOf, totalsOf } from "./sums.ts";

const value = fc.oneof(
  fc.bigInt({ min: 0n, max: 1000n }),
  fc.bigInt({ min: 2n ** 31n, max: 2n ** 33n }),
  fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n + 1n }),
  fc.bigInt({ min: 2n ** 62n, max: 2n ** 63n - 1n }),
);
const small = (exact: bigint): Int64 => (exact < 2n ** 53n ? Number(exact) : exact);

describe("sums", () => {
  it("are exact at every size", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), value), { maxLength: 60 }), (adds) => {
        const column = new SumColumn(1);
        const expected = Array.from({ length: 6 }, () => 0n);
        for (const [index, exact] of adds) {
          column.grow(6);
          column.raise(small(exact));
          column.addInt64(index, small(exact));
          expected[index]! += exact;
        }
        column.grow(6);
        expect(expected.map((_, index) => column.at(index))).to.deep.equal(expected.map(small));
        const view = column.view();
        expect(sumOf(view, 6)).to.equal(small(expected.reduce((a, b) => a + b)));
        const doubled = addSums(view, view);
        expect(expected.map((_, index) => sumAt(doubled, index))).to.deep.equal(expected.map((sum) => small(sum * 2n)));
      }),
    );
  });

  it("keep one worker while the bound allows, and take a second one exactly at it", () => {
    const column = new SumColumn(2);
    column.raise(2 ** 53 - 1);
    column.add(0, 2 ** 53 - 1);
    expect(column.view().high).to.equal(undefined);
    column.raise(1);
    column.add(0, 1);
    expect(column.view().high).to.not.equal(undefined);
    expect(column.at(0)).to.equal(2n ** 53n);
    expect(column.at(1)).to.equal(0);
  });

  it("totals are exact where selfs fit one worker and their sum does not", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), value), { minLength: 1, maxLength: 40 }), (nodes) => {
        const nodeParent = Uint32Array.from(nodes.map(([pick], node) => (node === 0 ? 0 : pick % node)));
        const column = new SumColumn(nodes.length);
        const expected = nodes.map(([, self]) => self);
        for (const [node, [, self]] of nodes.entries()) {
          column.raise(small(self));
          column.addInt64(node, small(self));
        }
        for (let node = nodes.length - 1; node > 0; node--) expected[nodeParent[node]!]! += expected[node]!;
        const totals = totalsOf(nodeParent, nodes.length, column.view());
        expect(expected.map((_, node) => sumAt(totals, node))).to.deep.equal(expected.map(small));
      }),
    );
    const narrow = { low: Float64Array.of(0, 2 ** 53 - 1, 2 ** 53 - 1, 1), high: undefined };
    expect(sumAt(totalsOf(Uint32Array.of(0, 0, 0, 0), 4, narrow), 0)).to.equal(2n ** 54n - 1n);
    expect(sumOf(narrow, 4)).to.equal(2n ** 54n - 1n);
  });

  it("a threshold is the smallest of the greatest so many", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 50 }), fc.integer({ min: -1, max: 55 }), (values, countMax) => {
        const sorted = [...values].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
        const expected = countMax < 1 || values.length <= countMax ? 0 : small(sorted[countMax - 1]!);
        expect(thresholdOf(values.length, (index) => small(values[index]!), countMax)).to.equal(expected);
      }),
    );
  });

  it("plus and minus are exact across 2^53, and what passes int64 is held and said", () => {
    expect(plus(2 ** 53 - 1, 1)).to.equal(2n ** 53n);
    expect(minus(2n ** 53n, 1)).to.equal(2 ** 53 - 1);
    expect(minus(1, 2n ** 60n)).to.equal(1n - 2n ** 60n);
    const saturation = new Saturation();
    expect(saturation.hold(INT64_MAX)).to.equal(INT64_MAX);
    expect(saturation.isSaturated).to.equal(false);
    expect(saturation.hold(INT64_MAX + 1n)).to.equal(INT64_MAX);
    expect(saturation.isSaturated).to.equal(true);
  });
});
