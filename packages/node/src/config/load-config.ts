/**
 * Loads the settings from flags, variables and the YAML file, in this order of precedence; the defaults come last.
 *
 * Pure: `readFile` is passed in. Every setting that is unknown or cannot be read is refused, all of them in one error, each with its place and
 * the nearest known name: a setting that is silently ignored is worse than a start that fails.
 */
import { ANONYMOUS, CodedError, didYouMean, invalidArgument, messageOf, parseTenantId } from "@pyromesh/base";
import { printPath, readScrapeConfigs } from "@pyromesh/scrape";
import type { ScrapeConfig } from "@pyromesh/scrape";
import { bucketIn, SETTINGS } from "./config.ts";
import type { Config, NodeSettings } from "./config.ts";
import { LIMITS } from "./limits.ts";
import type { TenantLimits } from "./limits.ts";
import { flagOf, isLoopback, printAddress, variableOf } from "./setting.ts";
import type { Setting } from "./setting.ts";
import { readYamlSettings } from "./yaml-settings.ts";
import type { YamlSettings } from "./yaml-settings.ts";

export interface ConfigSources {
  /** Key (`flush_interval`) -> the texts given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (file: string) => string;
}

/** Throws `CONFIG_INVALID` (several lines where several things are wrong) or `CONFIG_UNREADABLE`. */
export function loadConfig({ flags, env, readFile }: ConfigSources): Config {
  const refusals: string[] = [];
  const given = new Map<string, GivenValue>();

  const configFile = flags.get("config")?.at(-1) ?? (env[variableOf("config")] || undefined);
  const yaml: YamlSettings = configFile === undefined ? { settings: [], overrides: [], scrapeConfigs: undefined } : readYamlSettings(read(configFile, readFile), configFile);
  for (const { key, values, place, keyPlace } of yaml.settings) {
    if (key === "config") refusals.push(`${keyPlace}: a file cannot name another one: take out "config"`);
    else if (!KNOWN_KEYS.has(key)) refusals.push(`${keyPlace}: unknown setting ${key}${didYouMean(key, KNOWN_KEYS)}`);
    else given.set(key, { values, place });
  }
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("PYROMESH_") || value === undefined) continue;
    const key = KEY_BY_VARIABLE.get(name);
    if (key !== undefined) {
      if (value !== "") given.set(key, { values: [value], place: name });
    } else if (!isForeignVariable(name)) refusals.push(`${name}: unknown variable${didYouMean(name, KEY_BY_VARIABLE.keys())}`);
  }
  for (const [key, values] of flags) {
    if (KNOWN_KEYS.has(key)) given.set(key, { values, place: flagOf(key) });
    else refusals.push(`${flagOf(key)}: unknown flag${didYouMean(key, KNOWN_KEYS)}`);
  }

  const settings = readAll(SETTINGS, given, refusals) as NodeSettings; // one entry per key of SETTINGS, each of its kind
  const limits = readAll(LIMITS, given, refusals) as TenantLimits;
  const overrides = readOverrides(yaml, limits, refusals);
  const config: Config = { ...settings, bucket: settings.bucket === "" ? bucketIn(settings.dataDir) : settings.bucket, limits, overrides, scrapeConfigs: readScrape(yaml, settings.isMultitenant, refusals) };
  refusals.push(...refusalsTogether(config, given));
  if (refusals.length > 0) throw invalidArgument("CONFIG_INVALID", refusals.join("\n"));
  return config;
}

interface GivenValue {
  readonly values: readonly string[];
  /** Where it was given: `pyromesh.yaml:3:5`, a variable's name, or a flag. */
  readonly place: string;
}

type AnySetting = Setting<unknown>;

const ALL_SETTINGS = [...Object.values(SETTINGS), ...Object.values(LIMITS)] as readonly AnySetting[];
const KNOWN_KEYS: ReadonlySet<string> = new Set(ALL_SETTINGS.map(({ key }) => key));
const KEY_BY_VARIABLE: ReadonlyMap<string, string> = new Map(ALL_SETTINGS.map(({ key }) => [variableOf(key), key]));

/** Variables with our prefix that are no settings: of commands, builds and tests, and those that Kubernetes sets for a service of that name. */
const FOREIGN_VARIABLE = /^PYROMESH_(URL|TENANT|CORPUS|REVISION|BUILD_DATE|(TEST|CRASH|BENCH)(_.*)?)$|_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP)(_.*)?)?$/;

function isForeignVariable(name: string): boolean {
  return FOREIGN_VARIABLE.test(name);
}

function read(file: string, readFile: ConfigSources["readFile"]): string {
  try {
    return readFile(file);
  } catch (thrown) {
    throw new CodedError({ code: "CONFIG_UNREADABLE", kind: "invalid_argument", message: `--config names ${file}, which cannot be read: ${messageOf(thrown)}`, cause: thrown });
  }
}

