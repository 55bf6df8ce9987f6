/** A node's metrics, as its page `/metrics` shows them. */

export class Metrics {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /** The sum over the lines of this metric that have all these labels; 0 where there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    let sum = 0;
    for (const line of this.#lines) {
      if (!line.startsWith(name) || (line[name.length] !== "{" && line[name.length] !== " ")) continue;
      if (wanted.every((text) => line.includes(text))) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return sum;
  }

  /** Of a histogram with these labels: observations up to each bound. */
  buckets(name: string, labels: Readonly<Record<string, string>>): Map<number, number> {
    const counts = new Map<number, number>();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    for (const line of this.#lines) {
      if (!line.startsWith(`${name}_bucket{`) || !wanted.every((text) => line.includes(text))) continue;
      const bound = /le="([^"]+)"/.exec(line)?.[1];
      if (bound === undefined) continue;
      const key = bound === "+Inf" ? Infinity : Number(bound);
      counts.set(key, (counts.get(key) ?? 0) + Number(line.slice(line.lastIndexOf(" ") + 1)));
    }
    return counts;
  }
}

export async function readMetrics(url: string): Promise<Metrics> {
  const reply = await fetch(`${url}/metrics`);
  if (reply.status !== 200) throw new Error(`${url}/metrics answered ${reply.status}`);
  return new Metrics(await reply.text());
}

/** The upper bound of the bucket in which this share of a histogram's observations between the two moments ends, over all nodes; NaN where there were none. */
export function bucketQuantile(before: readonly Metrics[], after: readonly Metrics[], name: string, labels: Readonly<Record<string, string>>, share: number): number {
  const counts = new Map<number, number>();
  for (const [sign, nodes] of [[-1, before], [1, after]] as const) {
    for (const metrics of nodes) for (const [bound, count] of metrics.buckets(name, labels)) counts.set(bound, (counts.get(bound) ?? 0) + sign * count);
  }
  const total = counts.get(Infinity) ?? 0;
  if (total === 0) return NaN;
  return Math.min(...[...counts].filter(([, count]) => count >= share * total).map(([bound]) => bound));
}
