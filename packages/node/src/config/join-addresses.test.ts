import { expect } from "chai";
import { joinAddresses } from "./join-addresses.ts";
import { parseJoinEntry } from "./join-entry.ts";

describe("join addresses", () => {
  const hosts: Record<string, readonly string[]> = { pyromesh: ["10.0.0.1", "10.0.0.2", "fd00::1"] };
  const files: Record<string, string> = { "/m": "10.0.0.2:7946\n10.0.0.9:7000\n", "/bad": "nonsense\n" };
  const find = async (...entries: readonly string[]): Promise<{ readonly found: readonly string[]; readonly problems: readonly string[] }> => {
    const problems: string[] = [];
    const found = await joinAddresses(entries.map(parseJoinEntry), {
      lookup: (host) => (hosts[host] === undefined ? Promise.reject(new Error(`no host ${host}`)) : Promise.resolve(hosts[host])),
      readFile: (path) => (files[path] === undefined ? Promise.reject(new Error(`no file ${path}`)) : Promise.resolve(files[path])),
      onProblem: (entry, problem) => problems.push(`${entry}: ${problem}`),
    });
    return { found, problems };
  };

  it("are those given, all of a name, and the lines of a file, each once", async () => {
    expect((await find("node-1:7946", "dns+pyromesh:7946", "file:/m")).found).to.deep.equal(["node-1:7946", "10.0.0.1:7946", "10.0.0.2:7946", "[fd00::1]:7946", "10.0.0.9:7000"]);
  });

  it("an entry that cannot be resolved is told of, and the others are found", async () => {
    const { found, problems } = await find("dns+gone:1", "file:/gone", "file:/bad", "a:1");
    expect(found).to.deep.equal(["a:1"]);
    expect(problems).to.satisfy((texts: string[]) => texts.length === 3 && texts[0] === "dns+gone:1: no host gone" && texts[2]!.startsWith("file:/bad: line 1: "));
  });

  it("are looked up again each time", async () => {
    hosts["moving"] = ["10.0.0.1"];
    expect((await find("dns+moving:1")).found).to.deep.equal(["10.0.0.1:1"]);
    hosts["moving"] = ["10.0.0.8"];
    expect((await find("dns+moving:1")).found).to.deep.equal(["10.0.0.8:1"]);
  });
});
