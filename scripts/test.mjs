/**
 * npm test: installs and builds what has changed, then runs the import check, the linter and all tests. The last line is `N passed, N
 * failed` (and `, N skipped`); each check counts as one. Files or options of mocha may follow: npm test -- --grep quorum
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const bin = (tool) => path.join(root, "node_modules/.bin", tool);

ensureInstalled();
if (!build()) {
  console.log("the build failed: no test ran\n\n0 passed, 1 failed");
  process.exit(1);
}

const checks = [{ name: "import check", command: process.execPath, args: [path.join(root, "scripts/check-imports.mjs")] }];
if (existsSync(bin("oxlint"))) checks.push({ name: "oxlint", command: bin("oxlint"), args: ["--type-aware"] });
const failed = checks.filter(({ command, args }) => spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).status !== 0);
for (const { name } of failed) console.log(`failed: ${name}`);

/** Runs mocha on these files and prints its output. Resolves with its final counts; undefined where it ended without them. */
function runMocha(files, reporterOptions = []) {
  const args = [
    "--enable-source-maps",
    path.join(root, "node_modules/mocha/bin/mocha.js"),
    "--exit",
    ...(process.env["CI"] === "true" ? ["--forbid-only"] : []),
    ...["--reporter", path.join(root, "scripts/reporter.cjs"), ...reporterOptions],
    ...process.argv.slice(2),
    ...files,
  ];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    let counts;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line);
      if (found === null) return console.log(line);
      counts = found.slice(1).map((count) => Number(count ?? 0));
    });
    child.on("close", () => resolve(counts));
  });
}

const checked = ["--reporter-option", `checksPassed=${checks.length - failed.length}`, "--reporter-option", `checksFailed=${failed.length}`];
/** One group after the other: tests that compute, which are those beside the code and the simulator, and then some of the tests of whole processes. */
async function runComputing() {
  const beside = await runMocha(["packages/*/dist/**/*.test.js", "packages/*/dist-test/**/*.test.js", "bench/dist/**/*.test.js"], checked);
  const simulator = await runMocha(["test/sim/*.test.mjs"]);
  return [beside, simulator, await runMocha(["test/{bucket,compat,golden}/*.test.mjs"])];
}

// Tests of whole processes mostly wait, so those that compute run at the same time; they end sooner, so some of the others follow them. Tests that measure time run alone afterwards.
const [computing, processes] = await Promise.all([runComputing(), runMocha(["test/{chaos,durability,operation,scripts}/*.test.mjs"])]);
const results = [...computing, processes, await runMocha(["test/{browser,limits}/**/*.test.mjs"])];
const [passed, failedCount, skipped] = [0, 1, 2].map((at) => results.reduce((sum, counts) => sum + (counts?.[at] ?? (at === 1 ? 1 : 0)), 0));
if (results.includes(undefined)) console.log("a part of the tests ended without its closing line");
console.log(`\n${passed} passed, ${failedCount} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failedCount === 0 ? 0 : 1;
