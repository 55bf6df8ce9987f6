import { expect } from "chai";
import fc from "fast-check";
import { boxOfPath, layOutFlameGraph } from "./flame-graph-layout.ts";
import type { FlameGraphLayout } from "./flame-graph-layout.ts";
import { flameGraphOf, GOLDEN } from "./flame-graph-fixture.test.ts";
import type { ValueWindow, VisibleBox } from "./visible-boxes.ts";
import { visitVisibleBoxes, windowOf } from "./visible-boxes.ts";

describe("visible boxes", () => {
  it("with room for all, every box is drawn once, where its value lies", () => {
    const layout = layOutFlameGraph(GOLDEN);
    const drawn = visit(layout, windowOf(layout, 0), 400);
    expect(drawn.map(({ box }) => box)).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(drawn[5]).to.deep.equal({ box: 5, boxEnd: 6, levelIndex: 3, leftPx: 300, rightPx: 400 });
  });

  it("a zoom draws its ancestors over the full width and nothing beside them", () => {
    const layout = layOutFlameGraph(GOLDEN);
    const box = boxOfPath(layout, ["a", "c"]);
    const drawn = visit(layout, windowOf(layout, box), 300);
    expect(drawn.map(({ box: index, leftPx, rightPx }) => [index, leftPx, rightPx])).to.deep.equal([
      [0, 0, 300],
      [1, 0, 300],
      [3, 0, 300],
      [5, 200, 300],
    ]);
  });

  it("narrow boxes share slivers, and none is left out", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 200 }), (values, widthPx) => {
        const layout = layOutFlameGraph(flameGraphOf(values.map((value, index) => [[`f${String(index).padStart(4, "0")}`], value])));
        const drawn = visit(layout, windowOf(layout, 0), widthPx).filter(({ levelIndex }) => levelIndex === 1);
        expect(drawn.length).to.be.at.most(2 * widthPx + 1); // two neighbours always cover a pixel
        let next = 1;
        for (const { box, boxEnd } of drawn) {
          expect(box).to.equal(next);
          next = boxEnd;
        }
        expect(next).to.equal(layout.boxCount);
      }),
    );
  });

  it("100,000 boxes cost what their pixels cost", () => {
    const layout = layOutFlameGraph(flatGraph(100_000));
    expect(visit(layout, windowOf(layout, 0), 800)).to.have.length.below(810);
  });

  it("only the levels asked for are visited", () => {
    const layout = layOutFlameGraph(GOLDEN);
    const seen: number[] = [];
    visitVisibleBoxes(layout, windowOf(layout, 0), { levelFrom: 1, levelTo: 3 }, 400, ({ levelIndex }) => seen.push(levelIndex));
    expect(seen).to.deep.equal([1, 2, 2]);
  });

  it("a window or a width of nothing draws nothing", () => {
    const layout = layOutFlameGraph(GOLDEN);
    expect(visit(layout, { start: 0, total: 0 }, 400)).to.deep.equal([]);
    expect(visit(layout, windowOf(layout, 0), 0)).to.deep.equal([]);
  });
});

function visit(layout: FlameGraphLayout, window: ValueWindow, widthPx: number): VisibleBox[] {
  const drawn: VisibleBox[] = [];
  visitVisibleBoxes(layout, window, { levelFrom: 0, levelTo: layout.levelCount }, widthPx, (box) => drawn.push(box));
  return drawn;
}

function flatGraph(count: number): { names: string[]; levels: number[][] } {
  const values: number[] = [];
  for (let index = 0; index < count; index += 1) values.push(0, 1, 1, 1);
  return { names: ["total", "leaf"], levels: [[0, count, 0, 0], values] };
}
