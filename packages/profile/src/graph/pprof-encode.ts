/**
 * Location trees as google.v1.Profile bytes (pprof), uncompressed.
 *
 * Only what samples refer to is written, under dense ids from 1 in the order of first use. Lengths are known before they are
 * written: a sample's list of locations is its parent's and one more, so one forward pass over the tree gives the length of
 * each, and nothing is moved afterwards.
 */
import { encodeUtf8, putUvarint, putUvarint64, VARINT_BYTES_MAX } from "@pyromesh/base";
import type { Interrupt } from "../model/interrupt.ts";
import { UNINTERRUPTED } from "../model/interrupt.ts";
import type { SampleType } from "../labels/profile-type.ts";
import type { LocationTree } from "../model/stacktrace-tree.ts";
import { Saturation, sumAt } from "../model/sums.ts";

export interface PprofInput {
  readonly tree: LocationTree;
  readonly sampleType: SampleType;
  readonly periodType: SampleType;
  readonly period: bigint;
  readonly timeNs: bigint;
  readonly durationNs: bigint;
}

/** Values are limited to int64. */
export function encodePprof(input: PprofInput, interrupt: Interrupt = UNINTERRUPTED): Uint8Array {
  const { tree, self, symbols } = input.tree;
  const { nodeCount, nodeParent, nodeLocation } = tree;

  const isReached = new Uint8Array(nodeCount);
  for (let node = nodeCount - 1; node > 0; node--) {
    if (isReached[node] === 0 && self.low[node] === 0 && (self.high === undefined || self.high[node] === 0)) continue;
    isReached[node] = 1;
    isReached[nodeParent[node]!] = 1;
  }

  const locations = new DenseIds(symbols.locationCount);
  // By node: bytes of the packed location ids of the stacktrace that ends there.
  const idBytes = new Uint32Array(nodeCount);
  for (let node = 1; node < nodeCount; node++) {
    if (isReached[node] === 0) continue;
    idBytes[node] = idBytes[nodeParent[node]!]! + varintSize(locations.of(nodeLocation[node]!));
  }

  const out = new ProtobufWriter();
  const strings = new StringTable(input.tree);
  const saturation = new Saturation();
  out.message(1, () => writeValueType(out, strings, input.sampleType));

  for (let node = 1; node < nodeCount; node++) {
    interrupt.at(node);
    if (isReached[node] === 0) continue;
    const value = saturation.hold(sumAt(self, node));
    if (value === 0) continue;
    const listBytes = idBytes[node]!;
    const valueBytes = typeof value === "number" ? varintSize(value) : varint64Size(value);
    out.tag(2, 2);
    out.varint(1 + varintSize(listBytes) + listBytes + 1 + varintSize(valueBytes) + valueBytes);
    out.tag(1, 2);
    out.varint(listBytes);
    // Leaf first, as pprof has it.
    for (let at = node; at !== 0; at = nodeParent[at]!) out.varint(locations.of(nodeLocation[at]!));
    out.tag(2, 2);
    out.varint(valueBytes);
    if (typeof value === "number") out.varint(value);
    else out.varint64(value);
  }

  const mappings = new DenseIds(symbols.mappingCount);
  const functions = new DenseIds(symbols.functionCount);
  for (let id = 1; id <= locations.count; id++) {
    interrupt.at(id);
    const location = locations.source(id);
    out.message(4, () => {
      out.number(1, id);
      const mapping = symbols.locationMapping[location]!;
      if (mapping !== 0) out.number(2, mappings.of(mapping));
      out.bits64(3, symbols.locationAddressHigh[location]!, symbols.locationAddressLow[location]!);
      for (let line = symbols.lineStart[location]!; line < symbols.lineStart[location + 1]!; line++) {
        const functionId = symbols.lineFunction[line]!;
        out.message(4, () => {
          if (functionId !== 0) out.number(1, functions.of(functionId));
          out.number(2, symbols.lineNumber[line]!);
        });
      }
      out.number(5, symbols.locationFlags[location]! & 1);
    });
  }
  for (let id = 1; id <= mappings.count; id++) {
    const mapping = mappings.source(id);
    out.message(3, () => {
      out.number(1, id);
      out.bigint(2, symbols.mappingStart[mapping]!);
      out.bigint(3, symbols.mappingLimit[mapping]!);
      out.bigint(4, symbols.mappingFileOffset[mapping]!);
      out.number(5, strings.of(symbols.mappingFilename[mapping]!));
      out.number(6, strings.of(symbols.mappingBuildId[mapping]!));
      const flags = symbols.mappingFlags[mapping]!;
      for (let bit = 0; bit < 4; bit++) out.number(7 + bit, (flags >> bit) & 1);
    });
  }
  for (let id = 1; id <= functions.count; id++) {
    interrupt.at(id);
    const source = functions.source(id);
    out.message(5, () => {
      out.number(1, id);
      out.number(2, strings.of(symbols.functionName[source]!));
      out.number(3, strings.of(symbols.functionSystemName[source]!));
      out.number(4, strings.of(symbols.functionFilename[source]!));
      out.number(5, symbols.functionStartLine[source]!);
    });
  }

  out.bigint(9, input.timeNs);
  out.bigint(10, input.durationNs);
  out.message(11, () => writeValueType(out, strings, input.periodType));
  out.bigint(12, input.period);
  out.number(14, strings.ofText(input.sampleType.type));
  // Strings come last, when all are known. Protobuf allows fields in any order.
  strings.write(out);
  return out.finish();
}

