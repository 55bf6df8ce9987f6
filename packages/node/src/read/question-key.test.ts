import { makeMatcher } from "@pyromesh/profile";
import { expect } from "chai";
import { questionKey } from "./question-key.ts";

const QUERY = { tenants: ["t1"], startMs: 1, endMs: 2, selector: [makeMatcher("a", "=", "1"), makeMatcher("b", "=~", "x.*y")], profileIds: [Uint8Array.of(1, 2)], maxNodes: 10 };

describe("the key of a question", () => {
  it("is the same for the same question, in whatever order its matchers and fields stand", () => {
    const { maxNodes, ...rest } = QUERY;
    const turned = { maxNodes, ...rest, selector: [...QUERY.selector].reverse() };
    expect(questionKey("pprof", [turned])).to.equal(questionKey("pprof", [QUERY]));
  });

  it("is another for whatever changes the answer", () => {
    const others = [
      questionKey("dot", [QUERY]),
      questionKey("pprof", [QUERY, QUERY]),
      ...[
        { tenants: ["t2"] },
        { endMs: 3 },
        { maxNodes: 11 },
        { selector: [makeMatcher("a", "=", "1")] },
        { selector: [makeMatcher("a", "=", "1"), makeMatcher("b", "!~", "x.*y")] },
        { profileIds: [Uint8Array.of(1, 3)] },
        { allowPartial: true },
      ].map((change) => questionKey("pprof", [{ ...QUERY, ...change }])),
    ];
    expect(new Set([questionKey("pprof", [QUERY]), ...others]).size).to.equal(others.length + 1);
  });

  it("of selectors only one of which must match, the matchers stay with their selector", () => {
    const [a, b, c] = ["1", "2", "3"].map((value) => makeMatcher("a", "=", value)) as [ReturnType<typeof makeMatcher>, ReturnType<typeof makeMatcher>, ReturnType<typeof makeMatcher>];
    expect(questionKey("listing", [{ selectors: [[a, b], [c]] }])).not.to.equal(questionKey("listing", [{ selectors: [[a], [b, c]] }]));
  });

  it("is short, however long the question is", () => {
    expect(questionKey("pprof", [{ ...QUERY, profileIds: Array.from({ length: 1000 }, () => new Uint8Array(16)) }]).length).to.be.below(256);
  });
});
