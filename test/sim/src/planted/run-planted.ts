/**
 * npm run sim -- --planted: tests the simulator. Each patch of planted/ puts a fault into a copy of the product, and a checker that the patch names must find it: with the seed
 * that the table of planted/README.md has for it, or else with one of the first thousand. A seed gives another history after most changes of the code, so that a search now and
 * then is as it should be; `--record` writes what was found into the table.
 */
import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SeedReport } from "../run-seed.ts";
import { readFoundTable, writeFoundTable } from "./found-table.ts";
import type { FoundRow } from "./found-table.ts";
import { readPlantedFaults } from "./planted-fault.ts";
import type { PlantedFault } from "./planted-fault.ts";
import { PlantedTree } from "./planted-tree.ts";

const ROOT = path.resolve(fileURLToPath(import.meta.url), "../../../../..");
const FOLDER = path.join(ROOT, "test/sim/planted");
const TABLE = path.join(FOLDER, "README.md");
/** After so many seeds the run says that it goes on. */
const PROGRESS_COUNT = 50;
/** `--quick` takes faults that one of so many seeds found: they will be found soon after a change of the code, too. */
const QUICK_SEED_MAX = 3;

export interface PlantedOptions {
  /** Parts of names, with commas between them; undefined takes all. */
  readonly only: string | undefined;
  /** Only the faults that the table says are found at once. */
  readonly isQuick: boolean;
  /** Only seeds that have this fault of the whole node, in place of those that the patch names; the table's seed is not tried first. */
  readonly fault: string | undefined;
  /** A search begins with this seed; undefined begins with the table's, and then with 1. */
  readonly firstSeed: number | undefined;
  /** A search tries so many seeds. */
  readonly seedCount: number;
  readonly jobCount: number;
  readonly isRecorded: boolean;
}

/** Returns the exit code: 0 when all were found. */
export async function runPlanted(options: PlantedOptions): Promise<number> {
  const table = readFoundTable(TABLE);
  const all = readPlantedFaults(FOLDER);
  const planted = all.filter((one) => isWanted(one, table.get(one.name), options));
  const tree = new PlantedTree(ROOT);
  let missedCount = 0;
  try {
    for (const [at, one] of planted.entries()) {
      const problem = tree.plant(one.file);
      const found = problem === undefined ? await find(tree.simulator, one, table.get(one.name), options) : { says: `NOT PLANTED: ${problem}`, row: undefined };
      if (found.row === undefined) missedCount++;
      console.log(`${at + 1} of ${planted.length}: ${one.name}: ${found.says}`);
      // After each one, so that a run which is broken off has not been for nothing; read anew, since another run may have written.
      if (options.isRecorded && found.row !== undefined) {
        const rows = readFoundTable(TABLE).set(one.name, found.row);
        writeFoundTable(TABLE, all.flatMap(({ name }) => rows.get(name) ?? []));
      }
    }
  } finally {
    tree.remove();
  }
  console.log(`${planted.length} planted faults, ${missedCount} not found`);
  return missedCount === 0 ? 0 : 1;
}

function isWanted({ name }: PlantedFault, row: FoundRow | undefined, { isQuick, only }: PlantedOptions): boolean {
  if (isQuick && (row === undefined || row.seed > QUICK_SEED_MAX)) return false;
  return only === undefined || only.split(",").some((part) => name.includes(part));
}

interface Outcome {
  readonly says: string;
  /** Undefined: no named checker found it. */
  readonly row: FoundRow | undefined;
}

async function find(simulator: string, planted: PlantedFault, recorded: FoundRow | undefined, { fault, firstSeed, jobCount, seedCount }: PlantedOptions): Promise<Outcome> {
  let before = "";
  if (recorded !== undefined && fault === undefined && firstSeed === undefined) {
    const { found } = await search(simulator, planted, { firstSeed: recorded.seed, seedCount: 1, jobCount: 1, fault: undefined });
    if (found !== undefined) return { says: `found by ${found.failure!.checker} with the table's seed ${found.seed}: ${shortOf(found)}`, row: rowOf(planted, found) };
    before = `no more with the table's seed ${recorded.seed}; `;
  }
  const { count, found, others } = await search(simulator, planted, { firstSeed: firstSeed ?? 1, seedCount, jobCount, fault: fault ?? planted.fault });
  const beside = others.size === 0 ? "" : ` (other checkers before: ${[...others].map(([checker, times]) => `${checker} ${times}`).join(", ")})`;
  if (found === undefined) return { says: `${before}NOT FOUND in ${count} seeds by ${planted.checkers.join(", ")}${beside}`, row: undefined };
  return { says: `${before}found by ${found.failure!.checker} with seed ${found.seed}, the ${count}. one tried: ${shortOf(found)}${beside}`, row: rowOf(planted, found) };
}

function shortOf({ failure }: SeedReport): string {
  return failure!.message.slice(0, 160); // the caller has looked
}

function rowOf({ name, nodeCount }: PlantedFault, { failure, seed }: SeedReport): FoundRow {
  return { name, nodeCount, checker: failure!.checker, seed };
}

interface Searched {
  readonly count: number;
  readonly found: SeedReport | undefined;
  /** How often a checker failed that the patch does not name. */
  readonly others: ReadonlyMap<string, number>;
}

async function search(
  simulator: string,
  { checkers, name, nodeCount, takesAdHoc, takesPrograms }: PlantedFault,
  { fault, firstSeed, jobCount, seedCount }: { readonly firstSeed: number; readonly seedCount: number; readonly jobCount: number; readonly fault: string | undefined },
): Promise<Searched> {
  const others = new Map<string, number>();
  let count = 0;
  let found: SeedReport | undefined;
  const jobs = Array.from({ length: jobCount }, (_, at) => {
    const args = [simulator, "--step", String(jobCount), "--seed", String(firstSeed + at), "--seeds", String(seedCount - at), "--nodes", String(nodeCount)];
    if (fault !== undefined) args.push("--fault", fault);
    if (takesPrograms) args.push("--programs");
    if (takesAdHoc) args.push("--adhoc");
    return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  });
  await Promise.all(
    jobs.map(async (job) => {
      for await (const line of createInterface({ input: job.stdout })) {
        if (found !== undefined) break;
        const report = JSON.parse(line) as SeedReport;
        count++;
        if (count % PROGRESS_COUNT === 0) console.error(`${name}: not found in ${count} seeds so far`);
        if (report.failure === undefined) continue;
        if (checkers.includes(report.failure.checker)) {
          found = report;
          for (const one of jobs) one.kill();
          break;
        }
        others.set(report.failure.checker, (others.get(report.failure.checker) ?? 0) + 1);
      }
    }),
  );
  return { count, found, others };
}
