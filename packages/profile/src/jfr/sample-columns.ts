/** The samples of one profile: a row for each stacktrace and correlation, whose values are summed. */
import { malformed } from "../labels/refusal.ts";
import { tooManySamples } from "../labels/limits.ts";

export class SampleColumns {
  readonly #rowCountMax: number;
  /** By correlation: stacktrace -> row. */
  readonly #rows: (Map<number, number> | undefined)[] = [];
  #stacks = new Uint32Array(256);
  #correlations = new Uint32Array(256);
  #firsts = new Float64Array(256);
  #seconds = new Float64Array(256);
  #count = 0;

  constructor(rowCountMax: number) {
    this.#rowCountMax = rowCountMax;
  }

  get count(): number {
    return this.#count;
  }

  /** Throws a refusal beyond the limit on samples, and where a sum cannot be kept exactly. */
  add(stack: number, correlation: number, first: number, second: number): void {
    let rows = this.#rows[correlation];
    if (rows === undefined) this.#rows[correlation] = rows = new Map();
    let row = rows.get(stack);
    if (row === undefined) {
      row = this.#addRow(stack, correlation);
      rows.set(stack, row);
    }
    this.#firsts[row]! += first;
    this.#seconds[row]! += second;
    if (this.#firsts[row]! > Number.MAX_SAFE_INTEGER || this.#seconds[row]! > Number.MAX_SAFE_INTEGER) {
      throw malformed("the JFR recording has events whose values add up to more than 2^53, which is no size or time: record again, or with another recorder");
    }
  }

  stackOf(row: number): number {
    return this.#stacks[row]!;
  }

  correlationOf(row: number): number {
    return this.#correlations[row]!;
  }

  firstOf(row: number): number {
    return this.#firsts[row]!;
  }

  secondOf(row: number): number {
    return this.#seconds[row]!;
  }

  #addRow(stack: number, correlation: number): number {
    const row = this.#count++;
    if (row >= this.#rowCountMax) throw tooManySamples(this.#rowCountMax);
    if (row === this.#stacks.length) {
      const grown = <Column extends Uint32Array | Float64Array>(longer: Column, column: Column): Column => (longer.set(column), longer);
      this.#stacks = grown(new Uint32Array(row * 2), this.#stacks);
      this.#correlations = grown(new Uint32Array(row * 2), this.#correlations);
      this.#firsts = grown(new Float64Array(row * 2), this.#firsts);
      this.#seconds = grown(new Float64Array(row * 2), this.#seconds);
    }
    this.#stacks[row] = stack;
    this.#correlations[row] = correlation;
    return row;
  }
}
