/**
 * What a counter or a gauge holds: one value for each set of labels. It finds a set by a text of its labels' values, which costs a fraction of what a general
 * library's checks of names and types do: a push counts in some twenty of these.
 */
import { assert } from "./assert.ts";
import type { MetricLabels, MetricLine } from "./metric-text.ts";

interface Value {
  readonly labels: MetricLabels;
  value: number;
}

export class MetricValues {
  readonly #labelNames: readonly string[];
  /** By the values of all labels. The caller bounds them: it takes them from a fixed set, or from `TenantLabels`. */
  readonly #values = new Map<string, Value>();

  constructor(labelNames: readonly string[]) {
    this.#labelNames = labelNames;
    if (labelNames.length === 0) this.#of({}); // its line is on the page, with 0, before it is first set
  }

  add(labels: MetricLabels, value: number): void {
    assert(value >= 0 && value < Infinity, "a counter only rises");
    this.#of(labels).value += value;
  }

  set(labels: MetricLabels, value: number): void {
    assert(typeof value === "number", "what is set is a number");
    this.#of(labels).value = value;
  }

  remove(labels: MetricLabels): void {
    this.#values.delete(this.#keyOf(labels));
  }

  *lines(name: string): Generator<MetricLine> {
    for (const { labels, value } of this.#values.values()) yield { name, labels, value };
  }

  #of(labels: MetricLabels): Value {
    const key = this.#keyOf(labels);
    let found = this.#values.get(key);
    if (found === undefined) {
      for (const name of Object.keys(labels)) assert(this.#labelNames.includes(name), `the metric has a label ${name}`);
      this.#values.set(key, (found = { labels, value: 0 }));
    }
    return found;
  }

  /** A label that is not given is not printed. */
  #keyOf(labels: MetricLabels): string {
    let key = "";
    for (const name of this.#labelNames) key += `${labels[name]}\0`;
    return key;
  }
}
