/**
 * A pprof of a program, as far as differences need it. Fields are looked at where they lie: of a sample nothing is kept, of a location and
 * a function some numbers.
 *
 * Strings, functions and locations may come after the samples that need them, so the fields are read once for those and once for the samples.
 */
import { ByteWriter, putUvarint, VARINT_BYTES_MAX } from "@pyromesh/base";
import { grown } from "../model/scratch.ts";
import { FieldCursor, NumberCursor, ShortMessage } from "./field-cursor.ts";
import { IdNumbers, putWide } from "./id-numbers.ts";
import { NO_TEXT } from "./stack-numbers.ts";
import type { StackNumbers } from "./stack-numbers.ts";

export const FIELD = { sampleType: 1, sample: 2, location: 4, function: 5, string: 6, time: 9 } as const;
export const SAMPLE_FIELD = { location: 1, value: 2, label: 3 } as const;

export class ScrapedProfile {
  readonly bytes: Uint8Array;
  /** The text of each sample type. */
  readonly types: readonly number[];
  readonly timeNs: bigint;
  readonly sampleCount: number;
  /** The values of the sample that was read last: its first `valueCount`. Signed, and numbers where they are exact. */
  readonly values: (number | bigint)[] = [];
  valueCount = 0;
  /** The key of its stacktrace: the first bytes, of which `readSample` says how many. It is replaced when it grows. */
  key: Uint8Array = new Uint8Array(256);

  readonly #numbers: StackNumbers;
  /** By index: its text. */
  #strings = new Uint32Array(64);
  #stringCount = 0;
  readonly #functions: IdNumbers;
  /** By function: the indexes of its strings. */
  #functionName = new Uint32Array(64);
  #functionFile = new Uint32Array(64);
  readonly #locations: IdNumbers;
  /** By location: where its message lies, and the number after its frame's, or 0 before a sample names it. */
  #locationFrom = new Uint32Array(64);
  #locationTo = new Uint32Array(64);
  #locationFrame = new Uint32Array(64);

  readonly #fields = new FieldCursor();
  readonly #inner = new FieldCursor();
  /** Of a location, while `#inner` is at a sample. */
  readonly #location = new FieldCursor();
  readonly #ids = new NumberCursor();
  readonly #short = new ShortMessage();
  readonly #labelKey = new ByteWriter(64);
  readonly #frameKey = new ByteWriter(64);

  /** Throws a refusal where fields do not end where they should. What the fields say is checked by the decoder of pushes, later. */
  constructor(bytes: Uint8Array, numbers: StackNumbers) {
    this.bytes = bytes;
    this.#numbers = numbers;
    // Ids count up from 1 as a rule, and a location takes more than four bytes: the columns are no longer than the body.
    this.#functions = new IdNumbers("the ids of the functions", bytes.length >>> 2);
    this.#locations = new IdNumbers("the ids of the locations", bytes.length >>> 2);
    const typeIndexes: number[] = [];
    let sampleCount = 0;
    let timeNs = 0n;
    const fields = this.#fields.over(bytes, 0, bytes.length);
    while (fields.next()) {
      const { number, from, to } = fields;
      if (number === FIELD.string) this.#addString(from, to);
      else if (number === FIELD.sample) sampleCount++;
      else if (number === FIELD.time) timeNs = BigInt.asIntN(64, BigInt(fields.value));
      else if (number === FIELD.sampleType) typeIndexes.push(indexOf(this.#short.read(bytes, from, to).first));
      else if (number === FIELD.function) this.#addFunction(from, to);
      else if (number === FIELD.location) this.#addLocation(from, to);
    }
    this.types = typeIndexes.map((index) => this.#text(index));
    this.timeNs = timeNs;
    this.sampleCount = sampleCount;
  }

  /** Calls `visit` with each sample in order: the field in [start, to) and the message in [from, to). */
  eachSample(visit: (from: number, to: number, start: number) => void): void {
    const fields = this.#fields.over(this.bytes, 0, this.bytes.length);
    while (fields.next()) if (fields.number === FIELD.sample) visit(fields.from, fields.to, fields.start);
  }

  /** Reads the sample in [from, to) into `values` and `key`, and returns the length of the key. Throws a refusal. */
  readSample(from: number, to: number): number {
    let length = 0;
    const labelKey = this.#labelKey.clear();
    this.valueCount = 0;
    const fields = this.#inner.over(this.bytes, from, to);
    while (fields.next()) {
      if (fields.number === SAMPLE_FIELD.location) {
        const ids = this.#ids.over(this.bytes, fields);
        while (ids.next()) {
          const frame = this.#frameOf(ids.value);
          this.key = grown(this.key, length + VARINT_BYTES_MAX);
          length = putUvarint(this.key, length, frame + 1); // 0 ends the frames
        }
      } else if (fields.number === SAMPLE_FIELD.value) this.#readValues(fields);
      else if (fields.number === SAMPLE_FIELD.label) {
        const { first, second } = this.#short.read(this.bytes, fields.from, fields.to);
        // A label without a text has a number, which is dropped when a profile is normalised, so it parts no samples.
        const value = this.#text(indexOf(second));
        if (value !== NO_TEXT) labelKey.uvarint(this.#text(indexOf(first))).uvarint(value);
      }
    }
    if (labelKey.length === 0) return length;
    this.key = grown(this.key, length + 1 + labelKey.length);
    this.key[length] = 0;
    this.key.set(labelKey.finish(), length + 1);
    return length + 1 + labelKey.length;
  }

  /** Reads the values alone of the sample in [from, to). */
  readValues(from: number, to: number): void {
    this.valueCount = 0;
    const fields = this.#inner.over(this.bytes, from, to);
    while (fields.next()) if (fields.number === SAMPLE_FIELD.value) this.#readValues(fields);
  }

  #readValues(field: FieldCursor): void {
    const numbers = this.#ids.over(this.bytes, field);
    while (numbers.next()) {
      const { value } = numbers;
      this.values[this.valueCount++] = typeof value === "number" ? value : BigInt.asIntN(64, value);
    }
  }

  #addString(from: number, to: number): void {
    this.#strings = grown(this.#strings, this.#stringCount + 1);
    this.#strings[this.#stringCount++] = this.#numbers.addText(this.bytes, from, to);
  }

  #text(index: number): number {
    return index < this.#stringCount ? this.#numbers.meaningOf(this.#strings[index]!) : NO_TEXT;
  }

  /** Of functions and locations with one id the last one holds. */
  #addFunction(from: number, to: number): void {
    const { first, second, fourth } = this.#short.read(this.bytes, from, to);
    const number = this.#functions.numberOf(first);
    this.#functionName = grown(this.#functionName, number + 1);
    this.#functionFile = grown(this.#functionFile, number + 1);
    this.#functionName[number] = indexOf(second);
    this.#functionFile[number] = indexOf(fourth);
  }