function readAll(table: object, given: ReadonlyMap<string, GivenValue>, refusals: string[]): unknown {
  const result: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(table) as [string, AnySetting][]) {
    const found = given.get(setting.key);
    result[name] = found === undefined ? setting.default : readOne(setting, found, refusals);
  }
  return result;
}

function readOne({ key, kind, default: byDefault }: AnySetting, { values, place }: GivenValue, refusals: string[]): unknown {
  if (values.length > 1 && kind.isList !== true && !place.startsWith("--")) {
    refusals.push(`${place}: ${key} takes one value, not a list`);
    return byDefault;
  }
  const results = (kind.isList === true ? values : values.slice(-1)).map((text) => kind.schema.safeParse(text));
  for (const { success, error } of results) if (!success) refusals.push(`${place}: ${key}: ${error.issues.map(({ message }) => message).join("; ")}`);
  if (results.some(({ success }) => !success) || results.length === 0) return byDefault;
  return kind.isList === true ? results.flatMap(({ data }) => data as unknown[]) : results[0]!.data;
}

function readOverrides(yaml: YamlSettings, limits: TenantLimits, refusals: string[]): Map<string, TenantLimits> {
  const overrides = new Map<string, TenantLimits>();
  const nameByKey = new Map(Object.entries(LIMITS).map(([name, { key }]) => [key.slice("limits.".length), name as keyof TenantLimits]));
  for (const { tenant, place, settings } of yaml.overrides) {
    const own: Record<string, unknown> = { ...limits };
    for (const { key, values, place: valuePlace, keyPlace } of settings) {
      const name = nameByKey.get(key);
      if (name === undefined) refusals.push(`${keyPlace}: unknown limit ${key}${didYouMean(key, nameByKey.keys())}: overrides hold limits only`);
      else own[name] = readOne(LIMITS[name] as AnySetting, { values, place: valuePlace }, refusals);
    }
    try {
      overrides.set(parseTenantId(tenant), own as unknown as TenantLimits); // a copy of `limits` with entries of the same kinds
    } catch (thrown) {
      refusals.push(`${place}: ${messageOf(thrown)}`);
    }
  }
  return overrides;
}

function readScrape(yaml: YamlSettings, isMultitenant: boolean, refusals: string[]): readonly ScrapeConfig[] {
  const tree = yaml.scrapeConfigs;
  if (tree === undefined) return [];
  const { configs, problems } = readScrapeConfigs(tree.value);
  for (const { path, message } of problems) refusals.push(`${tree.placeOf(path)}: ${printPath(path)}: ${message}`);
  for (const [index, { tenant }] of configs.entries()) {
    if (tenant !== ANONYMOUS && !isMultitenant) refusals.push(`${tree.placeOf([index, "tenant"])}: ${printPath([index, "tenant"])}: this node has one tenant: set multitenancy, or take tenant out`);
  }
  return configs;
}

/** Each of them makes a node a member of a cluster. */
const CLUSTER_KEYS = ["join", "cluster_addr", "cluster_advertise", "cluster_secret_file"];

/** Refuses combinations of settings that do not fit together, and settings that this version does not support. */
function refusalsTogether(config: Config, given: ReadonlyMap<string, GivenValue>): string[] {
  const refusals: string[] = [];
  const place = (key: string): string => given.get(key)?.place ?? flagOf(key);
  // The default of cluster_addr makes no member: a printed configuration has it too.
  const clusterKey = CLUSTER_KEYS.find((key) => given.has(key) && (key !== "cluster_addr" || printAddress(config.clusterAddress) !== printAddress(SETTINGS.clusterAddress.default)));
  if (clusterKey !== undefined && config.clusterName === undefined) {
    refusals.push(`${place(clusterKey)}: ${clusterKey} makes this node a member of a cluster, and a cluster has a name: set cluster_name, the same on every member`);
  }
  if (config.authFile !== undefined) {
    refusals.push(`${place("auth_file")}: this version does not check tokens: take out auth_file and put a proxy that does in front of it`);
  }
  if (!isLoopback(config.clusterAddress) && config.clusterSecretFile === undefined) {
    refusals.push(
      `${place("cluster_addr")}: ${printAddress(config.clusterAddress)} is open to others and there is no secret: set cluster_secret_file, or listen on 127.0.0.1`,
    );
  }
  const { limits } = config;
  if (limits.flameGraphNodesMax > 0 && limits.flameGraphNodesDefault > limits.flameGraphNodesMax) {
    refusals.push(`${place("limits.max_flamegraph_nodes_default")}: limits.max_flamegraph_nodes_default (${limits.flameGraphNodesDefault}) is above limits.max_flamegraph_nodes_max (${limits.flameGraphNodesMax})`);
  }
  return refusals;
}
