import { expect } from "chai";
import { canonicalAddress, HostList, isLoopbackHost, parseAllowedHost, parseHost } from "./host-name.ts";

const nameOf = (text: string): string | undefined => parseHost(text)?.name;
const isLoopback = (text: string): boolean => {
  const host = parseHost(text);
  return host !== undefined && isLoopbackHost(host);
};

describe("host name", () => {
  it("upper case, a dot at the end and the port make no difference", () => {
    expect(["Profiles.Example.ORG", "profiles.example.org.", "profiles.example.org:4040", "profiles.example.org:"].map(nameOf)).to.deep.equal(Array(4).fill("profiles.example.org"));
    expect([parseHost("a:80")?.port, parseHost("[::1]:4040")?.port, parseHost("a")?.port]).to.deep.equal([80, 4040, undefined]);
  });

  it("an IPv6 address has one canonical form, and one that contains an IPv4 address is that address", () => {
    expect(["[0:0:0:0:0:0:0:1]", "[::0001]:4040", "[::1]"].map(nameOf)).to.deep.equal(["::1", "::1", "::1"]);
    expect(["[::ffff:127.0.0.1]", "[::FFFF:7f00:1]:4040", "[0:0:0:0:0:ffff:127.0.0.1]"].map(nameOf)).to.deep.equal(Array(3).fill("127.0.0.1"));
    expect(["::ffff:10.0.0.5", "fe80::1%eth0", "10.0.0.5"].map(canonicalAddress)).to.deep.equal(["10.0.0.5", "fe80::1", "10.0.0.5"]);
  });

  it("text that is neither a name nor an address has no host", () => {
    for (const text of ["", "user@localhost", "user:word@localhost:4040", "localhost:99999x", "::1", "[::1", "[fe80::1%25eth0]", "a b", "%6cocalhost", "localhost/x", "a..b", "localhost..", "a,b", "127.1", "2130706433", "0x7f.0x1", "127.0.0.1."]) {
      expect(nameOf(text), text).to.equal(undefined);
    }
  });

  it("loopback names are those that no DNS server answers for", () => {
    for (const text of ["localhost", "LOCALHOST:4040", "localhost.", "app.localhost:80", "127.0.0.1:4040", "127.255.0.3", "[::1]:4040", "[::ffff:127.0.0.1]:1"]) expect(isLoopback(text), text).to.equal(true);
    for (const text of ["localhost.example.org", "notlocalhost", "127.0.0.1.example.org", "127.0.0.1.nip.io", "0.0.0.0", "[::]", "10.0.0.1", "[::2]", "[::ffff:10.0.0.1]"]) expect(isLoopback(text), text).to.equal(false);
  });

  it("a list contains its names and addresses, and with *. all names below one, but not that one", () => {
    const list = new HostList(["Profiles.example.org.", "*.example.net", "10.0.0.5", "FD00::5", "[fd00::6]"].map(parseAllowedHost));
    const has = (text: string): boolean => list.has(parseHost(text)!);
    for (const text of ["profiles.example.org:443", "a.example.net", "a.b.EXAMPLE.net.", "10.0.0.5:4040", "[fd00:0::5]", "[fd00::6]:1"]) expect(has(text), text).to.equal(true);
    for (const text of ["example.net", "aexample.net", "profiles.example.org.evil.example", "10.0.0.6"]) expect(has(text), text).to.equal(false);
  });

  it("an entry of the list with a scheme, a port or a star elsewhere is refused with how to write it", () => {
    for (const text of ["http://a", "a:4040", "a:", "[::1]:80", "*", "*.", "a.*", "*.10.0.0.5", "*example.org", "a/b", "user@a", ""]) expect(() => parseAllowedHost(text), text).to.throw("is not a host name: write it as");
  });
});
