/** Counters, gauges and histograms behind a small interface; prom-client does the text format. Only this file imports it. */
import * as prom from "prom-client";

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

/** One registry a node. Names carry the `pyromesh_` prefix already. */
export class Metrics {
  readonly #registry = new prom.Registry();

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const inner = new prom.Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
    return { add: (labels, value = 1) => inner.inc(labels, value) };
  }

  /** `collect` is called at each scrape to set the value. */
  gauge(name: string, help: string, labelNames: readonly string[] = [], collect?: (gauge: Gauge) => void): Gauge {
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
    const inner = new prom.Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [this.#registry] });
    return { observe: (labels, value) => inner.observe(labels, value) };
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
