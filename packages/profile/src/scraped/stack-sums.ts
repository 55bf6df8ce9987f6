/**
 * The values of one profile, added up by stacktrace: exact, over the columns that count.
 *
 * What must stay true: a stacktrace has as many sums as the longest of its samples has values, so that they are linear in the body, however many
 * sample types a profile names. A sum that is not there is 0.
 */
import { exactSum } from "../model/exact-sum.ts";
import { grown } from "../model/scratch.ts";

export class StackSums {
  readonly #counting: readonly boolean[];
  /** By stacktrace: the place after that of its first sum in `#sums`, or 0 where the profile has none, and how many there are. */
  #starts = new Uint32Array(64);
  #lengths = new Uint32Array(64);
  readonly #sums: (number | bigint)[] = [];

  /** `counting`: by column. */
  constructor(counting: readonly boolean[]) {
    this.#counting = counting;
  }

  /** How many sums are kept, those that were left behind included. */
  get sizeCount(): number {
    return this.#sums.length;
  }

  /** `values`: its first `valueCount` count. */
  add(stack: number, values: readonly (number | bigint)[], valueCount: number): void {
    const length = Math.min(valueCount, this.#counting.length);
    const start = this.#placeOf(stack, length);
    for (let column = 0; column < length; column++) if (this.#counting[column] === true) this.#sums[start + column] = exactSum(this.#sums[start + column]!, values[column]!);
  }

  at(stack: number, column: number): number | bigint {
    return stack < this.#lengths.length && column < this.#lengths[stack]! ? this.#sums[this.#starts[stack]! - 1 + column]! : 0;
  }

  /** True: a sum of `later` is less than that of the same stacktrace here. `stackCount`: of both. */
  isAbove(later: StackSums, stackCount: number): boolean {
    for (let stack = 0; stack < stackCount && stack < this.#starts.length; stack++) {
      if (this.#starts[stack] === 0) continue;
      const length = Math.max(this.#lengths[stack]!, later.#lengths[stack] ?? 0);
      for (let column = 0; column < length; column++) if (this.at(stack, column) > later.at(stack, column)) return true;
    }
    return false;
  }

  /** Where the sums of the stacktrace begin, of which there are `length` at least. Longer ones go to the end: what they leave is less than they take. */
  #placeOf(stack: number, length: number): number {
    this.#starts = grown(this.#starts, stack + 1);
    this.#lengths = grown(this.#lengths, stack + 1);
    const known = this.#starts[stack]!;
    const knownLength = this.#lengths[stack]!;
    if (known !== 0 && knownLength >= length) return known - 1;
    const start = this.#sums.length;
    for (let column = 0; column < length; column++) this.#sums.push(column < knownLength ? this.#sums[known - 1 + column]! : 0);
    this.#starts[stack] = start + 1;
    this.#lengths[stack] = length;
    return start;
  }
}