  #addLocation(from: number, to: number): void {
    let id: number | bigint = 0;
    const fields = this.#inner.over(this.bytes, from, to);
    while (fields.next()) {
      if (fields.number === LOCATION_FIELD.id) id = fields.value;
      else if (fields.number === LOCATION_FIELD.line) this.#short.read(this.bytes, fields.from, fields.to); // it may be refused
    }
    const number = this.#locations.numberOf(id);
    this.#locationFrom = grown(this.#locationFrom, number + 1);
    this.#locationTo = grown(this.#locationTo, number + 1);
    this.#locationFrame = grown(this.#locationFrame, number + 1);
    this.#locationFrom[number] = from;
    this.#locationTo[number] = to;
  }

  #frameOf(id: number | bigint): number {
    const location = this.#locations.find(id);
    if (location < 0) return this.#numbers.frames.numberOf(this.#frameKey.clear().finish()); // all that are not in the profile are one frame
    const known = this.#locationFrame[location]!;
    if (known !== 0) return known - 1;
    const frame = this.#numbers.frames.numberOf(this.#readFrame(this.#locationFrom[location]!, this.#locationTo[location]!));
    this.#locationFrame[location] = frame + 1;
    return frame;
  }

  /** The key of the frame whose location lies in [from, to), valid until the next one. */
  #readFrame(from: number, to: number): Uint8Array {
    const key = this.#frameKey.clear().u8(FRAME.lines);
    let address: number | bigint = 0;
    const fields = this.#location.over(this.bytes, from, to);
    while (fields.next()) {
      if (fields.number === LOCATION_FIELD.address) address = fields.value;
      else if (fields.number === LOCATION_FIELD.line) {
        const { first, second } = this.#short.read(this.bytes, fields.from, fields.to);
        const called = this.#functions.find(first);
        key.uvarint(this.#text(called < 0 ? 0 : this.#functionName[called]!)).uvarint(this.#text(called < 0 ? 0 : this.#functionFile[called]!));
        putWide(key, second);
      }
    }
    return key.length > 1 ? key.finish() : putWide(key.clear().u8(FRAME.address), address).finish();
  }
}

const LOCATION_FIELD = { id: 1, address: 3, line: 4 } as const;

/** The first byte of a frame's key. */
const FRAME = { address: 0, lines: 1 } as const;

/** Fits a column. No profile has as many strings as the largest. */
function indexOf(value: number | bigint): number {
  return typeof value === "number" && value < INDEX_MAX ? value : INDEX_MAX;
}

const INDEX_MAX = 0xffff_ffff;
