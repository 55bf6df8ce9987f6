/** One job of `scrape_configs`, checked, in the program's own units: plain data. `read-scrape-configs.ts` makes it. */
import type { TenantId } from "@pyromesh/base";
import type { RelabelRule } from "../relabel/relabel-rule.ts";

export interface ScrapeConfig {
  /** Unique among the jobs. */
  readonly jobName: string;
  readonly tenant: TenantId;
  readonly intervalMs: number;
  /** At most the interval. A profile that the program measures when it is asked (`delta`) may take as much longer as it measures. */
  readonly timeoutMs: number;
  readonly scheme: Scheme;
  readonly params: Readonly<Record<string, readonly string[]>>;
  readonly http: HttpSettings;
  /** In the order of their names. */
  readonly profiles: readonly ProfileSettings[];
  /** Stands before the path of each profile: "" or "/app". */
  readonly pathPrefix: string;
  /** Of an unpacked profile. A larger one is refused while it is read. */
  readonly bodySizeBytesMax: number;
  readonly discoveries: readonly DiscoveryConfig[];
  readonly relabelRules: readonly RelabelRule[];
}

export type Scheme = "http" | "https";

export interface ProfileSettings {
  /** The label `__name__` of its series: `memory`, `process_cpu`. */
  readonly name: string;
  readonly isEnabled: boolean;
  readonly path: string;
  /** The program measures for as long as the parameter `seconds` says, and answers what happened in that time. */
  readonly isDelta: boolean;
}

/** How requests authenticate themselves and check the other side. Files are read again for each request, so that what is in them may be replaced. */
export interface HttpSettings {
  readonly authorization: AuthorizationSettings | undefined;
  readonly tls: TlsSettings;
  readonly isRedirectFollowed: boolean;
}

export type AuthorizationSettings =
  | { readonly kind: "header"; readonly type: string; readonly credentials: Secret }
  | { readonly kind: "basic"; readonly username: string; readonly password: Secret };

/** A secret stands in the configuration, where it is never printed, or in a file. */
export type Secret = { readonly kind: "text"; readonly text: string } | { readonly kind: "file"; readonly file: string };

/** Each a path, but for the name. Undefined: what the system trusts, no certificate of one's own, the host of the URL. */
export interface TlsSettings {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly serverName: string | undefined;
  readonly isInsecure: boolean;
}

export type DiscoveryConfig = StaticConfig | FileConfig | HttpConfig | DnsConfig | KubernetesConfig;

export interface StaticConfig {
  readonly kind: "static";
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface FileConfig {
  readonly kind: "file";
  /** Paths whose last part may hold `*`, that end with .json, .yml or .yaml. */
  readonly files: readonly string[];
  readonly refreshIntervalMs: number;
}

export interface HttpConfig {
  readonly kind: "http";
  readonly url: string;
  readonly refreshIntervalMs: number;
  readonly http: HttpSettings;
}

export interface DnsConfig {
  readonly kind: "dns";
  readonly names: readonly string[];
  readonly type: DnsType;
  /** Of the targets; SRV records bring their own. */
  readonly port: number;
  readonly refreshIntervalMs: number;
}

export const DNS_TYPES = ["SRV", "A", "AAAA", "MX"] as const;
export type DnsType = (typeof DNS_TYPES)[number];

export interface KubernetesConfig {
  readonly kind: "kubernetes";
  readonly role: KubernetesRole;
  /** Undefined: this node runs in the cluster that it asks, with the service account of its pod. */
  readonly apiServer: string | undefined;
  readonly http: HttpSettings;
  /** Empty: all of the cluster. */
  readonly namespaces: readonly string[];
  /** The namespace of this node's own pod is one of `namespaces`. */
  readonly isOwnNamespaceIncluded: boolean;
  readonly selectors: readonly KubernetesSelector[];
}

export const KUBERNETES_ROLES = ["pod", "endpoints", "endpointslice"] as const;
export type KubernetesRole = (typeof KUBERNETES_ROLES)[number];

/** Which objects of a kind the server sends: for the role `endpoints` of pods and services, too. */
export interface KubernetesSelector {
  readonly role: KubernetesRole | "service";
  readonly label: string | undefined;
  readonly field: string | undefined;
}
