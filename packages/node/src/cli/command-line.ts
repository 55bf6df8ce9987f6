/**
 * The command line: finds the command, runs it, and turns its outcome into an exit code and a message.
 *
 * Only the module of the command that runs is loaded, so that `query` does not load the store.
 */
import { CodedError, describeSystemError, messageOf, systemErrorOf } from "@pyromesh/base";
import { Command, CommanderError } from "commander";
import { EXIT_FAILED, EXIT_USAGE } from "./command.ts";
import type { AddCommand, CommandModules } from "./command.ts";

const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ["serve", async () => (await import("./serve-command.ts")).addServe],
  ["dev", async () => (await import("./dev-command.ts")).addDev],
  ["push", async () => (await import("./push-command.ts")).addPush],
  ["query", async () => (await import("./query-command.ts")).addQuery],
  ["cluster", async () => (await import("./cluster-command.ts")).addCluster],
  ["bucket", async () => (await import("./bucket-command.ts")).addBucket],
  ["check-config", async () => (await import("./check-config-command.ts")).addCheckConfig],
  ["version", async () => (await import("./version-command.ts")).addVersion],
]);

/** Resolves to the exit code. Never rejects: an error is printed by `terminal.note`. */
export async function runCommandLine(args: readonly string[], modules: CommandModules): Promise<number> {
  const { terminal } = modules;
  let exitCode = 0;
  try {
    const program = new Command("pyromesh")
      .description("A durable store for continuous profiles that speaks Pyroscope's API.")
      .exitOverride()
      .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.note(text) })
      .showSuggestionAfterError(true);
    const named = COMMANDS.get(args[0] ?? "");
    for (const load of named === undefined ? COMMANDS.values() : [named]) {
      (await load())(program, modules, (code) => {
        exitCode = code;
      });
    }
    if (args[0] === "--version" || args[0] === "-V") args = ["version"];
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // commander has printed the error already. Help that was asked for is a success; help because no command was given is not.
      return thrown.exitCode === 0 ? 0 : EXIT_USAGE;
    }
    terminal.note(`${describe(thrown)}\n`);
    return thrown instanceof CodedError && (thrown.code.startsWith("CONFIG_") || thrown.code === "USAGE") ? EXIT_USAGE : EXIT_FAILED;
  }
}

/** A coded error, or one of the operating system, becomes a sentence for the user, with its code. Any other error is a bug of ours and is printed with its stack. */
function describe(thrown: unknown): string {
  if (thrown instanceof CodedError) return thrown.code === "USAGE" ? `pyromesh: ${thrown.message}` : `pyromesh: ${thrown.message} (${thrown.code})`;
  const refused = systemErrorOf(thrown);
  if (refused !== undefined) return `pyromesh: ${refused.path ?? messageOf(thrown)}: ${describeSystemError(thrown) ?? refused.message}`;
  return `pyromesh: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown)}`;
}
