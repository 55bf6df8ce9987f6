/** What scraping shows of itself. Labels are the names of jobs, which the configuration bounds. */
import type { Counter, Histogram, Metrics } from "@pyromesh/base";

export interface TargetCount {
  readonly job: string;
  readonly state: string;
  readonly count: number;
}

/** `failed`: there was no answer, or it was no profile. `postponed`: it was not stored, and the next one covers it. `lost`: it was not stored, and nothing covers it. */
export type ScrapeOutcome = "stored" | "failed" | "postponed" | "lost";

export class ScrapeMetrics {
  readonly #scrapes: Counter;
  readonly #bytes: Counter;
  readonly #durations: Histogram;

  /** `targets` and `keptBytes` are asked when the metrics are read. */
  constructor({ metrics, targets, keptBytes }: { readonly metrics: Metrics; readonly targets: () => readonly TargetCount[]; readonly keptBytes: () => number }) {
    this.#scrapes = metrics.counter("pyromesh_scrapes_total", "Scrapes that this node made, by outcome: stored, failed (no answer, or no profile), postponed (not stored, the next one covers it), lost (answered and not stored).", ["job", "outcome"]);
    this.#bytes = metrics.counter("pyromesh_scrape_body_bytes_total", "Bytes that programs answered, as they came.", ["job"]);
    this.#durations = metrics.histogram("pyromesh_scrape_duration_seconds", "How long scrapes took, with the time that a program measures and that storing takes.", ["job"], [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 15, 30, 60]);
    let shown: readonly TargetCount[] = [];
    metrics.gauge("pyromesh_scrape_targets", "Targets by state: up, down, unknown, or waiting for the hold of the member that scraped them before; elsewhere: another member's.", ["job", "state"], (gauge) => {
      for (const { job, state } of shown) gauge.remove({ job, state });
      shown = targets();
      for (const { job, state, count } of shown) gauge.set({ job, state }, count);
    });
    metrics.gauge("pyromesh_scrape_kept_bytes", "Last answers of programs that count from their start, kept for the next difference.", [], (gauge) => gauge.set({}, keptBytes()));
  }

  scraped(job: string, outcome: ScrapeOutcome, durationMs: number): void {
    this.#scrapes.add({ job, outcome });
    this.#durations.observe({ job }, durationMs / 1000);
  }

  read(job: string, sizeBytes: number): void {
    this.#bytes.add({ job }, sizeBytes);
  }
}
