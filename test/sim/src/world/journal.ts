/** What happened, line by line: the proof that a seed is one history (its hash), and what a failure shows. */
import { createHash } from "node:crypto";

/** A failure shows so many. */
const TAIL_LENGTH = 50;

export class Journal {
  readonly #hash = createHash("sha256");
  readonly #print: ((line: string) => void) | undefined;
  readonly #nowMs: () => number;
  readonly #tail: string[] = [];
  #lineCount = 0;

  constructor(modules: { readonly nowMs: () => number; readonly print?: ((line: string) => void) | undefined }) {
    this.#nowMs = modules.nowMs;
    this.#print = modules.print;
  }

  /** `who`: client, disk, bucket, ... */
  note(who: string, what: string): void {
    const line = `${(this.#nowMs() / 1000).toFixed(6)} ${who} ${what}`;
    this.#hash.update(line).update("\n");
    this.#tail[this.#lineCount++ % TAIL_LENGTH] = line;
    this.#print?.(line);
  }

  /** For who follows a run by --verbose: printed, and no part of the proof. */
  trace(who: string, what: string): void {
    this.#print?.(`${(this.#nowMs() / 1000).toFixed(6)} ${who} ${what}`);
  }

  get lineCount(): number {
    return this.#lineCount;
  }

  /** The last lines, the oldest first. */
  tail(): string[] {
    const from = this.#lineCount % TAIL_LENGTH;
    return this.#lineCount < TAIL_LENGTH ? [...this.#tail] : [...this.#tail.slice(from), ...this.#tail.slice(0, from)];
  }

  /** Of all lines. Once. */
  digest(): string {
    return this.#hash.digest("hex").slice(0, 32);
  }
}
