/** Adds every setting to a command as a flag, and collects what was given by key, as `loadConfig` takes it. */
import { Option } from "commander";
import type { Command } from "commander";
import { SETTINGS } from "../config/config.ts";
import type { Config } from "../config/config.ts";
import { LIMITS } from "../config/limits.ts";
import { loadConfig } from "../config/load-config.ts";
import { flagOf, variableOf } from "../config/setting.ts";
import type { Setting } from "../config/setting.ts";
import type { Terminal } from "./terminal.ts";

/** Loads the configuration from the flags that were parsed. `fileText`, where given, stands for the content of its file. */
export type LoadSettings = (fileText?: string) => Config;

export function addSettingFlags(command: Command, terminal: Terminal): LoadSettings {
  const flags = new Map<string, string[]>();
  for (const { key, kind, default: byDefault, help } of [...Object.values(SETTINGS), ...Object.values(LIMITS)] as readonly Setting<unknown>[]) {
    const value = kind.flagAlone === undefined ? `<${kind.placeholder}>` : `[${kind.placeholder}]`;
    const printed = kind.print(byDefault);
    const option = new Option(`${flagOf(key)} ${value}`, printed === undefined ? help : `${help} (default: ${String(printed)})`);
    if (kind.flagAlone !== undefined) option.preset(kind.flagAlone);
    option.argParser((text: string) => {
      const given = flags.get(key);
      if (given === undefined) flags.set(key, [text]);
      else given.push(text);
      return text;
    });
    command.addOption(option);
  }
  command.addHelpText(
    "after",
    `\nEach flag is also a variable (${flagOf("flush_interval")}: ${variableOf("flush_interval")}) and a line of the YAML file (flush_interval: 60s).\nA flag beats a variable, a variable beats the file.`,
  );
  const decoder = new TextDecoder();
  return (fileText) => loadConfig({ flags, env: terminal.env, readFile: (file) => fileText ?? decoder.decode(terminal.readFile(file)) });
}
