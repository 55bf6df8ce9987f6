import { CodedError, nearestName, parseTenantId } from "@pyromesh/base";
import { expect } from "chai";
import fc from "fast-check";
import { parse } from "yaml";
import { SETTINGS } from "./config.ts";
import type { Config } from "./config.ts";
import { LIMITS, limitsFor, printLimits } from "./limits.ts";
import { loadConfig } from "./load-config.ts";
import { printConfig, printConfigDiff, printDefaultConfig } from "./print-config.ts";
import { flagOf, hideCredentials, parseAddress, variableOf } from "./setting.ts";

interface Given {
  readonly flags?: Readonly<Record<string, string | readonly string[]>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly yaml?: string;
}

function load({ flags = {}, env = {}, yaml }: Given): Config {
  const given = new Map(Object.entries(flags).map(([key, value]) => [key, typeof value === "string" ? [value] : value]));
  if (yaml !== undefined) given.set("config", ["pyromesh.yaml"]);
  return loadConfig({
    flags: given,
    env,
    readFile: (file) => {
      if (yaml === undefined) throw new Error(`no such file ${file}`);
      return yaml;
    },
  });
}

function refusalOf(given: Given): string {
  try {
    load(given);
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(CodedError);
    expect((thrown as CodedError).kind).to.equal("invalid_argument");
    return (thrown as CodedError).message;
  }
  throw new Error("nothing was refused");
}

describe("config: defaults", () => {
  it("are the documented ones", () => {
    const config = load({});
    expect(config.dataDir).to.equal("./data");
    expect(config.httpAddress).to.deep.equal({ host: "127.0.0.1", port: 4040 });
    expect(config.bucket).to.equal("file://./data/bucket");
    expect(config.flushIntervalMs).to.equal(60_000);
    expect(config.flushSizeBytes).to.equal(67_108_864);
    expect(config.retentionMs).to.equal(31 * 24 * 3_600_000);
    expect(config.headDiskBudgetBytes).to.equal(10_737_418_240);
    expect([config.isMultitenant, config.isSelfProfiling, config.workerCount, config.replication]).to.deep.equal([false, false, 0, 3]);
  });

  it("of the limits are Pyroscope's, save query length, lookback and burst", () => {
    expect(printLimits(load({}).limits)).to.include({
      ingestion_rate_mb: 4,
      ingestion_burst_size_mb: 8,
      max_profile_size_bytes: 4_194_304,
      max_profile_stacktrace_samples: 16_000,
      max_label_names_per_series: 30,
      max_query_length: "0",
      max_query_lookback: "0",
      reject_older_than: "1h",
      reject_newer_than: "10m",
      max_flamegraph_nodes_default: 8192,
    });
  });

  it("keep the bucket in the data dir that was given", () => {
    expect(load({ flags: { data_dir: "/var/lib/x" } }).bucket).to.equal("file:///var/lib/x/bucket");
  });
});

