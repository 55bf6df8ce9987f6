/**
 * What a histogram counted: observations by bucket, for each set of labels.
 *
 * Each push is observed twice. prom-client's own histogram takes 6 us for that, 3 % of what a push costs the main thread
 * (docs/decisions/0006-workers.md): it checks the labels and looks up a text for each observation. This one adds to a typed array.
 */
import { assert } from "./assert.ts";
import type { MetricLabels, MetricLine } from "./metric-text.ts";

/** What was observed with one set of labels. */
interface Observed {
  readonly labels: MetricLabels;
  /** By bucket; the last one is what is above all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

export class HistogramCounts {
  readonly #labelNames: readonly string[];
  readonly #bounds: readonly number[];
  /** By the values of all labels. The caller bounds them: it takes them from a fixed set, or from `TenantLabels`. */
  readonly #observed = new Map<string, Observed>();

  constructor(labelNames: readonly string[], bounds: readonly number[]) {
    this.#labelNames = labelNames;
    this.#bounds = bounds;
    if (labelNames.length === 0) this.#of({}); // its lines are on the page, with zeros, before the first observation
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

  /** Each bucket's line counts the buckets before it too. */
  *lines(name: string): Generator<MetricLine> {
    for (const { labels, counts, sum } of this.#observed.values()) {
      let count = 0;
      for (const [bucket, le] of [...this.#bounds, "+Inf"].entries()) yield { name: `${name}_bucket`, labels: { le, ...labels }, value: (count += counts[bucket]!) };
      yield { name: `${name}_sum`, labels, value: sum };
      yield { name: `${name}_count`, labels, value: count };
    }
  }

  #of(labels: MetricLabels): Observed {
    let key = "";
    for (const name of this.#labelNames) key += `${labels[name]}\0`;
    let observed = this.#observed.get(key);
    if (observed === undefined) this.#observed.set(key, (observed = { labels, counts: new Float64Array(this.#bounds.length + 1), sum: 0 }));
    return observed;
  }
}
