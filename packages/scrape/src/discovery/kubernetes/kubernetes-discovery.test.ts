import { expect } from "chai";
import fc from "fast-check";
import { scrapeConfigs } from "../../config/read-scrape-configs.ts";
import type { KubernetesConfig } from "../../config/scrape-config.ts";
import { DiscoveryWorld, textReply } from "../../testing/discovery-world.ts";
import { FakeApiServer } from "../../testing/fake-api-server.ts";
import type { ApiObject } from "../../testing/fake-api-server.ts";
import type { Discovery, LabelValues } from "../discovery.ts";
import { kubernetesDiscovery } from "./kubernetes-discovery.ts";

class Cluster {
  readonly world: DiscoveryWorld = new DiscoveryWorld();
  readonly server: FakeApiServer = new FakeApiServer();
  discovery: Discovery | undefined;

  async start(written: object = {}, answer: DiscoveryWorld["answer"] = this.server.answer): Promise<void> {
    this.world.answer = answer;
    const config = scrapeConfigs([{ job_name: "a", kubernetes_sd_configs: [{ role: "pod", api_server: "https://k8s:6443/", ...written }] }])[0]!.discoveries[0] as KubernetesConfig;
    this.discovery = kubernetesDiscovery(config, this.world);
    this.discovery.start((groups) => this.world.told.push(groups));
    await this.pass(500);
  }

  async pass(byMs: number): Promise<void> {
    await this.world.settle();
    await this.world.advance(byMs);
  }

  /** What was told last, each target with the labels of its group. */
  targets(): LabelValues[] {
    return (this.world.told.at(-1) ?? []).flatMap(({ targets, labels }) => targets.map((target) => ({ ...labels, ...target })));
  }

  without(prefix: RegExp): LabelValues[] {
    return this.targets().map((target) => Object.fromEntries(Object.entries(target).filter(([name]) => !prefix.test(name))));
  }
}

function pod(name: string, more: { readonly ip?: string; readonly namespace?: string; readonly ports?: readonly number[]; readonly labels?: LabelValues } = {}): ApiObject {
  const { ip = "10.0.0.1", namespace = "prod", ports = [6060], labels = {} } = more;
  return {
    metadata: { name, namespace, uid: `uid-${name}`, labels },
    spec: { nodeName: "node-1", containers: [{ name: "app", image: "app:1", ports: ports.map((containerPort) => ({ name: `p${containerPort}`, containerPort, protocol: "TCP" })) }] },
    status: { podIP: ip, hostIP: "192.168.0.1", phase: "Running" },
  };
}

