/**
 * Writes long runs of varints: room for a run's worst case is made once, then bytes go out without a check each. A flush
 * writes some 300 a record, and a `ByteWriter` call for each took twice as long as all the rest of encoding.
 */
const TEN_BYTES = 10;

export class VarintWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** The first `count` of `values`: whole numbers in [0, 2^53). */
  numbers(values: Float64Array | Uint32Array, count: number): void {
    this.#reserve(count);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = 0; i < count; i++) {
      let rest = values[i]!;
      while (rest >= 0x8000_0000) {
        bytes[at++] = (rest % 0x80) | 0x80;
        rest = Math.floor(rest / 0x80);
      }
      while (rest >= 0x80) {
        bytes[at++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      bytes[at++] = rest;
    }
    this.#length = at;
  }

  /** The first `count` of `values`, ascending, each minus the one before. */
  deltas(values: Uint32Array, count: number): void {
    this.#reserve(count);
    const bytes = this.#bytes;
    let at = this.#length;
    let previous = 0;
    for (let i = 0; i < count; i++) {
      let rest = values[i]! - previous;
      previous = values[i]!;
      while (rest >= 0x80) {
        bytes[at++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      bytes[at++] = rest;
    }
    this.#length = at;
  }

  /** Whole numbers in [0, 2^64). */
  exact(values: BigInt64Array, order: Uint32Array, count: number): void {
    this.#reserve(count);
    for (let i = 0; i < count; i++) {
      let rest = BigInt.asUintN(64, values[order[i]!]!);
      while (rest >= 0x80n) {
        this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
        rest >>= 7n;
      }
      this.#bytes[this.#length++] = Number(rest);
    }
  }

  /** A view of what was written; writing more may leave it stale. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count * TEN_BYTES;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
