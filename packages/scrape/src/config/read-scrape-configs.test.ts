import { CodedError } from "@pyromesh/base";
import { expect } from "chai";
import { parse } from "yaml";
import { printScrapeConfigs } from "./print-scrape-configs.ts";
import { readScrapeConfigs, scrapeConfigs } from "./read-scrape-configs.ts";

const STATIC = { job_name: "a", static_configs: [{ targets: ["localhost:6060"] }] };

/** The faults of one job, each as `place: sentence`. */
function faultsOf(job: object): string[] {
  return readScrapeConfigs([{ ...STATIC, ...job }]).problems.map(({ path, message }) => `${path.slice(1).join(".")}: ${message}`);
}

const ALL = parse(`
- job_name: everything
  tenant: team-a
  scrape_interval: 1m
  scrape_timeout: 20s
  scheme: https
  params: {debug: ["0"], gc: 1}
  authorization: {credentials_file: /run/token}
  tls_config: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem, server_name: app, insecure_skip_verify: true}
  follow_redirects: false
  body_size_limit: 8MB
  profiling_config:
    path_prefix: /app/
    pprof_config:
      process_cpu: {enabled: false}
      godeltaprof_memory: {}
      offcpu: {path: /off, delta: true}
  static_configs:
    - targets: [a:1, "[fd00::1]:2", c]
      labels: {env: prod, __scheme__: http}
  file_sd_configs: [{files: [/etc/targets/*.yml, b.json], refresh_interval: 1m}]
  http_sd_configs: [{url: "http://sd:1/t", basic_auth: {username: u, password: hunter2}}]
  dns_sd_configs: [{names: [_a._tcp.b]}, {names: [app], type: A, port: 6060}]
  kubernetes_sd_configs:
    - role: endpoints
      namespaces: {own_namespace: true, names: [prod]}
      selectors: [{role: pod, label: app=x}, {role: endpoints, field: metadata.name=x}]
    - {role: pod, api_server: "https://k8s:6443", authorization: {credentials: topsecret}}
  relabel_configs:
    - {source_labels: [__meta_x], regex: true, action: keep}
    - {source_labels: [a, b], separator: "-", target_label: c, replacement: "$1", action: Replace}
    - {source_labels: [a], modulus: 18446744073709551615, target_label: h, action: hashmod}
    - {regex: x.*, action: labeldrop}
    - {source_labels: [a], target_label: b, action: keepequal}
    - {regex: "__meta_(.+)", action: labelmap}
    - {source_labels: [a], target_label: a, action: lowercase}
`, { intAsBigInt: true }) as unknown;

