/**
 * Writes the samples of one kind as a pprof. Locations, functions and strings are numbered anew, in the order in which the samples name them, so
 * that the pprof holds what it needs and no more.
 */
import { ByteWriter, putUvarint, putUvarint64, VARINT_BYTES_MAX } from "@pyromesh/base";
import type { Label } from "../labels/labels.ts";
import { refusal } from "../labels/refusal.ts";
import type { ProfileKind } from "./profile-kinds.ts";
import type { Recording } from "./recording.ts";
import type { SampleColumns } from "./sample-columns.ts";

export interface PprofTimes {
  /** 0: the profile has no clock of its own. */
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  /** Of the sampling clock. */
  readonly periodNs: number;
}

/** Throws a refusal where the pprof would have more than `sizeBytesMax`: each sample has its locations again, which a recording has only once. */
export function samplesToPprof(recording: Recording, kind: ProfileKind, samples: SampleColumns, times: PprofTimes, sizeBytesMax: number): Uint8Array {
  return new SampleWriter(recording, sizeBytesMax).write(kind, samples, times);
}

const MAPPING_ID = 1;

class SampleWriter {
  readonly #recording: Recording;
  readonly #sizeBytesMax: number;
  readonly #out = new ByteWriter(1 << 14);
  /** Messages before they are put into `#out`. */
  #scratch = new Uint8Array(SCRATCH_BYTES_MIN);
  /** In the order of their indexes. The map has those that may be asked for again: the names of functions, which are all different, are not in it. */
  readonly #texts: string[] = [""];
  readonly #strings = new Map<string, number>([["", 0]]);
  /** By number in the recording: its id in the pprof, 0 where it has none yet. And the other way round. */
  readonly #locationIds: Uint32Array;
  readonly #locations: number[] = [];
  readonly #functionIds: Uint32Array;
  readonly #functions: number[] = [];

  constructor(recording: Recording, sizeBytesMax: number) {
    this.#recording = recording;
    this.#sizeBytesMax = sizeBytesMax;
    this.#locationIds = new Uint32Array(recording.frames.locationCount);
    this.#functionIds = new Uint32Array(recording.frames.names.length);
  }

