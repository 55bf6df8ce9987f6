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
}

export async function readMetrics(url: string): Promise<Metrics> {
  const reply = await fetch(`${url}/metrics`);
  if (reply.status !== 200) throw new Error(`${url}/metrics answered ${reply.status}`);
  return new Metrics(await reply.text());
}
