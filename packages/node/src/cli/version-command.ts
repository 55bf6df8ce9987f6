/** `pyromesh version`: what this build is. */
import { readBuildInfo } from "../process/build-info.ts";
import type { AddCommand } from "./command.ts";

export const addVersion: AddCommand = (program, { terminal }) => {
  program
    .command("version")
    .description("print what this build is")
    .action(() => {
      const { version, revision, nodeVersion } = readBuildInfo();
      terminal.out(`pyromesh ${version}${revision === "" ? "" : ` (${revision})`} on Node.js ${nodeVersion}\n`);
    });
};
