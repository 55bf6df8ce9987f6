/** npm run sim -- ...: installs and builds what changed, then runs the simulator of test/sim. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
ensureInstalled();
if (!build()) process.exit(1);
const { status } = spawnSync(process.execPath, ["--enable-source-maps", path.join(root, "test/sim/dist/main.js"), ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;
