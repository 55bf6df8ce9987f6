/**
 * Ids of one width (spans: 8 bytes, traces: 16), each kept once and numbered from 1; number 0 is none, its bytes are zeros.
 *
 * Open addressing over numbers, at most half full. Clients choose the ids, so the hash has a seed that they
 * cannot know; equality is checked on the bytes. The table grows with every new id: the caller bounds how many there are.
 */
import { grown } from "../model/scratch.ts";
import { mix } from "./symbol-interner.ts";

export class FixedIds {
  readonly #widthBytes: number;
  readonly #seed: number;
  #slots = new Uint32Array(64);
  /** Including number 0. */
  count = 1;
  /** The ids in the order of their numbers. */
  bytes: Uint8Array;

  /** `widthBytes`: a multiple of 4. `hashSeed`: any 32 bits; they change no number. */
  constructor(widthBytes: number, hashSeed: number) {
    this.#widthBytes = widthBytes;
    this.#seed = hashSeed;
    this.bytes = new Uint8Array(widthBytes * 8);
  }

  /** The number of the id that begins at `from[at]`; a new one where it was not met yet. */
  intern(from: Uint8Array, at: number): number {
    const width = this.#widthBytes;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#hash(from, at) & mask;
    for (;;) {
      const number = slots[slot]!;
      if (number === 0) break;
      if (this.#isAt(number * width, from, at)) return number;
      slot = (slot + 1) & mask;
    }
    const number = this.count++;
    this.bytes = grown(this.bytes, this.count * width);
    for (let i = 0; i < width; i++) this.bytes[number * width + i] = from[at + i]!;
    slots[slot] = number;
    if (this.count * 2 > slots.length) this.#rehash();
    return number;
  }

  #isAt(own: number, from: Uint8Array, at: number): boolean {
    for (let i = 0; i < this.#widthBytes; i++) if (this.bytes[own + i] !== from[at + i]) return false;
    return true;
  }

  #hash(from: Uint8Array, at: number): number {
    let hash = this.#seed;
    for (let i = at; i < at + this.#widthBytes; i += 4) {
      const word = from[i]! | (from[i + 1]! << 8) | (from[i + 2]! << 16) | (from[i + 3]! << 24);
      hash = mix(hash ^ word);
    }
    return hash;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let number = 1; number < this.count; number++) {
      let slot = this.#hash(this.bytes, number * this.#widthBytes) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number;
    }
    this.#slots = slots;
  }
}
