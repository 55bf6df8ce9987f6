import { expect } from "chai";
import { boxOfPath, layOutFlameGraph } from "./flame-graph-layout.ts";
import { flameGraphOf } from "./flame-graph-fixture.test.ts";
import { findMatches, matchedTotal, NO_SEARCH, searchFor } from "./search.ts";

const LAYOUT = layOutFlameGraph(flameGraphOf([[["Main", "parse", "parseLine"], 6], [["Main", "render"], 3], [["idle"], 1]]));

describe("search", () => {
  it("text matches anywhere in a name, in any case", () => {
    const matches = findMatches(LAYOUT, searchFor(" PARSE "))!;
    expect(matches.functionCount).to.equal(2);
    expect([...matches.isMatch].filter((flag) => flag === 1)).to.have.length(2);
  });

  it("a function without a name is found by what it is shown as", () => {
    const layout = layOutFlameGraph(flameGraphOf([[["a", ""], 2], [["b"], 1]]));
    expect(matchedTotal(layout, findMatches(layout, searchFor("unnamed"))!, 0)).to.equal(2);
    expect(findMatches(layout, { kind: "function", name: "" })!.functionCount).to.equal(1);
  });

  it("a match below a match adds nothing to the matched share", () => {
    expect(matchedTotal(LAYOUT, findMatches(LAYOUT, searchFor("parse"))!, 0)).to.equal(6);
    expect(matchedTotal(LAYOUT, findMatches(LAYOUT, searchFor("n"))!, 0)).to.equal(9);
  });

  it("a chosen function matches only its own name", () => {
    const matches = findMatches(LAYOUT, { kind: "function", name: "parse" })!;
    expect(matches.functionCount).to.equal(1);
    expect(matchedTotal(LAYOUT, matches, 0)).to.equal(6);
  });

  it("in a zoom below a match everything is matched", () => {
    const matches = findMatches(LAYOUT, { kind: "function", name: "parse" })!;
    expect(matchedTotal(LAYOUT, matches, boxOfPath(LAYOUT, ["Main", "parse", "parseLine"]))).to.equal(6);
    expect(matchedTotal(LAYOUT, matches, boxOfPath(LAYOUT, ["Main", "render"]))).to.equal(0);
  });

  it("the root is never a match", () => {
    expect(findMatches(LAYOUT, searchFor("total"))!.functionCount).to.equal(0);
  });

  it("blank text searches for nothing", () => {
    expect(searchFor("  ")).to.deep.equal(NO_SEARCH);
    expect(findMatches(LAYOUT, NO_SEARCH)).to.equal(undefined);
  });
});
