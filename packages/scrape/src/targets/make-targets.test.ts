import { expect } from "chai";
import { scrapeConfigs } from "../config/read-scrape-configs.ts";
import type { LabelValues } from "../discovery/discovery.ts";
import { compileRules } from "../relabel/relabel.ts";
import { makeTargets } from "./make-targets.ts";
import type { GroupTargets } from "./make-targets.ts";

const ONLY_MEMORY = { pprof_config: Object.fromEntries(["block", "goroutine", "mutex", "process_cpu"].map((name) => [name, { enabled: false }])) };

function targetsOf(job: object, target: LabelValues, labels: LabelValues = {}): GroupTargets {
  const [config] = scrapeConfigs([{ job_name: "app", static_configs: [{ targets: [] }], ...job }]);
  return makeTargets(config!, compileRules(config!.relabelRules), { targets: [target], labels });
}

/** The one target of a job that asks for memory only, or why there is none. */
function memoryOf(job: object, target: LabelValues, labels: LabelValues = {}) {
  const { targets, dropped } = targetsOf({ profiling_config: ONLY_MEMORY, ...job }, target, labels);
  expect(targets.length + dropped.length).to.equal(1);
  return { url: targets[0]?.url, reason: dropped[0]?.reason, target: targets[0], labels: Object.fromEntries((targets[0]?.labels ?? []).map(({ name, value }) => [name, value])) };
}

describe("targets", () => {
  it("of one program are one for each profile, and of a delta the program measures for as long as the interval", () => {
    const { targets, dropped } = targetsOf({ scrape_timeout: "5s" }, { __address__: "10.0.0.1:6060" });
    expect(dropped).to.deep.equal([]);
    expect(targets.map(({ url, timeoutMs, profile }) => `${profile.name}${profile.delta ? " delta" : ""}${profile.isCumulative ? " cumulative" : ""} ${url} ${timeoutMs}`)).to.deep.equal([
      "block cumulative http://10.0.0.1:6060/debug/pprof/block 5000",
      "goroutine http://10.0.0.1:6060/debug/pprof/goroutine 5000",
      "memory cumulative http://10.0.0.1:6060/debug/pprof/allocs 5000",
      "mutex cumulative http://10.0.0.1:6060/debug/pprof/mutex 5000",
      "process_cpu delta http://10.0.0.1:6060/debug/pprof/profile?seconds=15 20000",
    ]);
  });

  it("have job, instance and service_name, and no label that begins with __", () => {
    expect(memoryOf({}, { __address__: "10.0.0.1", __meta_x: "y", env: "prod" }).labels).to.deep.equal({ env: "prod", instance: "10.0.0.1:80", job: "app", service_name: "app" });
    expect(memoryOf({ scheme: "https" }, { __address__: "[fd00::1]" }).url).to.equal("https://[fd00::1]:443/debug/pprof/allocs");
  });

  it("name the service by the pod's annotation, by namespace and container, by the job, unless a rule does", () => {
    const kubernetes = { __address__: "a:1", __meta_kubernetes_namespace: "prod", __meta_kubernetes_pod_container_name: "web" };
    expect(memoryOf({}, kubernetes).labels["service_name"]).to.equal("prod/web");
    expect(memoryOf({}, { ...kubernetes, __meta_kubernetes_pod_annotation_pyroscope_io_service_name: "shop" }).labels["service_name"]).to.equal("shop");
    expect(memoryOf({ relabel_configs: [{ target_label: "service_name", replacement: "ruled" }] }, kubernetes).labels["service_name"]).to.equal("ruled");
  });

  it("take what discovery set before the job's own, and labels of the target before those of the group", () => {
    const { labels, url } = memoryOf({}, { __address__: "a:1", env: "target" }, { env: "group", job: "other", __scheme__: "https" });
    expect(labels).to.deep.include({ env: "target", job: "other" });
    expect(url).to.equal("https://a:1/debug/pprof/allocs");
  });

  it("take address, scheme, path, parameters and times from what relabelling made of them", () => {
    const rule = (target: string, replacement: string) => ({ target_label: target, replacement });
    const rules = [rule("__address__", "b:2"), rule("__scheme__", "https"), rule("__profile_path__", "/heap"), rule("__param_debug", "1 2"), rule("__scrape_interval__", "1m"), rule("__scrape_timeout__", "30s"), rule("__name__", "heap")];
    const { target } = memoryOf({ params: { debug: ["0", "x"], gc: ["1"] }, profiling_config: { ...ONLY_MEMORY, path_prefix: "/app" }, relabel_configs: rules }, { __address__: "a:1" });
    expect(target).to.deep.include({ url: "https://b:2/app/heap?debug=1+2&debug=x&gc=1", intervalMs: 60_000, timeoutMs: 30_000 });
    expect(target!.profile).to.deep.equal({ name: "heap", path: "/heap", delta: false, isCumulative: true });
  });

  it("that measure for as long as their own interval says keep their timeout besides", () => {
    const { targets } = targetsOf({}, { __address__: "a:1", __scrape_interval__: "30s" });
    expect(targets.at(-1)).to.deep.include({ url: "http://a:1/debug/pprof/profile?seconds=30", timeoutMs: 40_000 });
  });

  it("never send seconds to a cumulative profile, which would answer a delta", () => {
    expect(memoryOf({}, { __address__: "a:1", __param_seconds: "5" }).url).to.equal("http://a:1/debug/pprof/allocs");
  });

  it("that a rule drops are told with its number, and with the labels before all rules", () => {
    const { targets, dropped } = targetsOf({ relabel_configs: [{ source_labels: ["__name__"], regex: "memory|mutex", action: "keep" }] }, { __address__: "a:1" });
    expect(targets.map(({ profile }) => profile.name)).to.deep.equal(["memory", "mutex"]);
    expect(dropped.map(({ reason, jobName }) => `${jobName}: ${reason}`)).to.deep.equal(Array(3).fill("app: relabel_configs[0] dropped it"));
    expect(dropped[0]!.discovered).to.deep.include({ name: "__profile_path__", value: "/debug/pprof/block" });
  });

  const FAULTS: readonly (readonly [string, LabelValues, string])[] = [
    ["an address", { __address__: "" }, "it has no address"],
    ["a port", { __address__: "a:0" }, "has no port between 1 and 65535"],
    ["a path in the address", { __address__: "a:1/x" }, "is not host:port"],
    ["a scheme", { __address__: "a:1", __scheme__: "ftp" }, '__scheme__ is "ftp"'],
    ["times", { __address__: "a:1", __scrape_interval__: "5s" }, "__scrape_timeout__ (10s) is longer"],
    ["a duration", { __address__: "a:1", __scrape_interval__: "soon" }, "__scrape_interval__ or __scrape_timeout__"],
  ];
  for (const [what, target, reason] of FAULTS) {
    it(`without ${what} that is right are dropped, and say so`, () => {
      expect(memoryOf({}, target).reason).to.include(reason);
    });
  }

  it("differ in their keys wherever job, URL or labels differ", () => {
    const key = (job: object, target: LabelValues): string => memoryOf(job, target).target!.key;
    const keys = [key({}, { __address__: "a:1" }), key({ job_name: "b" }, { __address__: "a:1" }), key({}, { __address__: "a:2" }), key({}, { __address__: "a:1", x: "y" }), key({ params: { gc: "1" } }, { __address__: "a:1" })];
    expect(new Set(keys).size).to.equal(keys.length);
    expect(key({}, { __address__: "a:1" })).to.equal(keys[0]);
  });
});