  write(kind: ProfileKind, samples: SampleColumns, { timeNs, durationNs, periodNs }: PprofTimes): Uint8Array {
    const out = this.#out;
    for (const { type, unit } of kind.sampleTypes) this.#valueType(1, type, unit);
    const labelBytes = new Map<number, Uint8Array>();
    const scale = kind.isOfTime ? periodNs : 1;
    for (let row = 0; row < samples.count; row++) {
      const correlation = samples.correlationOf(row);
      let labels = labelBytes.get(correlation);
      if (labels === undefined) labelBytes.set(correlation, (labels = this.#labels(this.#recording.correlations.labelsOf(correlation))));
      this.#sample(samples, row, kind.sampleTypes.length, scale, labels);
      if (out.length > this.#sizeBytesMax) throw this.#tooLarge();
    }
    out.u8(0x1a).prefixed(MAPPING);
    this.#writeLocations();
    this.#writeFunctions();
    const { type, unit } = kind.periodType;
    if (type !== "" || unit !== "") this.#valueType(11, type, unit);
    for (const text of this.#texts) out.u8(0x32).text(text);
    if (timeNs !== 0n) out.u8(0x48).uvarint64(BigInt.asUintN(64, timeNs));
    if (durationNs !== 0n) out.u8(0x50).uvarint64(BigInt.asUintN(64, durationNs));
    if (kind.isOfTime && periodNs !== 0) out.u8(0x60).uvarint(periodNs);
    if (out.length > this.#sizeBytesMax) throw this.#tooLarge();
    return out.finish();
  }

  #sample(samples: SampleColumns, row: number, typeCount: number, scale: number, labels: Uint8Array): void {
    const { stacks } = this.#recording;
    const { locations } = stacks;
    const stack = samples.stackOf(row);
    const from = stacks.startOf(stack);
    const to = stacks.ends[stack]!;
    const bytes = this.#room(SAMPLE_FRONT_BYTES + (to - from) * VARINT_BYTES_MAX + SAMPLE_VALUES_BYTES + labels.length);
    const ids = this.#locationIds;
    // The lengths stand in front and are known behind: they are written against the start of the ids.
    let at = SAMPLE_FRONT_BYTES;
    for (let i = from; i < to; i++) {
      const location = locations[i]!;
      let id = ids[location]!;
      if (id === 0) ids[location] = id = this.#locations.push(location);
      if (id < 0x80) bytes[at++] = id;
      else at = putUvarint(bytes, at, id);
    }
    const idsBytes = at - SAMPLE_FRONT_BYTES;
    bytes[at++] = 0x12;
    const valuesAt = at++;
    at = putUvarint64(bytes, at, scaled(samples.firstOf(row), scale));
    if (typeCount > 1) at = putUvarint(bytes, at, samples.secondOf(row));
    bytes[valuesAt] = at - valuesAt - 1; // two numbers at most, so below 0x80
    bytes.set(labels, at);
    at += labels.length;
    const idsFront = 1 + varintBytes(idsBytes);
    const sampleBytes = idsFront + at - SAMPLE_FRONT_BYTES;
    const start = SAMPLE_FRONT_BYTES - idsFront - varintBytes(sampleBytes) - 1;
    bytes[start] = 0x12;
    const idsTag = putUvarint(bytes, start + 1, sampleBytes);
    bytes[idsTag] = 0x0a;
    putUvarint(bytes, idsTag + 1, idsBytes);
    this.#out.raw(bytes.subarray(start, at));
  }

  /** The scratch, with room for so many bytes. */
  #room(sizeBytes: number): Uint8Array {
    if (this.#scratch.length < sizeBytes) this.#scratch = new Uint8Array(sizeBytes * 2);
    return this.#scratch;
  }

  #labels(labels: readonly Label[]): Uint8Array {
    const out = new ByteWriter(32);
    for (const { name, value } of labels) {
      const [key, text] = [this.#string(name), this.#string(value)];
      out.u8(0x1a).uvarint(2 + varintBytes(key) + varintBytes(text)).u8(0x08).uvarint(key).u8(0x10).uvarint(text);
    }
    return out.finish();
  }

  #writeLocations(): void {
    const { frames } = this.#recording;
    const functionIds = this.#functionIds;
    const bytes = this.#room(SCRATCH_BYTES_MIN);
    let at = 0;
    for (let i = 0; i < this.#locations.length; i++) {
      if (at > SCRATCH_BYTES_MIN - LOCATION_BYTES_MAX) at = this.#put(bytes, at);
      const location = this.#locations[i]!;
      const called = frames.functionOf(location);
      const line = frames.lineOf(location);
      let functionId = functionIds[called]!;
      if (functionId === 0) functionIds[called] = functionId = this.#functions.push(called);
      const lineBytes = 2 + varintBytes(functionId) + varintBytes(line);
      bytes[at++] = 0x22;
      at = putUvarint(bytes, at, 5 + varintBytes(i + 1) + lineBytes);
      bytes[at++] = 0x08;
      at = putUvarint(bytes, at, i + 1);
      bytes[at++] = 0x10;
      bytes[at++] = MAPPING_ID;
      bytes[at++] = 0x22;
      bytes[at++] = lineBytes;
      bytes[at++] = 0x08;
      at = putUvarint(bytes, at, functionId);
      bytes[at++] = 0x10;
      at = putUvarint(bytes, at, line);
    }
    this.#put(bytes, at);
  }

  #writeFunctions(): void {
    const { names } = this.#recording.frames;
    const bytes = this.#room(SCRATCH_BYTES_MIN);
    let at = 0;
    for (let i = 0; i < this.#functions.length; i++) {
      if (at > SCRATCH_BYTES_MIN - LOCATION_BYTES_MAX) at = this.#put(bytes, at);
      const text = names[this.#functions[i]!]!;
      const name = this.#strings.get(text) ?? this.#texts.push(text) - 1;
      bytes[at++] = 0x2a;
      bytes[at++] = 2 + varintBytes(i + 1) + varintBytes(name);
      bytes[at++] = 0x08;
      at = putUvarint(bytes, at, i + 1);
      bytes[at++] = 0x10;
      at = putUvarint(bytes, at, name);
    }
    this.#put(bytes, at);
  }

  /** Moves the first `length` bytes of the scratch to the pprof. Returns where the scratch begins. */
  #put(bytes: Uint8Array, length: number): number {
    this.#out.raw(bytes.subarray(0, length));
    return 0;
  }

  #valueType(field: number, type: string, unit: string): void {
    const [typeIndex, unitIndex] = [this.#string(type), this.#string(unit)];
    this.#out.u8(field * 8 + 2).uvarint(2 + varintBytes(typeIndex) + varintBytes(unitIndex)).u8(0x08).uvarint(typeIndex).u8(0x10).uvarint(unitIndex);
  }

  #string(text: string): number {
    let index = this.#strings.get(text);
    if (index === undefined) this.#strings.set(text, (index = this.#texts.push(text) - 1));
    return index;
  }

  #tooLarge(): Error {
    return refusal("profile_size_limit", `the samples of the JFR recording take more than ${this.#sizeBytesMax} bytes as a pprof: record for a shorter time, or raise limits.max_profile_size_bytes`);
  }
}

const SCRATCH_BYTES_MIN = 1 << 12;
/** A tag and a length, twice. And the values: a tag, a byte of length, two numbers. */
const SAMPLE_FRONT_BYTES = 2 + 2 * VARINT_BYTES_MAX;
const SAMPLE_VALUES_BYTES = 2 + 2 * VARINT_BYTES_MAX;
/** Of a location: tags, two lengths, its id, the mapping's, the function's, and the line. A function takes less. */
const LOCATION_BYTES_MAX = 7 + 5 * VARINT_BYTES_MAX;

/** id and has_functions */
const MAPPING = Uint8Array.of(0x08, MAPPING_ID, 0x38, 1);

/** A product beyond 2^53 stays exact. It is below 2^63: a count is below 2^53, and a period at most 10^9, but no recording counts so far. */
function scaled(value: number, scale: number): number | bigint {
  const product = value * scale;
  return Number.isSafeInteger(product) ? product : BigInt.asUintN(63, BigInt(value) * BigInt(scale));
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  let bytes = 4;
  for (let rest = value / 0x1000_0000; rest >= 1; rest /= 0x80) bytes++;
  return bytes;
}
