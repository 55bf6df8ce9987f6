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

  it("two servers of one build take the same pushes, and each is told with its ratio to the first", function () {
    if (!hasCorpus(defaultCorpusFolder())) return this.skip();
    const { status, out, err } = duel("--server", `one=${CHECKOUT}`, "--server", `two=${CHECKOUT}`, "--pushes", "600");
    expect([status, err]).to.deep.equal([0, "500 of 600 pushed to each\n600 of 600 pushed to each\n"]);
    expect(out).to.match(/^one +CPU \d\.\d{4} ms a push = 1\.000 .* 0 failed\ntwo +CPU \d\.\d{4} ms a push = \d\.\d{3} .* 0 failed\n$/);
  });

  it("says how it is used where it was asked wrongly", () => {
    for (const args of [["--server", "a=."], ["--server", "a=.", "--server", "a=."], ["--server", "a", "--server", "b=."], ["--server", "a=.", "--server", "b=.", "--pushes", "0"], ["--server", "a=.", "--server", "b=.", "--node-flag", "c=--x"]]) {
      const { status, err } = duel(...args);
      expect([status, err.includes("usage: npm run bench -- duel")], args.join(" ")).to.deep.equal([2, true]);
    }
  });
});