describe("kubernetes discovery: pods", () => {
  it("give a target for each port, and one without a port for a container that has none, with Prometheus' labels", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", {
      metadata: {
        name: "web-1",
        namespace: "prod",
        uid: "u-1",
        labels: { app: "web", "app.kubernetes.io/part-of": "shop", empty: "" },
        annotations: { "pyroscope.io/scrape": "true" },
        ownerReferences: [{ kind: "Node", name: "n" }, { kind: "ReplicaSet", name: "web", controller: true }],
      },
      spec: {
        nodeName: "node-1",
        containers: [{ name: "app", image: "app:1", ports: [{ name: "http", containerPort: 80, protocol: "TCP" }] }],
        initContainers: [{ name: "setup", image: "setup:1" }],
      },
      status: {
        podIP: "fd00::1",
        hostIP: "192.168.0.1",
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [{ name: "app", containerID: "containerd://a" }],
      },
    });
    await cluster.start();
    const common = {
      __meta_kubernetes_namespace: "prod",
      __meta_kubernetes_pod_name: "web-1",
      __meta_kubernetes_pod_uid: "u-1",
      __meta_kubernetes_pod_ip: "fd00::1",
      __meta_kubernetes_pod_host_ip: "192.168.0.1",
      __meta_kubernetes_pod_node_name: "node-1",
      __meta_kubernetes_pod_phase: "Running",
      __meta_kubernetes_pod_ready: "true",
      __meta_kubernetes_pod_controller_kind: "ReplicaSet",
      __meta_kubernetes_pod_controller_name: "web",
      __meta_kubernetes_pod_label_app: "web",
      __meta_kubernetes_pod_labelpresent_app: "true",
      __meta_kubernetes_pod_label_app_kubernetes_io_part_of: "shop",
      __meta_kubernetes_pod_labelpresent_app_kubernetes_io_part_of: "true",
      __meta_kubernetes_pod_label_empty: "",
      __meta_kubernetes_pod_labelpresent_empty: "true",
      __meta_kubernetes_pod_annotation_pyroscope_io_scrape: "true",
      __meta_kubernetes_pod_annotationpresent_pyroscope_io_scrape: "true",
    };
    expect(cluster.targets()).to.deep.equal([
      {
        ...common,
        __address__: "[fd00::1]:80",
        __meta_kubernetes_pod_container_name: "app",
        __meta_kubernetes_pod_container_id: "containerd://a",
        __meta_kubernetes_pod_container_image: "app:1",
        __meta_kubernetes_pod_container_init: "false",
        __meta_kubernetes_pod_container_port_name: "http",
        __meta_kubernetes_pod_container_port_number: "80",
        __meta_kubernetes_pod_container_port_protocol: "TCP",
      },
      {
        ...common,
        __address__: "fd00::1",
        __meta_kubernetes_pod_container_name: "setup",
        __meta_kubernetes_pod_container_image: "setup:1",
        __meta_kubernetes_pod_container_init: "true",
      },
    ]);
  });

  it("come and go with the watch, and one without an address is no target", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a", { ip: "" }));
    await cluster.start();
    expect(cluster.world.addresses()).to.deep.equal([]);
    cluster.server.set("pods", pod("a", { ip: "10.0.0.1" }));
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    await cluster.pass(500);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.2:6060"]);
    const before = cluster.world.told.at(-1)![1];
    cluster.server.delete("pods", "prod", "a");
    await cluster.pass(500);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.2:6060"]);
    expect(cluster.world.told.at(-1)![0], "an unchanged pod keeps its group").to.equal(before);
    expect(cluster.server.lists).to.have.lengthOf(1);
  });

  it("are listed in pages", async () => {
    const cluster = new Cluster();
    for (let index = 0; index < 250; index++) cluster.server.set("pods", pod(`p${index}`, { ip: `10.0.${index}.1` }));
    await cluster.start();
    expect(cluster.targets()).to.have.lengthOf(250);
    expect(cluster.server.lists).to.have.lengthOf(3);
  });

  it("are watched on from the version that was seen last, which a bookmark moves", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.set("services", pod("elsewhere")); // another kind moves the version, and a bookmark tells it
    cluster.server.bookmark();
    await cluster.pass(0);
    cluster.server.compact();
    cluster.server.disconnect();
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    await cluster.pass(1000);
    await cluster.pass(500);
    expect(cluster.server.lists).to.have.lengthOf(1);
    expect(cluster.server.watchQueries.at(-1)!.get("resourceVersion")).to.equal("102");
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.2:6060"]);
  });

  it("are listed anew where the version is not known any more, and those that are gone go", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.disconnect();
    cluster.server.delete("pods", "prod", "a");
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    cluster.server.compact();
    for (let turn = 0; turn < 4; turn++) await cluster.pass(1000);
    expect(cluster.server.lists).to.have.lengthOf(2);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.2:6060"]);
    expect(cluster.world.failed, "an old version is no failure").to.deep.equal([]);
  });

  it("stay while the server refuses, which is logged once with its words, and tried ever less often", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.refusal = { status: 403, message: 'pods is forbidden: User "x" cannot watch' };
    cluster.server.disconnect(new Error("reset"));
    for (let passedMs = 0; passedMs < 120_000; passedMs += 1000) await cluster.pass(1000);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060"]);
    const warned = cluster.world.logged.filter((line) => line.startsWith("warn"));
    expect(warned.map((line) => /connection of a watch was lost: reset|403 to \/api\/v1\/pods: pods is forbidden/.exec(line)?.[0])).to.deep.equal(["connection of a watch was lost: reset", "403 to /api/v1/pods: pods is forbidden"]);
    expect([...cluster.world.faults].map(({ source, reason }) => `${source}: ${reason}`)).to.deep.equal(['/api/v1/pods: the API server answered 403 to /api/v1/pods: pods is forbidden: User "x" cannot watch']);
    // After 1, 2, 4, 8, 16, 30, 30, 30 s.
    expect(cluster.world.failed.length).to.be.within(7, 9);
    cluster.server.refusal = undefined;
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    for (let turn = 0; turn < 32; turn++) await cluster.pass(1000);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.2:6060"]);
    expect(cluster.world.logged.at(-1)).to.include("works again");
    expect([...cluster.world.faults]).to.deep.equal([]);
  });

  it("are watched anew where a connection is silent for longer than the server leaves between two bookmarks", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    for (let passedMs = 0; passedMs < 140_000; passedMs += 10_000) await cluster.pass(10_000);
    cluster.server.bookmark();
    for (let passedMs = 0; passedMs < 140_000; passedMs += 10_000) await cluster.pass(10_000);
    expect(cluster.server.watchQueries).to.have.lengthOf(1);
    await cluster.pass(10_000);
    expect([cluster.server.watchQueries.length, cluster.server.watchCount, cluster.world.failed.length]).to.deep.equal([2, 1, 0]);
  });

  it("stay while a server takes requests and answers none, which is a failure", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    const { answer } = cluster.server;
    let doesHang = false;
    const hanging = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true }));
    await cluster.start({}, (get) => (doesHang ? hanging(get.signal) : answer(get)));
    doesHang = true;
    cluster.server.disconnect();
    for (let passedMs = 0; passedMs < 40_000; passedMs += 1000) await cluster.pass(1000);
    expect([...cluster.world.faults].map(({ reason }) => reason)).to.deep.equal(["/api/v1/pods: no answer within 30 s"]);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060"]);
  });

  it("are listed at once after a server that was started again has forgotten the version, however long it was away", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.refusal = { status: 503, message: "away" };
    cluster.server.disconnect(new Error("reset"));
    for (let passedMs = 0; passedMs < 70_000; passedMs += 1000) await cluster.pass(1000);
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    cluster.server.compact();
    cluster.server.refusal = undefined;
    const askedBefore = cluster.server.watchQueries.length;
    while (cluster.server.watchQueries.length === askedBefore) await cluster.pass(1000);
    await cluster.pass(500);
    expect([cluster.server.lists.length, cluster.world.addresses()]).to.deep.equal([2, ["10.0.0.1:6060", "10.0.0.2:6060"]]);
  });

  it("are listed anew after the server has ended a watch with another error than an old version", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.fail({ kind: "Status", code: 504, reason: "Timeout", message: "Too large resource version: 300, current: 100" });
    for (let turn = 0; turn < 3; turn++) await cluster.pass(1000);
    expect(cluster.server.lists).to.have.lengthOf(2);
    expect(cluster.world.logged.join()).to.include("Too large resource version");
  });

  it("are listed anew from a server whose data is older than what it said, as after a backup was restored: a watch would be silent", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    cluster.server.set("pods", pod("b", { ip: "10.0.0.2" }));
    await cluster.pass(500);
    cluster.server.delete("pods", "prod", "b");
    cluster.server.restore(101);
    cluster.server.set("pods", pod("c", { ip: "10.0.0.3" }));
    for (let turn = 0; turn < 4; turn++) await cluster.pass(1000);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.3:6060"]);
  });

  it("are not asked for twice where a watch has ended in time", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start();
    for (let turn = 0; turn < 3; turn++) {
      await cluster.pass(100_000);
      cluster.server.bookmark();
    }
    cluster.server.disconnect();
    await cluster.pass(1000);
    expect([cluster.server.watchQueries.length, cluster.server.lists.length, cluster.server.checks.length]).to.deep.equal([2, 1, 0]);
    cluster.server.disconnect();
    for (let turn = 0; turn < 3; turn++) await cluster.pass(1000);
    expect([cluster.server.watchQueries.length, cluster.server.lists.length, cluster.server.checks.length], "and too early").to.deep.equal([3, 1, 1]);
  });

  it("are asked for as late as a server says that has too many requests", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    let askedCount = 0;
    await cluster.start({}, (get) => {
      if (++askedCount > 2) return cluster.server.answer(get);
      return { ...textReply(429, '{"kind": "Status", "message": "too many requests"}'), headers: { "retry-after": askedCount === 1 ? "7" : "3600" } };
    });
    await cluster.pass(6000);
    expect(askedCount).to.equal(1);
    await cluster.pass(1000);
    expect(askedCount).to.equal(2);
    await cluster.pass(299_000);
    expect(askedCount, "for five minutes at most").to.equal(2);
    await cluster.pass(1000);
    await cluster.pass(500);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060"]);
  });

  it("are those of namespaces and selectors", async () => {
    const cluster = new Cluster();
    cluster.world.write("/var/run/secrets/kubernetes.io/serviceaccount/namespace", "own\n");
    cluster.server.set("pods", pod("a", { namespace: "own" }));
    cluster.server.set("pods", pod("b", { namespace: "prod", ip: "10.0.0.2" }));
    cluster.server.set("pods", pod("c", { namespace: "other", ip: "10.0.0.3" }));
    await cluster.start({ namespaces: { own_namespace: true, names: ["prod"] }, selectors: [{ role: "pod", label: "app=x,!y", field: "spec.nodeName=n" }] });
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.2:6060"]);
    expect(cluster.server.lists).to.deep.equal(["prod", "own"].map((namespace) => `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dx%2C%21y&fieldSelector=spec.nodeName%3Dn&limit=100`));
  });

  it("of one namespace wait for no other one, which this node may not read or which is slow", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a", { namespace: "prod" }));
    cluster.server.set("pods", pod("b", { namespace: "dev", ip: "10.0.0.2" }));
    const { answer } = cluster.server;
    let isForbidden = true;
    await cluster.start({ namespaces: { names: ["prod", "dev"] } }, (get) => (isForbidden && get.url.includes("/dev/") ? textReply(403, "{}") : answer(get)));
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060"]);
    isForbidden = false;
    for (let turn = 0; turn < 5; turn++) await cluster.pass(1000);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:6060", "10.0.0.2:6060"]);
  });

  it("are asked of the cluster that the node runs in, with the token of its service account", async () => {
    const cluster = new Cluster();
    await cluster.start({ api_server: null });
    const { url, settings } = cluster.world.asked[0]!;
    expect(url).to.match(/^https:\/\/kubernetes\.default\.svc\/api\/v1\/pods\?/);
    expect(settings.authorization).to.deep.equal({ kind: "header", type: "Bearer", credentials: { kind: "file", file: "/var/run/secrets/kubernetes.io/serviceaccount/token" } });
    expect(settings.tls.caFile).to.equal("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  });

  it("that are not wanted any more leave no request and no timer", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("a"));
    await cluster.start({ role: "endpoints" });
    cluster.server.set("pods", pod("b"));
    cluster.discovery!.stop();
    await cluster.world.settle();
    expect([cluster.server.watchCount, cluster.world.clock.timerCount]).to.deep.equal([0, 0]);
  });

  it("property: whatever changes, disconnects and is forgotten, what is told at the end is what there is", async () => {
    const name = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      fc.record({ kind: fc.constant("set" as const), name, ip: fc.integer({ min: 1, max: 250 }) }),
      fc.record({ kind: fc.constant("delete" as const), name }),
      fc.record({ kind: fc.constantFrom("disconnect" as const, "reset" as const, "compact" as const, "bookmark" as const, "pass" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const cluster = new Cluster();
        const there = new Map<string, string>();
        await cluster.start();
        for (const one of steps) {
          if (one.kind === "set") {
            there.set(one.name, `10.0.0.${one.ip}:6060`);
            cluster.server.set("pods", pod(one.name, { ip: `10.0.0.${one.ip}` }));
          } else if (one.kind === "delete") {
            there.delete(one.name);
            cluster.server.delete("pods", "prod", one.name);
          } else if (one.kind === "disconnect") cluster.server.disconnect();
          else if (one.kind === "reset") cluster.server.disconnect(new Error("reset"));
          else if (one.kind === "compact") cluster.server.compact();
          else if (one.kind === "bookmark") cluster.server.bookmark();
          else await cluster.pass(300);
        }
        for (let turn = 0; turn < 8; turn++) await cluster.pass(16_000);
        expect(cluster.world.addresses()).to.deep.equal([...there.values()].sort());
        cluster.discovery!.stop();
      }),
      { numRuns: 60 },
    );
  });
});