describe("config: one setting, three spellings", () => {
  it("a limit reads the same from flag, variable and YAML", () => {
    expect(flagOf("limits.ingestion_rate_mb")).to.equal("--limits.ingestion-rate-mb");
    expect(variableOf("limits.ingestion_rate_mb")).to.equal("PYROMESH_LIMITS_INGESTION_RATE_MB");
    for (const given of [
      { flags: { "limits.ingestion_rate_mb": "0.5" } },
      { env: { PYROMESH_LIMITS_INGESTION_RATE_MB: "0.5" } },
      { yaml: "limits:\n  ingestion_rate_mb: 0.5\n" },
      { yaml: "limits:\n  ingestion-rate-mb: 0.5\n" },
    ]) {
      expect(load(given).limits.ingestionRateBytesPerSecond).to.equal(524_288);
    }
  });

  it("flag beats variable beats YAML beats default", () => {
    const yaml = "flush_interval: 1s\nflush_size: 1MB\nretention: 1d\n";
    const env = { PYROMESH_FLUSH_INTERVAL: "2s", PYROMESH_FLUSH_SIZE: "2MB" };
    const config = load({ yaml, env, flags: { flush_interval: "3s" } });
    expect([config.flushIntervalMs, config.flushSizeBytes, config.retentionMs, config.replication]).to.deep.equal([3000, 2_097_152, 86_400_000, 3]);
  });

  it("hosts and origins are lists, each entry in its one spelling", () => {
    const yaml = "allowed_hosts: [Profiles.Example.org., '*.corp.example', 'fd00:0::5']\ncors_origins: HTTPS://Grafana.example.org:443\n";
    const config = load({ yaml });
    expect([config.allowedHosts, config.corsOrigins]).to.deep.equal([["profiles.example.org", "*.corp.example", "fd00::5"], ["https://grafana.example.org"]]);
    expect(load({ env: { PYROMESH_ALLOWED_HOSTS: "a.example, 10.0.0.5" } }).allowedHosts).to.deep.equal(["a.example", "10.0.0.5"]);
    expect(load({ yaml: printConfig(config) })).to.deep.include({ allowedHosts: config.allowedHosts, corsOrigins: config.corsOrigins });
  });

  it("every key makes a flag and a variable of its own", () => {
    const keys = [...Object.values(SETTINGS), ...Object.values(LIMITS)].map(({ key }) => key);
    expect(new Set(keys.map(flagOf)).size).to.equal(keys.length);
    expect(new Set(keys.map(variableOf)).size).to.equal(keys.length);
    for (const key of keys) expect(key).to.match(/^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?$/);
  });

  it("an empty variable is unset, as container files write it", () => {
    expect(load({ env: { PYROMESH_FLUSH_INTERVAL: "" } }).flushIntervalMs).to.equal(60_000);
  });

  it("a setting without a value in the file is unset; an alias is what it names", () => {
    expect(load({ yaml: "flush_interval:\nlimits:\noverrides:\n" }).flushIntervalMs).to.equal(60_000);
    expect(load({ yaml: "flush_interval: &t 5s\nretention: *t\n" }).retentionMs).to.equal(5000);
  });

  it("an alias that names nothing is refused where it stands: it is no value that was left out", () => {
    expect(() => load({ yaml: "flush_interval: 5s\nretention: *t\n" })).to.throw(/:2:12: \*t names nothing: no &t stands before it/);
    expect(() => load({ yaml: "scrape_configs:\n  - job_name: app\n    static_configs: [{targets: *apps}]\n" })).to.throw(/:3:32: \*apps names nothing/);
  });
});

describe("config: scrape_configs", () => {
  const yaml = `scrape_configs:
  - job_name: app
    scrape_interval: &t 30s
    scrape_timeout: *t
    static_configs: [{targets: [localhost:6060], labels: {version: 1.0, canary: true}}]
    basic_auth: {username: me, password: hunter2}
    relabel_configs:
`;

  it("keep texts as they are written, and follow aliases", () => {
    const [job] = load({ yaml }).scrapeConfigs;
    expect([job!.jobName, job!.intervalMs, job!.timeoutMs]).to.deep.equal(["app", 30_000, 30_000]);
    expect(job!.discoveries).to.deep.equal([{ kind: "static", targets: ["localhost:6060"], labels: { version: "1.0", canary: "true" } }]);
  });

  it("are printed without secrets, and read back", () => {
    const printed = printConfig(load({ yaml }));
    expect(printed).to.include("password: <hidden>").and.not.include("hunter2");
    expect(printConfig(load({ yaml: printed }))).to.equal(printed);
    expect(printConfigDiff(load({ yaml }))).to.include("job_name: app").and.not.include("hunter2");
  });

  it("are refused at the place of each fault", () => {
    expect(refusalOf({ yaml: "scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: [http://a]\n        lables: {}\n" }).split("\n")).to.deep.equal([
      "pyromesh.yaml:5:17: scrape_configs[0].static_configs[0].lables: unknown setting lables (did you mean labels?)",
      'pyromesh.yaml:4:18: scrape_configs[0].static_configs[0].targets: "http://a" is a URL: write host:port, and the rest as scheme and path of the profile',
    ]);
    expect(refusalOf({ yaml: "scrape_configs: {job_name: a}\n" })).to.match(/^pyromesh\.yaml:1:17: scrape_configs: scrape_configs is a list/);
    expect(refusalOf({ yaml: "scrape_configs: &a [*a]\n" })).to.include("pyromesh.yaml:1:");
  });

  it("with a tenant need several tenants", () => {
    const withTenant = `${yaml}    tenant: team-a\n`;
    expect(refusalOf({ yaml: withTenant })).to.equal("pyromesh.yaml:8:13: scrape_configs[0].tenant: this node has one tenant: set multitenancy, or take tenant out");
    expect(load({ yaml: withTenant, flags: { multitenancy: "true" } }).scrapeConfigs[0]!.tenant).to.equal("team-a");
  });

  it("are no flag and no variable", () => {
    expect(refusalOf({ env: { PYROMESH_SCRAPE_CONFIGS: "[]" } })).to.include("unknown variable");
  });
});

