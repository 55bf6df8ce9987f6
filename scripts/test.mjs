/**
 * npm test: installs and builds what changed, runs the import check and the linter, then every test.
 * The last line is `N passed, N failed` (and `, N skipped`); each check counts as one. Files or mocha's own options may
 * follow: npm test -- --grep quorum
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
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

const { status } = spawnSync(
  process.execPath,
  [
    "--enable-source-maps",
    path.join(root, "node_modules/mocha/bin/mocha.js"),
    "--exit",
    ...(process.env["CI"] === "true" ? ["--forbid-only"] : []),
    ...["--reporter", path.join(root, "scripts/reporter.cjs")],
    ...["--reporter-option", `checksPassed=${checks.length - failed.length}`, "--reporter-option", `checksFailed=${failed.length}`],
    ...process.argv.slice(2),
    "packages/*/dist/**/*.test.js",
    "packages/*/dist-test/**/*.test.js",
    "bench/dist/**/*.test.js",
    "test/**/*.test.mjs",
  ],
  { cwd: root, stdio: "inherit" },
);
process.exitCode = status === 0 && failed.length === 0 ? 0 : 1;
