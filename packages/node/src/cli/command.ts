/** What a command of `pyromesh` gets, and its exit codes: 0 done, 1 failed, 2 used wrongly (a flag, a setting). */
import type { Clock } from "@pyromesh/base";
import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

/** Adds a command to `program`. It calls `done` with its exit code, which is 0 where it does not. The caller prints what it throws. */
export type AddCommand = (program: Command, modules: CommandModules, done: (exitCode: number) => void) => void;

export interface CommandModules {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