const ENDPOINTS: ApiObject = {
  metadata: { name: "web", namespace: "prod", labels: { team: "a" } },
  subsets: [
    {
      addresses: [{ ip: "10.0.0.1", nodeName: "node-1", hostname: "h1", targetRef: { kind: "Pod", namespace: "prod", name: "web-1" } }],
      notReadyAddresses: [{ ip: "10.0.0.9" }],
      ports: [{ name: "http", port: 80, protocol: "TCP" }],
    },
  ],
};

describe("kubernetes discovery: endpoints", () => {
  it("have the labels of service and pod, and the further ports of the pod", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("web-1", { ports: [80, 6060] }));
    cluster.server.set("services", { metadata: { name: "web", namespace: "prod", labels: { tier: "front" } } });
    cluster.server.set("endpoints", ENDPOINTS);
    await cluster.start({ role: "endpoints" });
    const common = {
      __meta_kubernetes_namespace: "prod",
      __meta_kubernetes_endpoints_name: "web",
      __meta_kubernetes_endpoints_label_team: "a",
      __meta_kubernetes_endpoints_labelpresent_team: "true",
      __meta_kubernetes_service_name: "web",
      __meta_kubernetes_service_label_tier: "front",
      __meta_kubernetes_service_labelpresent_tier: "true",
    };
    expect(cluster.without(/_pod_(?!name|container_port)/)).to.deep.equal([
      {
        ...common,
        __address__: "10.0.0.1:80",
        __meta_kubernetes_endpoint_port_name: "http",
        __meta_kubernetes_endpoint_port_protocol: "TCP",
        __meta_kubernetes_endpoint_ready: "true",
        __meta_kubernetes_endpoint_node_name: "node-1",
        __meta_kubernetes_endpoint_hostname: "h1",
        __meta_kubernetes_endpoint_address_target_kind: "Pod",
        __meta_kubernetes_endpoint_address_target_name: "web-1",
        __meta_kubernetes_pod_name: "web-1",
        __meta_kubernetes_pod_container_port_name: "p80",
        __meta_kubernetes_pod_container_port_number: "80",
        __meta_kubernetes_pod_container_port_protocol: "TCP",
      },
      { ...common, __address__: "10.0.0.9:80", __meta_kubernetes_endpoint_port_name: "http", __meta_kubernetes_endpoint_port_protocol: "TCP", __meta_kubernetes_endpoint_ready: "false" },
      {
        ...common,
        __address__: "10.0.0.1:6060",
        __meta_kubernetes_pod_name: "web-1",
        __meta_kubernetes_pod_container_port_name: "p6060",
        __meta_kubernetes_pod_container_port_number: "6060",
        __meta_kubernetes_pod_container_port_protocol: "TCP",
      },
    ]);
  });

  it("are made anew when a pod or the service behind them changes, and only then", async () => {
    const cluster = new Cluster();
    cluster.server.set("endpoints", ENDPOINTS);
    await cluster.start({ role: "endpoints" });
    const before = cluster.world.told.at(-1)![0];
    cluster.server.set("pods", pod("stranger"));
    await cluster.pass(500);
    expect(cluster.world.told.at(-1)![0]).to.equal(before);
    cluster.server.set("pods", pod("web-1", { labels: { app: "web" } }));
    await cluster.pass(500);
    expect(cluster.targets()[0]).to.include({ __meta_kubernetes_pod_label_app: "web" });
    cluster.server.set("services", { metadata: { name: "web", namespace: "prod" } });
    await cluster.pass(500);
    expect(cluster.targets()[0]).to.include({ __meta_kubernetes_service_name: "web" });
  });

  it("are told once pods and services were listed too: without their labels a target would be another", async () => {
    const cluster = new Cluster();
    cluster.server.set("endpoints", ENDPOINTS);
    const { answer } = cluster.server;
    let isForbidden = true;
    await cluster.start({ role: "endpoints" }, (get) => (isForbidden && get.url.includes("/services") ? textReply(403, "{}") : answer(get)));
    await cluster.pass(5000);
    expect(cluster.world.told).to.deep.equal([]);
    isForbidden = false;
    for (let turn = 0; turn < 10; turn++) await cluster.pass(1000);
    expect(cluster.world.addresses()).to.deep.equal(["10.0.0.1:80", "10.0.0.9:80"]);
  });
});

