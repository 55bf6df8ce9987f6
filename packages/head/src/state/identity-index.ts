/**
 * Finds a record's seq by its identity: a hash table with linear probing over the rows of the record table, which hold the identities.
 *
 * Some 20 to 40 bytes a record, where a Map takes 75 with a string for each. The table is at most 3/5 full, and shrinks once it is less
 * than 1/8 full.
 */
import { assert } from "@pyromesh/base";
import type { RecordTable } from "./record-table.ts";

export class IdentityIndex {
  readonly #table: RecordTable;
  /** Seqs; 0: nothing. */
  #seqs = new Float64Array(SIZE_MIN);
  /** Hashes of their identities. */
  #hashes = new Uint32Array(SIZE_MIN);
  #count = 0;

  constructor(table: RecordTable) {
    this.#table = table;
  }

  get count(): number {
    return this.#count;
  }

  /** Undefined where no row has this identity. */
  find(identity: Uint8Array): number | undefined {
    const hash = hashOf(identity);
    const mask = this.#seqs.length - 1;
    for (let slot = hash & mask; this.#seqs[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#hashes[slot] === hash && this.#table.hasIdentity(this.#seqs[slot]!, identity)) return this.#seqs[slot];
    }
    return undefined;
  }

  /** The identity is not in the index. */
  add(identity: Uint8Array, seq: number): void {
    if ((this.#count + 1) * 5 > this.#seqs.length * 3) this.#resize(this.#seqs.length * 2);
    this.#place(hashOf(identity), seq);
    this.#count++;
  }

  remove(identity: Uint8Array, seq: number): void {
    const mask = this.#seqs.length - 1;
    let hole = hashOf(identity) & mask;
    for (; this.#seqs[hole] !== seq; hole = (hole + 1) & mask) assert(this.#seqs[hole] !== 0, "what is removed was added");
    // Those behind it that would not be found across the hole move into it.
    for (let slot = (hole + 1) & mask; this.#seqs[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#hashes[slot]! & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#seqs[hole] = this.#seqs[slot]!;
      this.#hashes[hole] = this.#hashes[slot]!;
      hole = slot;
    }
    this.#seqs[hole] = 0;
    this.#count--;
    if (this.#seqs.length > SIZE_MIN && this.#count * 8 < this.#seqs.length) this.#resize(this.#seqs.length / 2);
  }

  #place(hash: number, seq: number): void {
    const mask = this.#seqs.length - 1;
    let slot = hash & mask;
    while (this.#seqs[slot] !== 0) slot = (slot + 1) & mask;
    this.#seqs[slot] = seq;
    this.#hashes[slot] = hash;
  }

  #resize(size: number): void {
    const seqs = this.#seqs;
    const hashes = this.#hashes;
    this.#seqs = new Float64Array(size);
    this.#hashes = new Uint32Array(size);
    for (let slot = 0; slot < seqs.length; slot++) if (seqs[slot] !== 0) this.#place(hashes[slot]!, seqs[slot]!);
  }
}

/** A power of two. */
const SIZE_MIN = 1024;

/** Over all 16 bytes, so that identities made up by a test or a benchmark, which differ in few of them, do not all meet in one slot. */
function hashOf(identity: Uint8Array): number {
  let hash = 0;
  for (let at = 0; at < identity.length; at += 4) {
    const word = identity[at]! | (identity[at + 1]! << 8) | (identity[at + 2]! << 16) | (identity[at + 3]! << 24);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}
