/**
 * Id -> number of the constant, and where its value lies. async-profiler numbers densely from some base: a table by id. The JDK makes ids of
 * several numbers: they are sorted. Hash tables are avoided, since whoever sends a recording chooses the ids, and so could make all of them collide.
 */

/** A table by id may be this many times longer than the number of ids, or as long as `tableLengthMin` allows. */
const SPARSENESS_MAX = 8;

export class PoolIndex {
  #ids = new Float64Array(64);
  #places = new Uint32Array(64);
  #count = 0;
  /** By id less `#base`: the number, from 1. */
  #table: Uint32Array | undefined;
  #base = 0;
  /** Numbers in the order of their ids. */
  #sorted = new Uint32Array(0);

  readonly #tableLengthMin: number;

  /** A table of up to `tableLengthMin` ids is made however few they are: it is in proportion to the chunk. */
  constructor(tableLengthMin = 1024) {
    this.#tableLengthMin = tableLengthMin;
  }

  get count(): number {
    return this.#count;
  }

  add(id: number, at: number): void {
    if (this.#count === this.#ids.length) {
      const ids = new Float64Array(this.#count * 2);
      ids.set(this.#ids);
      const places = new Uint32Array(this.#count * 2);
      places.set(this.#places);
      this.#ids = ids;
      this.#places = places;
    }
    this.#ids[this.#count] = id;
    this.#places[this.#count++] = at;
  }

  /** To be called once, behind all `add`. Of an id that was added twice the last value counts. */
  seal(): void {
    const ids = this.#ids;
    let max = 0;
    let min = Infinity;
    for (let i = 0; i < this.#count; i++) {
      if (ids[i]! > max) max = ids[i]!;
      if (ids[i]! < min) min = ids[i]!;
    }
    const span = this.#count === 0 ? 0 : max - min + 1;
    if (span <= Math.max(this.#count * SPARSENESS_MAX, this.#tableLengthMin)) {
      const table = new Uint32Array(span);
      for (let i = 0; i < this.#count; i++) table[ids[i]! - min] = i + 1;
      this.#table = table;
      this.#base = this.#count === 0 ? 0 : min;
      return;
    }
    this.#sorted = Uint32Array.from({ length: this.#count }, (_, i) => i).sort((a, b) => ids[a]! - ids[b]! || a - b);
  }

  /** The number of the constant with that id; -1: there is none. */
  find(id: number): number {
    const table = this.#table;
    if (table !== undefined) {
      const at = id - this.#base;
      return at >= 0 && at < table.length ? table[at]! - 1 : -1;
    }
    const sorted = this.#sorted;
    let from = 0;
    let to = sorted.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#ids[sorted[middle]!]! <= id) from = middle + 1;
      else to = middle;
    }
    return from > 0 && this.#ids[sorted[from - 1]!] === id ? sorted[from - 1]! : -1;
  }

  /** Where the value lies in the recording. */
  placeOf(number: number): number {
    return this.#places[number]!;
  }
}
