import { Metrics, parseTenantId } from "@pyromesh/base";
import { expect } from "chai";
import { PushCounts } from "./push-counts.ts";

describe("push counts", () => {
  it("received and accepted are counted by tenant, in profiles and bytes", async () => {
    const metrics = new Metrics();
    const counts = new PushCounts({ metrics });
    const [a, b] = [parseTenantId("a"), parseTenantId("b")];
    counts.received(a, 100);
    counts.received(a, 50, 3);
    counts.accepted(a, 100);
    counts.received(b, 7);
    const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("pyromesh_"));
    expect(lines).to.have.members([
      'pyromesh_received_profiles_total{tenant="a"} 4',
      'pyromesh_received_profiles_total{tenant="b"} 1',
      'pyromesh_received_bytes_total{tenant="a"} 150',
      'pyromesh_received_bytes_total{tenant="b"} 7',
      'pyromesh_accepted_profiles_total{tenant="a"} 1',
      'pyromesh_accepted_profiles_total{tenant="b"} 0',
      'pyromesh_accepted_bytes_total{tenant="a"} 100',
      'pyromesh_accepted_bytes_total{tenant="b"} 0',
    ]);
  });

  it("the tenant label is bounded", async () => {
    const metrics = new Metrics();
    const counts = new PushCounts({ metrics });
    for (let i = 0; i < 1_100; i++) counts.received(parseTenantId(`t${i}`), 1);
    const text = await metrics.text();
    expect(text).to.contain('pyromesh_received_profiles_total{tenant="(other)"} 100');
    expect(text.match(/^pyromesh_received_profiles_total\{/gm)).to.have.length(1_001);
  });
});
