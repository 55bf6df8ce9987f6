/**
 * The metrics of a node, and the page that they make: each metric is a block of lines, in the order in which the metrics were made.
 *
 * prom-client keeps the counters and gauges that are set here and prints their blocks. Only this file imports it. The blocks of a
 * histogram, and of counters and summaries that are kept elsewhere, are printed by metric-text.ts: prom-client has no metric whose
 * values are read when the page is made.
 */
import * as prom from "prom-client";
import { assert } from "./assert.ts";
import { HistogramCounts } from "./histogram.ts";
import { printMetric, type MetricHead, type MetricLabels, type MetricLine } from "./metric-text.ts";

export interface Counter {
  add(labels: MetricLabels, value?: number): void;
}
export interface Gauge {
  set(labels: MetricLabels, value: number): void;
  /** Forgets one label set, so that what is gone does not stay on the page. */
  remove(labels: MetricLabels): void;
}
export interface Histogram {
  observe(labels: MetricLabels, value: number): void;
}

/** A value that is kept elsewhere, read at each scrape. */
export interface MetricValue {
  readonly labels: MetricLabels;
  readonly value: number;
}

interface SummaryValue {
  /** Between 0 and 1 -> the value at or below which that part of all observations was. */
  readonly quantiles: ReadonlyMap<number, number>;
  readonly sum: number;
  readonly count: number;
}

/** One a node. Names begin with `pyromesh_`, or with `process_` and `nodejs_` where other programs have the same metric. */
export class Metrics {
  readonly #registry = new prom.Registry();
  /** By name: prints the block of a metric. As many as the program makes metrics. */
  readonly #blocks = new Map<string, () => Promise<string>>();

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    this.#addPromClientBlock(name);
    const inner = new prom.Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
    return { add: (labels, value = 1) => inner.inc(labels, value) };
  }

  /** A counter whose values are kept elsewhere and only rise: `read` is called at each scrape. */
  readCounter(name: string, help: string, read: () => readonly MetricValue[]): void {
    this.#addBlock({ name, help, type: "counter" }, () => read().map(({ labels, value }) => ({ name, labels, value })));
  }

  /** A summary is what Prometheus calls a metric with a label `quantile`. `read` is called at each scrape. */
  summary(name: string, help: string, read: () => SummaryValue): void {
    this.#addBlock({ name, help, type: "summary" }, () => {
      const { quantiles, sum, count } = read();
      const lines = [...quantiles].map(([quantile, value]) => ({ name, labels: { quantile }, value }));
      return [...lines, { name: `${name}_sum`, labels: {}, value: sum }, { name: `${name}_count`, labels: {}, value: count }];
    });
  }

  /** `collect` is called at each scrape to set the value. */
  gauge(name: string, help: string, labelNames: readonly string[] = [], collect?: (gauge: Gauge) => void | Promise<void>): Gauge {
    this.#addPromClientBlock(name);
    const handle: Gauge = {
      set: (labels, value) => inner.set(labels, value),
      remove: (labels) => inner.remove(labels),
    };
    const inner = new prom.Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      ...(collect === undefined ? {} : { collect: () => collect(handle) }),
    });
    return handle;
  }

  histogram(name: string, help: string, labelNames: readonly string[], buckets: readonly number[]): Histogram {
    const counts = new HistogramCounts(labelNames, buckets);
    this.#addBlock({ name, help, type: "histogram" }, () => counts.lines(name));
    return counts;
  }

  /** The page, in the Prometheus text format: a blank line between two blocks. `isWanted`: only these metrics; no other is read. */
  async text(isWanted: (name: string) => boolean = () => true): Promise<string> {
    const blocks = await Promise.all([...this.#blocks].flatMap(([name, print]) => (isWanted(name) ? [print()] : [])));
    return `${blocks.join("\n\n")}\n`;
  }

  #addPromClientBlock(name: string): void {
    this.#add(name, () => this.#registry.getSingleMetricAsString(name));
  }

  #addBlock(head: MetricHead, lines: () => Iterable<MetricLine>): void {
    this.#add(head.name, async () => printMetric(head, lines()));
  }

  #add(name: string, print: () => Promise<string>): void {
    assert(!this.#blocks.has(name), `the metric ${name} has already been registered`);
    this.#blocks.set(name, print);
  }
}
