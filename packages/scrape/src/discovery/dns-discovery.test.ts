import { expect } from "chai";
import type { DnsConfig } from "../config/scrape-config.ts";
import { DiscoveryWorld } from "../testing/discovery-world.ts";
import { dnsDiscovery } from "./dns-discovery.ts";

async function started(config: Partial<DnsConfig>, records: Readonly<Record<string, unknown>>): Promise<DiscoveryWorld> {
  const world = new DiscoveryWorld();
  for (const [question, answer] of Object.entries(records)) world.records.set(question, answer);
  dnsDiscovery({ kind: "dns", names: ["app"], type: "A", port: 6060, refreshIntervalMs: 30_000, ...config }, world).start((groups) => world.told.push(groups));
  await world.settle();
  return world;
}

describe("dns discovery", () => {
  it("gives the addresses of each type of record", async () => {
    expect((await started({}, { "A app": ["10.0.0.2", "10.0.0.1"] })).told).to.deep.equal([
      [{ targets: [{ __address__: "10.0.0.1:6060" }, { __address__: "10.0.0.2:6060" }], labels: { __meta_dns_name: "app" } }],
    ]);
    expect((await started({ type: "AAAA" }, { "AAAA app": ["fd00::1"] })).addresses()).to.deep.equal(["[fd00::1]:6060"]);
    expect((await started({ type: "SRV" }, { "SRV app": [{ name: "h.example.org", port: 7070 }] })).told[0]![0]!.targets).to.deep.equal([
      { __address__: "h.example.org:7070", __meta_dns_srv_record_target: "h.example.org.", __meta_dns_srv_record_port: "7070" },
    ]);
    expect((await started({ type: "MX" }, { "MX app": ["mail.example.org"] })).told[0]![0]!.targets).to.deep.equal([{ __address__: "mail.example.org:6060", __meta_dns_mx_record_target: "mail.example.org." }]);
  });

  it("tells nothing where a server answers in another order", async () => {
    const world = await started({}, { "A app": ["10.0.0.1", "10.0.0.2"] });
    world.records.set("A app", ["10.0.0.2", "10.0.0.1"]);
    await world.advance(30_000);
    expect(world.told).to.have.lengthOf(1);
  });

  it("keeps a name that cannot be asked, and forgets one that does not exist any more", async () => {
    const world = await started({ names: ["app", "other"] }, { "A app": ["10.0.0.1"], "A other": ["10.0.0.2"] });
    world.records.set("A app", new Error("server failed"));
    world.records.delete("A other");
    await world.advance(30_000);
    expect(world.addresses()).to.deep.equal(["10.0.0.1:6060"]);
    expect(world.logged.at(-1)).to.include("app: server failed");
  });
});
