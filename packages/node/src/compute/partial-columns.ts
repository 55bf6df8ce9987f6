/**
 * The two halves of an encoded partial answer (drawn in PARTIALS.md): a front of small fields that says how long everything is, and columns
 * of numbers behind it.
 *
 * Columns lie as they do in memory, on multiples of 8 bytes: a reader gets views of them and copies nothing. Before it gets one it is
 * checked that so many bytes are left, so what is allocated is bounded by the bytes that came, never by what they claim.
 */
import { assert, ByteReader, ByteWriter, CorruptionError } from "@pyromesh/base";
import type { Int64, Interrupt } from "@pyromesh/profile";

const ALIGNMENT = 8;
const TEXTS_AT_ONCE = 256;
const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;

type Column = Uint8Array | Uint32Array | Float64Array | BigUint64Array;
type ColumnType<T extends Column> = { readonly BYTES_PER_ELEMENT: number; readonly name: string; new (buffer: ArrayBufferLike, byteOffset: number, length: number): T };

export class ColumnWriter {
  readonly front: ByteWriter = new ByteWriter();
  readonly #columns: Uint8Array[] = [];
  #columnBytes = 0;

  /** The first `count` entries. They are copied when the parts are put together: they must stay as they are until then. */
  column(entries: Column, count: number): void {
    assert(entries.length >= count, "a column has an entry for each that is counted");
    this.#columns.push(new Uint8Array(entries.buffer, entries.byteOffset, count * entries.BYTES_PER_ELEMENT));
    this.#columnBytes += padded(count * entries.BYTES_PER_ELEMENT);
  }

  /** Whole numbers: one column of doubles; where one of them does not fit into a double, a second for what is above 32 bits. */
  int64s(values: readonly Int64[]): void {
    const isWide = values.some((value) => typeof value === "bigint");
    this.front.u8(isWide ? 1 : 0);
    const low = new Float64Array(values.length);
    if (!isWide) {
      for (let i = 0; i < low.length; i++) low[i] = values[i] as number; // not wide
      return this.column(low, low.length);
    }
    const high = new Float64Array(values.length);
    for (let i = 0; i < low.length; i++) {
      const value = BigInt(values[i]!);
      low[i] = Number(value & 0xffff_ffffn);
      high[i] = Number(value >> 32n);
    }
    this.column(low, low.length);
    this.column(high, high.length);
  }

  /** Texts one after the other as UTF-8, and the length of each in bytes. */
  texts(texts: readonly string[]): void {
    const lengths = new Uint32Array(texts.length);
    let bytes: Buffer = Buffer.allocUnsafe(texts.length * 64 + 64);
    let at = 0;
    for (let first = 0; first < texts.length; first += TEXTS_AT_ONCE) {
      const run = texts.slice(first, first + TEXTS_AT_ONCE);
      // Written at once a text costs a third: as many bytes as units say that all of it is ASCII.
      const joined = run.join("");
      if (at + joined.length * 3 > bytes.length) bytes = grownBuffer(bytes, at, joined.length * 3);
      if (bytes.write(joined, at) === joined.length) for (let i = 0; i < run.length; i++) at += lengths[first + i] = run[i]!.length;
      else for (let i = 0; i < run.length; i++) at += lengths[first + i] = bytes.write(run[i]!, at);
    }
    this.front.uvarint(texts.length).uvarint(at);
    this.column(lengths, lengths.length);
    this.column(bytes, at);
  }

  /** Room for a header, then front and columns, in zeros from `allocate`. */
  finish(headerBytes: number, allocate: (sizeBytes: number) => Uint8Array): Uint8Array {
    const front = this.front.finish();
    const columnsAt = padded(headerBytes + front.length);
    const bytes = allocate(columnsAt + this.#columnBytes);
    bytes.set(front, headerBytes);
    let at = columnsAt;
    for (const column of this.#columns) {
      bytes.set(column, at);
      at += padded(column.length);
    }
    return bytes;
  }
}

/** Reads what a `ColumnWriter` wrote. Every method throws `CorruptionError` where no writer could have written what it finds. */
export class ColumnReader {
  readonly front: ByteReader;
  readonly #bytes: Uint8Array;
  readonly #object: string;
  readonly #interrupt: Interrupt;
  #at: number;

