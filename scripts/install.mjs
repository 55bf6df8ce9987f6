/**
 * Installs the dependencies where node_modules differs from package-lock.json. It compares versions, not time stamps, so that a copied,
 * half-deleted or edited tree is noticed too.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Says what is missing or differs; undefined where everything is in place. */
export function notInstalledBecause(folder) {
  const hidden = path.join(folder, "node_modules/.package-lock.json");
  if (!existsSync(hidden)) return "nothing is installed";
  const wanted = JSON.parse(readFileSync(path.join(folder, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(hidden, "utf8")).packages;
  for (const [where, entry] of Object.entries(wanted)) {
    // Optional packages may be for other machines; workspaces are linked, not installed.
    if (!where.includes("node_modules/") || entry.optional || entry.devOptional) continue;
    if (found[where] === undefined) return `${where} is missing`;
    if (!entry.link && found[where].version !== entry.version) return `${where} is ${found[where].version}, not ${entry.version}`;
  }
  return undefined;
}

/** Exits the process when npm fails. */
export function ensureInstalled() {
  const reason = notInstalledBecause(root);
  if (reason === undefined) return;
  console.error(`installing dependencies (${reason})`);
  // --include=dev, since the compiler is a dev dependency and NODE_ENV may be production.
  const { status, error } = spawnSync("npm", ["ci", "--include=dev", "--no-fund", "--no-audit"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (error !== undefined) console.error(`npm did not start: ${error.message}`);
  if (status !== 0) {
    console.error("npm ci failed; nothing was built. Repair what it says above and run the same command again.");
    process.exit(1);
  }
}

if (fileURLToPath(import.meta.url) === path.resolve(process.argv[1] ?? "")) ensureInstalled();
