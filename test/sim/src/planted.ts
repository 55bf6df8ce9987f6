/**
 * npm run sim -- --planted: tests the simulator. Each patch of planted/ puts a fault into a copy of the product, and a checker that the patch
 * names must find it within a thousand seeds.
 *
 * The copy has the sources and the build, so that only what a patch changes is built again. The tree itself is not changed.
 */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SeedReport } from "./run-seed.ts";

const ROOT = path.resolve(fileURLToPath(import.meta.url), "../../../..");
const PATCHES = path.join(ROOT, "test/sim/planted");
const SEED_COUNT_MAX = 1_000;
/** After so many seeds the run says that it goes on. */
const PROGRESS_COUNT = 50;

export interface Planted {
  readonly name: string;
  readonly story: string;
  readonly checkers: readonly string[];
  /** How many nodes a history has that may find it. */
  readonly nodeCount: number;
}

export interface PlantedOptions {
  /** Parts of names, with commas between them; undefined runs all. */
  readonly only: string | undefined;
  /** Only seeds that have this fault of the whole node (see main.ts): a quick look whether the history shows what is planted. */
  readonly fault: string | undefined;
  readonly firstSeed: number;
  readonly jobCount: number;
}

/** Returns the exit code: 0 when all were found. */
export async function runPlanted({ only, fault, firstSeed, jobCount }: PlantedOptions): Promise<number> {
  const parts = only?.split(",");
  const planted = readdirSync(PATCHES)
    .filter((file) => file.endsWith(".patch") && (parts === undefined || parts.some((part) => file.includes(part))))
    .sort()
    .map(readPatch);
  let missedCount = 0;
  for (const [at, one] of planted.entries()) {
    const copy = makeCopy();
    try {
      const problem = plant(copy, one.name) ?? (await find(copy, one, { fault, firstSeed, jobCount }));
      if (!problem.startsWith("found")) missedCount++;
      console.log(`${at + 1} of ${planted.length}: ${one.name}: ${problem}`);
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  }
  console.log(`${planted.length} planted faults, ${missedCount} not found`);
  return missedCount === 0 ? 0 : 1;
}

/** The first line of a patch says what is wrong, the second is `Found by:` and the checkers. A third one, `Nodes: 3`, is there where it takes a cluster. */
function readPatch(file: string): Planted {
  const [story = "", found = "", nodes = ""] = readFileSync(path.join(PATCHES, file), "utf8").split("\n");
  return { name: file.replace(/\.patch$/, ""), story, checkers: found.replace("Found by: ", "").split(", "), nodeCount: Number(/^Nodes: (\d+)$/.exec(nodes)?.[1] ?? 1) };
}

function makeCopy(): string {
  const copy = mkdtempSync(path.join(tmpdir(), "pyromesh-planted-"));
  for (const name of ["package.json", "tsconfig.json", "tsconfig.base.json"]) cpSync(path.join(ROOT, name), path.join(copy, name));
  for (const name of ["packages", "test/sim"]) {
    cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true, preserveTimestamps: true, filter: (from) => !/node_modules|dist-test|[/]ui[/]dist/.test(path.relative(ROOT, from)) });
  }
  // Libraries come from the tree, the workspaces from the copy.
  const modules = path.join(copy, "node_modules");
  mkdirSync(path.join(modules, "@pyromesh"), { recursive: true });
  for (const name of readdirSync(path.join(ROOT, "node_modules"))) {
    if (name !== "@pyromesh" && name !== "pyromesh") symlinkSync(path.join(ROOT, "node_modules", name), path.join(modules, name));
  }
  for (const name of readdirSync(path.join(copy, "packages"))) {
    symlinkSync(path.join(copy, "packages", name), name === "node" ? path.join(modules, "pyromesh") : path.join(modules, "@pyromesh", name));
    const own = path.join(ROOT, "packages", name, "node_modules");
    if (existsSync(own)) symlinkSync(own, path.join(copy, "packages", name, "node_modules"));
  }
  return copy;
}

/** Returns why the fault could not be planted, or undefined. */
function plant(copy: string, name: string): string | undefined {
  // Outside of a repository, so that `git apply` takes paths as they stand.
  const applied = spawnSync("git", ["apply", "--recount", path.join(PATCHES, `${name}.patch`)], { cwd: copy, encoding: "utf8", env: { ...process.env, GIT_CEILING_DIRECTORIES: tmpdir() } });
  if (applied.status !== 0) return `NOT PLANTED: the patch does not apply: ${applied.stderr.trim()}`;
  const built = spawnSync(path.join(ROOT, "node_modules/.bin/tsc"), ["-b", "test/sim"], { cwd: copy, encoding: "utf8" });
  return built.status === 0 ? undefined : `NOT PLANTED: it does not compile: ${built.stdout.trim().split("\n")[0]}`;
}

async function find(copy: string, { checkers, name, nodeCount }: Planted, { fault, firstSeed, jobCount }: Omit<PlantedOptions, "only">): Promise<string> {
  const others = new Map<string, number>();
  let count = 0;
  let found: SeedReport | undefined;
  const jobs = Array.from({ length: jobCount }, (_, at) =>
    spawn(process.execPath, [path.join(copy, "test/sim/dist/main.js"), "--step", String(jobCount), "--seed", String(firstSeed + at), "--seeds", String(SEED_COUNT_MAX - at), "--nodes", String(nodeCount), ...(fault === undefined ? [] : ["--fault", fault])], { stdio: ["ignore", "pipe", "ignore"] }),
  );
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
  const beside = others.size === 0 ? "" : ` (other checkers before: ${[...others].map(([checker, times]) => `${checker} ${times}`).join(", ")})`;
  if (found === undefined) return `NOT FOUND in ${count} seeds by ${checkers.join(", ")}${beside}`;
  return `found by ${found.failure!.checker} with seed ${found.seed}, the ${count}. one: ${found.failure!.message.slice(0, 160)}${beside}`;
}
