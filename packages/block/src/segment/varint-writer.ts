/**
 * Writes long runs of varints: room for a run's worst case is made once, then numbers go out without a check each. A flush
 * writes some 300 a record, and a `ByteWriter` call for each took twice as long as all the rest of encoding.
 */
import { putUvarint, putUvarint64, VARINT_BYTES_MAX } from "@pyromesh/base";

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
    for (let i = 0; i < count; i++) at = putUvarint(bytes, at, values[i]!);
    this.#length = at;
  }

  /** The first `count` of `values`, ascending, each minus the one before. */
  deltas(values: Uint32Array, count: number): void {
    this.#reserve(count);
    const bytes = this.#bytes;
    let at = this.#length;
    let previous = 0;
    for (let i = 0; i < count; i++) {
      const value = values[i]!;
      at = putUvarint(bytes, at, value - previous);
      previous = value;
    }
    this.#length = at;
  }

  /** Whole numbers in [0, 2^64). */
  exact(values: BigInt64Array, order: Uint32Array, count: number): void {
    this.#reserve(count);
    for (let i = 0; i < count; i++) this.#length = putUvarint64(this.#bytes, this.#length, BigInt.asUintN(64, values[order[i]!]!));
  }

  /** A view of what was written; writing more may leave it stale. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count * VARINT_BYTES_MAX;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
