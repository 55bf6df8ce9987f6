/**
 * The ids that a profile gives to its locations or functions, numbered from 0 as they come. Small ids are looked up in a column; the others by
 * their bytes, in a table whose lookups are bounded (model/numbered-bytes.ts): V8 hashes numbers without a seed, and the sender chooses them.
 */
import { ByteWriter, VARINT_BYTES_MAX } from "@pyromesh/base";
import { NumberedBytes } from "../model/numbered-bytes.ts";
import { grown } from "../model/scratch.ts";

export class IdNumbers {
  readonly #smallMax: number;
  /** By id: the number after its number, or 0 where it has none. */
  #small = new Uint32Array(64);
  readonly #wide: NumberedBytes;
  /** By number in `#wide`. */
  #wideNumbers = new Uint32Array(16);
  readonly #key = new ByteWriter(VARINT_BYTES_MAX + 1);
  #count = 0;

  /** `smallMax`: ids up to it are looked up in a column, of four bytes for each. */
  constructor(what: string, smallMax: number) {
    this.#smallMax = smallMax;
    this.#wide = new NumberedBytes(what);
  }

  get count(): number {
    return this.#count;
  }

  /** The number of the id: a new one, which is `count`, where it was not met yet. */
  numberOf(id: number | bigint): number {
    if (typeof id === "number" && id <= this.#smallMax) {
      this.#small = grown(this.#small, id + 1);
      const known = this.#small[id]!;
      return known === 0 ? (this.#small[id] = ++this.#count) - 1 : known - 1;
    }
    const known = this.#wide.count;
    const wide = this.#wide.numberOf(putWide(this.#key.clear(), id).finish());
    if (wide < known) return this.#wideNumbers[wide]!;
    this.#wideNumbers = grown(this.#wideNumbers, wide + 1);
    return (this.#wideNumbers[wide] = this.#count++);
  }

  /** -1 where it has no number. */
  find(id: number | bigint): number {
    if (typeof id === "number" && id <= this.#smallMax) return id < this.#small.length ? this.#small[id]! - 1 : -1;
    const wide = this.#wide.find(putWide(this.#key.clear(), id).finish());
    return wide < 0 ? -1 : this.#wideNumbers[wide]!;
  }
}

/** Writes what a varint said, so that no two are written alike, one after the other: a tenth byte carries some past 64 bits. */
export function putWide(out: ByteWriter, value: number | bigint): ByteWriter {
  return typeof value === "number" ? out.uvarint(value) : out.uvarint64(BigInt.asUintN(64, value)).u8(Number(value >> 64n));
}
