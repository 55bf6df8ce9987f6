import { expect } from "chai";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { regexCost } from "./regex-cost.ts";

/** Undefined: the engine does not take it. */
function programSize(pattern: string): number | undefined {
  try {
    return RE2JS.compile(pattern, RE2JS.DOTALL).programSize();
  } catch {
    return undefined;
  }
}

const atom = fc.constantFrom(
  "a", "b", "ü", "\u{1f525}", ".", "^", "$", "\\.", "\\d", "\\b", "\\pL", "\\P{Greek}", "\\x41", "\\x{1f525}", "\\101", "\\Qa+\\E", "\\Q\\E",
  "[a-z]", "[^a]", "[]a]", "[^]a]", "[[:alpha:]]", "[\\pL\\]x-]", "[a\\-z]", "(?i)", "(?s)", "(?i:k)", "{", "}", "]", "a{,3}", "a{1", "",
);
const repeat = fc.constantFrom("", "", "", "*", "+", "?", "*?", "{0}", "{1}", "{3}", "{0,2}", "{2,5}", "{2,}", "{0,}", "{1,}?");

/** Of the syntax, nested; some of what comes out is none. */
const patterns = fc.letrec<{ expression: string; group: string; piece: string }>((tie) => ({
  piece: fc.oneof({ depthSize: "small" }, fc.tuple(atom, repeat).map((parts) => parts.join("")), fc.tuple(tie("group"), repeat).map((parts) => parts.join(""))),
  group: fc.tuple(fc.constantFrom("(", "(?:", "(?i:", "(?-s:", "(?P<n>", "(?<m>"), tie("expression")).map(([open, inner]) => `${open}${inner})`),
  expression: fc.array(fc.array(tie("piece"), { maxLength: 4 }).map((pieces) => pieces.join("")), { minLength: 1, maxLength: 3 }).map((alternatives) => alternatives.join("|")),
})).expression;

describe("the cost of a regular expression", () => {
  it("no compiled program is larger than its expression's cost", () => {
    let takenCount = 0;
    fc.assert(
      fc.property(patterns, (pattern) => {
        const size = programSize(pattern);
        if (size === undefined) return;
        takenCount++;
        expect(regexCost(pattern), pattern).to.be.at.least(size);
      }),
      { numRuns: 1000 },
    );
    expect(takenCount, "many of them are expressions").to.be.greaterThan(150);
  });

  it("nor where characters come in any order", () => {
    const piece = fc.constantFrom("a", "(", ")", "[", "]", "{2,3}", "{2}", "{", "}", ",", "2", "|", "*", "+", "?", "\\", "^", "-", ":", "p", "Q", "E", "x", "(?i", "(?:", "(?P<", ">");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const pattern = pieces.join("");
        const size = programSize(pattern);
        if (size !== undefined) expect(regexCost(pattern), pattern).to.be.at.least(size);
      }),
      { numRuns: 3000 },
    );
  });

  it("it is near the program's size where that is what costs", () => {
    for (const pattern of [".{1,999}", "(x|y){0,500}", "a{1000}", "[a-z]{2,300}", "(a{0,30}){0,30}", "abc.*def.*ghi.*jkl.*mno.*pqr.*stu.*vwx"]) {
      expect(regexCost(pattern), pattern).to.be.lessThan(programSize(pattern)! * 2 + 40);
    }
  });

  it("counted repetitions multiply, text adds up, and each is told without being compiled", () => {
    expect(regexCost("((a{1,999}){1,999}){1,999}")).to.be.greaterThan(999 ** 3);
    expect(regexCost("a".repeat(10_000))).to.be.within(10_000, 10_100);
    expect(regexCost("(?:x{0,1000}){999999}")).to.be.greaterThan(900_000);
  });

  it("what takes the parser long costs too: classes of Unicode, ranges without regard to case, names that are looked for", () => {
    expect(regexCost("\\pL".repeat(100))).to.be.greaterThan(10_000);
    expect(regexCost("[\\p{Greek}\\P{Latin}]")).to.be.greaterThan(200);
    expect(regexCost("[A-\u{1e942}]")).to.be.lessThan(50);
    expect(regexCost("(?i)[A-\u{1e942}]")).to.be.greaterThan(5000);
    expect(regexCost("(?i)[\\x{41}-\\x{1e942}]")).to.be.greaterThan(5000);
    expect(regexCost("(?i)[а-я]+")).to.be.lessThan(50);
    expect(regexCost("[:".repeat(1000))).to.be.greaterThan(4000);
  });

  // Each was quadratic in a first version, or is in the engine.
  it("is told in linear time", () => {
    const startMs = performance.now();
    for (const piece of ["[:", "[[:", "(?<", "(?P<", "(?", "(?a", "\\Q", "\\p{", "{1", "(", "|", "\\x{", "[^", "(?i)", "a{1,2}"]) regexCost(piece.repeat(Math.ceil(65_536 / piece.length)));
    expect(performance.now() - startMs).to.be.lessThan(2000);
  });
});
