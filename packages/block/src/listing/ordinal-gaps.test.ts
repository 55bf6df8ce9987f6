import { assert } from "chai";
import fc from "fast-check";
import type { GapState, KnownOrdinals, OrdinalRange } from "./ordinal-gaps.ts";
import { gapsOf, NO_GAPS, printOrdinals, settleGaps } from "./ordinal-gaps.ts";

const known = (parts: Partial<KnownOrdinals>): KnownOrdinals => ({ segments: [], marks: [], next: 0, ...parts });
const shown = (parts: Partial<KnownOrdinals>): string => printOrdinals(gapsOf(known(parts)));
const numbersOf = (ranges: readonly OrdinalRange[]): number[] => ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));

describe("ordinal gaps", () => {
  it("none where each ordinal is a segment, in whatever order", () => {
    assert.equal(shown({}), "");
    assert.equal(shown({ segments: [2, 0, 1, 1], next: 3 }), "");
  });

  it("the drawing above the code", () => {
    const marks = [{ mark: "void", ordinal: 3 }, { mark: "lost", ordinal: 5 }] as const;
    assert.equal(shown({ segments: [4], compacted: [{ first: 0, last: 1 }], marks, next: 9 }), "2, 5-8");
    assert.equal(shown({ segments: [0, 1, 4, 6, 7, 8], marks, next: 9 }), "2, 5");
  });

  it("at the head, in the middle, at the tail; the tail only where the store says how many it gave", () => {
    assert.equal(shown({ segments: [1, 2] }), "0");
    assert.equal(shown({ segments: [0, 3] }), "1-2");
    assert.equal(shown({ segments: [0, 1] }), "");
    assert.equal(shown({ segments: [0, 1], next: 3 }), "2");
    assert.equal(shown({ next: 2 }), "0-1");
  });

  it("a lost mark is a gap until a forgotten one stands beside it", () => {
    assert.equal(shown({ segments: [0], marks: [{ mark: "lost", ordinal: 1 }] }), "1");
    assert.equal(shown({ segments: [0], marks: [{ mark: "lost", ordinal: 1 }, { mark: "forgotten", ordinal: 1 }] }), "");
  });

  it("a source of a block is no gap, though its segment is gone; those between the ranges are", () => {
    assert.equal(shown({ segments: [4], compacted: [{ first: 0, last: 3 }, { first: 6, last: 8 }], next: 10 }), "5, 9");
    assert.equal(shown({ compacted: [{ first: 2, last: 2 }, { first: 0, last: 1 }, { first: 0, last: 2 }] }), "");
  });

  it("for any segments, marks and sources of blocks: every ordinal that was given and is none of them, each once", () => {
    const ordinals = fc.array(fc.nat(20), { maxLength: 12 });
    const ranges = fc.array(fc.tuple(fc.nat(20), fc.nat(4)), { maxLength: 4 }).map((list) => list.map(([first, length]) => ({ first, last: first + length })));
    fc.assert(
      fc.property(ordinals, ordinals, ordinals, ranges, fc.nat(24), (segments, voids, losts, compacted, next) => {
        const marks = [...voids.map((ordinal) => ({ mark: "void" as const, ordinal })), ...losts.map((ordinal) => ({ mark: "lost" as const, ordinal }))];
        const there = new Set([...segments, ...voids, ...numbersOf(compacted)]);
        const end = Math.max(next, ...[...there, ...losts].map((ordinal) => ordinal + 1));
        const expected = Array.from({ length: end }, (_, ordinal) => ordinal).filter((ordinal) => !there.has(ordinal));
        const gaps = gapsOf(known({ segments, marks, compacted, next }));
        assert.deepEqual(numbersOf(gaps), expected);
      }),
    );
  });

  it("an ordinal far away is one gap, and costs no more", () => {
    assert.deepEqual(gapsOf(known({ segments: [0, Number.MAX_SAFE_INTEGER - 1] })), [{ first: 1, last: Number.MAX_SAFE_INTEGER - 2 }]);
  });

  it("a gap shown once is suspected; shown again by a LIST that began after that one ended it is a hole; shown no more it is none", () => {
    const gap = [{ first: 2, last: 4 }];
    const once = settleGaps(NO_GAPS, gap, { beganAt: 1, endedAt: 3 });
    assert.deepEqual(once, { holes: [], suspected: gap, suspectedAt: 3 });
    const overlapping = settleGaps(once, gap, { beganAt: 2, endedAt: 4 });
    assert.deepEqual(overlapping, { holes: [], suspected: gap, suspectedAt: 4 });
    const second = settleGaps(overlapping, [{ first: 3, last: 4 }, { first: 7, last: 7 }], { beganAt: 5, endedAt: 6 });
    assert.deepEqual(second, { holes: [{ first: 3, last: 4 }], suspected: [{ first: 7, last: 7 }], suspectedAt: 6 });
    assert.deepEqual(settleGaps(second, [], { beganAt: 7, endedAt: 8 }), NO_GAPS);
  });

  it("for any LISTs: holes are what two LISTs in a row showed, the rest that is shown is suspected", () => {
    const ranges = fc.uniqueArray(fc.nat(20), { maxLength: 12 }).map((numbers) => gapsOf({ segments: Array.from({ length: 22 }, (_, i) => i).filter((n) => !numbers.includes(n)), marks: [], next: 22 }));
    fc.assert(
      fc.property(fc.array(ranges, { maxLength: 6 }), (lists) => {
        let state: GapState = NO_GAPS;
        let before: number[] = [];
        for (const [at, list] of lists.entries()) {
          state = settleGaps(state, list, { beganAt: 2 * at + 1, endedAt: 2 * at + 2 });
          const now = numbersOf(list);
          assert.sameMembers(numbersOf(state.holes), now.filter((n) => before.includes(n)));
          assert.sameMembers([...numbersOf(state.holes), ...numbersOf(state.suspected)], now);
          before = now;
        }
      }),
    );
  });
});
