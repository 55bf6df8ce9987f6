import { expect } from "chai";
import { joinAddressCount, joinAddresses } from "./join-addresses.ts";
import { parseJoinEntry } from "./join-entry.ts";

describe("join addresses", () => {
  const files: Record<string, string> = { "/m": "10.0.0.2:7946\n10.0.0.9:7000\n", "/bad": "nonsense\n" };
  const find = async (...entries: readonly string[]): Promise<{ readonly found: readonly string[]; readonly problems: readonly string[] }> => {
    const problems: string[] = [];
    const found = await joinAddresses(entries.map(parseJoinEntry), {
      readFile: (path) => (files[path] === undefined ? Promise.reject(new Error(`no file ${path}`)) : Promise.resolve(files[path])),
      onProblem: (entry, problem) => problems.push(`${entry}: ${problem}`),
    });
    return { found, problems };
  };

  it("are those given, and the lines of a file, each once", async () => {
    expect((await find("node-1:7946", "dns+pyromesh:7946", "file:/m", "10.0.0.9:7000")).found).to.deep.equal(["node-1:7946", "pyromesh:7946", "10.0.0.2:7946", "10.0.0.9:7000"]);
  });

  it("a file that cannot be read is told of, and the others are found", async () => {
    const { found, problems } = await find("file:/gone", "file:/bad", "a:1");
    expect(found).to.deep.equal(["a:1"]);
    expect(problems).to.satisfy((texts: string[]) => texts.length === 2 && texts[0] === "file:/gone: no file /gone" && texts[1]!.startsWith("file:/bad: line 1: "));
  });

  it("count the nodes that they stand for, this one once", () => {
    expect([joinAddressCount([], "a:1"), joinAddressCount(["a:1"], "a:1"), joinAddressCount(["a:1", "b:1", "c:1"], "b:1")]).to.deep.equal([1, 1, 3]);
  });

  it("are read again each time", async () => {
    files["/moving"] = "10.0.0.1:1\n";
    expect((await find("file:/moving")).found).to.deep.equal(["10.0.0.1:1"]);
    files["/moving"] = "10.0.0.8:1\n";
    expect((await find("file:/moving")).found).to.deep.equal(["10.0.0.8:1"]);
  });
});
