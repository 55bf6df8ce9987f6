/**
 * Makes the targets of one group: for each program and each profile one, after relabelling. Pure.
 *
 *   labels of the group and the target ─► defaults (job, __scheme__, ...) ─► relabel_configs ─► URL from __*__, labels of the series from the rest
 *
 * The names are those of Alloy's pyroscope.scrape, so that its relabelling rules do the same here.
 */
import { formatDuration, messageOf, parseDuration } from "@pyromesh/base";
import { labelsKey, labelValue, sortLabels } from "@pyromesh/profile";
import type { Labels } from "@pyromesh/profile";
import { CUMULATIVE_PROFILES } from "../config/read-profiles.ts";
import type { ProfileSettings, ScrapeConfig } from "../config/scrape-config.ts";
import { faultOfAddress, withPort } from "../config/target-address.ts";
import type { LabelValues, TargetGroup } from "../discovery/discovery.ts";
import type { Relabel } from "../relabel/relabel.ts";
import type { DroppedTarget, ScrapeTarget } from "../target.ts";

export interface GroupTargets {
  readonly targets: readonly ScrapeTarget[];
  readonly dropped: readonly DroppedTarget[];
}

export function makeTargets(config: ScrapeConfig, relabel: Relabel, group: TargetGroup): GroupTargets {
  const targets: ScrapeTarget[] = [];
  const dropped: DroppedTarget[] = [];
  const profiles = config.profiles.filter(({ isEnabled }) => isEnabled);
  for (const own of group.targets) {
    const common = commonLabels(config, { ...group.labels, ...own });
    for (const profile of profiles) {
      const discovered = sortLabels([...common, { name: "__name__", value: profile.name }, { name: "__profile_path__", value: profile.path }]);
      const relabelled = relabel(discovered);
      const made = relabelled.kind === "dropped" ? `relabel_configs[${relabelled.ruleIndex}] dropped it` : targetOf(config, profile, discovered, relabelled.labels);
      if (typeof made === "string") dropped.push({ jobName: config.jobName, discovered, reason: made });
      else targets.push(made);
    }
  }
  return { targets, dropped };
}

/** What all profiles of a program have, sorted. What discovery set comes before the job's own settings, but for the parameters. */
function commonLabels(config: ScrapeConfig, found: LabelValues): Labels {
  const values: Record<string, string> = {
    job: config.jobName,
    __scheme__: config.scheme,
    __scrape_interval__: formatDuration(config.intervalMs),
    __scrape_timeout__: formatDuration(config.timeoutMs),
    __profile_path_prefix__: config.pathPrefix,
  };
  for (const [name, value] of Object.entries(found)) if (value !== "") values[name] = value;
  for (const [name, [first]] of Object.entries(config.params)) if (first !== undefined) values[`${PARAM_PREFIX}${name}`] = first;
  return sortLabels(Object.entries(values).flatMap(([name, value]) => (value === "" || OF_PROFILE.includes(name) ? [] : [{ name, value }])));
}

const PARAM_PREFIX = "__param_";
/** Set for each profile, whatever discovery says. */
const OF_PROFILE = ["__name__", "__profile_path__"];