describe("config: refusals", () => {
  it("name file, line, column and the nearest known name", () => {
    expect(refusalOf({ yaml: "data_dir: x\nflsh_interval: 5s\n" })).to.equal("pyromesh.yaml:2:1: unknown setting flsh_interval (did you mean flush_interval?)");
    expect(refusalOf({ yaml: "limits:\n  ingestion_rate: 4\n" })).to.include("pyromesh.yaml:2:3: unknown setting limits.ingestion_rate (did you mean limits.ingestion_rate_mb?)");
    expect(refusalOf({ yaml: "flush_interval: soon\n" })).to.match(/^pyromesh\.yaml:1:17: flush_interval: "soon" is not a duration: write it as/);
    expect(refusalOf({ yaml: "a: [\n" })).to.match(/^pyromesh\.yaml:\d+:\d+: not YAML/);
    expect(refusalOf({ yaml: "retention: 1d\nretention: 2d\n" })).to.match(/^pyromesh\.yaml:2:1: not YAML: .*unique/);
    expect(refusalOf({ yaml: "retention: 1d\n---\nretention: 2d\n" })).to.equal("pyromesh.yaml:2:1: a second document begins here: keep one in the file");
    expect(refusalOf({ yaml: "- a\n" })).to.match(/^pyromesh\.yaml:1:1: the file holds settings/);
    expect(refusalOf({ yaml: "retention: {a: 1}\n" })).to.include("pyromesh.yaml:1:12: retention takes one value");
    expect(refusalOf({ yaml: "retention: [1d, 2d]\n" })).to.include("takes one value, not a list");
  });

  it("name the variable or the flag", () => {
    expect(refusalOf({ env: { PYROMESH_FLUSH_INTERVALL: "5s" } })).to.equal("PYROMESH_FLUSH_INTERVALL: unknown variable (did you mean PYROMESH_FLUSH_INTERVAL?)");
    expect(refusalOf({ flags: { workers: "many" } })).to.equal('--workers: workers: "many" is not a whole number of 0 or more');
    expect(refusalOf({ flags: { replication: "0" } })).to.include("write 1 or more");
    expect(refusalOf({ env: { PYROMESH_MULTITENANCY: "yes" } })).to.include('"yes" is neither true nor false');
  });

  it("come all at once", () => {
    expect(refusalOf({ yaml: "a: 1\nb: 2\nretention: x\n" }).split("\n")).to.have.length(3);
  });

  it("let pass what Kubernetes makes for a service of that name, and what is for the commands", () => {
    const env = { PYROMESH_SERVICE_HOST: "10.0.0.1", PYROMESH_PORT_4040_TCP_ADDR: "10.0.0.1", PYROMESH_PORT: "tcp://10.0.0.1:4040", PYROMESH_URL: "http://x", PYROMESH_CORPUS: "y" };
    expect(load({ env }).dataDir).to.equal("./data");
  });

  it("say why tokens are not checked", () => {
    expect(refusalOf({ flags: { auth_file: "tokens" } })).to.include("does not check tokens");
  });

  it("a setting of a cluster needs the cluster's name", () => {
    for (const flags of [{ join: "10.0.0.2:7946" }, { cluster_addr: "127.0.0.1:7947" }, { cluster_advertise: "a:1" }, { cluster_secret_file: "f" }]) {
      const [key] = Object.keys(flags) as [string];
      expect(refusalOf({ flags })).to.equal(`${flagOf(key)}: ${key} makes this node a member of a cluster, and a cluster has a name: set cluster_name, the same on every member`);
    }
    expect(refusalOf({ yaml: "join: [a:1, b:2]\n" })).to.match(/^pyromesh\.yaml:1:7: join makes this node a member/);
    expect(load({ flags: { node_name: "a", zone: "z", tokens: "64", cluster_addr: "127.0.0.1:7946" } }).clusterName).to.equal(undefined);
  });

  it("names, addresses and numbers of a cluster are checked", () => {
    const bucket = { cluster_name: "c", bucket: "file:///b" };
    expect(refusalOf({ flags: { ...bucket, join: "node-1" } })).to.include('join: "node-1" is no address that a node is reached at');
    expect(refusalOf({ flags: { ...bucket, cluster_advertise: "0.0.0.0:7946" } })).to.include("is no address that a node is reached at");
    expect(refusalOf({ flags: { ...bucket, http_advertise: ":4040" } })).to.include("is no address that a node is reached at");
    expect(refusalOf({ flags: { ...bucket, tokens: "5000" } })).to.include("write 4096 or fewer");
    for (const name of ["a b", "-a", "a\n", "x".repeat(129), ""]) expect(refusalOf({ flags: { cluster_name: name, bucket: "file:///b" } }), name).to.include("is not a name");
    const config = load({ yaml: "join: [a:1, 'dns+b:2', 'file:/c']\n", flags: { ...bucket, node_name: "10.0.0.1:7946", zone: "eu-1" } });
    expect(config.join.map(({ kind }) => kind)).to.deep.equal(["address", "dns", "file"]);
    expect(load({ yaml: printConfig(config) }).join).to.deep.equal(config.join);
  });

  it("show how a host and an origin are written", () => {
    expect(refusalOf({ yaml: "allowed_hosts: [a.example, 'http://b.example']\n" })).to.include('pyromesh.yaml:1:16: allowed_hosts: "http://b.example" is not a host name: write it as');
    expect(refusalOf({ flags: { allowed_hosts: "a.example:4040" } })).to.include("without a scheme or a port");
    for (const origin of ["grafana.example.org", "https://grafana.example.org/", "null", "https://*.example.org"]) expect(refusalOf({ flags: { cors_origins: origin } }), origin).to.include("is not the origin of a site: write it as https://grafana.example.org");
  });

  it("an open cluster address needs a secret", () => {
    const cluster = { cluster_name: "c", bucket: "file:///b", cluster_addr: "0.0.0.0:7946" };
    expect(refusalOf({ flags: cluster })).to.include("set cluster_secret_file");
    expect(load({ flags: { ...cluster, cluster_secret_file: "s" } }).clusterSecretFile).to.equal("s");
  });

  it("a bucket is a folder or S3, without credentials, with known parameters", () => {
    expect(refusalOf({ flags: { bucket: "/var/bucket" } })).to.include("write it as file://dir or s3://");
    expect(refusalOf({ flags: { bucket: "s3://AKIA:word@bucket" } })).to.include("credentials do not belong");
    expect(refusalOf({ flags: { bucket: "s3://b?endpoint=http://a:b@host" } })).to.include("credentials do not belong");
    expect(refusalOf({ flags: { bucket: "s3://b?endpont=http://host" } })).to.include("did you mean endpoint?");
    const url = "s3://b/prefix?endpoint=http://127.0.0.1:7480&region=eu&path-style=true";
    expect(load({ flags: { bucket: url } }).bucket).to.equal(url);
  });

  it("a disk budget leaves room for the head's store", () => {
    expect(refusalOf({ flags: { head_disk_budget: "7MB" } })).to.include("too small for the head's store and one profile: write 8MB or more");
    expect(refusalOf({ flags: { head_disk_budget: "0" } })).to.include("write 8MB or more");
  });

  it("a file that cannot be read is named", () => {
    expect(refusalOf({ flags: { config: "nowhere.yaml" } })).to.include("nowhere.yaml, which cannot be read");
    expect(refusalOf({ env: { PYROMESH_CONFIG: "nowhere.yaml" } })).to.include("nowhere.yaml, which cannot be read");
  });

  it("noise as YAML is refused or read, never thrown otherwise", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (yaml) => {
        try {
          load({ yaml });
        } catch (thrown) {
          if (!(thrown instanceof CodedError)) throw thrown;
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("config: overrides", () => {
  const yaml = "limits:\n  ingestion_rate_mb: 2\noverrides:\n  team-a:\n    ingestion_rate_mb: 16\n";

  it("a tenant has its own limits, filled from the common ones", () => {
    const config = load({ yaml, flags: { "limits.max_label_names_per_series": "40" } });
    const own = limitsFor(config, parseTenantId("team-a"));
    expect([own.ingestionRateBytesPerSecond, own.labelCountMax]).to.deep.equal([16 * 2 ** 20, 40]);
    expect(limitsFor(config, parseTenantId("team-b")).ingestionRateBytesPerSecond).to.equal(2 * 2 ** 20);
  });

  it("hold limits only, of tenants that may be", () => {
    expect(refusalOf({ yaml: "overrides:\n  a:\n    data_dir: x\n" })).to.match(/^pyromesh\.yaml:3:5: unknown limit data_dir.*limits only/);
    expect(refusalOf({ yaml: "overrides:\n  a/b:\n    ingestion_rate_mb: 1\n" })).to.match(/^pyromesh\.yaml:2:3: tenant id/);
  });
});

describe("config: printing", () => {
  it("is read back as the same settings", () => {
    const config = load({
      yaml: "limits:\n  reject_older_than: 1h30m\n  max_flamegraph_nodes_on_select_merge_profile: true\noverrides:\n  a:\n    ingestion_rate_mb: 0.5\n",
      flags: { http_addr: "[::1]:5050", flush_size: "3MB", self_profile: "true", log_level: "debug", admin_addr: "127.0.0.1:0" },
    });
    const again = load({ yaml: printConfig(config) });
    expect(again).to.deep.equal({ ...config, configFile: "pyromesh.yaml" });
  });

  it("the difference is what was set to something else, limits and overrides too; the defaults are what nothing gives", () => {
    const config = load({
      yaml: "limits:\n  max_query_length: 2h\noverrides:\n  a:\n    ingestion_rate_mb: 0.5\n",
      flags: { log_level: "debug", retention: "31d" },
    });
    expect(parse(printConfigDiff(config))).to.deep.equal({ log_level: "debug", limits: { max_query_length: "2h" }, overrides: { a: { ingestion_rate_mb: 0.5 } } });
    expect(printDefaultConfig()).to.equal(printConfig(load({})));
    expect(printConfigDiff(load({}))).to.equal("{}\n");
    expect(parse(printConfigDiff(load({ flags: { data_dir: "/d" } })))).to.deep.equal({ data_dir: "/d" });
  });

  it("hides what is secret", () => {
    const config = { ...load({ flags: { cluster_name: "c", bucket: "s3://b", cluster_secret_file: "/run/word" } }), authFile: "/run/tokens", bucket: "s3://b?endpoint=http://me:word@host/" };
    const printed = printConfig(config);
    expect(printed).to.not.match(/word|run\/tokens/);
    expect(printed).to.include("cluster_secret_file: <hidden>").and.include("http://***@host/");
    expect(printConfigDiff(config)).to.include("auth_file: <hidden>").and.not.match(/word|run\/tokens/);
    expect(hideCredentials("s3://b?endpoint=http%3A%2F%2Fme%3Aword%40host")).to.equal("s3://b?endpoint=http%3A%2F%2F***%40host");
  });
});

describe("config: parts", () => {
  it("an address is host:port with a port that may be", () => {
    expect(parseAddress(":4040")).to.deep.equal({ host: "", port: 4040 });
    expect(parseAddress("[::1]:0")).to.deep.equal({ host: "::1", port: 0 });
    for (const text of ["4040", "host", "host:", "host:65536", "::1:80", "a b:1", "http://x:1"]) expect(() => parseAddress(text), text).to.throw("is not an address");
  });

  it("a name that is not near is not suggested", () => {
    expect(nearestName("retenton", ["retention", "workers"])).to.equal("retention");
    expect(nearestName("colour", ["retention", "workers"])).to.equal(undefined);
  });
});
