/**
 * One metric in Prometheus' text format:
 *
 *   # HELP asked_seconds How long.
 *   # TYPE asked_seconds summary
 *   asked_seconds{quantile="0.5"} 0.25
 *   asked_seconds_sum 3
 *   asked_seconds_count 4
 */
export type MetricLabels = Readonly<Record<string, string>>;

export interface MetricHead {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "histogram" | "summary";
}

export interface MetricLine {
  /** Of the line: a histogram's and a summary's differ from the metric's. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Without a line end behind the last line. */
export function printMetric({ name, help, type }: MetricHead, lines: Iterable<MetricLine>): string {
  let text = `# HELP ${name} ${escape(help)}\n# TYPE ${name} ${type}`;
  for (const line of lines) text += `\n${line.name}${printLabels(line.labels)} ${printValue(line.value)}`;
  return text;
}

function printLabels(labels: MetricLine["labels"]): string {
  const printed = Object.entries(labels).map(([name, value]) => `${name}="${escape(`${value}`).replaceAll('"', '\\"')}"`);
  return printed.length === 0 ? "" : `{${printed.join(",")}}`;
}

function printValue(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return `${value}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
