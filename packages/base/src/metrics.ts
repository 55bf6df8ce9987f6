/**
 * The metrics of a node, and the page that they make: each metric is a block of lines, in the order in which the metrics were made.
 * What they hold is in metric-values.ts and histogram.ts; metric-text.ts prints it.
 */
import { assert } from "./assert.ts";
import { HistogramCounts } from "./histogram.ts";
import { printMetric, type MetricHead, type MetricLabels, type MetricLine } from "./metric-text.ts";
import { MetricValues } from "./metric-values.ts";

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
  /** By name: prints the block of a metric. As many as the program makes metrics. */
  readonly #blocks = new Map<string, () => string | Promise<string>>();

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const values = new MetricValues(labelNames);
    this.#addBlock({ name, help, type: "counter" }, () => values.lines(name));
    return { add: (labels, value = 1) => values.add(labels, value) };
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
    const values = new MetricValues(labelNames);
    const head: MetricHead = { name, help, type: "gauge" };
    const print = (): string => printMetric(head, values.lines(name));
    this.#add(name, () => {
      const collected = collect?.(values);
      return collected === undefined ? print() : collected.then(print);
    });
    return values;
  }

  histogram(name: string, help: string, labelNames: readonly string[], buckets: readonly number[]): Histogram {
    const counts = new HistogramCounts(labelNames, buckets);
    this.#addBlock({ name, help, type: "histogram" }, () => counts.lines(name));
    return counts;
  }

  /** The page, in the Prometheus text format: a blank line between two blocks. `isWanted`: only these metrics. */
  async text(isWanted?: (name: string) => boolean): Promise<string> {
    const prints: Promise<string>[] = [];
    for (const [name, print] of this.#blocks) if (isWanted === undefined || isWanted(name)) prints.push(Promise.resolve(print()));
    return `${(await Promise.all(prints)).join("\n\n")}\n`;
  }

  #addBlock(head: MetricHead, lines: () => Iterable<MetricLine>): void {
    this.#add(head.name, () => printMetric(head, lines()));
  }

  #add(name: string, print: () => string | Promise<string>): void {
    assert(!this.#blocks.has(name), `the metric ${name} has already been registered`);
    this.#blocks.set(name, print);
  }
}