  /** `bytes` begin on a multiple of 8 in their buffer. `object` names them in errors. */
  constructor(bytes: Uint8Array, { headerBytes, frontBytes, object, interrupt }: { readonly headerBytes: number; readonly frontBytes: number; readonly object: string; readonly interrupt: Interrupt }) {
    assert(bytes.byteOffset % ALIGNMENT === 0, "columns lie on multiples of 8 bytes");
    this.#bytes = bytes;
    this.#object = object;
    this.#interrupt = interrupt;
    this.#at = padded(headerBytes + frontBytes);
    if (this.#at > bytes.length) this.fail(`a front of at most ${bytes.length - headerBytes} bytes`, `${frontBytes}`, headerBytes);
    this.front = new ByteReader(bytes, object, headerBytes, headerBytes + frontBytes);
  }

  fail(expected: string, found: string, offset: number = this.front.offset): never {
    throw new CorruptionError({ object: this.#object, offset, expected, found });
  }

  /** A count of things of which each has `bytesEach` or more in the columns that come next. */
  count(bytesEach: number): number {
    const count = this.front.uvarint();
    if (count * bytesEach > this.#bytes.length - this.#at) this.fail(`at most ${this.#bytes.length - this.#at} more bytes of columns`, `${count} entries of ${bytesEach}`);
    return count;
  }

  column<T extends Column>(type: ColumnType<T>, count: number): T {
    const sizeBytes = count * type.BYTES_PER_ELEMENT;
    if (sizeBytes > this.#bytes.length - this.#at) this.fail(`${sizeBytes} more bytes of columns`, `${this.#bytes.length - this.#at}`, this.#at);
    const column = new type(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, count);
    this.#at += padded(sizeBytes);
    return column;
  }

  /** Ids below `limit`. */
  ids(count: number, limit: number): Uint32Array {
    const at = this.#at;
    const ids = this.column(Uint32Array, count);
    for (let i = 0; i < count; i++) {
      this.#interrupt.after(1);
      if (ids[i]! >= limit) this.fail(`an id below ${limit}`, `${ids[i]}`, at + i * 4);
    }
    return ids;
  }

  /** Parents of a tree's nodes: the root is its own, each other comes after its parent. */
  parents(count: number): Uint32Array {
    const at = this.#at;
    const parents = this.column(Uint32Array, count);
    if (count > 0 && parents[0] !== 0) this.fail("a root that is its own parent", `${parents[0]}`, at);
    for (let node = 1; node < count; node++) {
      this.#interrupt.after(1);
      if (parents[node]! >= node) this.fail(`a parent before node ${node}`, `${parents[node]}`, at + node * 4);
    }
    return parents;
  }

  /** Where runs begin, and where the last one ends: at `end`. */
  offsets(count: number, end: number): Uint32Array {
    const at = this.#at;
    const offsets = this.column(Uint32Array, count + 1);
    if (offsets[0] !== 0) this.fail("a first run that begins at 0", `${offsets[0]}`, at);
    for (let i = 1; i <= count; i++) {
      this.#interrupt.after(1);
      if (offsets[i]! < offsets[i - 1]!) this.fail("an offset no smaller than the one before", `${offsets[i]}`, at + i * 4);
    }
    if (offsets[count] !== end) this.fail(`a last run that ends at ${end}`, `${offsets[count]}`, at + count * 4);
    return offsets;
  }

  /** Whole numbers from `least` to below `limit`. */
  whole(count: number, limit: number = TWO_53, least: number = 1 - limit): Float64Array {
    const at = this.#at;
    const numbers = this.column(Float64Array, count);
    for (let i = 0; i < count; i++) {
      this.#interrupt.after(1);
      const value = numbers[i]!;
      // NaN is in no range.
      if (!(value >= least && value < limit) || Math.floor(value) !== value) this.fail(`a whole number from ${least} to below ${limit}`, `${value}`, at + i * 8);
    }
    return numbers;
  }

  finite(count: number): Float64Array {
    const at = this.#at;
    const numbers = this.column(Float64Array, count);
    for (let i = 0; i < count; i++) if (!Number.isFinite(numbers[i])) this.fail("a finite number", `${numbers[i]}`, at + i * 8);
    return numbers;
  }

  int64s(count: number): Int64[] {
    const isWide = this.flag();
    if (!isWide) return Array.from(this.whole(count));
    const low = this.whole(count, TWO_32, 0);
    const high = this.whole(count);
    return Array.from(low, (bits, i): Int64 => {
      const value = BigInt(high[i]!) * BigInt(TWO_32) + BigInt(bits);
      return value > -BigInt(TWO_53) && value < BigInt(TWO_53) ? Number(value) : value;
    });
  }

  texts(): string[] {
    const count = this.count(4);
    const sizeBytes = this.front.uvarint();
    const at = this.#at;
    const lengths = this.column(Uint32Array, count);
    let sum = 0;
    for (let i = 0; i < count; i++) sum += lengths[i]!;
    if (sum !== sizeBytes) this.fail(`texts of ${sizeBytes} bytes together`, `${sum}`, at);
    return textsOf(this.column(Uint8Array, sizeBytes), lengths, this.#interrupt);
  }

  flag(): boolean {
    const value = this.front.u8();
    if (value > 1) this.fail("0 or 1", `${value}`, this.front.offset - 1);
    return value === 1;
  }

  /** Nothing is left over. */
  end(): void {
    if (this.front.remaining !== 0) this.fail("the end of the front", `${this.front.remaining} more bytes`);
    if (this.#at !== this.#bytes.length) this.fail("the end of the columns", `${this.#bytes.length - this.#at} more bytes`, this.#at);
  }
}

/**
 * A text that is cut out of a longer one keeps that alive, so texts are decoded some KiB at a time: all at once is hardly faster, and a single
 * name that a merge keeps would hold the texts of a whole partial.
 */
const DECODED_BYTES = 4096;

function textsOf({ buffer, byteOffset, length }: Uint8Array, lengths: Uint32Array, interrupt: Interrupt): string[] {
  const bytes = Buffer.from(buffer, byteOffset, length);
  const texts: string[] = [];
  for (let at = 0; texts.length < lengths.length; ) {
    interrupt.after(DECODED_BYTES);
    const first = texts.length;
    let end = first;
    let endAt = at;
    do endAt += lengths[end++]!;
    while (end < lengths.length && endAt - at + lengths[end]! <= DECODED_BYTES && end - first < DECODED_BYTES);
    const run = bytes.toString("utf8", at, endAt);
    // As many units as bytes: no character of one text goes on in the next.
    if (run.length === endAt - at) for (let i = first, from = 0; i < end; i++) texts.push(run.slice(from, (from += lengths[i]!)));
    else for (let i = first, from = at; i < end; i++) texts.push(bytes.toString("utf8", from, (from += lengths[i]!)));
    at = endAt;
  }
  return texts;
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}

function grownBuffer(bytes: Buffer, used: number, extraBytes: number): Buffer {
  const grown = Buffer.allocUnsafe(Math.max(bytes.length * 2, used + extraBytes));
  bytes.copy(grown, 0, 0, used);
  return grown;
}
