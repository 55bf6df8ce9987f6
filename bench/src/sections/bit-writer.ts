/** Writes varints and packed bits into a growing buffer. All layouts use it, so that they can be compared. */
import { putUvarint, VARINT_BYTES_MAX } from "@pyromesh/base";

export class BitWriter {
  #bytes: Uint8Array = new Uint8Array(1 << 20);
  #length = 0;
  #bits = 0;
  #bitCount = 0;

  /** A whole number in [0, 2^53). */
  varint(value: number): void {
    if (this.#length + VARINT_BYTES_MAX > this.#bytes.length) this.#grow();
    this.#length = putUvarint(this.#bytes, this.#length, value);
  }

  zigzag(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  /** The low `width` bits of a whole number in [0, 2^53). */
  bits(value: number, width: number): void {
    let rest = value;
    for (let left = width; left > 0; left -= 24) {
      this.#take(left > 24 ? rest % 0x1_00_0000 : rest, Math.min(24, left));
      if (left > 24) rest = Math.floor(rest / 0x1_00_0000);
    }
  }

  /** Continues at the next whole byte. */
  align(): void {
    if (this.#bitCount > 0) this.#take(0, 8 - this.#bitCount);
  }

  finish(): Uint8Array {
    this.align();
    return this.#bytes.subarray(0, this.#length);
  }

  #take(value: number, width: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow();
    this.#bits |= value << this.#bitCount;
    this.#bitCount += width;
    while (this.#bitCount >= 8) {
      this.#bytes[this.#length++] = this.#bits & 0xff;
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }

  #grow(): void {
    const grown = new Uint8Array(this.#bytes.length * 2);
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** The number of bits that hold every whole number up to `most`. */
export function widthOf(most: number): number {
  return most < 1 ? 0 : Math.floor(Math.log2(most)) + 1;
}
