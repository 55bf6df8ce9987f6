/**
 * Each folder of scripts/fixtures/check-imports is a small tree that breaks one rule: the part of the folder's name before the first
 * dash.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { checkImports } from "../../scripts/check-imports.mjs";
import { tokenize } from "../../scripts/tokenize.mjs";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../scripts/fixtures/check-imports");

describe("import check", () => {
  for (const name of readdirSync(fixtures).filter((folder) => folder !== "clean" && folder !== "cycle-across")) {
    it(`catches ${name}, once, and nothing else`, () => {
      const offences = checkImports(path.join(fixtures, name));
      expect(offences.map(({ rule }) => rule)).to.deep.equal([name.split("-")[0]]);
      expect(offences[0].message).to.match(/\w/);
    });
  }

  it("catches a cycle across packages, beside the direction it breaks", () => {
    const offences = checkImports(path.join(fixtures, "cycle-across"));
    expect(offences.map(({ rule }) => rule).sort()).to.deep.equal(["cycle", "direction", "direction"]);
    expect(offences.find(({ rule }) => rule === "cycle").message).to.include("packages/later/src/index.ts -> packages/node/src/index.ts");
  });

  it("has a fixture for every rule", () => {
    const covered = new Set(readdirSync(fixtures).map((name) => name.split("-")[0]));
    for (const rule of ["direction", "room", "undeclared", "engine", "ambient", "testing", "composition", "state", "cycle", "load", "dead", "default", "star"]) expect(covered).to.include(rule);
  });

  it("passes comments, strings, templates and patterns that only look like offences", () => {
    expect(checkImports(path.join(fixtures, "clean"))).to.deep.equal([]);
  });

  it("names the file and the line", () => {
    const [offence] = checkImports(path.join(fixtures, "star"));
    expect(`${offence.file}:${offence.line}`).to.equal("packages/head/src/index.ts:1");
  });
});

describe("tokenizer", () => {
  const words = (source) => tokenize(source).filter(({ kind }) => kind === "word").map(({ text }) => text);

  it("tells division from a regular expression", () => {
    expect(words("a / b / c; return /d/.e; (f) / g; [/h'/, i]")).to.deep.equal(["a", "b", "c", "return", "e", "f", "g", "i"]);
  });

  it("keeps the code inside a template, with objects in it", () => {
    expect(words("`a ${b({c: `${d}`})} e` + f")).to.deep.equal(["b", "c", "d", "f"]);
  });

  it("counts lines over comments, templates and strings", () => {
    const tokens = tokenize("/* \n */ a\n`\n${b}\n`\n// x\nc");
    expect(tokens.filter(({ kind }) => kind === "word").map(({ text, line }) => `${text}${line}`)).to.deep.equal(["a2", "b4", "c7"]);
  });

  it("never throws on noise", () => {
    let state = 7;
    for (let run = 0; run < 300; run++) {
      let text = "";
      for (let i = 0; i < 60; i++) {
        state = (state * 1103515245 + 12345) % 2147483648;
        text += "`'\"/\\*${}()ab.\n<>["[state % 18];
      }
      expect(tokenize(text)).to.be.an("array");
    }
  });
});
