import { expect } from "chai";
import { parseAllowedHost } from "./host-name.ts";
import { hostsOf, parseCorsOrigin, SiteGate } from "./site-gate.ts";
import type { SiteRequest } from "./site-gate.ts";
import { codeOf } from "../testing/code-of.ts";

const LOOPBACK = "127.0.0.1";
const EVERYWHERE = "0.0.0.0";

interface Setup {
  readonly listen?: string;
  readonly listenHost?: string;
  readonly allowedHosts?: readonly string[];
  readonly corsOrigins?: readonly string[];
}

function gateOf({ listen = LOOPBACK, listenHost = listen, allowedHosts = [], corsOrigins = [] }: Setup): SiteGate {
  return new SiteGate({ allowedHosts: allowedHosts.map(parseAllowedHost), corsOrigins: corsOrigins.map(parseCorsOrigin) }, { listenHost, listenAddress: listen });
}

describe("site gate: Host", () => {
  const refuses = (setup: Setup, hosts: readonly string[], more: { readonly localAddress?: string; readonly isProbe?: boolean } = {}): boolean => {
    const { localAddress = setup.listen === EVERYWHERE ? "10.0.0.5" : LOOPBACK, isProbe = false } = more;
    const code = codeOf(() => gateOf(setup).checkHosts({ hosts, localAddress }, isProbe));
    expect(code).to.be.oneOf(["HOST_NOT_ALLOWED", "no error"]);
    return code !== "no error";
  };

  it("a loopback listener takes loopback names and addresses, with any port", () => {
    for (const listen of ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"]) {
      for (const host of ["localhost:4040", "LocalHost", "localhost.:1", "a.localhost", "127.0.0.1:4040", "127.9.9.9", "[::1]:4040", "[::ffff:127.0.0.1]"]) expect(refuses({ listen }, [host]), `${listen} ${host}`).to.equal(false);
      for (const host of ["evil.example:4040", "127.0.0.1.nip.io", "localhost.evil.example", "0.0.0.0:4040", "10.0.0.5", "user@localhost", "localhost@evil.example"]) expect(refuses({ listen }, [host]), `${listen} ${host}`).to.equal(true);
    }
  });

  it("... and those of --allowed-hosts, for probes too", () => {
    const setup = { allowedHosts: ["profiles.example.org", "*.corp.example"] };
    for (const host of ["profiles.example.org", "a.corp.example:4040", "localhost"]) expect(refuses(setup, [host]), host).to.equal(false);
    for (const host of ["example.org", "corp.example"]) expect(refuses(setup, [host]), host).to.equal(true);
    expect(refuses(setup, ["10.0.0.5"], { isProbe: true })).to.equal(true);
  });

  it("another listener takes any host without --allowed-hosts", () => {
    for (const listen of [EVERYWHERE, "10.0.0.5", "::"]) for (const host of ["evil.example", "10.0.0.5", "a b", "user@x"]) expect(refuses({ listen }, [host]), `${listen} ${host}`).to.equal(false);
  });

  it("with --allowed-hosts it takes those, and the address that the connection came to", () => {
    const setup = { listen: EVERYWHERE, allowedHosts: ["profiles.example.org"] };
    expect(refuses(setup, ["profiles.example.org:443"])).to.equal(false);
    expect(refuses(setup, ["10.0.0.5:4040"])).to.equal(false);
    expect(refuses(setup, ["10.0.0.5"], { localAddress: "::ffff:10.0.0.5" })).to.equal(false);
    expect(refuses(setup, ["[fd00::5]:4040"], { localAddress: "fd00::5" })).to.equal(false);
    expect(refuses(setup, ["localhost:4040"], { localAddress: LOOPBACK }), "on this machine").to.equal(false);
    for (const host of ["evil.example", "10.0.0.6", "localhost", "user@profiles.example.org"]) expect(refuses(setup, [host]), host).to.equal(true);
    expect(refuses(setup, ["evil.example"], { localAddress: LOOPBACK })).to.equal(true);
  });

  it("... and for probes any address, which is nobody's DNS name", () => {
    const setup = { listen: EVERYWHERE, allowedHosts: ["profiles.example.org"] };
    expect(refuses(setup, ["192.168.7.1:30040"], { isProbe: true })).to.equal(false);
    expect(refuses(setup, ["evil.example"], { isProbe: true })).to.equal(true);
  });

  it("the name that it listens on is allowed", () => {
    expect(refuses({ listenHost: "node-1" }, ["node-1:4040"])).to.equal(false);
    expect(refuses({ listen: EVERYWHERE, listenHost: "node-1", allowedHosts: ["profiles.example.org"] }, ["Node-1"])).to.equal(false);
    expect(refuses({ listen: EVERYWHERE, listenHost: EVERYWHERE, allowedHosts: ["profiles.example.org"] }, [EVERYWHERE])).to.equal(true);
  });

  it("a request without Host, or with an empty one, passes: no browser sends it", () => {
    expect(refuses({}, [])).to.equal(false);
    expect(refuses({}, [""])).to.equal(false);
  });

  it("the host of a target that is a whole URL is checked in addition to the header", () => {
    expect(refuses({}, ["localhost", "evil.example"])).to.equal(true);
    expect(refuses({}, ["evil.example", "localhost"])).to.equal(true);
  });

  it("hosts are read from the header in any spelling and from the target; two headers are refused", () => {
    expect(hostsOf(["HOST", "a:1", "x", "host"], "/x")).to.deep.equal(["a:1"]);
    expect(hostsOf(["Host", "a"], "http://user@b:80/x?y")).to.deep.equal(["a", "user@b:80"]);
    expect(hostsOf([], "HTTPS://b?host=c")).to.deep.equal(["b"]);
    expect(hostsOf(["Host", "a"], "*")).to.deep.equal(["a"]);
    expect(codeOf(() => hostsOf(["Host", "a", "x", "y", "host", "a"], "/x"))).to.equal("HOST_REPEATED");
  });
});

