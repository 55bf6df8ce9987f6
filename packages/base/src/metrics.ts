/** Counters, gauges and histograms behind a small interface; prom-client does the text format. Only this file imports it. */
import * as prom from "prom-client";
import { assert } from "./assert.ts";

export type MetricLabels = Readonly<Record<string, string>>;

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

export interface SummaryValue {
  /** Between 0 and 1 -> what so large a part of all observations stayed at or below. */
  readonly quantiles: ReadonlyMap<number, number>;
  readonly sum: number;
  readonly count: number;
}

/** One registry a node. Names begin with `pyromesh_`, or with `process_` and `nodejs_` where other programs have the same metric. */
export class Metrics {
  readonly #registry = new prom.Registry();

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const inner = new prom.Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
    return { add: (labels, value = 1) => inner.inc(labels, value) };
  }

  /** A counter whose values are kept elsewhere and only rise: `read` is called at each scrape. Counting costs what the keeper makes of it. */
  readCounter(name: string, help: string, read: () => readonly MetricValue[]): void {
    this.#register({ name, help, type: "counter", values: () => read().map(({ labels, value }) => ({ metricName: name, labels, value })) });
  }

  /** A summary is what Prometheus calls a metric with a label `quantile`. `read` is called at each scrape. */
  summary(name: string, help: string, read: () => SummaryValue): void {
    this.#register({
      name,
      help,
      type: "summary",
      values: () => {
        const { quantiles, sum, count } = read();
        const lines = [...quantiles].map(([quantile, value]) => ({ metricName: name, labels: { quantile }, value }));
        return [...lines, { metricName: `${name}_sum`, labels: {}, value: sum }, { metricName: `${name}_count`, labels: {}, value: count }];
      },
    });
  }

  /** `collect` is called at each scrape to set the value. */
  gauge(name: string, help: string, labelNames: readonly string[] = [], collect?: (gauge: Gauge) => void | Promise<void>): Gauge {
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
    const histogram = new CountingHistogram(labelNames, buckets);
    this.#register({ name, help, type: "histogram", values: () => histogram.values(name) });
    return histogram;
  }

  #register({ name, help, type, values }: ReadMetric): void {
    const get = async (): Promise<object> => ({ name, help, type, aggregator: "sum", values: values() });
    this.#registry.registerMetric({ name, get } as unknown as prom.Metric); // a name and `get` is all that a registry asks of one
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

interface PrintedValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface ReadMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "histogram" | "summary";
  /** As prom-client prints them. */
  readonly values: () => readonly PrintedValue[];
}

interface Observed {
  readonly labels: MetricLabels;
  /** By bucket; the last one is what is above all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * prom-client's own spends 3 us on an observation: it checks the labels, looks a text of them up, and the bucket by its bound in
 * decimal. Each push is observed twice.
 */
class CountingHistogram implements Histogram {
  readonly #labelNames: readonly string[];
  readonly #bounds: readonly number[];
  readonly #observed = new Map<string, Observed>();

  constructor(labelNames: readonly string[], bounds: readonly number[]) {
    this.#labelNames = labelNames;
    this.#bounds = bounds;
    if (labelNames.length === 0) this.#of({}); // all zero before the first, where nothing else could be told
  }

  observe(labels: MetricLabels, value: number): void {
    assert(Number.isFinite(value), "what is observed is a number");
    const observed = this.#of(labels);
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    observed.counts[bucket]!++;
    observed.sum += value;
  }

  #of(labels: MetricLabels): Observed {
    let key = "";
    for (const name of this.#labelNames) key += `${labels[name]}\0`;
    let observed = this.#observed.get(key);
    if (observed === undefined) this.#observed.set(key, (observed = { labels, counts: new Float64Array(this.#bounds.length + 1), sum: 0 }));
    return observed;
  }

  /** As prom-client prints them. */
  values(name: string): readonly PrintedValue[] {
    return [...this.#observed.values()].flatMap(({ labels, counts, sum }) => {
      let count = 0;
      const buckets = [...this.#bounds, "+Inf"].map((le, index) => ({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: (count += counts[index]!) }));
      return [...buckets, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count }];
    });
  }
}
