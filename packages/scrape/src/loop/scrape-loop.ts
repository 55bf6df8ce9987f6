/**
 * Scrapes the targets that discovery finds and that this node owns: a TargetScraper for each. Targets that go, and those that become another member's, are
 * scraped no more at once; a target that stays keeps its scraper, whatever else changes.
 *
 * Bounds: REQUESTS_AT_ONCE_MAX requests of each lane are under way, and answers being read take at most ANSWER_BYTES_MAX together: at the first a scrape waits for
 * its turn, at the second it fails and says so. Of each target with a cumulative profile the last answer is kept, packed, as the job's body_size_limit bounds it;
 * all of them together take KEPT_BYTES_MAX at most: a target beyond it is not stored, which its state says.
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Logger, Metrics } from "@pyromesh/base";
import type { HttpFetch } from "../http/http-get.ts";
import type { ScrapeTarget, TargetSource } from "../target.ts";
import { ScrapeMetrics } from "./scrape-metrics.ts";
import type { TargetCount } from "./scrape-metrics.ts";
import type { HoldOwner, TargetHolds } from "./target-holds.ts";
import { TargetScraper } from "./target-scraper.ts";
import type { ScraperState, StoreAnswer } from "./target-scraper.ts";
import { Turnstile } from "./turnstile.ts";

/** Of each lane. A program that measures when it is asked holds its request for an interval, so there is about one for each target. */
const REQUESTS_AT_ONCE_MAX = 1_000;
const ANSWER_BYTES_MAX = 64 * 2 ** 20;
/** Some 2,000 heap profiles of 100 KB. */
const KEPT_BYTES_MAX = 256 * 2 ** 20;

export interface ScrapeLoopModules {
  readonly source: TargetSource;
  readonly holds: TargetHolds;
  readonly fetch: HttpFetch;
  readonly store: StoreAnswer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface TargetStatus {
  readonly target: ScrapeTarget;
  readonly owner: HoldOwner | undefined;
  /** Undefined: another member scrapes it. */
  readonly state: ScraperState | undefined;
}

export class ScrapeLoop {
  readonly #modules: ScrapeLoopModules;
  readonly #metrics: ScrapeMetrics;
  readonly #turns = { quick: new Turnstile(REQUESTS_AT_ONCE_MAX), measuring: new Turnstile(REQUESTS_AT_ONCE_MAX), silent: new Turnstile(REQUESTS_AT_ONCE_MAX) };
  readonly #scrapers = new Map<string, TargetScraper>();
  #answerBytes = 0;
  /** Of all scrapers: each says what it adds and gives back. */
  #keptBytes = 0;
  #isStarted = false;

  constructor(modules: ScrapeLoopModules) {
    this.#modules = modules;
    this.#metrics = new ScrapeMetrics({ metrics: modules.metrics, targets: () => this.#counts(), keptBytes: () => this.#keptBytes });
    modules.source.onChange(() => this.#refresh());
    modules.holds.onChange(() => this.#refresh());
  }

  async start(): Promise<void> {
    this.#isStarted = true;
    try {
      await this.#modules.source.start();
    } catch (error) {
      this.#modules.logger.error("targets to scrape cannot be discovered", { reason: messageOf(error) });
    }
    this.#refresh();
  }

  stop(): void {
    this.#isStarted = false;
    this.#modules.source.stop();
    for (const scraper of this.#scrapers.values()) scraper.stop();
    this.#scrapers.clear();
    this.#modules.holds.want([]);
  }

  /** All targets, in the order of their keys. */
  targets(): readonly TargetStatus[] {
    const { holds, source } = this.#modules;
    return source.targets.map((target) => ({ target, owner: holds.ownerOf(target.key), state: this.#scrapers.get(target.key)?.state }));
  }

  #refresh(): void {
    if (!this.#isStarted) return;
    const { holds, source } = this.#modules;
    const own = new Map(source.targets.filter(({ key }) => holds.ownerOf(key)?.isSelf === true).map((target) => [target.key, target]));
    for (const [key, scraper] of this.#scrapers) {
      if (isSame(own.get(key), scraper.target)) continue;
      scraper.stop();
      this.#scrapers.delete(key);
    }
    // Before any hold is asked for: what was stopped stores nothing any more.
    holds.want(source.targets.map(({ key }) => key));
    const memory = { take: (sizeBytes: number) => this.#take(sizeBytes), give: (sizeBytes: number) => void (this.#answerBytes -= sizeBytes), keep: (addedBytes: number) => this.#keep(addedBytes) };
    for (const [key, target] of own) {
      if (!this.#scrapers.has(key)) this.#scrapers.set(key, new TargetScraper(target, { ...this.#modules, memory, turns: this.#turns, metrics: this.#metrics }));
    }
  }

  #take(sizeBytes: number): boolean {
    if (this.#answerBytes + sizeBytes > ANSWER_BYTES_MAX) return false;
    this.#answerBytes += sizeBytes;
    return true;
  }

  #keep(addedBytes: number): boolean {
    if (addedBytes > 0 && this.#keptBytes + addedBytes > KEPT_BYTES_MAX) return false;
    this.#keptBytes += addedBytes;
    return true;
  }

  #counts(): readonly TargetCount[] {
    const counts = new Map<string, { readonly job: string; readonly state: string; count: number }>();
    for (const { target, state } of this.targets()) {
      const name = state === undefined ? "elsewhere" : state.isWaiting ? "waiting" : state.health;
      const key = `${name} ${target.job.jobName}`;
      const known = counts.get(key);
      if (known === undefined) counts.set(key, { job: target.job.jobName, state: name, count: 1 });
      else known.count++;
    }
    return [...counts.values()];
  }
}

/** What a scraper works by is the same: a job whose limits or credentials changed has new objects. */
function isSame(now: ScrapeTarget | undefined, before: ScrapeTarget): boolean {
  return now !== undefined && now.job === before.job && now.intervalMs === before.intervalMs && now.timeoutMs === before.timeoutMs;
}
