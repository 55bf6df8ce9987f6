import { expect } from "chai";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { REGEX_COST_MAX } from "./regex-budget.ts";
import { regexCharge, regexCost } from "./regex-cost.ts";

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

/** Nested patterns made of the syntax's pieces. Some of them are not valid regular expressions. */
const patterns = fc.letrec<{ expression: string; group: string; piece: string }>((tie) => ({
  piece: fc.oneof({ depthSize: "small" }, fc.tuple(atom, repeat).map((parts) => parts.join("")), fc.tuple(tie("group"), repeat).map((parts) => parts.join(""))),
  group: fc.tuple(fc.constantFrom("(", "(?:", "(?i:", "(?-s:", "(?P<n>", "(?<m>"), tie("expression")).map(([open, inner]) => `${open}${inner})`),
  expression: fc.array(fc.array(tie("piece"), { maxLength: 4 }).map((pieces) => pieces.join("")), { minLength: 1, maxLength: 3 }).map((alternatives) => alternatives.join("|")),
})).expression;

describe("what a regular expression is charged", () => {
  const charge = (pattern: string): number => regexCharge(pattern, Infinity);
  const podPattern = (name: string): string => `${name}-[0-9a-f]{8,10}-[a-z0-9]{5}`;

  it("a dashboard's choice of sixty deployments, each with its pods' suffixes, fits a request", () => {
    const names = Array.from({ length: 60 }, (_, i) => `deploy-${i}`);
    const variants = [names.map(podPattern).join("|"), `(?:${names.map(podPattern).join("|")})`, `^(${names.map(podPattern).join("|")})$`];
    for (const pattern of variants) expect(charge(pattern), pattern.slice(0, 40)).to.be.within(1000, REGEX_COST_MAX);
    for (const namespace of ["payments\\.", "payments."]) expect(charge(names.map((name) => podPattern(namespace + name)).join("|"))).to.be.within(1000, REGEX_COST_MAX);
  });

  it("text counts an eighth where nothing precedes it, and in full behind anything, repeated, or without regard to case", () => {
    const text = "a".repeat(800);
    const rest = 50;
    for (const cheap of [`${text}[0-9]`, `^${text}[0-9]`, `b[0-9]|${text}`, `(b[0-9]|(?:${text}.))x`, "\\-".repeat(800), ".".repeat(800)]) expect(charge(cheap), cheap.slice(0, 20)).to.be.within(100, 100 + rest);
    for (const dear of [`.*${text}`, `[0-9]${text}`, `b?${text}`, `(b|)${text}`, `(${text})*`, `(${text}){1}`, `(b|${text})+`, `(?i)${text}.`, `(.)${text}`, `$${text}`]) {
      expect(charge(dear), dear.slice(0, 20)).to.be.within(800, 800 + rest);
    }
    expect(charge(`${text}*`)).to.be.within(100, 100 + rest);
  });

  it("is never more than the cost, and no less than an eighth of the program", () => {
    fc.assert(
      fc.property(patterns, (pattern) => {
        const cost = regexCost(pattern);
        expect(charge(pattern), pattern).to.be.at.most(cost).and.at.least(cost / 8);
        expect(regexCharge(pattern, 20) > 20, pattern).to.equal(charge(pattern) > 20);
      }),
      { numRuns: 1000 },
    );
  });
});

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
