/** The log of every event of a history. Its hash proves that two runs of a seed are the same; its last lines are printed with a failure. */
import { createHash } from "node:crypto";

/** The number of lines that are printed with a failure. */
const TAIL_LENGTH = 50;
const UNHASHED_LENGTH_MAX = 64 * 1024;

/** Of the log. The time is put into words only where a line is printed. */
interface Line {
  readonly atUs: number;
  readonly text: string;
}

export class Journal {
  readonly #hash = createHash("sha256");
  readonly #print: ((line: string) => void) | undefined;
  readonly #nowUs: () => number;
  readonly #tail: Line[] = [];
  #lineCount = 0;
  /** Lines that are not in the hash yet: hashed together, they cost a tenth. */
  #unhashed = "";

  constructor(modules: { readonly nowUs: () => number; readonly print?: ((line: string) => void) | undefined }) {
    this.#nowUs = modules.nowUs;
    this.#print = modules.print;
  }

  /** Logs an event. `who` is client, disk, bucket, ... */
  note(who: string, what: string): void {
    const line: Line = { atUs: this.#nowUs(), text: `${who} ${what}` };
    this.#unhashed += `${line.atUs} ${line.text}\n`;
    if (this.#unhashed.length > UNHASHED_LENGTH_MAX) this.#hashLines();
    this.#tail[this.#lineCount++ % TAIL_LENGTH] = line;
    this.#print?.(printed(line));
  }

  /** Prints a line for --verbose. It is not part of the hash. */
  trace(who: string, what: string): void {
    this.#print?.(printed({ atUs: this.#nowUs(), text: `${who} ${what}` }));
  }

  /** The last lines, the oldest first. */
  tail(): string[] {
    const from = this.#lineCount % TAIL_LENGTH;
    const lines = this.#lineCount < TAIL_LENGTH ? this.#tail : [...this.#tail.slice(from), ...this.#tail.slice(0, from)];
    return lines.map(printed);
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

function printed({ atUs, text }: Line): string {
  return `${(atUs / 1_000_000).toFixed(6)} ${text}`;
}
