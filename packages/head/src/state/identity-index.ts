/**
 * Finds a record's seq by its identity: a hash table with linear probing over the rows of the record table, which hold the identities.
 *
 * Some 20 to 40 bytes a record; a Map by identity takes 75 and a string for each. An identity is a hash already, so its first word
 * is the place to look. The table is at most 3/5 full, and shrinks once it is less than 1/8 full.
 */
import { assert } from "@pyromesh/base";
import type { RecordTable } from "./record-table.ts";

export class IdentityIndex {
  readonly #table: RecordTable;
  /** Seqs; 0: nothing. */
  #seqs = new Float64Array(SIZE_MIN);
  /** First words of their identities. */
  #words = new Uint32Array(SIZE_MIN);
  #count = 0;

  constructor(table: RecordTable) {
    this.#table = table;
  }

  get count(): number {
    return this.#count;
  }

  /** Undefined where no row has this identity. */
  find(identity: Uint8Array): number | undefined {
    const word = firstWordOf(identity);
    const mask = this.#seqs.length - 1;
    for (let slot = word & mask; this.#seqs[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#words[slot] === word && this.#table.hasIdentity(this.#seqs[slot]!, identity)) return this.#seqs[slot];
    }
    return undefined;
  }

  /** The identity is not in the index. */
  add(identity: Uint8Array, seq: number): void {
    if ((this.#count + 1) * 5 > this.#seqs.length * 3) this.#resize(this.#seqs.length * 2);
    this.#place(firstWordOf(identity), seq);
    this.#count++;
  }

  /** `word`: the first word of the record's identity. */
  remove(word: number, seq: number): void {
    const mask = this.#seqs.length - 1;
    let hole = word & mask;
    for (; this.#seqs[hole] !== seq; hole = (hole + 1) & mask) assert(this.#seqs[hole] !== 0, "what is removed was added");
    // Those behind it that would not be found across the hole move into it.
    for (let slot = (hole + 1) & mask; this.#seqs[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#words[slot]! & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#seqs[hole] = this.#seqs[slot]!;
      this.#words[hole] = this.#words[slot]!;
      hole = slot;
    }
    this.#seqs[hole] = 0;
    this.#count--;
    if (this.#seqs.length > SIZE_MIN && this.#count * 8 < this.#seqs.length) this.#resize(this.#seqs.length / 2);
  }

  #place(word: number, seq: number): void {
    const mask = this.#seqs.length - 1;
    let slot = word & mask;
    while (this.#seqs[slot] !== 0) slot = (slot + 1) & mask;
    this.#seqs[slot] = seq;
    this.#words[slot] = word;
  }

  #resize(size: number): void {
    const seqs = this.#seqs;
    const words = this.#words;
    this.#seqs = new Float64Array(size);
    this.#words = new Uint32Array(size);
    for (let slot = 0; slot < seqs.length; slot++) if (seqs[slot] !== 0) this.#place(words[slot]!, seqs[slot]!);
  }
}

/** A power of two. */
const SIZE_MIN = 1024;

/** Little-endian. */
function firstWordOf(identity: Uint8Array): number {
  return (identity[0]! | (identity[1]! << 8) | (identity[2]! << 16) | (identity[3]! << 24)) >>> 0;
}
