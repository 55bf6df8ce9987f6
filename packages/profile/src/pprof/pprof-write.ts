/**
 * Writes small pprof profiles, into which other formats are converted, so that only pprof needs a decoder.
 * Frames are interned. Query results, which are large, have a writer of their own (graph/pprof-encode.ts).
 */
import { ByteWriter } from "@pyromesh/base";
import type { Label } from "../labels/labels.ts";
import type { SampleType } from "../labels/profile-type.ts";

export interface PprofHead {
  readonly sampleTypes: readonly SampleType[];
  /** Empty type and unit: none. */
  readonly periodType: SampleType;
  readonly period: number;
  /** 0: the profile has no clock of its own. */
  readonly timeNs: bigint;
  readonly durationNs: bigint;
  /** The profile was text. Like Pyroscope, put every frame into one empty mapping and give each function its name as system name. */
  readonly isOfText?: boolean;
}

/** Location ids, as `frame` gives them. */
export type Frame = number;

export class PprofWriter {
  readonly #head: PprofHead;
  readonly #strings = new Map<string, number>([["", 0]]);
  /** By file and name. Those without a file have a map of their own, whose keys need not be put together. */
  readonly #functions = new Map<string, number>();
  readonly #filelessFunctions = new Map<string, number>();
  #functionCount = 0;
  /** The frame of a function, by the function: without a line, or by both. */
  readonly #linelessFrames: Frame[] = [];
  readonly #frames = new Map<string, Frame>();
  #frameCount = 0;
  readonly #samples = new ByteWriter(1 << 12);
  readonly #locations = new ByteWriter(1 << 10);
  readonly #functionBytes = new ByteWriter(1 << 10);
  #stringBytes = 0;
  /** A message and one inside of it, which are copied when they are whole: a text of a few megabytes has 300,000 frames, and writers of their own would be most of its cost. */
  readonly #message = new ByteWriter(1 << 10);
  readonly #inner = new ByteWriter(1 << 10);

  constructor(head: PprofHead) {
    this.#head = head;
  }

  frame(name: string, filename = "", line = 0): Frame {
    const called = this.#function(name, filename);
    const known = line === 0 ? this.#linelessFrames[called] : this.#frames.get(`${called}:${line}`);
    if (known !== undefined) return known;
    const frame = ++this.#frameCount;
    if (line === 0) this.#linelessFrames[called] = frame;
    else this.#frames.set(`${called}:${line}`, frame);
    const lineMessage = this.#inner.clear();
    putInt(lineMessage, 1, called);
    putInt(lineMessage, 2, line);
    const message = this.#message.clear();
    putInt(message, 1, frame);
    if (this.#head.isOfText === true) putInt(message, 2, TEXT_MAPPING);
    message.u8(0x22).prefixed(lineMessage.finish());
    this.#locations.u8(0x22).prefixed(message.finish());
    return frame;
  }

  #function(name: string, filename: string): number {
    const functions = filename === "" ? this.#filelessFunctions : this.#functions;
    const key = filename === "" ? name : `${filename}\n${name}`;
    let called = functions.get(key);
    if (called !== undefined) return called;
    called = ++this.#functionCount;
    functions.set(key, called);
    const nameIndex = this.#string(name);
    const message = this.#message.clear();
    putInt(message, 1, called);
    putInt(message, 2, nameIndex);
    if (this.#head.isOfText === true) putInt(message, 3, nameIndex);
    putInt(message, 4, this.#string(filename));
    this.#functionBytes.u8(0x2a).prefixed(message.finish());
    return called;
  }

  /** `frames` leaf first; one value per sample type. */
  sample(frames: readonly Frame[], values: readonly (number | bigint)[], labels: readonly Label[] = []): void {
    const message = this.#message.clear();
    const ids = this.#inner.clear();
    for (const frame of frames) ids.uvarint(frame);
    message.u8(0x0a).prefixed(ids.finish());
    const numbers = this.#inner.clear();
    for (const value of values) numbers.uvarint64(BigInt.asUintN(64, BigInt(value)));
    message.u8(0x12).prefixed(numbers.finish());
    for (const { name, value } of labels) {
      const label = this.#inner.clear();
      putInt(label, 1, this.#string(name));
      putInt(label, 2, this.#string(value));
      message.u8(0x1a).prefixed(label.finish());
    }
    this.#samples.u8(0x12).prefixed(message.finish());
  }

  /** About as many bytes as `finish` would give now. */
  get sizeBytes(): number {
    return this.#samples.length + this.#locations.length + this.#functionBytes.length + this.#stringBytes;
  }

  finish(): Uint8Array {
    const { sampleTypes, periodType, period, timeNs, durationNs, isOfText } = this.#head;
    const out = new ByteWriter(this.#samples.length + this.#locations.length + this.#functionBytes.length + 1024);
    for (const type of sampleTypes) out.u8(0x0a).prefixed(this.#valueType(type));
    const periodBytes = this.#valueType(periodType);
    if (isOfText === true) {
      const mapping = new ByteWriter(2);
      putInt(mapping, 1, TEXT_MAPPING);
      out.u8(0x1a).prefixed(mapping.finish());
    }
    out.raw(this.#samples.finish()).raw(this.#locations.finish()).raw(this.#functionBytes.finish());
    for (const text of this.#strings.keys()) out.u8(0x32).text(text);
    if (timeNs !== 0n) out.u8(0x48).uvarint64(BigInt.asUintN(64, timeNs));
    if (durationNs !== 0n) out.u8(0x50).uvarint64(BigInt.asUintN(64, durationNs));
    if (periodBytes.length > 0) out.u8(0x5a).prefixed(periodBytes);
    putInt(out, 12, period);
    return out.finish();
  }

  #valueType({ type, unit }: SampleType): Uint8Array {
    const message = new ByteWriter(16);
    putInt(message, 1, this.#string(type));
    putInt(message, 2, this.#string(unit));
    return message.finish();
  }

  #string(text: string): number {
    let index = this.#strings.get(text);
    if (index === undefined) {
      this.#strings.set(text, (index = this.#strings.size));
      this.#stringBytes += text.length;
    }
    return index;
  }
}

/** The id of that mapping. */
const TEXT_MAPPING = 1;

/** Zeros are left out, as protobuf does. */
function putInt(out: ByteWriter, field: number, value: number): void {
  if (value !== 0) out.u8(field << 3).uvarint(value);
}
