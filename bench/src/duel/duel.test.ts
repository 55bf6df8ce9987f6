import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { defaultCorpusFolder, hasCorpus } from "../load/options.ts";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));
const CHECKOUT = path.join(path.dirname(MAIN), "../..");

const duel = (...args: string[]): { readonly status: number | null; readonly out: string; readonly err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "duel", ...args], { encoding: "utf8" });
  return { status, out: stdout, err: stderr };
};

describe("bench duel", function () {
  this.timeout(60_000);

  it("two servers of one build take the same pushes in each round; each has its ratio to the first, and the median of its ratios", function () {
    if (!hasCorpus(defaultCorpusFolder())) return this.skip();
    const { status, out, err } = duel("--server", `one=${CHECKOUT}`, "--server", `two=${CHECKOUT}`, "--pushes", "60", "--rounds", "2");
    expect([status, err]).to.deep.equal([0, "60 of 60 pushed to each\n60 of 60 pushed to each\n"]);
    const round = String.raw`one +CPU \d+\.\d{4} ms a push = 1\.000 .* 0 failed\ntwo +CPU \d+\.\d{4} ms a push = \d+\.\d{3} .* 0 failed\n`;
    const spread = String.raw`\d+\.\d{3} \(\d+\.\d{3} to \d+\.\d{3}\)`;
    expect(out).to.match(new RegExp(`^(${round}){2}two to one, median of 2 rounds \\(least to most\\): CPU ${spread}, in its turns ${spread}, pushes/s ${spread}, p99 ${spread}\n$`));
  });

  it("prints its usage for wrong options", () => {
    for (const args of [["--server", "a=."], ["--server", "a=.", "--server", "a=."], ["--server", "a", "--server", "b=."], ["--server", "a=.", "--server", "b=.", "--pushes", "0"], ["--server", "a=.", "--server", "b=.", "--rounds", "x"], ["--server", "a=.", "--server", "b=.", "--node-flag", "c=--x"]]) {
      const { status, err } = duel(...args);
      expect([status, err.includes("usage: npm run bench -- duel")], args.join(" ")).to.deep.equal([2, true]);
    }
  });
});
