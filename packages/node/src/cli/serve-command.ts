/** `pyromesh serve`: runs the node until it is told to stop. */
import type { AddCommand } from "./command.ts";
import { addSettingFlags } from "./setting-flags.ts";

export const addServe: AddCommand = (program, { terminal }) => {
  const command = program.command("serve").description("run the node").allowExcessArguments(false);
  const load = addSettingFlags(command, terminal);
  command.action(async () => {
    const config = load();
    // Loaded only after the settings were read, so that a refusal of a setting comes at once.
    const { runServe } = await import("../serve.ts");
    await runServe(config, load);
  });
};
