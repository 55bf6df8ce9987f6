/** Reads `scrape_configs`: all jobs, or all that is wrong with them. Pure: files that they name are not opened. */
import { ANONYMOUS, invalidArgument, messageOf, parseTenantId } from "@pyromesh/base";
import type { TenantId } from "@pyromesh/base";
import { GroupReader } from "./group-reader.ts";
import type { ScrapeProblem } from "./group-reader.ts";
import { readDiscoveries } from "./read-discovery.ts";
import { HTTP_HINTS, readHttpSettings } from "./read-http.ts";
import { readProfiling } from "./read-profiles.ts";
import { readRelabelRules } from "./read-relabel.ts";
import type { ScrapeConfig } from "./scrape-config.ts";

const INTERVAL_MS = 15_000;
/** Where the interval is shorter, the interval. */
const TIMEOUT_MS = 10_000;
/** A heap of 100,000 different stacks is some 20 MB; what the tenant's limits refuse is refused besides. */
const BODY_SIZE_BYTES_MAX = 32 * 2 ** 20;
/** A delta is measured for as long as the interval, in whole seconds. */
const DELTA_INTERVAL_MS_MIN = 1000;

/** `value` is what YAML holds under `scrape_configs`, with texts, numbers and booleans alike. Throws `CONFIG_INVALID`, a line for each fault. */
export function scrapeConfigs(value: unknown): readonly ScrapeConfig[] {
  const { configs, problems } = readScrapeConfigs(value);
  if (problems.length > 0) throw invalidArgument("CONFIG_INVALID", problems.map(printProblem).join("\n"));
  return configs;
}

export interface ScrapeReading {
  /** To be used only where there are no problems. */
  readonly configs: readonly ScrapeConfig[];
  readonly problems: readonly ScrapeProblem[];
}

/** As `scrapeConfigs`, for callers that know where in the file each path is. */
export function readScrapeConfigs(value: unknown): ScrapeReading {
  const problems: ScrapeProblem[] = [];
  if (value === undefined || value === null) return { configs: [], problems };
  if (!Array.isArray(value)) return { configs: [], problems: [{ path: [], message: 'scrape_configs is a list of jobs: begin each with "- job_name: ..."' }] };
  const configs = value.map((entry: unknown, index) => readJob(new GroupReader(entry, [index], problems)));
  const seen = new Set<string>();
  for (const [index, { jobName }] of configs.entries()) {
    if (jobName !== "" && seen.has(jobName)) problems.push({ path: [index, "job_name"], message: `the job ${JSON.stringify(jobName)} is there twice: give each a name of its own` });
    seen.add(jobName);
  }
  return { configs, problems };
}

/** The path and the sentence, with the key in the path alone. */
export function printProblem({ path, message }: ScrapeProblem): string {
  const key = `${path.at(-1)}: `;
  return `${printPath(path)}: ${message.startsWith(key) ? message.slice(key.length) : message}`;
}

/** `scrape_configs[0].static_configs[1].targets` */
export function printPath(path: ScrapeProblem["path"]): string {
  return `scrape_configs${path.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("")}`;
}

/** Discovery of Prometheus that is most used, of what is not here. */
const OTHER_DISCOVERY = ["azure", "consul", "docker", "dockerswarm", "ec2", "eureka", "gce", "nomad", "openstack"];

const HINTS: Readonly<Record<string, string>> = {
  ...HTTP_HINTS,
  ...Object.fromEntries(OTHER_DISCOVERY.map((name) => [`${name}_sd_configs`, "write http_sd_configs or file_sd_configs, with a program beside it that lists what it finds there"])),
  metrics_path: "each profile has a path of its own: write profiling_config: {pprof_config: {memory: {path: ...}}}",
  metric_relabel_configs: "labels of series come from relabel_configs",
  honor_labels: "labels come from discovery and relabel_configs alone",
  honor_timestamps: "a profile says itself when it was taken",
};



function readJob(job: GroupReader): ScrapeConfig {
  const jobName = job.neededText("job_name", "checkout");
  const intervalMs = job.duration("scrape_interval", INTERVAL_MS);
  const timeoutMs = job.duration("scrape_timeout", Math.min(TIMEOUT_MS, intervalMs));
  const { profiles, pathPrefix } = readProfiling(job.group("profiling_config"));
  const config: ScrapeConfig = {
    jobName,
    tenant: readTenant(job),
    intervalMs,
    timeoutMs,
    scheme: job.oneOf("scheme", ["http", "https"], "http"),
    params: readParams(job.group("params")),
    http: readHttpSettings(job),
    profiles,
    pathPrefix,
    bodySizeBytesMax: job.size("body_size_limit", BODY_SIZE_BYTES_MAX),
    discoveries: readDiscoveries(job),
    relabelRules: readRelabelRules(job),
  };
  job.finish(HINTS);
  if (timeoutMs > intervalMs) job.refuse("scrape_timeout", "scrape_timeout is longer than scrape_interval: the next scrape would be due before it ends");
  const delta = profiles.find(({ isEnabled, isDelta }) => isEnabled && isDelta);
  if (delta !== undefined && intervalMs < DELTA_INTERVAL_MS_MIN) {
    job.refuse("scrape_interval", `scrape_interval is too short for ${delta.name}, which is measured in whole seconds: write 1s or more, or switch it off in profiling_config`);
  }
  if (!profiles.some(({ isEnabled }) => isEnabled)) job.refuse("profiling_config", "all profiles are switched off: enable one, or take the job out");
  if (config.discoveries.length === 0) job.refuse(undefined, "the job has no targets: write static_configs, or how they are found (file_sd_configs, http_sd_configs, dns_sd_configs, kubernetes_sd_configs)");
  return config;
}

function readTenant(job: GroupReader): TenantId {
  const text = job.optionalText("tenant");
  if (text === undefined) return ANONYMOUS;
  try {
    return parseTenantId(text);
  } catch (thrown) {
    job.refuse("tenant", messageOf(thrown));
    return ANONYMOUS;
  }
}

function readParams(group: GroupReader): Readonly<Record<string, readonly string[]>> {
  if (group.has("seconds")) group.refuse("seconds", "seconds comes from scrape_interval, for the profiles with delta: take it out");
  return Object.fromEntries(group.names().map((name) => [name, group.texts(name)]));
}
