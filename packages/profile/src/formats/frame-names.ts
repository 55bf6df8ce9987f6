/**
 * The names of frames in a body, each once, by number. A name is looked up by its bytes, and becomes a string when it is asked for by number:
 * a body of a few megabytes has a million frames, and a string for each of them would be most of the cost of reading it.
 *
 *   "work"  --hash--> slot --> number 1 --> bytes [ends[0], ends[1]) of all names
 *
 * What must stay true: a name takes its bytes and some 24 more, and a lookup compares PROBES_MAX names at most. The hash has no secret: who
 * knows it can make names that collide, and such a body is refused.
 */
import { isUtf8 } from "node:buffer";
import { decodeUtf8 } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import { grown } from "../model/scratch.ts";
import { hexOfInvalidText } from "../pprof/invalid-text.ts";

export class FrameNames {
  #count = 0;
  #bytes = new Uint8Array(NAMES_MIN * 16);
  /** Where each name ends in `#bytes`, and its hash. */
  #ends = new Uint32Array(NAMES_MIN);
  #hashes = new Uint32Array(NAMES_MIN);
  /** Open addressing: the number after a name's, or 0 where there is none. TABLE_RATIO times as long as the columns. */
  #table = new Int32Array(TABLE_RATIO * NAMES_MIN);

  get count(): number {
    return this.#count;
  }

  /** The number of the name that lies in [from, to) of `bytes`. Throws a refusal where it is not UTF-8. */
  numberOf(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
    const hash = hashOf(bytes, from, to);
    let slot = this.#slotOf(hash, bytes, from, to);
    const found = this.#table[slot]!;
    if (found !== 0) return found - 1;
    const name = bytes.subarray(from, to);
    if (!isUtf8(name)) throw malformed(`a name is not UTF-8, its bytes are ${hexOfInvalidText(name)}: encode names as UTF-8`);
    if (this.#count === this.#ends.length) {
      this.#grow();
      slot = this.#slotOf(hash, bytes, from, to);
    }
    const number = this.#count++;
    const start = this.#startOf(number);
    const end = start + to - from;
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      longer.set(this.#bytes.subarray(0, start));
      this.#bytes = longer;
    }
    this.#bytes.set(name, start);
    this.#ends[number] = end;
    this.#hashes[number] = hash;
    this.#table[slot] = number + 1;
    return number;
  }

  /** `number`: as `numberOf` gave it. */
  nameOf(number: number): string {
    return decodeUtf8(this.#bytes.subarray(this.#startOf(number), this.#ends[number]!));
  }

  #startOf(number: number): number {
    return number === 0 ? 0 : this.#ends[number - 1]!;
  }

  #grow(): void {
    const length = 2 * this.#ends.length;
    this.#ends = grown(this.#ends, length);
    this.#hashes = grown(this.#hashes, length);
    this.#table = new Int32Array(TABLE_RATIO * length);
    const mask = this.#table.length - 1;
    for (let number = 0; number < this.#count; number++) {
      let slot = this.#hashes[number]! & mask;
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask; // all names differ
      this.#table[slot] = number + 1;
    }
  }

  /** Where the name is, or where it belongs. */
  #slotOf(hash: number, bytes: Uint8Array, from: number, to: number): number {
    const mask = this.#table.length - 1;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = (hash + probe) & mask;
      const found = this.#table[slot]!;
      if (found === 0 || ((this.#hashes[found - 1]! | 0) === hash && this.#isName(found - 1, bytes, from, to))) return slot;
    }
    throw malformed("the names of the frames were made to slow this node down: send those of a profiler");
  }

  #isName(number: number, bytes: Uint8Array, from: number, to: number): boolean {
    const start = this.#startOf(number);
    if (this.#ends[number]! - start !== to - from) return false;
    for (let i = from, at = start; i < to; i++, at++) if (bytes[i] !== this.#bytes[at]) return false;
    return true;
  }
}

/** A power of two. */
const NAMES_MIN = 64;

/** A table that is three quarters empty has a handful of neighbours in a row: a million names some fifteen. */
const TABLE_RATIO = 4;
const PROBES_MAX = 64;

/** FNV-1a, with its bits mixed at the end, since the lowest ones choose the slot. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
