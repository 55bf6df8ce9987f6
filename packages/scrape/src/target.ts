/** What discovery hands to whoever scrapes: targets, each one profile type of one program, and what was left out. */
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { Labels } from "@pyromesh/profile";
import type { ScrapeConfig } from "./config/scrape-config.ts";
import type { HttpFetch } from "./http/http-get.ts";

export interface ScrapeTarget {
  /** The same on every member of a cluster and at every time: job, URL and labels. Different targets have different keys. */
  readonly key: string;
  /** Tenant, authorization, TLS and the limit of the body are the job's. */
  readonly job: ScrapeConfig;
  /** With all parameters, `seconds` included where the profile is a delta. */
  readonly url: string;
  /** Of the series: sorted, with `service_name`, `job` and `instance`, without `__name__`, which is `profile.name`. */
  readonly labels: Labels;
  /** Before relabelling. */
  readonly discovered: Labels;
  /** The job's, unless relabelling set another (`__scrape_interval__`, `__scrape_timeout__`). */
  readonly intervalMs: number;
  /** How long one scrape may take. Of a delta, with the time that the program measures. */
  readonly timeoutMs: number;
  readonly profile: TargetProfile;
}

export interface TargetProfile {
  /** The label `__name__` of the series. */
  readonly name: string;
  readonly path: string;
  /** The program measures for `seconds` (in `url`) when asked: what it answers is stored as it is. */
  readonly delta: boolean;
  /**
   * The program answers what it has counted since its start (memory, block and mutex without `delta`): the difference to the scrape before
   * is stored, for the sample types that count (`alloc_*`, contentions, delay), and others (`inuse_*`) as they are.
   */
  readonly isCumulative: boolean;
}

export interface DroppedTarget {
  readonly jobName: string;
  readonly discovered: Labels;
  /** A sentence: a relabelling rule, or a fault of the target. */
  readonly reason: string;
}

/** A source of targets that does not answer as it should. What was known of it stays. */
export interface DiscoveryFault {
  /** `file`, `http`, `dns`, `kubernetes`. */
  readonly mechanism: string;
  /** A URL, files, names; of Kubernetes the path of a list. */
  readonly source: string;
  /** A sentence: how it failed last. */
  readonly reason: string;
  /** Wall clock: since when no answer was right. */
  readonly sinceMs: number;
}

export interface TargetSource {
  /** Those of all jobs, in the order of their keys. The array is replaced, never changed. */
  readonly targets: readonly ScrapeTarget[];
  /** At most `DROPPED_MAX` of each job; beyond that they are only counted. */
  readonly dropped: readonly DroppedTarget[];
  /** All that are dropped, by job; of a job that drops none, nothing. */
  readonly droppedCounts: Readonly<Record<string, number>>;
  /** Sources that fail now, of all jobs. */
  readonly faults: readonly (DiscoveryFault & { readonly jobName: string })[];
  /** Calls `listener` after `targets` was replaced. */
  onChange(listener: () => void): void;
  /** Takes over other jobs. What a job discovered stays while its configuration is the same. */
  apply(configs: readonly ScrapeConfig[]): void;
  start(): Promise<void>;
  stop(): void;
}

export interface TargetModules {
  readonly clock: Clock;
  readonly files: DiscoveryFiles;
  readonly fetch: HttpFetch;
  readonly resolver: Resolver;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The disk, as far as discovery looks at it. */
export interface DiscoveryFiles {
  read(file: string): Promise<string>;
  /** The names in a folder. */
  list(folder: string): Promise<readonly string[]>;
  /** When the file was written last, in milliseconds, and its size. */
  stat(file: string): Promise<{ readonly modifiedMs: number; readonly sizeBytes: number }>;
}

/** DNS. Each rejects where the name does not resolve. */
export interface Resolver {
  addresses(name: string, family: 4 | 6): Promise<readonly string[]>;
  services(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
  mailServers(name: string): Promise<readonly string[]>;
}
