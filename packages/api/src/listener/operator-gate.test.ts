import { expect } from "chai";
import { refuseOperator } from "./operator-gate.ts";

const LOCAL = "127.0.0.1";
const HOST = { host: "127.0.0.1:4040" };

describe("operator gate", () => {
  for (const peer of ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]) {
    it(`accepts a command line on this machine (${peer})`, () => expect(refuseOperator(peer, HOST)).to.equal(undefined));
  }
  for (const peer of ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "128.0.0.1", undefined]) {
    it(`refuses a peer elsewhere (${peer})`, () => expect(refuseOperator(peer, HOST)?.code).to.equal("OPERATOR_NOT_LOCAL"));
  }

  it("refuses requests that a proxy on this machine forwards", () => {
    expect(refuseOperator(LOCAL, { ...HOST, "x-forwarded-for": "10.0.0.1" })?.code).to.equal("OPERATOR_FORWARDED");
    expect(refuseOperator(LOCAL, { ...HOST, forwarded: "for=10.0.0.1" })?.code).to.equal("OPERATOR_FORWARDED");
  });

  it("refuses a page of another origin, and a name that only looks like this machine", () => {
    const refused = [
      { ...HOST, origin: "https://evil.example" },
      { ...HOST, origin: "null" },
      { ...HOST, "sec-fetch-site": "cross-site" },
      { ...HOST, "sec-fetch-site": "same-site" },
      { host: "rebound.example:4040", origin: "http://rebound.example:4040", "sec-fetch-site": "same-origin" },
      { host: "localhost.evil.example", "sec-fetch-site": "same-origin" },
    ];
    for (const headers of refused) expect(refuseOperator(LOCAL, headers)?.code, JSON.stringify(headers)).to.equal("OPERATOR_CROSS_ORIGIN");
  });

  it("accepts the node's own page", () => {
    expect(refuseOperator(LOCAL, { host: "localhost:4040", origin: "http://localhost:4040", "sec-fetch-site": "same-origin" })).to.equal(undefined);
    expect(refuseOperator("::1", { host: "[::1]:4040", "sec-fetch-site": "none" })).to.equal(undefined);
  });
});
