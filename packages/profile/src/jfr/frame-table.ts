/** The functions of a recording by name, and their locations: a function and a line. Numbers of both count from 0. */
import { malformed } from "../labels/refusal.ts";

/**
 * Beyond it the recording is refused. A location can take a few bytes of the recording, and takes some 100 bytes of memory where its function has many.
 * Recordings of large programs have some 100,000.
 */
const LOCATIONS_MAX = 2 ** 20;

/** A function with more lines than this has a Map of them; below, looking through a list is faster. */
const LISTED_LINES_MAX = 8;

/**
 * The key of a line in such a Map. Whoever sends a recording chooses the lines, and V8 hashes numbers, and texts of digits alone, so that many can be
 * found that all collide. Its hash of other texts has a seed of the process.
 */
function lineKey(line: number): string {
  return `l${line}`;
}

export class FrameTable {
  readonly names: string[] = [];
  readonly #functions = new Map<string, number>();
  /** By location. */
  #functionOf = new Uint32Array(1024);
  #lineOf = new Uint32Array(1024);
  /** By location: the one before it of the same function, plus 1. */
  #before = new Uint32Array(1024);
  /** By function: its last location plus 1, and how many it has. */
  readonly #last: number[] = [];
  readonly #lineCounts: number[] = [];
  /** By function, where it has many lines: line -> location. */
  readonly #byLine: (Map<string, number> | undefined)[] = [];
  #count = 0;

  get locationCount(): number {
    return this.#count;
  }

  functionNamed(name: string): number {
    let called = this.#functions.get(name);
    if (called !== undefined) return called;
    called = this.names.length;
    this.names.push(name);
    this.#functions.set(name, called);
    this.#last.push(0);
    this.#lineCounts.push(0);
    this.#byLine.push(undefined);
    return called;
  }

  location(called: number, line: number): number {
    const many = this.#lineCounts[called]! > LISTED_LINES_MAX ? this.#byLine[called] : undefined;
    if (many !== undefined) return many.get(lineKey(line)) ?? this.#add(called, line, many);
    for (let next = this.#last[called]!; next > 0; next = this.#before[next - 1]!) if (this.#lineOf[next - 1] === line) return next - 1;
    return this.#add(called, line, undefined);
  }

  functionOf(location: number): number {
    return this.#functionOf[location]!;
  }

  lineOf(location: number): number {
    return this.#lineOf[location]!;
  }

  #add(called: number, line: number, many: Map<string, number> | undefined): number {
    const location = this.#count++;
    if (location === LOCATIONS_MAX) throw malformed(`the JFR recording has stacktraces of more than ${LOCATIONS_MAX} lines of code: record for a shorter time, or with another recorder`);
    if (location === this.#lineOf.length) {
      this.#functionOf = doubled(this.#functionOf);
      this.#lineOf = doubled(this.#lineOf);
      this.#before = doubled(this.#before);
    }
    this.#functionOf[location] = called;
    this.#lineOf[location] = line;
    this.#before[location] = this.#last[called]!;
    this.#last[called] = location + 1;
    const count = ++this.#lineCounts[called]!;
    if (many !== undefined) many.set(lineKey(line), location);
    else if (count > LISTED_LINES_MAX) {
      const lines = new Map<string, number>();
      for (let next = location + 1; next > 0; next = this.#before[next - 1]!) lines.set(lineKey(this.#lineOf[next - 1]!), next - 1);
      this.#byLine[called] = lines;
    }
    return location;
  }
}

function doubled(column: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const longer = new Uint32Array(column.length * 2);
  longer.set(column);
  return longer;
}
