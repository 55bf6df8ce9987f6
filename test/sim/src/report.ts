/** What a run prints: each failure with the command that repeats it, and medians, which show whether the histories exercise the node enough. */
import type { SeedReport } from "./run-seed.ts";

export function printFailure({ seed, failure }: SeedReport, { minutes, nodes }: { readonly minutes: string; readonly nodes: string }): string {
  const { checker, faults, message, tail } = failure!; // the caller has looked
  return [
    `\nseed ${seed} failed: ${checker}`,
    `  ${message}`,
    `  again: npm run sim -- --seed ${seed} --seeds 1 --minutes ${minutes}${nodes === "1" ? "" : ` --nodes ${nodes}`} --verbose`,
    `  faults: ${faults}`,
    `  the last ${tail.length} events:`,
    ...tail.map((line) => `    ${line.slice(0, 300)}`),
    "",
  ].join("\n");
}

export function printSummary(reports: readonly SeedReport[]): string {
  const failed = reports.filter(({ failure }) => failure !== undefined);
  const cpuMs = reports.reduce((sum, report) => sum + report.cpuMs, 0);
  const kinds = new Map<string, number>();
  for (const { faultKinds } of reports) for (const kind of faultKinds) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return [
    `seeds with each kind of fault: ${[...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
    `median of a history: ${median(reports, ({ acks }) => acks)} acks, ${median(reports, ({ checked }) => checked)} checked queries, ${median(reports, ({ flushes }) => flushes)} flushes, ${median(reports, ({ faultKinds }) => faultKinds.length)} kinds of fault, ${median(reports, ({ events }) => events)} events`,
    `${(cpuMs / reports.length).toFixed(0)} ms of CPU a seed: ${Math.floor((60_000 * reports.length) / cpuMs)} seeds a minute and core`,
    `${reports.length} seeds, ${failed.length} failed${failed.length === 0 ? "" : `: ${failed.map(({ seed, failure }) => `${seed} (${failure!.checker})`).join(", ")}`}`,
  ].join("\n");
}

/** 0 without reports. */
function median(reports: readonly SeedReport[], of: (report: SeedReport) => number): number {
  const sorted = reports.map(of).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
