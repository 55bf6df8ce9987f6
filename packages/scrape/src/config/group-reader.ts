/**
 * Reads one group of settings (`name: value`) of a value that came from YAML, and notes what is wrong with it, each fault with its path.
 *
 * A key that nobody asked for by the time of `finish` is unknown, and refused: a setting that is silently ignored is worse than a start
 * that fails. Every read gives a value of its type, so that reading goes on and all faults are told at once. A value that is null counts as
 * not written.
 */
import { didYouMean, messageOf, parseDuration, parseSize } from "@pyromesh/base";

export interface ScrapeProblem {
  /** Keys and numbers of entries, from `scrape_configs` on: [0, "static_configs", 1]. */
  readonly path: readonly (string | number)[];
  /** A sentence that says what to change. It never holds a secret. */
  readonly message: string;
}

export class GroupReader {
  readonly path: readonly (string | number)[];
  readonly #entries: Readonly<Record<string, unknown>>;
  readonly #problems: ScrapeProblem[];
  readonly #known = new Set<string>();

  constructor(value: unknown, path: readonly (string | number)[], problems: ScrapeProblem[]) {
    this.path = path;
    this.#problems = problems;
    this.#entries = isGroup(value) ? value : {};
    if (!isGroup(value) && value !== undefined && value !== null) this.refuse(undefined, 'this holds settings: write one "name: value" on a line');
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /** The keys as they are written, for groups whose keys are names. They all count as known. */
  names(): string[] {
    const names = Object.keys(this.#entries);
    for (const name of names) this.#known.add(name);
    return names;
  }

  optionalText(key: string): string | undefined {
    return this.#read(key, (value) => textOf(value));
  }

  text(key: string, byDefault: string): string {
    return this.optionalText(key) ?? byDefault;
  }

  /** A text that must be written, and not be empty. */
  neededText(key: string, example: string): string {
    const found = this.optionalText(key);
    if (found !== undefined && found !== "") return found;
    if (found === "" || !this.has(key)) this.refuse(found === undefined ? undefined : key, `${key} is missing: write it as ${key}: ${example}`);
    return "";
  }

  boolean(key: string, byDefault: boolean): boolean {
    const isTrue = this.#read(key, (value) => {
      const text = textOf(value);
      if (text !== "true" && text !== "false") throw new Error(`${JSON.stringify(text)} is neither true nor false`);
      return text === "true";
    });
    return isTrue ?? byDefault;
  }

  /** Milliseconds, more than 0. */
  duration(key: string, byDefaultMs: number): number {
    const durationMs = this.#read(key, (value) => {
      const found = parseDuration(textOf(value));
      if (found <= 0) throw new Error("0 is too short: write it as 15s");
      return found;
    });
    return durationMs ?? byDefaultMs;
  }

  size(key: string, byDefaultBytes: number): number {
    const sizeBytes = this.#read(key, (value) => {
      const found = parseSize(textOf(value));
      if (found <= 0) throw new Error("0 is too small: write it as 32MB");
      return found;
    });
    return sizeBytes ?? byDefaultBytes;
  }

  /** A whole number between 0 and `max`. */
  count(key: string, max: bigint): bigint | undefined {
    return this.#read(key, (value) => {
      const text = textOf(value);
      if (!/^\d{1,20}$/.test(text) || BigInt(text) > max) throw new Error(`${JSON.stringify(text)} is not a whole number between 0 and ${max}`);
      return BigInt(text);
    });
  }

  oneOf<T extends string>(key: string, known: readonly T[], byDefault: T): T {
    const found = this.#read(key, (value) => {
      const text = textOf(value);
      const name = known.find((candidate) => candidate === text);
      if (name === undefined) throw new Error(`${JSON.stringify(text)} is not one of ${known.join(", ")}${didYouMean(text, known)}`);
      return name;
    });
    return found ?? byDefault;
  }

  /** A list of texts; one text alone is a list of one. */
  texts(key: string): string[] {
    return this.#read(key, (value) => (Array.isArray(value) ? value.map(textOf) : [textOf(value)])) ?? [];
  }

  /** A group whose keys are names and whose values are texts. */
  textMap(key: string): Readonly<Record<string, string>> {
    const found = this.#read(key, (value) => {
      if (!isGroup(value)) throw new Error('this holds names with their values: write one "name: value" on a line');
      return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, textOf(text)]));
    });
    return found ?? {};
  }

  group(key: string): GroupReader {
    return new GroupReader(this.#find(key), [...this.path, key], this.#problems);
  }

  groups(key: string): GroupReader[] {
    const value = this.#find(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.refuse(key, `${key} is a list: begin each entry with "- "`);
      return [];
    }
    return value.map((entry: unknown, index) => new GroupReader(entry, [...this.path, key, index], this.#problems));
  }

  refuse(key: string | undefined, message: string): void {
    this.#problems.push({ path: key === undefined ? this.path : [...this.path, key], message });
  }

  /** Refuses the keys that were not asked for. `hints` has more to say of some. */
  finish(hints: Readonly<Record<string, string>> = {}): void {
    for (const key of Object.keys(this.#entries)) {
      if (this.#known.has(key)) continue;
      if (Object.hasOwn(hints, key)) this.refuse(key, `${key} is not known here: ${hints[key]!}`);
      else this.refuse(key, `unknown setting ${key}${didYouMean(key, this.#known)}`);
    }
  }

  #find(key: string): unknown {
    this.#known.add(key);
    return Object.hasOwn(this.#entries, key) ? (this.#entries[key] ?? undefined) : undefined;
  }

  #read<T>(key: string, read: (value: unknown) => T): T | undefined {
    const value = this.#find(key);
    if (value === undefined) return undefined;
    try {
      return read(value);
    } catch (thrown) {
      this.refuse(key, `${key}: ${messageOf(thrown)}`);
      return undefined;
    }
  }
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (value === null || value === undefined) return "";
  throw new Error("takes one value, not a list or a group of settings");
}
