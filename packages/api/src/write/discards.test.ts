import { CodedError, invalidArgument, Metrics, parseTenantId, unavailable } from "@pyromesh/base";
import { expect } from "chai";
import { discardReason, Discards } from "./discards.ts";

const A = parseTenantId("a");

describe("discards", () => {
  it("profiles and bytes are counted by reason and tenant", async () => {
    const metrics = new Metrics();
    const discards = new Discards({ metrics });
    discards.add(A, new CodedError({ code: "RATE_LIMITED", kind: "resource_exhausted", message: "m" }), 100);
    discards.add(A, new CodedError({ code: "X", kind: "invalid_argument", message: "m", details: { reason: "samples_limit" } }), 7);
    discards.add(A, new CodedError({ code: "X", kind: "invalid_argument", message: "m", details: { reason: "samples_limit" } }), 7);
    const text = await metrics.text();
    expect(text).to.contain('pyromesh_discarded_samples_total{reason="rate_limited",tenant="a"} 1');
    expect(text).to.contain('pyromesh_discarded_bytes_total{reason="rate_limited",tenant="a"} 100');
    expect(text).to.contain('pyromesh_discarded_samples_total{reason="samples_limit",tenant="a"} 2');
    expect(text).to.contain('pyromesh_discarded_bytes_total{reason="samples_limit",tenant="a"} 14');
  });

  it("the reason is the one that the error names, else it follows from the code and the kind", () => {
    expect(discardReason(invalidArgument("PROFILE_MALFORMED", "m"))).to.equal("malformed_profile");
    expect(discardReason(unavailable("X", "m"))).to.equal("unavailable");
    expect(discardReason(new Error("m"))).to.equal("unknown");
    const odd = new CodedError({ code: "X", kind: "invalid_argument", message: "m", details: { reason: 'a"b' } });
    expect(discardReason(odd), "a label value must stay a word").to.equal("malformed_profile");
  });

  it("the tenant label is bounded", async () => {
    const metrics = new Metrics();
    const discards = new Discards({ metrics });
    for (let i = 0; i < 1_100; i++) discards.add(parseTenantId(`t${i}`), unavailable("X", "m"), 1);
    const text = await metrics.text();
    expect(text).to.contain('pyromesh_discarded_samples_total{reason="unavailable",tenant="(other)"} 100');
    expect(text.match(/^pyromesh_discarded_samples_total\{/gm)).to.have.length(1_001);
  });
});
