/** What the API shows of the programs that the node, or its cluster, asks for their profiles. */
import type { Labels } from "@pyromesh/profile";

export interface ScrapeAdmin {
  /** As this node sees them now. What other members found out about theirs, they show themselves. */
  targets(): ScrapedTargets;
}

export interface ScrapedTargets {
  readonly active: readonly ScrapedTarget[];
  /** Of a job that drops many, the first. */
  readonly dropped: readonly DroppedScrapeTarget[];
  /** All of them, by job. */
  readonly droppedCounts: Readonly<Record<string, number>>;
  /** Sources of targets that fail now. */
  readonly faults: readonly ScrapeDiscoveryFault[];
}

/** What was known of the source stays. */
export interface ScrapeDiscoveryFault {
  readonly jobName: string;
  /** `file`, `http`, `dns`, `kubernetes`. */
  readonly mechanism: string;
  readonly source: string;
  /** How it failed last, in words. */
  readonly reason: string;
  /** Wall clock: since when no answer was right. */
  readonly sinceMs: number;
}

/** One profile of one program. */
export interface ScrapedTarget {
  readonly jobName: string;
  readonly url: string;
  /** Of its series, without `__name__`, which is `profileName`. */
  readonly labels: Labels;
  /** Before relabelling. */
  readonly discovered: Labels;
  readonly profileName: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Who scrapes it. Undefined: nobody can at the moment. */
  readonly member: { readonly name: string; readonly httpAddress: string; readonly isSelf: boolean } | undefined;
  /** Of the last scrape by this node; `unknown` where there was none. */
  readonly health: "up" | "down" | "unknown";
  /** In words; "": none. */
  readonly lastError: string;
  /** Wall clock. */
  readonly lastScrapeMs: number | undefined;
  readonly lastDurationMs: number;
  readonly nextScrapeMs: number | undefined;
}

export interface DroppedScrapeTarget {
  readonly jobName: string;
  readonly discovered: Labels;
  readonly reason: string;
}