describe("site gate: Origin", () => {
  const request = (headers: Readonly<Record<string, string>>, method = "POST"): SiteRequest => ({ method, headers, hosts: [headers["host"] ?? "localhost:4040"], localAddress: LOOPBACK });
  const refuses = (headers: Readonly<Record<string, string>>, setup: Setup = {}, { method = "POST", isOperator = false } = {}): boolean => {
    const code = codeOf(() => gateOf(setup).checkOrigin(request(headers, method), { isOperator }));
    expect(code).to.be.oneOf(["CROSS_SITE", "no error"]);
    return code !== "no error";
  };

  it("a client that is no browser passes", () => expect(refuses({ "content-type": "text/plain" })).to.equal(false));

  it("a write from a page of another origin is refused", () => {
    for (const origin of ["https://evil.example", "http://localhost:3000", "https://localhost", "null", "http://localhost:4040, http://evil.example", "", "chrome-extension://abc"]) expect(refuses({ origin }), origin).to.equal(true);
    for (const method of ["PUT", "DELETE", "PATCH", "BREW"]) expect(refuses({ origin: "https://evil.example" }, {}, { method }), method).to.equal(true);
    for (const method of ["GET", "HEAD", "OPTIONS"]) expect(refuses({ origin: "https://evil.example" }, {}, { method }), method).to.equal(false);
  });

  it("a write is refused where only Sec-Fetch-Site shows the page, and from another port of this machine", () => {
    expect(refuses({ "sec-fetch-site": "cross-site" })).to.equal(true);
    expect(refuses({ "sec-fetch-site": "same-site", origin: "http://localhost:4040" })).to.equal(true);
    expect(refuses({ "sec-fetch-site": "none", origin: "https://evil.example" })).to.equal(true);
    expect(refuses({ "sec-fetch-site": "none" })).to.equal(false);
  });

  it("the node's own page passes, by whatever name it was reached", () => {
    expect(refuses({ origin: "http://localhost:4040" })).to.equal(false);
    expect(refuses({ origin: "http://LOCALHOST:4040" })).to.equal(false);
    expect(refuses({ host: "[::1]:4040", origin: "http://[::1]:4040" })).to.equal(false);
    expect(refuses({ host: "10.0.0.5:4040", origin: "http://10.0.0.5:4040" })).to.equal(false);
  });

  it("... behind a proxy that ends TLS and keeps Host, behind one that sends X-Forwarded-Host, and wherever Sec-Fetch-Site says so", () => {
    expect(refuses({ host: "profiles.example.org", origin: "https://profiles.example.org" })).to.equal(false);
    expect(refuses({ host: "profiles.example.org:443", origin: "https://profiles.example.org" })).to.equal(false);
    expect(refuses({ host: "127.0.0.1:4040", origin: "https://profiles.example.org", "x-forwarded-host": "profiles.example.org" })).to.equal(false);
    expect(refuses({ host: "127.0.0.1:4040", origin: "https://profiles.example.org", "x-forwarded-host": "profiles.example.org, inner:8080" })).to.equal(false);
    expect(refuses({ host: "127.0.0.1:4040", origin: "https://profiles.example.org", "sec-fetch-site": "same-origin" })).to.equal(false);
    expect(refuses({ host: "127.0.0.1:4040", origin: "https://profiles.example.org" })).to.equal(true);
    expect(refuses({ host: "127.0.0.1:4040", origin: "https://evil.example", "x-forwarded-host": "profiles.example.org" })).to.equal(true);
  });

  it("a named origin passes where it is exactly equal, with * every origin; neither passes to operator routes", () => {
    const corsOrigins = ["https://Grafana.example.org:443", "http://localhost:3000"];
    for (const origin of ["https://grafana.example.org", "http://localhost:3000"]) {
      expect(refuses({ origin, "sec-fetch-site": "cross-site" }, { corsOrigins }), origin).to.equal(false);
      expect(refuses({ origin }, { corsOrigins }, { isOperator: true }), `${origin}, operator`).to.equal(true);
    }
    for (const origin of ["http://grafana.example.org", "https://grafana.example.org:8443", "https://a.grafana.example.org", "null"]) expect(refuses({ origin }, { corsOrigins }), origin).to.equal(true);
    expect(refuses({ origin: "null" }, { corsOrigins: ["*"] })).to.equal(false);
    expect(refuses({ "sec-fetch-site": "cross-site" }, { corsOrigins: ["*"] }), "no origin is no site").to.equal(true);
    expect(refuses({ origin: "https://a.example" }, { corsOrigins: ["*"] }, { isOperator: true })).to.equal(true);
  });

  it("the refusal names the site and the setting", () => {
    expect(() => gateOf({}).checkOrigin(request({ origin: "https://evil.example" }), undefined)).to.throw('this request comes from a web page of "https://evil.example": name its origin in --cors-origins to let it push and query');
  });

  it("an origin in the settings is scheme://host:port, or *; null is refused", () => {
    expect(["HTTPS://A.example:443", "http://[::1]:3000", "chrome-extension://AbC", "*"].map(parseCorsOrigin)).to.deep.equal(["https://a.example", "http://[::1]:3000", "chrome-extension://abc", "*"]);
    for (const text of ["a.example", "https://a.example/", "https://a.example/x", "null", "https://u@a.example", "https://*.example", "https://a,b", ""]) {
      expect(() => parseCorsOrigin(text), text).to.throw("is not the origin of a site");
    }
  });
});

