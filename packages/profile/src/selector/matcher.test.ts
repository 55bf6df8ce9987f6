import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { sortLabels } from "../labels/labels.ts";
import { makeMatcher, matchesLabels, parseQuery, parseSelector, SELECTOR_LENGTH_MAX } from "./matcher.ts";
import type { Matcher } from "./matcher.ts";
import { REGEX_COST_MAX, RegexBudget } from "./regex-budget.ts";

const parts = (matchers: readonly Matcher[]): string[][] => matchers.map(({ name, operator, value }) => [name, operator, value]);

function refusal(run: () => unknown): [string, string] {
  try {
    run();
  } catch (error) {
    expect(error).to.be.instanceOf(CodedError);
    const { code, kind, message } = error as CodedError; // checked just above
    expect(kind).to.equal("invalid_argument");
    return [code, message];
  }
  throw new Error("was not refused");
}

describe("selectors", () => {
  it("take what Prometheus takes", () => {
    expect(parseSelector("{}")).to.deep.equal([]);
    expect(parts(parseSelector(' { a = "x" , b!="y",c=~"r.*", d!~"s+" , } '))).to.deep.equal([
      ["a", "=", "x"],
      ["b", "!=", "y"],
      ["c", "=~", "r.*"],
      ["d", "!~", "s+"],
    ]);
    expect(parts(parseSelector('{"k8s.pod"="x", \'ü\'=`a\\b`}'))).to.deep.equal([
      ["k8s.pod", "=", "x"],
      ["ü", "=", "a\\b"],
    ]);
    expect(parts(parseSelector('memory{pod="a"} # all of it'))).to.deep.equal([
      ["__name__", "=", "memory"],
      ["pod", "=", "a"],
    ]);
    expect(parts(parseSelector('{"memory",pod="a"}'))).to.deep.equal([
      ["__name__", "=", "memory"],
      ["pod", "=", "a"],
    ]);
    expect(parts(parseSelector(String.raw`{a="\"\\\n\t\x41\101\u00fc\U0001f525\xc3\xbc", b='\''}`))).to.deep.equal([
      ["a", "=", '"\\\n\tAAü\u{1f525}ü'],
      ["b", "=", "'"],
    ]);
  });

  it("refuse the rest, saying where and why", () => {
    const cases: readonly [string, string][] = [
      ["", "1:1: parse error: unexpected end of input: an empty selector is written {}"],
      ["  ", "1:3: parse error: unexpected end of input: an empty selector is written {}"],
      ["{service_name=", "1:15: parse error: unexpected end of input inside braces"],
      ["{", "1:2: parse error: unexpected end of input inside braces, expected a label name or }"],
      ['{a="b"', "1:7: parse error: unexpected end of input inside braces"],
      ['{a="b" c="d"}', '1:8: parse error: unexpected "c" in label matching, expected , or }'],
      ["{a}", '1:3: parse error: unexpected "}" in label matching, expected one of = != =~ !~'],
      ["{a=b}", '1:4: parse error: unexpected "b" in label matching, expected a quoted value'],
      ["{,}", '1:2: parse error: unexpected "," inside braces, expected a label name or }'],
      ['{a="b"}}', '1:8: parse error: unexpected "}" after the selector'],
      ["{a=\"b}", "1:4: parse error: unterminated quoted string"],
      ["{a=`b}", "1:4: parse error: unterminated raw string"],
      ['{\n\n  1="b"}', '3:3: parse error: unexpected "1" inside braces, expected a label name or }'],
      [String.raw`{a="\q"}`, "1:5: parse error: unknown escape sequence \\q: write a backslash as \\\\"],
      [String.raw`{a="\'"}`, "1:5: parse error: unknown escape sequence \\': write a backslash as \\\\"],
      [String.raw`{a="\u12"}`, "1:5: parse error: escape sequence wants 4 hexadecimal digits"],
      [String.raw`{a="\ud800"}`, "1:5: parse error: escape sequence is no Unicode code point"],
      ['{""="b"}', "1:2: parse error: an empty label name"],
      ['x{__name__="y"}', '1:3: parse error: the name is set twice: "x" and "y"'],
      ['x{"y"}', '1:3: parse error: the name is set twice: "x" and "y"'],
      ["=", '1:1: parse error: unexpected "=", expected {'],
    ];
    for (const [text, message] of cases) expect(refusal(() => parseSelector(text)), text).to.deep.equal(["SELECTOR_INVALID", message]);
    expect(refusal(() => parseSelector(`{a="${"x".repeat(SELECTOR_LENGTH_MAX)}"}`))[0]).to.equal("SELECTOR_INVALID");
  });

  it("refuse a regular expression that is none, or that is too large", () => {
    expect(refusal(() => parseSelector('{pod=~"("}'))).to.deep.equal([
      "REGEX_INVALID",
      "1:2: parse error: error parsing regexp: missing closing ): `(`",
    ]);
    expect(refusal(() => parseSelector('{a="b",pod=~"(?<=a)b"}'))[0]).to.equal("REGEX_INVALID");
    expect(refusal(() => parseSelector(`{a=~"${"(".repeat(100)}"}`))[0]).to.equal("REGEX_INVALID");
    const [code, message] = refusal(() => parseSelector(`{a="b", pod=~"${"x*".repeat(REGEX_COST_MAX)}"}`));
    expect(code).to.equal("REGEX_TOO_LARGE");
    expect(message).to.match(/^1:9: parse error: the regular expression of pod=~"x\*x\*.*" is too large: .* 2048 instructions together: use fewer repetitions/);
  });

  // Compiled on the main thread they held it for 0.3 s each; the last four for seconds.
  it("an expression that asks for too much work is refused before it is compiled", () => {
    const hostile = [
      ".{1,999}".repeat(50),
      "(x|y){0,500}".repeat(30),
      "((a{0,30}){0,30}){0,30}",
      "()".repeat(30_000),
      `[${"\\pL".repeat(8000)}]`,
      `(?i)${"[A-\u{1e942}]".repeat(9000)}`,
      `[${"[:".repeat(30_000)}`,
      `(a${"|".repeat(60_000)})+`,
    ];
    for (const pattern of hostile) {
      const startMs = performance.now();
      expect(refusal(() => parseSelector(`{pod=~${JSON.stringify(pattern)}}`))[0], pattern.slice(0, 40)).to.equal("REGEX_TOO_LARGE");
      expect(performance.now() - startMs, pattern.slice(0, 40)).to.be.lessThan(1000);
    }
  });

  it("the expressions of a selector count together, and so do those of a request's selectors", () => {
    const third = `pod=~".{${Math.floor(REGEX_COST_MAX / 3)}}"`;
    expect(parseSelector(`{${third},${third}}`)).to.have.length(2);
    const [code, message] = refusal(() => parseSelector(`{${third},${third},${third}}`));
    expect(code).to.equal("REGEX_TOO_LARGE");
    expect(message).to.match(/all of a request may compile to 2048 instructions together, of which the ones before it took 13\d\d/);
    const budget = new RegexBudget();
    parseSelector(`{${third},${third}}`, budget);
    expect(refusal(() => parseQuery(`cpu{${third}}`, budget))[0]).to.equal("REGEX_TOO_LARGE");
  });

  it("alternatives of plain text are not counted, whole or in parentheses, with .* at their ends or text around them", () => {
    const names = Array.from({ length: 3000 }, (_, i) => `pod-${i}`);
    for (const pattern of [names.join("|"), `(${names.join("|")})`, names.map((name) => `${name}-.*`).join("|"), `prod-(?:${names.join("|")})-x`]) {
      const [matcher] = parseSelector(`{pod=~"${pattern}"}`);
      expect(["pod-2999", "pod-2999-y", "prod-pod-2999-x"].filter((value) => matcher!.matches(value))).to.have.length(1);
      expect(matcher!.matches("pod-3000")).to.equal(false);
    }
  });

  it("nor are those in a group with .*, .+, ^ or $ around it, as dashboards put it around a variable of many values", () => {
    const names = Array.from({ length: 3000 }, (_, i) => `pod-${i}\\\\.x`); // twice: for the selector, and for the expression
    const group = names.join("|");
    for (const pattern of [`(${group}).*`, `.*(${group})`, `.*-(?:${group}).*`, `^(${group})$`, names.map((name) => `^${name}$`).join("|")]) {
      const [matcher] = parseSelector(`{pod=~"${pattern}"}`);
      expect(["pod-2999.x", "a-pod-2999.x-y"].filter((value) => matcher!.matches(value)), pattern.slice(0, 20)).to.have.length(1);
      expect(matcher!.matches("pod-2999-x")).to.equal(false);
    }
  });

  it("looking for many texts in a value counts as the work of a scan that it is", () => {
    const [matcher] = parseSelector(`{pod=~"${Array.from({ length: 3000 }, (_, i) => `.*pod-${i}.*`).join("|")}"}`);
    expect(matcher!.steps).to.be.greaterThan(3000);
  });

  it("noise is parsed or refused, never more", () => {
    const piece = fc.constantFrom("{", "}", "a", "=", "!", "~", '"', "'", "`", ",", "\\", "x", "#", "\n", " ", "(", "7", "ü");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        try {
          parseSelector(pieces.join(""));
        } catch (error) {
          expect(error).to.be.instanceOf(CodedError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("any label value survives being quoted as JSON", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(parseSelector(`{a=${JSON.stringify(text)}}`)[0]!.value).to.equal(text);
      }),
    );
  });
});