function writeValueType(out: ProtobufWriter, strings: StringTable, type: SampleType): void {
  out.number(1, strings.ofText(type.type));
  out.number(2, strings.ofText(type.unit));
}

/** New ids from 1, in the order in which source ids are first asked for. Source id 0 is "none" and stays 0. */
class DenseIds {
  count = 0;
  readonly #ids: Uint32Array;
  readonly #sources: number[] = [0];

  constructor(sourceCount: number) {
    this.#ids = new Uint32Array(sourceCount);
  }

  of(source: number): number {
    const id = this.#ids[source]!;
    if (id !== 0 || source === 0) return id;
    this.#sources.push(source);
    return (this.#ids[source] = ++this.count);
  }

  source(id: number): number {
    return this.#sources[id]!;
  }
}

/** The string table that is being written: strings of the symbols, and a few texts of the profile itself. */
class StringTable {
  readonly #symbols: LocationTree["symbols"];
  readonly #ids: Uint32Array;
  readonly #texts = new Map<string, number>();
  /** The entry of each string of the pprof, from string 1 on: an id in the symbol table, or a text. */
  readonly #entries: (number | string)[] = [];

  constructor(tree: LocationTree) {
    this.#symbols = tree.symbols;
    this.#ids = new Uint32Array(tree.symbols.stringCount);
  }

  of(source: number): number {
    if (source === 0) return 0;
    const id = this.#ids[source]!;
    return id !== 0 ? id : (this.#ids[source] = this.#entries.push(source));
  }

  ofText(text: string): number {
    if (text === "") return 0;
    let id = this.#texts.get(text);
    if (id === undefined) {
      id = this.#entries.push(text);
      this.#texts.set(text, id);
    }
    return id;
  }

  write(out: ProtobufWriter): void {
    const { stringBytes, stringOffset } = this.#symbols;
    out.bytes(6, stringBytes.subarray(0, 0));
    for (const entry of this.#entries) {
      out.bytes(6, typeof entry === "string" ? encodeUtf8(entry) : stringBytes.subarray(stringOffset[entry]!, stringOffset[entry + 1]!));
    }
  }
}

/** Protobuf fields into one growing buffer. Fields that are 0 are left out, as proto3 does. */
class ProtobufWriter {
  #bytes: Uint8Array = new Uint8Array(1 << 16);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  tag(field: number, wireType: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = (field << 3) | wireType;
  }

  /** A whole number in [0, 2^53). */
  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#length = putUvarint(this.#bytes, this.#length, value);
  }

  varint64(value: bigint): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#length = putUvarint64(this.#bytes, this.#length, BigInt.asUintN(64, value));
  }

  /** A varint field. Negative numbers (a line number may be one) take the ten bytes of int64. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, 0);
    if (value > 0) this.varint(value);
    else this.varint64(BigInt(value));
  }

  bigint(field: number, value: bigint): void {
    if (value === 0n) return;
    this.tag(field, 0);
    this.varint64(value);
  }

  bits64(field: number, high: number, low: number): void {
    if (high < 0x20_0000) this.number(field, high * 2 ** 32 + low);
    else this.bigint(field, (BigInt(high) << 32n) | BigInt(low));
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.tag(field, 2);
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Writes a message whose length is known afterwards: one byte is left for it, and a longer message, which is rare, is moved. */
  message(field: number, write: () => void): void {
    this.tag(field, 2);
    this.#reserve(1);
    const start = ++this.#length;
    write();
    const size = this.#length - start;
    const sizeBytes = varintSize(size);
    if (sizeBytes > 1) {
      this.#reserve(sizeBytes);
      this.#bytes.copyWithin(start + sizeBytes - 1, start, this.#length);
    }
    const end = this.#length + sizeBytes - 1;
    this.#length = start - 1;
    this.varint(size);
    this.#length = end;
  }

  #reserve(extraBytes: number): void {
    const needed = this.#length + extraBytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function varint64Size(value: bigint): number {
  let size = 1;
  for (let rest = value; rest >= 0x80n; rest >>= 7n) size++;
  return size;
}
