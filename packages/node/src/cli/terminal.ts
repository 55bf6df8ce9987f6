/** What a command reads from and writes to: the process, or what a test provides in its place. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface Terminal {
  /** Prints the result of a command, and nothing else. */
  out(text: string): void;
  /** Prints what is said about the result: progress, warnings, errors. */
  note(text: string): void;
  /** True where `out` goes to a person: colours may be used. */
  readonly isOutTty: boolean;
  /** True where `note` goes to a person: a progress line may be overwritten. */
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
