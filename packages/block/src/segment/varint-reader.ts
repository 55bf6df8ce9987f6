/**
 * Reads long runs of varints, each checked against the end. Numbers are doubles while they fit: a bigint a byte, as
 * `ByteReader.uvarint64` reads them, took most of the time of opening a dataset's rows.
 */
import { ByteReader } from "@pyromesh/base";

export class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #object: string;
  #offset = 0;

  /** `object` names the input in errors. */
  constructor(bytes: Uint8Array, object: string) {
    this.#bytes = bytes;
    this.#object = object;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** A whole number below 2^53; anything larger is corrupt here. */
  number(): number {
    const value = this.int64();
    return typeof value === "number" ? value : this.fail("a varint below 2^53", "a larger one");
  }

  /** A whole number below 2^64: a bigint from 2^53 on. */
  int64(): number | bigint {
    const bytes = this.#bytes;
    const start = this.#offset;
    let at = start;
    let value = 0;
    let scale = 1;
    // Seven bytes hold 49 bits.
    for (const end = Math.min(bytes.length, start + 7); at < end; scale *= 0x80) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#offset = at;
        return value;
      }
    }
    const reader = new ByteReader(bytes, this.#object, start);
    const exact = reader.uvarint64();
    this.#offset = reader.offset;
    return exact < 9007199254740992n ? Number(exact) : exact;
  }

  /** A view into the input. */
  raw(count: number): Uint8Array {
    if (count > this.remaining) this.fail(`${count} more bytes`, `${this.remaining}`);
    this.#offset += count;
    return this.#bytes.subarray(this.#offset - count, this.#offset);
  }

  /** Nothing follows the last field. */
  end(): void {
    if (this.remaining !== 0) this.fail("the end of the section", `${this.remaining} more bytes`);
  }

  fail(expected: string, found: string): never {
    return new ByteReader(this.#bytes, this.#object, this.#offset).fail(expected, found);
  }
}
