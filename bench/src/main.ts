/** `npm run bench -- <name> [options]`: runs a benchmark by its name. */
import { runClusterCommand } from "./cluster/command.ts";
import { runCommitsCommand } from "./commits/command.ts";
import { runContentionCommand } from "./contention/command.ts";
import { runDuelCommand } from "./duel/command.ts";
import { runGossipCommand } from "./gossip/command.ts";
import { runJfrCommand } from "./jfr/command.ts";
import { runLoadCommand } from "./load/command.ts";
import { runOtlpCommand } from "./otlp/command.ts";
import { runSectionsCommand } from "./sections/command.ts";
import { runLayoutsCommand } from "./sections/layouts-command.ts";

const BENCHES: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  cluster: runClusterCommand,
  commits: runCommitsCommand,
  contention: runContentionCommand,
  duel: runDuelCommand,
  gossip: runGossipCommand,
  jfr: runJfrCommand,
  layouts: runLayoutsCommand,
  load: runLoadCommand,
  otlp: runOtlpCommand,
  sections: runSectionsCommand,
};

const [name = "", ...args] = process.argv.slice(2);
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- <${Object.keys(BENCHES).join(" | ")}> [options]; --help says which\n`);
  process.exitCode = 2;
} else process.exitCode = await bench(args);
