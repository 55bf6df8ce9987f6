/**
 * The identities that a query has counted, so that a record is counted once in whatever sources it lies, and their sum for the receipt.
 * One hash table with open addressing, at most half full, 16 bytes an identity. Bounded by the rows of one query, which query limits bound.
 */
import { assert } from "@pyromesh/base";

export class IdentitySet {
  #slots = new Int32Array(1 << 10).fill(-1);
  #words = new Uint32Array(4 << 9);
  #count = 0;
  /** How many of these were in the set from the start. */
  #exceptCount = 0;
  /** Sum of the counted identities mod 2^128: four words of 32 bits, the lowest first. */
  #sum: [number, number, number, number] = [0, 0, 0, 0];
  /** Undefined: any identity may be added. */
  #only: IdentitySet | undefined;

  /**
   * Both are identities, 16 bytes each. `except`: these are in the set from the start; they are neither counted nor part of the sum. `only`: no others
   * are added.
   */
  constructor({ except, only }: { readonly except?: Uint8Array | undefined; readonly only?: Uint8Array | undefined } = {}) {
    if (except !== undefined) {
      this.#addAll(except);
      this.#exceptCount = this.#count;
      this.#sum = [0, 0, 0, 0];
    }
    if (only !== undefined) {
      this.#only = new IdentitySet();
      this.#only.#addAll(only);
    }
  }

  #addAll(identities: Uint8Array): void {
    assert(identities.length % 16 === 0, "an identity has 16 bytes");
    for (let offset = 0; offset < identities.length; offset += 16) this.add(identities, offset);
  }

  /** How many identities were counted. */
  get count(): number {
    return this.#count - this.#exceptCount;
  }

  /** True when the identity at `offset` is in the set. */
  has(bytes: Uint8Array, offset: number): boolean {
    return this.#find(word(bytes, offset), word(bytes, offset + 4), word(bytes, offset + 8), word(bytes, offset + 12)) < 0;
  }

  /** True when `add` would leave out the identity at `offset`. */
  leavesOut(bytes: Uint8Array, offset: number): boolean {
    return this.has(bytes, offset) || (this.#only !== undefined && !this.#only.has(bytes, offset));
  }

  /** Adds the identity at `offset`. True where it was not in the set before, and may be in it. */
  add(bytes: Uint8Array, offset: number): boolean {
    if (this.#only !== undefined && !this.#only.has(bytes, offset)) return false;
    const a = word(bytes, offset);
    const b = word(bytes, offset + 4);
    const c = word(bytes, offset + 8);
    const d = word(bytes, offset + 12);
    const slot = this.#find(a, b, c, d);
    if (slot < 0) return false;
    const at = this.#count++ * 4;
    if (at + 4 > this.#words.length) {
      const grown = new Uint32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words.set([a, b, c, d], at);
    this.#slots[slot] = at;
    this.#addToSum(a, b, c, d);
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return true;
  }

  /** The sum for the receipt, as 32 hex digits. Sums of disjoint sets are added by `addIdentitySums`. */
  sumHex(): string {
    return [...this.#sum].reverse().map((part) => part.toString(16).padStart(8, "0")).join("");
  }

  /** The free slot where the identity belongs, or -1 where it is in the set. */
  #find(a: number, b: number, c: number, d: number): number {
    const mask = this.#slots.length - 1;
    const words = this.#words;
    // An identity is part of a SHA-256, so any 32 bits of it are a good hash.
    let slot = a & mask;
    let at = 0;
    while ((at = this.#slots[slot]!) !== -1) {
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return -1;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #addToSum(a: number, b: number, c: number, d: number): void {
    const parts = [a, b, c, d];
    let carry = 0;
    for (let i = 0; i < 4; i++) {
      const total = this.#sum[i]! + parts[i]! + carry;
      this.#sum[i] = total >>> 0;
      carry = total >= 2 ** 32 ? 1 : 0;
    }
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let at = 0; at < this.#count * 4; at += 4) {
      let slot = this.#words[at]! & mask;
      while (slots[slot] !== -1) slot = (slot + 1) & mask;
      slots[slot] = at;
    }
    this.#slots = slots;
  }
}

export function addIdentitySums(a: string, b: string): string {
  const sum = (BigInt(`0x${a}`) + BigInt(`0x${b}`)) & ((1n << 128n) - 1n);
  return sum.toString(16).padStart(32, "0");
}

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0;
}
