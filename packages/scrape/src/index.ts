export type {
  AuthorizationSettings,
  DiscoveryConfig,
  DnsConfig,
  DnsType,
  FileConfig,
  HttpConfig,
  HttpSettings,
  KubernetesConfig,
  KubernetesRole,
  KubernetesSelector,
  ProfileSettings,
  ScrapeConfig,
  Secret,
  StaticConfig,
  TlsSettings,
} from "./config/scrape-config.ts";
export type { HttpFetch, HttpGet, HttpReply } from "./http/http-get.ts";
export type { RelabelAction, RelabelRule } from "./relabel/relabel-rule.ts";
export type { DiscoveryFiles, DroppedTarget, Resolver, ScrapeTarget, TargetModules, TargetProfile, TargetSource } from "./target.ts";
