/** testdata/relabel.json: what the package relabel of Prometheus 3.1 gives for the same labels and rules, asked once, in Go. */
import { readFile } from "node:fs/promises";
import { sortLabels } from "@pyromesh/profile";
import { expect } from "chai";
import fc from "fast-check";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import { expandTemplate } from "./expand-template.ts";
import { compileRules } from "./relabel.ts";
import type { RelabelRule } from "./relabel-rule.ts";

interface GoldenCase {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rules: readonly unknown[];
  readonly result?: Readonly<Record<string, string>>;
  readonly dropped?: true;
  readonly refused?: true;
}

const rulesOf = (rules: readonly unknown[]): readonly RelabelRule[] => scrapeConfigs([{ job_name: "a", static_configs: [{ targets: [] }], relabel_configs: rules }])[0]!.relabelRules;
const labelsOf = (values: Readonly<Record<string, string>>) => sortLabels(Object.entries(values).map(([name, value]) => ({ name, value })));

describe("relabel", () => {
  it("gives what Prometheus gives, and refuses what it refuses", async () => {
    const cases = JSON.parse(await readFile(new URL("../../testdata/relabel.json", import.meta.url), "utf8")) as readonly GoldenCase[];
    expect(cases).to.have.lengthOf(461);
    for (const { name, labels, rules, result, refused } of cases) {
      if (refused === true) {
        expect(() => rulesOf(rules), name).to.throw("scrape_configs[0].relabel_configs[0]");
        continue;
      }
      const relabelled = compileRules(rulesOf(rules))(labelsOf(labels));
      if (result === undefined) expect(relabelled.kind, name).to.equal("dropped");
      else expect(relabelled, name).to.deep.equal({ kind: "kept", labels: labelsOf(result) });
    }
  });

  it("says which rule dropped a target", () => {
    const relabel = compileRules(rulesOf([{ target_label: "a", replacement: "x" }, { source_labels: ["a"], regex: "x", action: "drop" }]));
    expect(relabel([])).to.deep.equal({ kind: "dropped", ruleIndex: 1 });
  });

  it("takes time that is linear in the value for an expression that backtracks elsewhere", () => {
    const relabel = compileRules(rulesOf([{ source_labels: ["a"], regex: "(a+)+b", target_label: "b", replacement: "x" }]));
    const labels = labelsOf({ a: "a".repeat(100_000) });
    expect(relabel(labels)).to.deep.equal({ kind: "kept", labels });
  });

  it("refuses an expression that compiles to more than a request may", () => {
    expect(() => rulesOf([{ source_labels: ["a"], regex: "(.{1,999}){1,50}", target_label: "b" }])).to.throw("too large");
  });

  it("property: labels stay sorted, unique and without empty values, whatever the rules", () => {
    const name = fc.constantFrom("a", "b", "__c", "d_d");
    const value = fc.string({ maxLength: 8 });
    const rule = fc.record({
      action: fc.constantFrom("replace", "labelmap", "hashmod", "lowercase", "uppercase"),
      source_labels: fc.array(name, { maxLength: 3 }),
      target_label: name,
      regex: fc.constantFrom("(.*)", "(.)(.*)", "__(.*)", "a|b"),
      replacement: fc.constantFrom("k", "x_${1}", "$1"),
      modulus: fc.constantFrom(1, 7, 1000),
    });
    const cases = fc.tuple(fc.dictionary(name, value), fc.array(rule, { maxLength: 6 }));
    fc.assert(
      fc.property(cases, ([values, rules]) => {
        const written = rules.map(({ action, replacement, modulus, ...rest }) => ({ ...rest, action, ...(action === "hashmod" ? { modulus } : {}), ...(action.endsWith("case") ? {} : { replacement }) }));
        const relabelled = compileRules(rulesOf(written))(labelsOf(values).filter((label) => label.value !== ""));
        if (relabelled.kind === "dropped") throw new Error("no rule drops");
        expect(relabelled.labels).to.deep.equal(sortLabels(relabelled.labels));
        expect(new Set(relabelled.labels.map((label) => label.name)).size).to.equal(relabelled.labels.length);
        for (const label of relabelled.labels) expect(label.value).to.not.equal("");
      }),
    );
  });
});

describe("template", () => {
  it("of plain text is itself", () => {
    fc.assert(fc.property(fc.string(), (text) => expandTemplate(text.replaceAll("$", "$$$$"), () => "never") === text));
  });
});