describe("scrape_configs", () => {
  it("have the defaults of Prometheus and of Alloy's pyroscope.scrape", () => {
    const [job] = scrapeConfigs([STATIC]);
    expect(job).to.deep.include({ jobName: "a", tenant: "anonymous", intervalMs: 15_000, timeoutMs: 10_000, scheme: "http", params: {}, pathPrefix: "", bodySizeBytesMax: 32 * 2 ** 20, relabelRules: [] });
    expect(job!.http).to.deep.equal({ authorization: undefined, tls: { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined, isInsecure: false }, isRedirectFollowed: true });
    expect(job!.profiles.filter(({ isEnabled }) => isEnabled).map(({ name, path, isDelta }) => `${name} ${path}${isDelta ? " delta" : ""}`)).to.deep.equal([
      "block /debug/pprof/block",
      "goroutine /debug/pprof/goroutine",
      "memory /debug/pprof/allocs",
      "mutex /debug/pprof/mutex",
      "process_cpu /debug/pprof/profile delta",
    ]);
  });

  it("that are absent or empty are none", () => {
    for (const nothing of [undefined, null, []]) expect(scrapeConfigs(nothing)).to.deep.equal([]);
  });

  it("that are printed read back the same, but for hidden secrets", () => {
    const configs = scrapeConfigs(ALL);
    const printed = printScrapeConfigs(configs, "<hidden>");
    const text = JSON.stringify(printed);
    for (const secret of ["hunter2", "topsecret"]) expect(text).to.not.include(secret);
    expect(text).to.include("/run/token");
    expect(printScrapeConfigs(scrapeConfigs(JSON.parse(text)), "<hidden>")).to.deep.equal(printed);
  });

  it("read every setting", () => {
    const [job] = scrapeConfigs(ALL);
    expect(job!.params).to.deep.equal({ debug: ["0"], gc: ["1"] });
    expect(job!.pathPrefix).to.equal("/app");
    expect(job!.discoveries.map(({ kind }) => kind)).to.deep.equal(["static", "file", "http", "dns", "dns", "kubernetes", "kubernetes"]);
    expect(job!.relabelRules.map(({ action }) => action)).to.deep.equal(["keep", "replace", "hashmod", "labeldrop", "keepequal", "labelmap", "lowercase"]);
    expect(job!.relabelRules[0]!.regex).to.equal("true");
    expect(job!.relabelRules[2]!.modulus).to.equal(2n ** 64n - 1n);
    expect(job!.profiles.find(({ name }) => name === "offcpu")).to.deep.equal({ name: "offcpu", isEnabled: true, path: "/off", isDelta: true });
  });

  it("scrape godeltaprof_memory in place of memory, and refuse both", () => {
    const [job] = scrapeConfigs(ALL);
    expect(job!.profiles.filter(({ name }) => name.endsWith("memory")).map(({ isEnabled }) => isEnabled)).to.deep.equal([true, false]);
    expect(faultsOf({ profiling_config: { pprof_config: { memory: {}, godeltaprof_memory: {} } } })[0]).to.include("would count twice");
  });

  it("are refused with all faults at once, each with its place", () => {
    const value = [STATIC, { ...STATIC, scrape_intervall: "1s" }, { job_name: "c" }];
    expect(() => scrapeConfigs(value)).to.throw(CodedError).with.property("code", "CONFIG_INVALID");
    expect(readScrapeConfigs(value).problems.map(({ path, message }) => `${path.join(".")}: ${message}`)).to.deep.equal([
      "1.scrape_intervall: unknown setting scrape_intervall (did you mean scrape_interval?)",
      "2: the job has no targets: write static_configs, or how they are found (file_sd_configs, http_sd_configs, dns_sd_configs, kubernetes_sd_configs)",
      '1.job_name: the job "a" is there twice: give each a name of its own',
    ]);
  });

  const REFUSED: readonly (readonly [string, object, string])[] = [
    ["no name", { job_name: "" }, "job_name: job_name is missing"],
    ["a timeout above the interval", { scrape_timeout: "16s" }, "scrape_timeout: scrape_timeout is longer"],
    ["an interval too short for a delta", { scrape_interval: "500ms" }, "scrape_interval: scrape_interval is too short for process_cpu"],
    ["an interval that is none", { scrape_interval: "soon" }, 'scrape_interval: scrape_interval: "soon" is not a duration'],
    ["an interval of 0", { scrape_interval: "0" }, "scrape_interval: scrape_interval: 0 is too short"],
    ["another scheme", { scheme: "htp" }, 'scheme: scheme: "htp" is not one of http, https (did you mean http?)'],
    ["a tenant that cannot be a key", { tenant: "a/b" }, "tenant: tenant id"],
    ["a URL in place of an address", { static_configs: [{ targets: ["http://a:1/x"] }] }, "static_configs.0.targets: \"http://a:1/x\" is a URL"],
    ["a port out of range", { static_configs: [{ targets: ["a:70000"] }] }, "static_configs.0.targets: \"a:70000\" has no port between"],
    ["a label that is no name", { static_configs: [{ targets: [], labels: { "a-b": "c" } }] }, "static_configs.0.labels: \"a-b\""],
    ["a group in place of a list", { static_configs: {} }, "static_configs: static_configs is a list"],
    ["a metrics path", { metrics_path: "/metrics" }, "metrics_path: metrics_path is not known here: each profile"],
    ["discovery of Prometheus that is not here", { consul_sd_configs: [] }, "consul_sd_configs: consul_sd_configs is not known here: write http_sd_configs"],
    ["a bearer token of old", { bearer_token: "x" }, "bearer_token: bearer_token is not known here: write authorization"],
    ["two authorizations", { authorization: { credentials: "x" }, basic_auth: { username: "u", password: "p" } }, "basic_auth: authorization and basic_auth"],
    ["a secret twice", { authorization: { credentials: "x", credentials_file: "y" } }, "authorization.credentials_file: credentials and"],
    ["no secret", { basic_auth: { username: "u" } }, "basic_auth: neither password nor password_file"],
    ["a secret of two lines", { authorization: { credentials: "a\nb" } }, "authorization.credentials: credentials has a line break"],
    ["half of a certificate", { tls_config: { cert_file: "c" } }, "tls_config: cert_file and key_file belong together"],
    ["an unknown profile without a path", { profiling_config: { pprof_config: { proces_cpu: {} } } }, "profiling_config.pprof_config.proces_cpu: proces_cpu is none of the known profiles (did you mean process_cpu?)"],
    ["no profile at all", { profiling_config: { pprof_config: Object.fromEntries(["memory", "block", "goroutine", "mutex", "process_cpu"].map((name) => [name, { enabled: false }])) } }, "profiling_config: all profiles are switched off"],
    ["a pattern in a folder", { file_sd_configs: [{ files: ["/a/*/b.yml"] }] }, "file_sd_configs.0.files: \"/a/*/b.yml\" must end with"],
    ["a URL with a password", { http_sd_configs: [{ url: "http://u:hunter2@a/" }] }, "http_sd_configs.0.url: credentials do not belong in a URL"],
    ["addresses without a port", { dns_sd_configs: [{ names: ["a"], type: "A" }] }, "dns_sd_configs.0: records of the type A have no port"],
    ["a role without profiles", { kubernetes_sd_configs: [{ role: "node" }] }, 'kubernetes_sd_configs.0.role: role: "node" is not one of pod, endpoints, endpointslice'],
    ["a token without a server", { kubernetes_sd_configs: [{ role: "pod", authorization: { credentials: "x" } }] }, "kubernetes_sd_configs.0: inside the cluster"],
    ["a selector of another role", { kubernetes_sd_configs: [{ role: "pod", selectors: [{ role: "service", label: "a" }] }] }, "kubernetes_sd_configs.0.selectors.0.role: role: \"service\" is not one of pod"],
    ["a template for lowercase", { relabel_configs: [{ source_labels: ["a"], target_label: "${1}", action: "lowercase" }] }, "relabel_configs.0: target_label"],
  ];
  for (const [what, job, fault] of REFUSED) {
    it(`refuse ${what}`, () => {
      const faults = faultsOf(job);
      expect(faults[0]).to.include(fault);
      expect(faults.join()).to.not.include("hunter2");
    });
  }
});
