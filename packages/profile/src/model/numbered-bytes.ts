/**
 * Runs of bytes, each once, by number: names, and keys made of numbers. A run is looked up by its bytes, without a string: a body of a few
 * megabytes has a million of them, and a string for each would be most of the cost of reading it.
 *
 *   "work"  --hash--> slot --> number 1 --> bytes [ends[0], ends[1]) of all runs
 *
 * What must stay true: a run takes its bytes and some 24 more, and a lookup compares PROBES_MAX runs at most. The hash has no secret: who
 * knows it can make runs that collide, and such a body is refused.
 */
import { malformed } from "../labels/refusal.ts";
import { grown } from "./scratch.ts";

/** Throws a refusal where the bytes in [from, to) may not be numbered. */
export type RunCheck = (bytes: Uint8Array, from: number, to: number) => void;

export class NumberedBytes {
  readonly #what: string;
  readonly #check: RunCheck | undefined;
  #count = 0;
  #bytes = new Uint8Array(RUNS_MIN * 16);
  /** Where each run ends in `#bytes`, and its hash. */
  #ends = new Uint32Array(RUNS_MIN);
  #hashes = new Uint32Array(RUNS_MIN);
  /** Open addressing: the number after a run's, or 0 where there is none. TABLE_RATIO times as long as the columns. */
  #table = new Int32Array(TABLE_RATIO * RUNS_MIN);

  /** `what` the runs are, for the refusal of those that collide. `check` is called once for each run, before it gets its number. */
  constructor(what: string, check?: RunCheck) {
    this.#what = what;
    this.#check = check;
  }

  get count(): number {
    return this.#count;
  }

  /** The bytes of all runs together. */
  get sizeBytes(): number {
    return this.#startOf(this.#count);
  }

  /** The number of the run that lies in [from, to) of `bytes`: a new one, which is `count`, where it was not met yet. */
  numberOf(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
    const hash = hashOf(bytes, from, to);
    let slot = this.#slotOf(hash, bytes, from, to);
    const found = this.#table[slot]!;
    if (found !== 0) return found - 1;
    this.#check?.(bytes, from, to);
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
    this.#bytes.set(bytes.subarray(from, to), start);
    this.#ends[number] = end;
    this.#hashes[number] = hash;
    this.#table[slot] = number + 1;
    return number;
  }

  /** The number of the run, or -1 where it has none. */
  find(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
    return this.#table[this.#slotOf(hashOf(bytes, from, to), bytes, from, to)]! - 1;
  }

  /** A view, valid until the next run is numbered. `number`: as `numberOf` gave it. */
  bytesOf(number: number): Uint8Array {
    return this.#bytes.subarray(this.#startOf(number), this.#ends[number]!);
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
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask; // all runs differ
      this.#table[slot] = number + 1;
    }
  }

  /** Where the run is, or where it belongs. */
  #slotOf(hash: number, bytes: Uint8Array, from: number, to: number): number {
    const mask = this.#table.length - 1;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = (hash + probe) & mask;
      const found = this.#table[slot]!;
      if (found === 0 || ((this.#hashes[found - 1]! | 0) === hash && this.#isRun(found - 1, bytes, from, to))) return slot;
    }
    throw malformed(`${this.#what} were made to slow this node down: send those of a profiler`);
  }

  #isRun(number: number, bytes: Uint8Array, from: number, to: number): boolean {
    const start = this.#startOf(number);
    if (this.#ends[number]! - start !== to - from) return false;
    for (let i = from, at = start; i < to; i++, at++) if (bytes[i] !== this.#bytes[at]) return false;
    return true;
  }
}

/** A power of two. */
const RUNS_MIN = 64;

/** A table that is three quarters empty has a handful of neighbours in a row: a million runs some fifteen. */
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
