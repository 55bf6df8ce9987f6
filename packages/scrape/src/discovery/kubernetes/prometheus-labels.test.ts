import { readFileSync } from "node:fs";
import { expect } from "chai";
import { scrapeConfigs } from "../../config/read-scrape-configs.ts";
import { KUBERNETES_ROLES } from "../../config/scrape-config.ts";
import type { KubernetesConfig, KubernetesRole } from "../../config/scrape-config.ts";
import { DiscoveryWorld } from "../../testing/discovery-world.ts";
import { FakeApiServer } from "../../testing/fake-api-server.ts";
import type { ApiObject } from "../../testing/fake-api-server.ts";
import type { LabelValues } from "../discovery.ts";
import { kubernetesDiscovery } from "./kubernetes-discovery.ts";

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../../../testdata/kubernetes/${name}`, import.meta.url), "utf8"));
const OBJECTS = read("objects.json") as Readonly<Record<string, readonly ApiObject[]>>;
/** Without `__meta_kubernetes_`, and without empty labels. */
const TARGETS = read("prometheus-targets.json") as Readonly<Record<KubernetesRole, readonly LabelValues[]>>;

/** In an order of their own: Prometheus' is that of a hash table. */
function sorted(targets: readonly LabelValues[]): string[] {
  return targets.map((target) => JSON.stringify(Object.entries(target).filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)))).sort();
}

async function targetsOf(role: KubernetesRole): Promise<LabelValues[]> {
  const [world, server] = [new DiscoveryWorld(), new FakeApiServer()];
  for (const [plural, objects] of Object.entries(OBJECTS)) for (const object of objects) server.set(plural, object);
  world.answer = server.answer;
  const [config] = scrapeConfigs([{ job_name: "a", kubernetes_sd_configs: [{ role, api_server: "https://k8s:6443" }] }]);
  const discovery = kubernetesDiscovery(config!.discoveries[0] as KubernetesConfig, world);
  discovery.start((groups) => world.told.push(groups));
  await world.settle();
  await world.advance(500);
  discovery.stop();
  return world.told.at(-1)!.flatMap(({ labels, targets }) => targets.map((target) => ({ ...labels, ...target })));
}

describe("kubernetes discovery: objects of a real API server give the labels that Prometheus gives them", () => {
  for (const role of KUBERNETES_ROLES) {
    it(`in the role ${role}`, async () => {
      const expected = TARGETS[role].map((target) => Object.fromEntries(Object.entries(target).map(([name, value]) => [name.startsWith("__") ? name : `__meta_kubernetes_${name}`, value])));
      expect(sorted(await targetsOf(role))).to.deep.equal(sorted(expected));
    });
  }

  it("take a port that two containers declare for the last one's, and with endpoints the protocol from the service", async () => {
    const valuesOf = async (role: KubernetesRole, address: string, label: string): Promise<(string | undefined)[]> =>
      (await targetsOf(role)).filter((target) => target["__address__"] === address).map((target) => target[`__meta_kubernetes_pod_container_${label}`]);
    expect(await valuesOf("endpoints", "10.1.0.5:9153", "name")).to.deep.equal(["other"]);
    expect(await valuesOf("endpoints", "10.1.0.5:53", "port_protocol")).to.deep.equal(["UDP", "TCP"]);
    expect(await valuesOf("endpointslice", "10.1.0.5:53", "port_protocol"), "with slices: of what is declared first").to.deep.equal(["UDP", "UDP"]);
  });

  it("ask a pod that has addresses of both families of IP once for each service", async () => {
    const serviceOf = (target: LabelValues): string => target["__meta_kubernetes_service_name"] ?? "";
    const addresses = (await targetsOf("endpointslice")).filter((target) => serviceOf(target).startsWith("dual")).map((target) => `${serviceOf(target)} ${target["__address__"]}`);
    expect(addresses.filter((address) => address.endsWith(":80"))).to.deep.equal(["dual 10.1.0.7:80", "dual6 [fd00::7]:80"]);
  });
});
