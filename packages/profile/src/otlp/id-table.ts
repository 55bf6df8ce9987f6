/** Ids that entries of a table are given in turn, from 1 on. Clearing it costs nothing, however long the table is. */
export class IdTable {
  readonly #ids: Uint32Array;
  readonly #stamps: Uint32Array;
  #stamp = 0;
  #count = 0;

  constructor(entryCount: number) {
    this.#ids = new Uint32Array(entryCount);
    this.#stamps = new Uint32Array(entryCount);
  }

  /** Forgets all ids. At most 2^32 times, which bodies of this size cannot have. */
  clear(): void {
    this.#stamp++;
    this.#count = 0;
  }

  get(index: number): number | undefined {
    return this.#stamps[index] === this.#stamp ? this.#ids[index] : undefined;
  }

  /** Gives the entry the next id. */
  add(index: number): number {
    this.set(index, ++this.#count);
    return this.#count;
  }

  /** Gives the entry an id of the caller's. */
  set(index: number, id: number): void {
    this.#stamps[index] = this.#stamp;
    this.#ids[index] = id;
  }
}
