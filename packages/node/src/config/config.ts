/** The settings, in the program's own units. `loadConfig` makes and checks them; `printConfig` prints them. */
import type { LogLevel } from "@pyromesh/base";
import type { ScrapeConfig } from "@pyromesh/scrape";
import { TOKEN_COUNT_DEFAULT, TOKEN_COUNT_MAX } from "@pyromesh/ring";
import { parseJoinEntry, printJoinEntry, reachable } from "./join-entry.ts";
import type { JoinEntry } from "./join-entry.ts";
import type { LimitsInForce } from "./limits.ts";
import {
  addressKind,
  booleanKind,
  bucketKind,
  countKind,
  diskBudgetKind,
  durationKind,
  hostListKind,
  logLevelKind,
  optionalAddressKind,
  optionalNameKind,
  optionalTextKind,
  originListKind,
  positiveCountKind,
  positiveDurationKind,
  positiveSizeKind,
  printAddress,
  refusable,
  textKind,
} from "./setting.ts";
import type { Address, Kind, Setting } from "./setting.ts";

/** Its limits are those of the start; `LiveLimits` has those in force. */
export interface Config extends NodeSettings, LimitsInForce {
  /** Jobs that this node, or its cluster, scrapes. Written in the YAML file only. */
  readonly scrapeConfigs: readonly ScrapeConfig[];
}

export interface NodeSettings {
  /** The YAML file that was read. */
  readonly configFile: string | undefined;
  /** 0: the file is read at start only. */
  readonly configReloadIntervalMs: number;
  readonly dataDir: string;
  readonly httpAddress: Address;
  /** Undefined: admin requests are answered to loopback peers on `httpAddress`. */
  readonly adminAddress: Address | undefined;
  /** Names that the `Host` of a request may have. On a loopback address loopback names are allowed besides; on another address an empty list allows any name. */
  readonly allowedHosts: readonly string[];
  /** Origins of other web sites whose pages may push and query. */
  readonly corsOrigins: readonly string[];
  readonly clusterAddress: Address;
  /** `host:port`. Undefined: derived from where it listens (advertised-address.ts). */
  readonly clusterAdvertise: string | undefined;
  /** Undefined: this node is alone, whatever the other settings of a cluster say. */
  readonly clusterName: string | undefined;
  readonly clusterSecretFile: string | undefined;
  readonly isGossipOn: boolean;
  /** `host:port`. */
  readonly httpAdvertise: string | undefined;
  readonly join: readonly JoinEntry[];
  /** Undefined: the name that the data directory remembers; at the first start the advertised address. */
  readonly nodeName: string | undefined;
  readonly replication: number;
  readonly tokenCount: number;
  /** Undefined: no zone. */
  readonly zone: string | undefined;
  /** A URL; never with credentials in it. */
  readonly bucket: string;
  /** For one start: the operator says that this is the right bucket, so an identity is made where that would be refused. */
  readonly isBucketInit: boolean;
  readonly flushIntervalMs: number;
  readonly flushSizeBytes: number;
  /** 0: for ever. */
  readonly retentionMs: number;
  readonly headDiskBudgetBytes: number;
  readonly isMultitenant: boolean;
  /** Undefined: this version refuses to start with such a file. */
  readonly authFile: string | undefined;
  readonly logLevel: LogLevel;
  readonly isSelfProfiling: boolean;
  /** 0: one less than there are cores, at least 1, at most 8. */
  readonly workerCount: number;
  /** 0: computed from the number of workers and the memory (memory-plan.ts). */
  readonly queriesAtOnceMax: number;
  /** Queries of each class that wait. 0: none waits. */
  readonly queuedQueriesMax: number;
  readonly queryQueueTimeoutMs: number;
}

const joinKind: Kind<readonly JoinEntry[]> = {
  placeholder: "address",
  schema: refusable((text) => text.split(",").map((part) => parseJoinEntry(part.trim()))),
  print: (value) => (value.length === 0 ? undefined : value.map(printJoinEntry)),
  isList: true,
};

const reachableKind: Kind<string | undefined> = { placeholder: "host:port", schema: refusable((text) => printAddress(reachable(text))), print: (value) => value };

const tokenCountKind: Kind<number> = {
  ...positiveCountKind,
  schema: positiveCountKind.schema.refine((count) => count <= TOKEN_COUNT_MAX, `too many: write ${TOKEN_COUNT_MAX} or fewer`),
};