describe("kubernetes discovery: endpoint slices", () => {
  it("have the labels of slice, service and pod", async () => {
    const cluster = new Cluster();
    cluster.server.set("pods", pod("web-1"));
    cluster.server.set("services", { metadata: { name: "web", namespace: "prod" } });
    cluster.server.set("endpointslices", {
      metadata: { name: "web-x1", namespace: "prod", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "pprof", port: 6060, protocol: "TCP", appProtocol: "http" }],
      endpoints: [
        {
          addresses: ["10.0.0.1"],
          conditions: { ready: true, serving: true, terminating: false },
          hostname: "h1",
          nodeName: "node-1",
          zone: "eu-1",
          targetRef: { kind: "Pod", namespace: "prod", name: "web-1" },
        },
      ],
    });
    await cluster.start({ role: "endpointslice" });
    expect(cluster.server.lists.map((list) => list.split("?")[0])).to.deep.equal(["/api/v1/pods", "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"]);
    expect(cluster.without(/_pod_(?!name)/)).to.deep.equal([
      {
        __address__: "10.0.0.1:6060",
        __meta_kubernetes_namespace: "prod",
        __meta_kubernetes_endpointslice_name: "web-x1",
        __meta_kubernetes_endpointslice_label_kubernetes_io_service_name: "web",
        __meta_kubernetes_endpointslice_labelpresent_kubernetes_io_service_name: "true",
        __meta_kubernetes_endpointslice_address_type: "IPv4",
        __meta_kubernetes_service_name: "web",
        __meta_kubernetes_endpointslice_port: "6060",
        __meta_kubernetes_endpointslice_port_name: "pprof",
        __meta_kubernetes_endpointslice_port_protocol: "TCP",
        __meta_kubernetes_endpointslice_port_app_protocol: "http",
        __meta_kubernetes_endpointslice_endpoint_conditions_ready: "true",
        __meta_kubernetes_endpointslice_endpoint_conditions_serving: "true",
        __meta_kubernetes_endpointslice_endpoint_conditions_terminating: "false",
        __meta_kubernetes_endpointslice_endpoint_hostname: "h1",
        __meta_kubernetes_endpointslice_endpoint_node_name: "node-1",
        __meta_kubernetes_endpointslice_endpoint_zone: "eu-1",
        __meta_kubernetes_endpointslice_address_target_kind: "Pod",
        __meta_kubernetes_endpointslice_address_target_name: "web-1",
        __meta_kubernetes_pod_name: "web-1",
      },
    ]);
  });
});
