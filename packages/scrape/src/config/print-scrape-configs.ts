/** Prints jobs as plain data that `scrapeConfigs` reads back, in Prometheus' words. Secrets are hidden: not even their length is told. */
import { formatDuration, formatSize } from "@pyromesh/base";
import type { RelabelRule } from "../relabel/relabel-rule.ts";
import type { AuthorizationSettings, DiscoveryConfig, HttpSettings, KubernetesConfig, ScrapeConfig, Secret } from "./scrape-config.ts";

/** `hidden` stands in place of each secret that is written in the configuration. Names of files are shown. */
export function printScrapeConfigs(configs: readonly ScrapeConfig[], hidden: string): readonly Record<string, unknown>[] {
  return configs.map((config) => ({
    job_name: config.jobName,
    tenant: config.tenant,
    scrape_interval: formatDuration(config.intervalMs),
    scrape_timeout: formatDuration(config.timeoutMs),
    scheme: config.scheme,
    ...unlessEmpty("params", config.params),
    ...printHttp(config.http, hidden),
    body_size_limit: formatSize(config.bodySizeBytesMax),
    profiling_config: {
      ...(config.pathPrefix === "" ? {} : { path_prefix: config.pathPrefix }),
      pprof_config: Object.fromEntries(config.profiles.map(({ name, isEnabled, path, isDelta }) => [name, { enabled: isEnabled, path, delta: isDelta }])),
    },
    ...printDiscoveries(config.discoveries, hidden),
    ...unlessEmpty("relabel_configs", config.relabelRules.map(printRule)),
  }));
}

function printHttp({ authorization, tls, isRedirectFollowed }: HttpSettings, hidden: string): Record<string, unknown> {
  const printedTls = {
    ...(tls.caFile === undefined ? {} : { ca_file: tls.caFile }),
    ...(tls.certFile === undefined ? {} : { cert_file: tls.certFile }),
    ...(tls.keyFile === undefined ? {} : { key_file: tls.keyFile }),
    ...(tls.serverName === undefined ? {} : { server_name: tls.serverName }),
    ...(tls.isInsecure ? { insecure_skip_verify: true } : {}),
  };
  return {
    ...(authorization === undefined ? {} : printAuthorization(authorization, hidden)),
    ...unlessEmpty("tls_config", printedTls),
    ...(isRedirectFollowed ? {} : { follow_redirects: false }),
  };
}

function printAuthorization(authorization: AuthorizationSettings, hidden: string): Record<string, unknown> {
  if (authorization.kind === "basic") return { basic_auth: { username: authorization.username, ...printSecret("password", authorization.password, hidden) } };
  return { authorization: { type: authorization.type, ...printSecret("credentials", authorization.credentials, hidden) } };
}

function printSecret(key: string, secret: Secret, hidden: string): Record<string, string> {
  return secret.kind === "file" ? { [`${key}_file`]: secret.file } : { [key]: hidden };
}

function printDiscoveries(discoveries: readonly DiscoveryConfig[], hidden: string): Record<string, unknown> {
  const printed: Record<string, unknown[]> = {};
  for (const discovery of discoveries) {
    const key = discovery.kind === "static" ? "static_configs" : `${discovery.kind}_sd_configs`;
    (printed[key] ??= []).push(printDiscovery(discovery, hidden));
  }
  return printed;
}

function printDiscovery(discovery: DiscoveryConfig, hidden: string): Record<string, unknown> {
  switch (discovery.kind) {
    case "static":
      return { targets: discovery.targets, ...unlessEmpty("labels", discovery.labels) };
    case "file":
      return { files: discovery.files, refresh_interval: formatDuration(discovery.refreshIntervalMs) };
    case "http":
      return { url: discovery.url, refresh_interval: formatDuration(discovery.refreshIntervalMs), ...printHttp(discovery.http, hidden) };
    case "dns":
      return { names: discovery.names, type: discovery.type, ...(discovery.port === 0 ? {} : { port: discovery.port }), refresh_interval: formatDuration(discovery.refreshIntervalMs) };
    case "kubernetes":
      return printKubernetes(discovery, hidden);
  }
}

function printKubernetes({ role, apiServer, http, namespaces, isOwnNamespaceIncluded, selectors }: KubernetesConfig, hidden: string): Record<string, unknown> {
  const printedNamespaces = { ...unlessEmpty("names", namespaces), ...(isOwnNamespaceIncluded ? { own_namespace: true } : {}) };
  return {
    role,
    ...(apiServer === undefined ? {} : { api_server: apiServer, ...printHttp(http, hidden) }),
    ...unlessEmpty("namespaces", printedNamespaces),
    ...unlessEmpty("selectors", selectors.map(({ role: of, label, field }) => ({ role: of, ...(label === undefined ? {} : { label }), ...(field === undefined ? {} : { field }) }))),
  };
}

/** Only what the action uses: what it does not use is refused when it is read. */
function printRule({ action, sourceLabels, separator, regex, modulus, targetLabel, replacement }: RelabelRule): Record<string, unknown> {
  const isByName = action === "labeldrop" || action === "labelkeep";
  const isByEquality = action === "keepequal" || action === "dropequal";
  return {
    action,
    ...(isByName ? {} : unlessEmpty("source_labels", sourceLabels)),
    ...(isByName || isByEquality ? {} : { separator }),
    ...(isByEquality ? {} : { regex }),
    ...(action === "hashmod" ? { modulus: String(modulus) } : {}),
    ...(targetLabel === "" ? {} : { target_label: targetLabel }),
    ...(action === "replace" || action === "labelmap" ? { replacement } : {}),
  };
}

function unlessEmpty(key: string, value: object): Record<string, unknown> {
  return Object.keys(value).length === 0 ? {} : { [key]: value };
}