describe("queries", () => {
  it("the name is a profile type where it has the parts of one, empty parts included", () => {
    const query = parseQuery('process_cpu:samples:count::milliseconds{a="b"}');
    expect(query.profileType).to.deep.equal({ name: "process_cpu", sampleType: "samples", sampleUnit: "count", periodType: "", periodUnit: "milliseconds" });
    expect([query.typeId, parts(query.matchers)]).to.deep.equal(["process_cpu:samples:count::milliseconds", [["a", "=", "b"]]]);
    expect(parseQuery("memory:inuse_space:bytes:space:bytes:delta").typeId).to.equal("memory:inuse_space:bytes:space:bytes");
  });

  // Prometheus' own reading, and so Pyroscope's: render refused it as a query without a type.
  it("the name may be written as a matcher", () => {
    const query = parseQuery('{a="b", __name__="process_cpu:samples:count::milliseconds"}');
    expect([query.typeId, parts(query.matchers)]).to.deep.equal(["process_cpu:samples:count::milliseconds", [["a", "=", "b"]]]);
    expect(parts(parseQuery('{a="b", __name__="memory"}').matchers)).to.have.deep.members([["__name__", "=", "memory"], ["a", "=", "b"]]);
    expect(parseQuery('{__name__=~"a:b:c:d:e"}').profileType).to.equal(undefined);
  });

  it("any other name is a matcher", () => {
    const query = parseQuery('memory{pod="a"}');
    expect([query.profileType, query.typeId]).to.deep.equal([undefined, ""]);
    expect(parts(query.matchers)).to.deep.equal([
      ["__name__", "=", "memory"],
      ["pod", "=", "a"],
    ]);
    expect(parseQuery("{}")).to.deep.equal({ profileType: undefined, typeId: "", matchers: [] });
    expect(refusal(() => parseQuery("cpu{a="))).to.deep.equal(["SELECTOR_INVALID", "1:7: parse error: unexpected end of input inside braces"]);
  });
});

