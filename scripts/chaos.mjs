/** npm run chaos -- ...: installs and builds what changed, then runs test/chaos. */
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";

ensureInstalled();
if (!build()) process.exit(1);
const { main } = await import("../test/chaos/chaos.mjs");
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`chaos: ${error.message}\n`);
  process.exitCode = 2;
}