describe("site gate: CORS", () => {
  const corsOrigins = ["https://grafana.example.org"];
  const request = (headers: Readonly<Record<string, string>>, method = "GET"): SiteRequest => ({ method, headers, hosts: ["localhost"], localAddress: LOOPBACK });
  const reader = { isOperator: false };

  it("a named origin may read replies, another may not, and caches keep the two apart", () => {
    const gate = gateOf({ corsOrigins });
    expect(gate.corsHeaders(request({ origin: corsOrigins[0]! }), reader)).to.deep.equal(["vary", "origin", "access-control-allow-origin", corsOrigins[0], "access-control-expose-headers", "*"]);
    for (const headers of [{}, { origin: "https://evil.example" }, { origin: "null" }]) expect(gate.corsHeaders(request(headers), reader)).to.deep.equal(["vary", "origin"]);
    expect(gate.corsHeaders(request({ origin: corsOrigins[0]! }), { isOperator: true })).to.deep.equal(["vary", "origin"]);
    expect(gateOf({}).corsHeaders(request({ origin: corsOrigins[0]! }), reader)).to.deep.equal([]);
  });

  it("a preflight is told what it may send, never with credentials", () => {
    const headers = { origin: corsOrigins[0]!, "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-scope-orgid" };
    const reply = gateOf({ corsOrigins }).preflight(request(headers, "OPTIONS"), reader);
    expect(reply).to.deep.equal({
      status: 204,
      headers: { "access-control-allow-methods": "GET, HEAD, POST", "access-control-allow-headers": "content-type,x-scope-orgid", "access-control-max-age": "600" },
      body: "",
    });
  });

  it("a preflight of another origin is refused, and of every origin for an operator route", () => {
    const asks = (origin: string, isOperator: boolean): string => codeOf(() => gateOf({ corsOrigins }).preflight(request({ origin, "access-control-request-method": "POST" }, "OPTIONS"), { isOperator }));
    expect(asks("https://evil.example", false)).to.equal("CROSS_SITE");
    expect(asks(corsOrigins[0]!, true)).to.equal("CROSS_SITE");
    expect(asks(corsOrigins[0]!, false)).to.equal("no error");
  });

  it("an OPTIONS without the headers of a preflight is none", () => {
    expect(gateOf({ corsOrigins }).preflight(request({ origin: corsOrigins[0]! }, "OPTIONS"), reader)).to.equal(undefined);
    expect(gateOf({ corsOrigins }).preflight(request({ "access-control-request-method": "POST" }, "OPTIONS"), reader)).to.equal(undefined);
  });
});
