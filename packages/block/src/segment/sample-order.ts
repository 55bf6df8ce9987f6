/**
 * The samples of a row in the order of their stacks; those of one stack stay in the order in which they came. A bit is set for each stack, and one
 * walk over the bits gives them in order: quicker than sorting, since most real rows come out of order.
 */
import type { RowSamples } from "@pyromesh/profile";

export class SampleOrder {
  /** Stack numbers, ascending. */
  stack: Uint32Array = new Uint32Array(256);
  /** Where in the row each of them was. */
  place: Uint32Array = new Uint32Array(256);
  readonly #bits: Uint32Array;
  /** Per stack whose bit is set: its first sample; per sample: the next one of the same stack, or END. */
  readonly #first: Uint32Array;
  #next: Uint32Array = new Uint32Array(256);
  #permuted = new Uint32Array(256);

  constructor(stackCount: number) {
    this.#bits = new Uint32Array((stackCount >>> 5) + 1);
    this.#first = new Uint32Array(stackCount);
  }

  sort({ node, sampleCount }: RowSamples, stackOf: Uint32Array): void {
    if (this.stack.length < sampleCount) {
      this.stack = new Uint32Array(sampleCount * 2);
      this.place = new Uint32Array(sampleCount * 2);
      this.#next = new Uint32Array(sampleCount * 2);
      this.#permuted = new Uint32Array(sampleCount * 2);
    }
    const bits = this.#bits;
    const first = this.#first;
    const next = this.#next;
    let low = bits.length;
    let high = -1;
    for (let i = sampleCount - 1; i >= 0; i--) {
      const stack = stackOf[node[i]!]!;
      const word = stack >>> 5;
      const bit = 1 << (stack & 31);
      next[i] = (bits[word]! & bit) === 0 ? END : first[stack]!;
      first[stack] = i;
      bits[word]! |= bit;
      if (word < low) low = word;
      if (word > high) high = word;
    }
    let at = 0;
    for (let word = low; word <= high; word++) {
      for (let left = bits[word]!; left !== 0; left &= left - 1) {
        const stack = word * 32 + 31 - Math.clz32(left & -left);
        for (let i = first[stack]!; i !== END; i = next[i]!) {
          this.stack[at] = stack;
          this.place[at++] = i;
        }
      }
      bits[word] = 0;
    }
  }

  /** The values in the order of the samples. The array is written again by the next call. */
  permuted(values: Uint32Array, count: number): Uint32Array {
    for (let i = 0; i < count; i++) this.#permuted[i] = values[this.place[i]!]!;
    return this.#permuted;
  }
}

/** Ends the list of a stack's samples. */
const END = 0xffffffff;