export const SETTINGS: { readonly [K in keyof NodeSettings]: Setting<NodeSettings[K]> } = {
  configFile: setting("config", { ...optionalTextKind, placeholder: "file" }, undefined, "YAML file with settings"),
  configReloadIntervalMs: setting("config_reload_interval", durationKind, 10_000, "how often limits and overrides are read again from that file; 0: never"),
  dataDir: setting("data_dir", { ...textKind, placeholder: "dir" }, "./data", "folder for what this node keeps"),
  httpAddress: setting("http_addr", addressKind, { host: "127.0.0.1", port: 4040 }, "where HTTP listens"),
  adminAddress: setting("admin_addr", optionalAddressKind, undefined, "answer admin requests only here; unset: to loopback peers"),
  allowedHosts: setting("allowed_hosts", hostListKind, [], "names that a request may be sent to (Host), with *. for all below one (repeatable); unset: on a loopback address localhost and the like, elsewhere any"),
  corsOrigins: setting("cors_origins", originListKind, [], "web sites whose pages may push and query, as https://grafana.example.org, or * (repeatable); unset: none but the node's own page"),
  clusterAddress: setting("cluster_addr", addressKind, { host: "127.0.0.1", port: 7946 }, "where the other members reach this node, once there is a cluster_name"),
  clusterAdvertise: setting("cluster_advertise", reachableKind, undefined, "the address that other members are told; unset: where it listens"),
  clusterName: setting("cluster_name", optionalNameKind, undefined, "makes this node a member of the cluster of that name; members of another are refused"),
  clusterSecretFile: setting("cluster_secret_file", { ...optionalTextKind, placeholder: "file" }, undefined, "file with the secret that proves the right to join; two lines while it is replaced"),
  isGossipOn: setting("cluster_gossip", booleanKind, true, "spread news of members by gossip; without it the same is known, somewhat later"),
  httpAdvertise: setting("http_advertise", reachableKind, undefined, "the address at which others reach this node's HTTP; unset: where it listens"),
  join: setting("join", joinKind, [], "member to join: host:port, dns+host:port for all addresses of a name, or file:path (repeatable)"),
  nodeName: setting("node_name", optionalNameKind, undefined, "this member's name, unique in the cluster; unset: the address of its first start"),
  replication: setting("replication", positiveCountKind, 3, "nodes that hold a record; at most as many as there are"),
  tokenCount: setting("tokens", tokenCountKind, TOKEN_COUNT_DEFAULT, "points on the ring: a node with twice as many keeps twice as much"),
  zone: setting("zone", optionalNameKind, undefined, "where this node stands: copies of a record are kept in different zones"),
  bucket: setting("bucket", bucketKind, "", "file://dir or s3://bucket/prefix?endpoint=...; default: a folder in the data dir"),
  isBucketInit: setting("bucket_init", booleanKind, false, "for one start: this bucket is the right one, though it has no identity or its folder is missing"),
  flushIntervalMs: setting("flush_interval", positiveDurationKind, 60_000, "longest time a record waits in the head"),
  flushSizeBytes: setting("flush_size", positiveSizeKind, 64 * 2 ** 20, "flush earlier when the head holds this much"),
  retentionMs: setting("retention", durationKind, 31 * 86_400_000, "delete segments that are older (not in this version: none is deleted yet); 0 keeps for ever"),
  headDiskBudgetBytes: setting("head_disk_budget", diskBudgetKind, 10 * 2 ** 30, "disk the head may use, at most 80 % of what it holds and what is free"),
  isMultitenant: setting("multitenancy", booleanKind, false, "tell tenants apart by X-Scope-OrgID"),
  authFile: setting("auth_file", { ...optionalTextKind, placeholder: "file" }, undefined, "file of tokens and their tenants (not in this version)"),
  logLevel: setting("log_level", logLevelKind, "info", "how much is logged"),
  isSelfProfiling: setting("self_profile", booleanKind, false, "profile this node and store it here"),
  queriesAtOnceMax: setting("max_concurrent_queries", countKind, 0, "queries that scan at once; 0: twice the workers, at least 4, and fewer where memory is short"),
  queuedQueriesMax: setting("max_queued_queries", countKind, 256, "queries that wait for their turn; one more is refused"),
  queryQueueTimeoutMs: setting("query_queue_timeout", positiveDurationKind, 60_000, "a query that has waited for so long is refused"),
  workerCount: setting("workers", countKind, 0, "worker threads; 0: one less than there are cores, at least 1, at most 8"),
};

/** The keys of the settings that differ, limits left out. */
export function changedSettings(before: NodeSettings, after: NodeSettings): string[] {
  const printed = (settings: NodeSettings, name: keyof NodeSettings): string => JSON.stringify((SETTINGS[name] as Setting<unknown>).kind.print(settings[name]) ?? null);
  return (Object.keys(SETTINGS) as (keyof NodeSettings)[]).filter((name) => printed(before, name) !== printed(after, name)).map((name) => SETTINGS[name].key);
}

function setting<T>(key: string, kind: Setting<T>["kind"], byDefault: T, help: string): Setting<T> {
  return { key, kind, default: byDefault, help };
}

/** The bucket of a node that is given none. */
export function bucketIn(dataDir: string): string {
  return `file://${dataDir}/bucket`;
}
