/** `pyromesh check-config`: reads the settings as `serve` would and prints what would be in force. */
import { printConfig } from "../config/print-config.ts";
import type { AddCommand } from "./command.ts";
import { addSettingFlags } from "./setting-flags.ts";

export const addCheckConfig: AddCommand = (program, { terminal }) => {
  const command = program.command("check-config").description("check the settings and print them, secrets hidden").allowExcessArguments(false);
  const load = addSettingFlags(command, terminal);
  command.action(() => terminal.out(printConfig(load())));
};
