/** What a command of `pyromesh` is given, and what it answers: 0 done, 1 failed, 2 asked wrongly (a flag, a setting). */
import type { Clock } from "@pyromesh/base";
import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

/** Adds itself to `program`. Its exit code goes to `done`; without one it is 0. A throw is the caller's to tell. */
export type AddCommand = (program: Command, modules: CommandModules, done: (exitCode: number) => void) => void;

export interface CommandModules {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
