import { expect } from "chai";
import { boxName, boxOfPath, layOutFlameGraph } from "./flame-graph-layout.ts";
import { GOLDEN } from "./flame-graph-fixture.test.ts";
import type { Direction } from "./navigation.ts";
import { boxBeside } from "./navigation.ts";

describe("navigation", () => {
  const layout = layOutFlameGraph(GOLDEN);
  const from = (path: string[], direction: Direction, focus = 0): string => boxName(layout, boxBeside(layout, boxOfPath(layout, path), direction, focus));

  it("down leads to the widest child, up to the parent", () => {
    expect(from(["a"], "down")).to.equal("c");
    expect(from(["a", "b"], "up")).to.equal("a");
  });

  it("left and right lead to neighbours of the level, cousins too", () => {
    expect(from(["a", "c"], "left")).to.equal("b");
    expect(from(["a", "b", "e"], "right")).to.equal("d");
  });

  it("left does not leave the zoom", () => {
    expect(from(["a", "c", "d"], "left", boxOfPath(layout, ["a", "c"]))).to.equal("d");
  });

  it("at an edge a key leads nowhere", () => {
    expect(from([], "up")).to.equal("total");
    expect(from(["a", "c", "d"], "down")).to.equal("d");
    expect(from(["a", "c", "d"], "right")).to.equal("d");
    expect(from(["a", "b"], "left")).to.equal("b");
  });
});
