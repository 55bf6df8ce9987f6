/**
 * Writes the samples of one kind as a pprof. Locations, functions and strings are numbered anew, in the order in which the samples name them, so
 * that the pprof holds what it needs and no more.
 */
import { ByteWriter } from "@pyromesh/base";
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
    for (const text of this.#strings.keys()) out.u8(0x32).text(text);
    if (timeNs !== 0n) out.u8(0x48).uvarint64(BigInt.asUintN(64, timeNs));
    if (durationNs !== 0n) out.u8(0x50).uvarint64(BigInt.asUintN(64, durationNs));
    if (kind.isOfTime && periodNs !== 0) out.u8(0x60).uvarint(periodNs);
    if (out.length > this.#sizeBytesMax) throw this.#tooLarge();
    return out.finish();
  }

  #sample(samples: SampleColumns, row: number, typeCount: number, scale: number, labels: Uint8Array): void {
    const out = this.#out;
    const { stacks } = this.#recording;
    const stack = samples.stackOf(row);
    const from = stacks.startOf(stack);
    const to = stacks.ends[stack]!;
    let idsBytes = 0;
    for (let i = from; i < to; i++) idsBytes += varintBytes(this.#locationId(stacks.locations[i]!));
    const first = scaled(samples.firstOf(row), scale);
    const second = samples.secondOf(row);
    const valuesBytes = varintBytes(first) + (typeCount > 1 ? varintBytes(second) : 0);
    out.u8(0x12).uvarint(1 + varintBytes(idsBytes) + idsBytes + 1 + 1 + valuesBytes + labels.length);
    out.u8(0x0a).uvarint(idsBytes);
    for (let i = from; i < to; i++) out.uvarint(this.#locationIds[stacks.locations[i]!]!);
    out.u8(0x12).uvarint(valuesBytes).uvarint64(first);
    if (typeCount > 1) out.uvarint(second);
    out.raw(labels);
  }

  #labels(labels: readonly Label[]): Uint8Array {
    const out = new ByteWriter(32);
    for (const { name, value } of labels) {
      const [key, text] = [this.#string(name), this.#string(value)];
      out.u8(0x1a).uvarint(2 + varintBytes(key) + varintBytes(text)).u8(0x08).uvarint(key).u8(0x10).uvarint(text);
    }
    return out.finish();
  }

  #locationId(location: number): number {
    let id = this.#locationIds[location]!;
    if (id === 0) this.#locationIds[location] = id = this.#locations.push(location);
    return id;
  }

  #writeLocations(): void {
    const out = this.#out;
    const { frames } = this.#recording;
    for (const [index, location] of this.#locations.entries()) {
      const called = frames.functionOf(location);
      const line = frames.lineOf(location);
      let functionId = this.#functionIds[called]!;
      if (functionId === 0) this.#functionIds[called] = functionId = this.#functions.push(called);
      const lineBytes = 2 + varintBytes(functionId) + varintBytes(line);
      out.u8(0x22).uvarint(1 + varintBytes(index + 1) + 2 + 1 + 1 + lineBytes);
      out.u8(0x08).uvarint(index + 1).u8(0x10).u8(MAPPING_ID).u8(0x22).u8(lineBytes);
      out.u8(0x08).uvarint(functionId).u8(0x10).uvarint(line);
    }
  }

  #writeFunctions(): void {
    const out = this.#out;
    const { frames } = this.#recording;
    for (const [index, called] of this.#functions.entries()) {
      const name = this.#string(frames.names[called]!);
      out.u8(0x2a).uvarint(2 + varintBytes(index + 1) + varintBytes(name)).u8(0x08).uvarint(index + 1).u8(0x10).uvarint(name);
    }
  }

  #valueType(field: number, type: string, unit: string): void {
    const [typeIndex, unitIndex] = [this.#string(type), this.#string(unit)];
    this.#out.u8(field * 8 + 2).uvarint(2 + varintBytes(typeIndex) + varintBytes(unitIndex)).u8(0x08).uvarint(typeIndex).u8(0x10).uvarint(unitIndex);
  }

  #string(text: string): number {
    let index = this.#strings.get(text);
    if (index === undefined) this.#strings.set(text, (index = this.#strings.size));
    return index;
  }

  #tooLarge(): Error {
    return refusal("profile_size_limit", `the samples of the JFR recording take more than ${this.#sizeBytesMax} bytes as a pprof: record for a shorter time, or raise limits.max_profile_size_bytes`);
  }
}

/** id and has_functions */
const MAPPING = Uint8Array.of(0x08, MAPPING_ID, 0x38, 1);

/** A product beyond 2^53 stays exact. It is below 2^63: a count is below 2^53, and a period at most 10^9, but no recording counts so far. */
function scaled(value: number, scale: number): number | bigint {
  const product = value * scale;
  return Number.isSafeInteger(product) ? product : BigInt.asUintN(63, BigInt(value) * BigInt(scale));
}

function varintBytes(value: number | bigint): number {
  if (typeof value === "bigint") return Math.ceil(value.toString(2).length / 7);
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  let bytes = 4;
  for (let rest = value / 0x1000_0000; rest >= 1; rest /= 0x80) bytes++;
  return bytes;
}
