import { expect } from "chai";
import { parseJoinEntry, printJoinEntry, readJoinFile } from "./join-entry.ts";

describe("join entry", () => {
  it("is an address, a name with many addresses, or a file", () => {
    expect(parseJoinEntry("10.0.0.1:7946")).to.deep.equal({ kind: "address", address: { host: "10.0.0.1", port: 7946 } });
    expect(parseJoinEntry("dns+pyromesh.prod.svc:7946")).to.deep.equal({ kind: "dns", address: { host: "pyromesh.prod.svc", port: 7946 } });
    expect(parseJoinEntry("file:/etc/members")).to.deep.equal({ kind: "file", path: "/etc/members" });
    expect(parseJoinEntry("file:///etc/members")).to.deep.equal({ kind: "file", path: "/etc/members" });
    expect(parseJoinEntry("file:members")).to.deep.equal({ kind: "file", path: "members" });
  });

  it("is printed as it is read", () => {
    for (const text of ["a:1", "dns+a:1", "[fd00::1]:7946", "file:/x/y"]) expect(printJoinEntry(parseJoinEntry(text))).to.equal(text);
  });

  it("is refused where nothing can be reached at it", () => {
    for (const text of ["a", "a:0", ":7946", "0.0.0.0:7946", "[::]:7946", "dns+a", "dns+:7946", "http://a:1", ""]) {
      expect(() => parseJoinEntry(text), text).to.throw("is no address that a node is reached at: write it as");
    }
    expect(() => parseJoinEntry("file:")).to.throw("names no file");
  });

  it("a file holds one address a line, and comments; a wrong line is named", () => {
    expect(readJoinFile("# ours\n10.0.0.1:7946\r\n\n  b.example:7946  \n")).to.deep.equal([
      { host: "10.0.0.1", port: 7946 },
      { host: "b.example", port: 7946 },
    ]);
    expect(() => readJoinFile("a:1\nb\n")).to.throw('line 2: "b" is no address');
  });
});
