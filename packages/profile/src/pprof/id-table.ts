/**
 * Resolves the ids of a push to indexes (from 1; 0: there is none). Most profilers number densely from 1, so that an id
 * is its index already; the table is built only for the others.
 */

/** A table by id may be this many times longer than the number of ids; where ids are sparser, a Map is used. */
const SPARSENESS_MAX = 8;

export class IdTable {
  #ids: Uint32Array = new Uint32Array(0);
  #count = 0;
  #indexes: Uint32Array | Map<number, number> | undefined;

  /** The ids are ids[1 .. count]. Where one occurs twice, the last counts, as in Pyroscope. */
  build(ids: Uint32Array, count: number): void {
    this.#ids = ids;
    this.#count = count;
    this.#indexes = undefined;
    let i = 1;
    while (i <= count && ids[i] === i) i++;
    if (i > count) return;
    let max = 0;
    for (i = 1; i <= count; i++) if (ids[i]! > max) max = ids[i]!;
    if (max <= count * SPARSENESS_MAX + 1024) {
      const table = new Uint32Array(max + 1);
      for (i = 1; i <= count; i++) table[ids[i]!] = i;
      this.#indexes = table;
    } else {
      const table = new Map<number, number>();
      for (i = 1; i <= count; i++) table.set(ids[i]!, i);
      this.#indexes = table;
    }
  }

  /** Whether every id is its own index. */
  get isDense(): boolean {
    return this.#indexes === undefined;
  }

  indexOf(id: number): number {
    if (id === 0) return 0;
    const indexes = this.#indexes;
    if (indexes === undefined) return id <= this.#count && this.#ids[id] === id ? id : 0;
    return (indexes instanceof Map ? indexes.get(id) : indexes[id]) ?? 0;
  }

  /** Replaces the ids in column[from, to) by indexes. */
  resolve(column: Uint32Array, from: number, to: number): void {
    if (this.#indexes === undefined) {
      const count = this.#count;
      for (let i = from; i < to; i++) if (column[i]! > count) column[i] = 0;
      return;
    }
    for (let i = from; i < to; i++) column[i] = this.indexOf(column[i]!);
  }
}
