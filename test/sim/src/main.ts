/**
 * npm run sim: runs one history for each seed and checks it.
 *
 *   --seeds N       how many seeds, counted up from the first; 100 by default, 1,000 with --planted
 *   --seed S        the first seed; by default a fresh one, which is printed
 *   --minutes M     simulated time with faults; 1 by default
 *   --nodes N       how many nodes: 1 by default, which is a node without a cluster; 3 or more make a cluster over one bucket
 *   --jobs J        processes at once; 1 by default
 *   --fault NAME    only seeds that have this fault of the whole node: a part of its name (world/faults.ts). The others are skipped
 *   --programs      only seeds whose members scrape programs. The others are skipped
 *   --adhoc         only seeds that keep ad hoc profiles. The others are skipped
 *   --verbose       prints every event
 *   --planted       puts each fault of planted/ into a copy of the product and looks for it
 *   --only NAME     with --planted: only faults whose file name contains NAME, or one of several with commas between them
 *   --quick         with --planted: only faults that are found at once (planted/README.md)
 *   --record        with --planted: writes the seeds that found them into planted/README.md
 *
 * The same seed gives the same history, whatever ran before it in the same process. A seed that fails is printed with the checker
 * that found it, the seed's faults and the last events; the exit code is 1.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runPlanted } from "./planted/run-planted.ts";
import { printFailure, printSummary } from "./report.ts";
import type { SeedReport } from "./run-seed.ts";
import { runSeed } from "./run-seed.ts";
import { drawAdHoc } from "./world/adhoc-settings.ts";
import { Chance } from "./world/chance.ts";
import { scheduledOf } from "./world/faults.ts";
import { forbidEscapes } from "./world/no-escape.ts";
import { drawPrograms } from "./world/programs.ts";

/** The run ends after this many failures: mostly they have one cause. */
const FAILURES_MAX = 5;

// A history runs much code, each function seldom, so V8 waits four times as long as by default before it optimizes a function: its optimizing
// compiler would take a third of the time of the first hundred seeds.
setFlagsFromString("--interrupt-budget=300000");

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    minutes: { type: "string", default: "1" },
    nodes: { type: "string", default: "1" },
    jobs: { type: "string", default: "1" },
    verbose: { type: "boolean", default: false },
    planted: { type: "boolean", default: false },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    fault: { type: "string" },
    programs: { type: "boolean", default: false },
    adhoc: { type: "boolean", default: false },
    /** For the jobs of a parent process: the distance between two seeds of this job. Reports are printed as JSON. */
    step: { type: "string" },
  },
});

const firstSeed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const seedCount = Number(values.seeds ?? (values.planted ? 1_000 : 100));
const jobCount = Math.min(Number(values.jobs), seedCount);
const nodeCount = Number(values.nodes);
const lengthMs = Number(values.minutes) * 60_000;

if (values.planted) {
  process.exitCode = await runPlanted({
    only: values.only,
    isQuick: values.quick,
    fault: values.fault,
    firstSeed: values.seed === undefined ? undefined : firstSeed,
    seedCount,
    jobCount: Math.max(1, jobCount),
    isRecorded: values.record,
  });
} else if (values.step !== undefined) {
  forbidEscapes();
  await runSeeds(Number(values.step), (report) => {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return true; // the parent ends the run
  });
} else {
  if (values.seed === undefined) console.log(`seed ${firstSeed}`);
  const reports: SeedReport[] = [];
  const failures: SeedReport[] = [];
  const take = (report: SeedReport): boolean => {
    reports.push(report);
    if (report.failure !== undefined) {
      failures.push(report);
      console.log(printFailure(report, { minutes: values.minutes, nodes: values.nodes }));
    }
    return failures.length < FAILURES_MAX;
  };
  if (jobCount > 1) await runJobs(take);
  else {
    forbidEscapes();
    await runSeeds(1, take);
  }
  reports.sort((a, b) => a.seed - b.seed);
  console.log(printSummary(reports));
  process.exitCode = failures.length === 0 ? 0 : 1;
}

/** Stops when `take` returns false. */
async function runSeeds(step: number, take: (report: SeedReport) => boolean): Promise<void> {
  for (let at = 0; at < seedCount; at += step) {
    if (!isWanted(firstSeed + at)) continue;
    const report = await runSeed({ seed: firstSeed + at, lengthMs, nodeCount, print: values.verbose ? (line) => console.log(line) : undefined });
    if (!take(report)) return;
  }
}

function isWanted(seed: number): boolean {
  const { fault } = values;
  const isCluster = nodeCount > 1;
  const isScraping = drawPrograms(new Chance(seed, "programs"), { isCluster }) !== undefined;
  const isAdHoc = drawAdHoc(new Chance(seed, "ad hoc profiles")) !== undefined;
  if ((values.programs && !isScraping) || (values.adhoc && !isAdHoc)) return false;
  return fault === undefined || scheduledOf(seed, { isAdHoc, isCluster, isScraping, lengthMs }).some((name) => name.includes(fault));
}

async function runJobs(take: (report: SeedReport) => boolean): Promise<void> {
  const main = fileURLToPath(import.meta.url);
  const jobs = Array.from({ length: jobCount }, (_, at) => {
    const args = ["--enable-source-maps", main, "--step", String(jobCount), "--seed", String(firstSeed + at), "--seeds", String(seedCount - at), "--minutes", values.minutes, "--nodes", values.nodes];
    if (values.fault !== undefined) args.push("--fault", values.fault);
    if (values.programs) args.push("--programs");
    if (values.adhoc) args.push("--adhoc");
    return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  });
  await Promise.all(
    jobs.map(async (job) => {
      for await (const line of createInterface({ input: job.stdout })) {
        if (!take(JSON.parse(line) as SeedReport)) for (const one of jobs) one.kill();
      }
    }),
  );
}
