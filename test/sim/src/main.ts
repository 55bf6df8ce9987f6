/** `npm run sim`: seeds, one after the other. */
import { runSeed } from "./run-seed.ts";
import type { SeedReport } from "./run-seed.ts";

const args = process.argv.slice(2);
const option = (name: string, byDefault: number): number => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? byDefault : Number(args[at + 1]);
};
const first = option("seed", 1);
const count = option("seeds", 1);
const lengthMs = option("minutes", 1) * 60_000;
const isVerbose = args.includes("--verbose");
const begin = process.cpuUsage();
const reports: SeedReport[] = [];
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const report = await runSeed({ seed, lengthMs, print: isVerbose ? (line) => console.log(line) : undefined });
  reports.push(report);
  if (report.failure !== undefined) {
    failed++;
    console.log(`seed ${seed}: ${report.failure.checker}: ${report.failure.message}\n  faults: ${report.failure.faults}`);
    if (count === 1) for (const line of report.failure.tail) console.log(`  ${line}`);
  }
}
const median = (of: (report: (typeof reports)[number]) => number): number => reports.map(of).sort((a, b) => a - b)[reports.length >> 1]!;
const { user, system } = process.cpuUsage(begin);
console.log(`${count} seeds, ${failed} failed; medians: ${median((r) => r.acks)} acks, ${median((r) => r.checked)} checked, ${median((r) => r.flushes)} flushes, ${median((r) => r.faultKinds.length)} kinds of fault, ${median((r) => r.events)} events; ${((user + system) / 1000 / count).toFixed(1)} ms of CPU a seed; digest ${reports[0]!.digest}`);