describe("matchers", () => {
  it("an absent label is an empty one", () => {
    const labels = sortLabels([{ name: "a", value: "x" }]);
    const matches = (text: string): boolean => matchesLabels(parseSelector(text), labels);
    expect(matches('{b=""}')).to.equal(true);
    expect(matches('{b!=""}')).to.equal(false);
    expect(matches('{b=~".*"}')).to.equal(true);
    expect(matches('{b=~".+"}')).to.equal(false);
    expect(matches('{b!~"x"}')).to.equal(true);
    expect(matches('{a="x",b="y"}')).to.equal(false);
    expect(matches("{}")).to.equal(true);
  });

  it("an expression must match the whole value, line breaks included", () => {
    const matches = (pattern: string, value: string): boolean => makeMatcher("a", "=~", pattern).matches(value);
    expect(matches("eu", "eu-1")).to.equal(false);
    expect(matches("eu|us-[0-9]", "us-1")).to.equal(true);
    expect(matches("eu|us-[0-9]", "eu-1")).to.equal(false);
    expect(matches("a.c", "a\nc")).to.equal(true);
    expect(matches("(?i)EU.*", "eu-1")).to.equal(true);
    expect(matches("^eu$", "eu")).to.equal(true);
  });

  it("shortcuts say the same as the engine does", () => {
    const piece = fc.constantFrom("a", "b", ".*", ".+", "|", "\\.", "\\|", "\\(", ".", "-", "", "^", "$", "\\$", "\\\\");
    const text = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(""));
    const patterns = fc.oneof(
      text,
      fc.tuple(text, fc.constantFrom("(", "(?:"), text, fc.constantFrom(")", ")", ")*", ")?"), text).map((parts) => parts.join("")),
    );
    const candidate = fc.array(fc.constantFrom("a", "b", ".", "-", "|", "(", "\n", "$", "\\"), { maxLength: 6 }).map((chars) => chars.join(""));
    fc.assert(
      fc.property(patterns, candidate, (pattern, value) => {
        const native = new RegExp(`^(?:${pattern})$`, "s");
        expect(makeMatcher("a", "=~", pattern).matches(value), `${pattern} on ${value}`).to.equal(native.test(value));
        expect(makeMatcher("a", "!~", pattern).matches(value)).to.equal(!native.test(value));
      }),
      { numRuns: 1500, examples: [["(\\$.)*", ""], ["a(^.*b)", "ab"], ["(a$)b", "ab"]] },
    );
  });

  it("an expression that makes backtracking engines hang is answered at once", () => {
    const matcher = makeMatcher("a", "=~", "(a*)*(a|aa)+(x+x+)+y");
    const startMs = performance.now();
    expect(matcher.matches("a".repeat(2000) + "x".repeat(2000))).to.equal(false);
    expect(performance.now() - startMs).to.be.lessThan(2000);
  });
});
