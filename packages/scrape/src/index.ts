export { NothingStored } from "./loop/nothing-stored.ts";
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
export { printScrapeConfigs } from "./config/print-scrape-configs.ts";
export { printPath, printProblem, readScrapeConfigs, scrapeConfigs } from "./config/read-scrape-configs.ts";
export type { ScrapeReading } from "./config/read-scrape-configs.ts";
export type { ScrapeProblem } from "./config/group-reader.ts";
export type { HttpFetch, HttpGet, HttpReply } from "./http/http-get.ts";
export type { RelabelAction, RelabelRule } from "./relabel/relabel-rule.ts";
export { nodeHttp } from "./http/node-http.ts";
export { nodeFiles, nodeResolver } from "./node-discovery.ts";
export { targetSource } from "./targets/target-source.ts";
export type { DiscoveryFault, DiscoveryFiles, DroppedTarget, Resolver, ScrapeTarget, TargetModules, TargetProfile, TargetSource } from "./target.ts";
export { ScrapeLoop } from "./loop/scrape-loop.ts";
export type { ScrapeLoopModules, TargetStatus } from "./loop/scrape-loop.ts";
export { allHeld } from "./loop/target-holds.ts";
export type { HoldOwner, HoldWatch, TargetHold, TargetHolds } from "./loop/target-holds.ts";
export { TargetOwners } from "./loop/target-owner.ts";
export type { ScrapedAnswer, ScraperState, StoreAnswer } from "./loop/target-scraper.ts";
