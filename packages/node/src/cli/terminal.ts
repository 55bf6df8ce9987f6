/** Where a command reads and writes: what `main` takes from the process and a test makes up. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface Terminal {
  /** A command's result, and nothing else. */
  out(text: string): void;
  /** What is said about it. */
  note(text: string): void;
  /** `out` is read by a person: colour is welcome. */
  readonly isOutTty: boolean;
  /** `note` is: a line may be drawn over. */
  readonly isNoteTty: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readFile(file: string): Uint8Array;
  writeFile(file: string, bytes: Uint8Array): void;
}

export const systemTerminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  note: (text) => void process.stderr.write(text),
  // https://no-color.org: any value but the empty one turns colour off.
  isOutTty: process.stdout.isTTY === true && !process.env["NO_COLOR"],
  isNoteTty: process.stderr.isTTY === true,
  env: process.env,
  readFile: (file) => readFileSync(file),
  writeFile: (file, bytes) => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  },
};