/** A sentence where the labels make no target. */
function targetOf(config: ScrapeConfig, profile: ProfileSettings, discovered: Labels, labels: Labels): ScrapeTarget | string {
  const get = (name: string): string => labelValue(labels, name) ?? "";
  const scheme = get("__scheme__");
  if (scheme !== "http" && scheme !== "https") return `__scheme__ is ${JSON.stringify(scheme)}, neither http nor https`;
  const addressFault = faultOfAddress(get("__address__"));
  if (addressFault !== undefined) return `__address__: ${addressFault}`;
  const name = get("__name__");
  if (name === "") return "relabelling took __name__ out, which names the profile";
  const path = get("__profile_path__");
  if (!path.startsWith("/")) return `__profile_path__ is ${JSON.stringify(path)}, which does not begin with /`;
  const times = timesOf(get("__scrape_interval__"), get("__scrape_timeout__"), profile);
  if (typeof times === "string") return times;

  const address = withPort(get("__address__"), scheme);
  const url = `${scheme}://${address}${get("__profile_path_prefix__")}${path}${queryOf(config, labels, times.measureSeconds)}`;
  if (URL.parse(url) === null) return `${JSON.stringify(url)} is not a URL`;
  const series = seriesLabels(labels, address);
  return {
    key: `${config.jobName}\n${name}\n${url}\n${labelsKey(series)}`,
    job: config,
    url,
    labels: series,
    discovered,
    intervalMs: times.intervalMs,
    timeoutMs: times.timeoutMs + 1000 * (times.measureSeconds ?? 0),
    profile: { name, path, delta: profile.isDelta, isCumulative: !profile.isDelta && CUMULATIVE_PROFILES.includes(profile.name) },
  };
}

interface Times {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Of a delta: the whole interval. The next one begins when it has ended, so that nearly all of the time is measured; with a second less, as agents do, a fifteenth would be missing. */
  readonly measureSeconds: number | undefined;
}

function timesOf(interval: string, timeout: string, profile: ProfileSettings): Times | string {
  let intervalMs: number;
  let timeoutMs: number;
  try {
    intervalMs = parseDuration(interval);
    timeoutMs = parseDuration(timeout);
  } catch (thrown) {
    return `__scrape_interval__ or __scrape_timeout__: ${messageOf(thrown)}`;
  }
  if (intervalMs < 1 || timeoutMs < 1) return "__scrape_interval__ and __scrape_timeout__ must be more than 0";
  if (timeoutMs > intervalMs) return `__scrape_timeout__ (${timeout}) is longer than __scrape_interval__ (${interval})`;
  if (!profile.isDelta) return { intervalMs, timeoutMs, measureSeconds: undefined };
  const measureSeconds = Math.floor(intervalMs / 1000);
  return measureSeconds < 1 ? `__scrape_interval__ (${interval}) is too short for a profile that is measured in whole seconds` : { intervalMs, timeoutMs, measureSeconds };
}

/** Sorted by name. A label `__param_x` replaces the first value of x. `seconds` comes from the profile alone: with it a cumulative profile would be a delta, and count wrongly. */
function queryOf(config: ScrapeConfig, labels: Labels, measureSeconds: number | undefined): string {
  const params = new Map(Object.entries(config.params).map(([name, values]) => [name, [...values]]));
  for (const { name, value } of labels) {
    if (!name.startsWith(PARAM_PREFIX)) continue;
    const param = name.slice(PARAM_PREFIX.length);
    params.set(param, [value, ...(params.get(param) ?? []).slice(1)]);
  }
  const query = new URLSearchParams([...params].flatMap(([name, values]) => values.map((value): [string, string] => [name, value])));
  query.delete("seconds");
  if (measureSeconds !== undefined) query.set("seconds", String(measureSeconds));
  query.sort();
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** Names that begin with __ are for relabelling only. */
function seriesLabels(labels: Labels, address: string): Labels {
  const series = labels.filter(({ name }) => !name.startsWith("__"));
  const has = (name: string): boolean => series.some((label) => label.name === name);
  if (!has("instance")) series.push({ name: "instance", value: address });
  if (!has("service_name")) series.push({ name: "service_name", value: inferServiceName(labels) });
  return sortLabels(series);
}

/** As Alloy names a service that no rule has named; at last by the job. */
function inferServiceName(labels: Labels): string {
  const get = (name: string): string => labelValue(labels, name) ?? "";
  const annotated = get("__meta_kubernetes_pod_annotation_pyroscope_io_service_name");
  if (annotated !== "") return annotated;
  const [namespace, container] = [get("__meta_kubernetes_namespace"), get("__meta_kubernetes_pod_container_name")];
  if (namespace !== "" && container !== "") return `${namespace}/${container}`;
  return get("__meta_docker_container_name") || get("job") || "unspecified";
}
