/**
 * Scraping, put together: discovery finds targets, holds say which of them are this node's, the loop asks them, and what they answer is stored as a push.
 *
 *   new ── attach: the cluster is known, and this node answers others that ask it for holds ── start: it scrapes ── stop
 */
import type { ScrapeAdmin, ScrapedTarget, ScrapedTargets } from "@pyromesh/api";
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import { allHeld, ScrapeLoop } from "@pyromesh/scrape";
import type { HttpFetch, ScrapeConfig, StoreAnswer, TargetSource, TargetStatus } from "@pyromesh/scrape";
import type { Cluster } from "../cluster/ports.ts";
import { ClusterHolds } from "./cluster-holds.ts";

export interface ScrapingModules {
  readonly source: TargetSource;
  readonly fetch: HttpFetch;
  readonly store: StoreAnswer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export class Scraping implements ScrapeAdmin {
  readonly #modules: ScrapingModules;
  #holds: ClusterHolds | undefined;
  #loop: ScrapeLoop | undefined;

  constructor(modules: ScrapingModules) {
    this.#modules = modules;
  }

  /** `isMember`: the node has a cluster. Called once, before `start`. */
  attach(cluster: Cluster, isMember: boolean): void {
    const { name, httpAddress } = cluster.view.self;
    this.#holds = isMember ? new ClusterHolds({ ...this.#modules, cluster }) : undefined;
    this.#loop = new ScrapeLoop({ ...this.#modules, holds: this.#holds ?? allHeld({ name, isSelf: true, httpAddress }) });
  }

  async start(): Promise<void> {
    await this.#loop?.start();
  }

  /** Takes over other jobs. */
  apply(configs: readonly ScrapeConfig[]): void {
    this.#modules.source.apply(configs);
  }

  stop(): void {
    this.#loop?.stop();
    this.#holds?.giveBack();
  }

  targets(): ScrapedTargets {
    const { dropped, droppedCounts, faults } = this.#modules.source;
    return { active: this.#loop?.targets().map(shown) ?? [], dropped, droppedCounts, faults };
  }
}

function shown({ target, owner, state }: TargetStatus): ScrapedTarget {
  const { job, url, labels, discovered, profile, intervalMs, timeoutMs } = target;
  const { health = "unknown", lastError = "", lastScrapeMs, lastDurationMs = 0, nextScrapeMs, isWaiting = false } = state ?? {};
  return {
    jobName: job.jobName,
    url,
    labels,
    discovered,
    profileName: profile.name,
    intervalMs,
    timeoutMs,
    member: owner,
    health,
    lastError: isWaiting ? "this node has no hold on the target yet: a majority of the members grants it, once the hold of who scraped it before has ended" : lastError,
    lastScrapeMs,
    lastDurationMs,
    nextScrapeMs: isWaiting ? undefined : nextScrapeMs,
  };
}
