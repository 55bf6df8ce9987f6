/** The `pyromesh` command: hands the process's own surroundings to the command line and ends with the exit code it answers. */
import { systemClock } from "@pyromesh/base";
import { runCommandLine } from "./cli/command-line.ts";
import { systemTerminal } from "./cli/terminal.ts";

// A reader that closed early (`| head`) is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const exitCode = await runCommandLine(process.argv.slice(2), { terminal: systemTerminal, clock: systemClock, fetch: globalThis.fetch });
// A start that failed half way leaves threads and sockets behind that would keep the process; what was said is written.
if (exitCode !== 0) process.exit(exitCode);
