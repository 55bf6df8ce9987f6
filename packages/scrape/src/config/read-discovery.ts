/** Reads how the targets of a job are found: `static_configs` and the `*_sd_configs`. */
import { LABEL_NAME_PATTERN } from "../relabel/relabel.ts";
import { faultOfUrl } from "./fault-of-url.ts";
import type { GroupReader } from "./group-reader.ts";
import { HTTP_HINTS, readHttpSettings } from "./read-http.ts";
import { readKubernetes } from "./read-kubernetes.ts";
import { DNS_TYPES } from "./scrape-config.ts";
import type { DiscoveryConfig, DnsConfig, FileConfig, HttpConfig, StaticConfig } from "./scrape-config.ts";
import { faultOfAddress } from "./target-address.ts";

/** What Prometheus takes where nothing is written. */
const FILE_REFRESH_MS = 300_000;
const HTTP_REFRESH_MS = 60_000;
const DNS_REFRESH_MS = 30_000;

export function readDiscoveries(job: GroupReader): DiscoveryConfig[] {
  return [
    ...job.groups("static_configs").map(readStatic),
    ...job.groups("file_sd_configs").map(readFile),
    ...job.groups("http_sd_configs").map(readHttp),
    ...job.groups("dns_sd_configs").map(readDns),
    ...job.groups("kubernetes_sd_configs").map(readKubernetes),
  ];
}

function readStatic(group: GroupReader): StaticConfig {
  const targets = group.texts("targets");
  const labels = group.textMap("labels");
  group.finish();
  for (const target of targets) {
    const fault = faultOfAddress(target);
    if (fault !== undefined) group.refuse("targets", `targets: ${fault}`);
  }
  for (const name of Object.keys(labels)) if (!LABEL_NAME_PATTERN.test(name)) group.refuse("labels", `labels: ${JSON.stringify(name)} is not a label's name`);
  return { kind: "static", targets, labels };
}

function readFile(group: GroupReader): FileConfig {
  const files = group.texts("files");
  const refreshIntervalMs = group.duration("refresh_interval", FILE_REFRESH_MS);
  group.finish();
  if (files.length === 0) group.refuse(undefined, "files is missing: write it as files: [/etc/pyromesh/targets/*.yml]");
  for (const file of files) {
    if (!/^[^*]*(\*[^/]*)?\.(json|yml|yaml)$/.test(file)) group.refuse("files", `files: ${JSON.stringify(file)} must end with .json, .yml or .yaml, and may have * in its last part only`);
  }
  return { kind: "file", files, refreshIntervalMs };
}

function readHttp(group: GroupReader): HttpConfig {
  const url = group.neededText("url", "http://discovery.example.org/targets");
  const refreshIntervalMs = group.duration("refresh_interval", HTTP_REFRESH_MS);
  const http = readHttpSettings(group);
  group.finish(HTTP_HINTS);
  const fault = url === "" ? undefined : faultOfUrl(url);
  if (fault !== undefined) group.refuse("url", `url: ${fault}`);
  return { kind: "http", url, refreshIntervalMs, http };
}

function readDns(group: GroupReader): DnsConfig {
  const names = group.texts("names");
  const type = group.oneOf("type", DNS_TYPES, "SRV");
  const port = Number(group.count("port", 65535n) ?? 0n);
  const refreshIntervalMs = group.duration("refresh_interval", DNS_REFRESH_MS);
  group.finish();
  if (names.length === 0) group.refuse(undefined, "names is missing: write it as names: [_pprof._tcp.app.example.org]");
  if (type !== "SRV" && port === 0) group.refuse(undefined, `records of the type ${type} have no port: write it as port: 6060`);
  return { kind: "dns", names, type, port, refreshIntervalMs };
}
