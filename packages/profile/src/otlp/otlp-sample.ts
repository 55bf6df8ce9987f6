/** One sample of an OTLP profile, read by the layout of its version. One object is used for all samples of an export. */
import { VarintCursor } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import { exactSum } from "../model/exact-sum.ts";
import type { Layout } from "./generation.ts";
import type { MessageBuffer } from "./message-buffer.ts";
import { checkListLength, FIXED64, LENGTH, packedNumbers, VARINT, WireCursor } from "./wire-cursor.ts";

export class OtlpSample {
  readonly #layout: Layout["sample"];
  readonly #hasNullEntries: boolean;
  readonly #cursor: WireCursor;
  readonly #varints: VarintCursor;
  readonly #values: (number | bigint)[] = [];
  #valueCount = 0;
  #timestampCount = 0;
  /** From 1.8 on the index of the stack; in 1.7 where the sample's locations begin in those of the profile. */
  stack = 0;
  locationsLength = 0;
  readonly attributes: number[] = [];
  attributeCount = 0;
  link = 0;
  hasLink = false;

  constructor(bytes: Uint8Array, { sample, hasNullEntries }: Layout) {
    this.#layout = sample;
    this.#hasNullEntries = hasNullEntries;
    this.#cursor = new WireCursor(bytes);
    this.#varints = new VarintCursor(bytes);
  }

  read(start: number, stop: number): this {
    const layout = this.#layout;
    const cursor = this.#cursor.enter(start, stop);
    this.stack = this.locationsLength = this.attributeCount = this.link = this.#valueCount = this.#timestampCount = 0;
    this.hasLink = false;
    while (cursor.next()) {
      const { field, wire } = cursor;
      if (wire === VARINT) {
        if (field === layout.stack) this.stack = cursor.number;
        // Of lists that are not packed, one number.
        else if (field === layout.values) {
          this.#values[this.#valueCount++] = cursor.int64();
          checkListLength(this.#valueCount);
        } else if (field === layout.attributes) {
          this.attributes[this.attributeCount++] = cursor.number;
          checkListLength(this.attributeCount);
        } else if (field === layout.timestamps && !this.#hasNullEntries) this.#timestampCount++;
        else if (field === layout.locationsLength) this.locationsLength = cursor.number;
        else if (field === layout.link) {
          this.link = cursor.number;
          this.hasLink = cursor.number !== 0 || !this.#hasNullEntries;
        } else throw this.#misplaced();
      } else if (wire === LENGTH) {
        if (field === layout.attributes) this.attributeCount = packedNumbers(this.#varints, cursor.start, cursor.stop, this.attributes, this.attributeCount);
        else if (field === layout.values) this.#readValues(cursor.start, cursor.stop);
        else if (field === layout.timestamps) this.#timestampCount += this.#hasNullEntries ? fixed64Count(cursor) : varintCount(cursor);
        else throw this.#misplaced();
      } else if (wire === FIXED64 && field === layout.timestamps) {
        this.#timestampCount++;
      } else {
        throw this.#misplaced();
      }
    }
    return this;
  }

  #readValues(start: number, stop: number): void {
    const varints = this.#varints;
    varints.offset = start;
    varints.end = stop;
    while (varints.offset < stop) {
      const value = varints.nextWide();
      if (value === -1) throw malformed("the values of a sample are torn: send the whole export");
      this.#values[this.#valueCount++] = typeof value === "bigint" ? BigInt.asIntN(64, value) : value;
      checkListLength(this.#valueCount);
    }
  }

  /**
   * Writes one value for each sample type. A sample of one type may have a value for each of its timestamps, which are added up; without values
   * each timestamp counts one.
   */
  putValues(scales: readonly (number | bigint)[], out: MessageBuffer): void {
    if (this.#valueCount === 0 && this.#timestampCount === 0) throw malformed("a sample has neither values nor timestamps: send one of them");
    if (scales.length === 1) return out.int64(scaled(this.#total(), scales[0]!));
    if (this.#valueCount !== scales.length) throw malformed(`a sample has ${this.#valueCount} values and its profile ${scales.length} sample types: send one for each`);
    for (const [i, scale] of scales.entries()) out.int64(scaled(this.#values[i]!, scale));
  }

  #total(): number | bigint {
    if (this.#valueCount === 0) return this.#timestampCount;
    let sum: number | bigint = this.#values[0]!;
    for (let i = 1; i < this.#valueCount; i++) sum = exactSum(sum, this.#values[i]!);
    return sum;
  }

  #misplaced(): Error {
    return malformed(`a sample has a field ${this.#cursor.field} of wire type ${this.#cursor.wire}, which the version of OTLP profiles that the rest of the export follows has not: send all of it in one version`);
  }
}

function scaled(value: number | bigint, scale: number | bigint): number | bigint {
  if (scale === 1 && typeof value === "number") return value;
  if (typeof value === "number" && typeof scale === "number") {
    const product = value * scale;
    if (Number.isSafeInteger(product)) return product;
  }
  const exact = BigInt(value) * BigInt(scale);
  if (BigInt.asIntN(64, exact) !== exact) throw malformed(`the values of a sample make ${exact} together, which is beyond 64 bits: send smaller ones`);
  return exact;
}

function fixed64Count({ start, stop }: WireCursor): number {
  if ((stop - start) % 8 !== 0) throw malformed(`the timestamps of a sample have ${stop - start} bytes, and each has 8: send the whole export`);
  return (stop - start) / 8;
}

/** In 1.7 timestamps are varints: each ends with a byte below 0x80. */
function varintCount({ bytes, start, stop }: WireCursor): number {
  let count = 0;
  for (let i = start; i < stop; i++) if (bytes[i]! < 0x80) count++;
  return count;
}
