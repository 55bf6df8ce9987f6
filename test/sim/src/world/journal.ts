/** The log of every event of a history. Its hash proves that two runs of a seed are the same; its last lines are printed with a failure. */
import { createHash } from "node:crypto";

/** The number of lines that are printed with a failure. */
const TAIL_LENGTH = 50;
const UNHASHED_LENGTH_MAX = 64 * 1024;

export class Journal {
  readonly #hash = createHash("sha256");
  readonly #print: ((line: string) => void) | undefined;
  readonly #nowMs: () => number;
  readonly #tail: string[] = [];
  #lineCount = 0;
  /** Lines that are not in the hash yet: hashed together, they cost a tenth. */
  #unhashed = "";

  constructor(modules: { readonly nowMs: () => number; readonly print?: ((line: string) => void) | undefined }) {
    this.#nowMs = modules.nowMs;
    this.#print = modules.print;
  }

  /** Logs an event. `who` is client, disk, bucket, ... */
  note(who: string, what: string): void {
    const line = `${(this.#nowMs() / 1000).toFixed(6)} ${who} ${what}`;
    this.#unhashed += `${line}\n`;
    if (this.#unhashed.length > UNHASHED_LENGTH_MAX) this.#hashLines();
    this.#tail[this.#lineCount++ % TAIL_LENGTH] = line;
    this.#print?.(line);
  }

  /** Prints a line for --verbose. It is not part of the hash. */
  trace(who: string, what: string): void {
    this.#print?.(`${(this.#nowMs() / 1000).toFixed(6)} ${who} ${what}`);
  }

  /** The last lines, the oldest first. */
  tail(): string[] {
    const from = this.#lineCount % TAIL_LENGTH;
    return this.#lineCount < TAIL_LENGTH ? [...this.#tail] : [...this.#tail.slice(from), ...this.#tail.slice(0, from)];
  }

  /** The hash of all lines. Call it once, at the end. */
  digest(): string {
    this.#hashLines();
    return this.#hash.digest("hex").slice(0, 32);
  }

  #hashLines(): void {
    this.#hash.update(this.#unhashed);
    this.#unhashed = "";
  }
}
