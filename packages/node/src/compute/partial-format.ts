/**
 * A partial answer as one run of bytes, drawn in PARTIALS.md: how it travels between threads, and between nodes.
 *
 *   0        4         5       6          8       12       16                 20        24
 *   +--------+---------+-------+----------+-------+--------+------------------+---------+-------+---------+
 *   | "PMPA" | version | flags | reserved | crc32 | length | length of front  | 0       | front | columns |
 *   +--------+---------+-------+----------+-------+--------+------------------+---------+-------+---------+
 *
 * A node that gets one does not trust it: every count is checked against the bytes that are left before anything is allocated, and every id
 * and offset against what it points into. The checksum is made and checked at the network's edge only. Between threads the bytes
 * lie in memory that both see and nobody writes, and a checksum would cost as much as packing them (PARTIALS.md).
 */
import { assert, ByteReader, CorruptionError, crc32, toHex } from "@pyromesh/base";
import type { Exemplar, Interrupt, Label, Labels, LocationTree, NameTree, PartialCardinality, PartialDurations, PartialHeatmap, PartialPoint, PartialProfiles, PartialSeries, StacktraceTree, Symbols } from "@pyromesh/profile";
import { labelsKey, UNINTERRUPTED } from "@pyromesh/profile";
import { ColumnReader, ColumnWriter } from "./partial-columns.ts";
import type { ByPlace, ScanPartial } from "./compute.ts";

/** `PMPA`, little-endian. */
export const PARTIAL_MAGIC = 0x41504d50;
export const PARTIAL_VERSION = 1;
export const PARTIAL_HEADER_BYTES = 24;
/** The crc32 is set. */
export const PARTIAL_FLAG_CHECKSUM = 1;
/** Bits of the field that says what a partial holds. */
export const PARTIAL_HAS = { names: 1, locations: 2, durations: 4, listing: 8, cardinality: 16 } as const;

const FLAGS_AT = 5;
const CRC_AT = 8;
/** The crc32 covers everything from here. */
const LENGTH_AT = 12;
const KEY_BYTES = 24;
const OBJECT = "partial answer";
const TWO_53 = 2 ** 53;
/** Line numbers and the like: any that 64 bits hold. */
const TWO_63 = 2 ** 63;

/** Encodes the fields of `partial` but `packed`, into zeros from `allocate`. The bytes carry no checksum yet (`withChecksum`). */
export function encodePartial(partial: ScanPartial, allocate: (sizeBytes: number) => Uint8Array = (sizeBytes) => new Uint8Array(sizeBytes)): Uint8Array {
  const writer = new ColumnWriter();
  const { names, locations, durations, listing, cardinality } = partial;
  const has = PARTIAL_HAS;
  writer.front
    .uvarint(partial.recordCount)
    .raw(Buffer.from(partial.identitySum, "hex"))
    .u64(BigInt.asUintN(64, partial.period))
    .u8(
      (names === undefined ? 0 : has.names) +
        (locations === undefined ? 0 : has.locations) +
        (durations === undefined ? 0 : has.durations) +
        (listing === undefined ? 0 : has.listing) +
        (cardinality === undefined ? 0 : has.cardinality),
    );
  if (names !== undefined) writeNames(writer, names);
  if (locations !== undefined) writeLocations(writer, locations);
  const labels = new LabelTable();
  labels.collect(partial);
  labels.write(writer);
  if (durations !== undefined) {
    writeInt128(writer, durations.ownNs);
    writeProfiles(writer, durations.profiles, labels);
  }
  writer.front.uvarint(partial.points.length);
  for (const series of partial.points) writeSeries(writer, series, labels);
  writer.front.uvarint(partial.heatmap.length);
  for (const series of partial.heatmap) {
    writer.front.uvarint(labels.idOf(series.labels));
    writeProfiles(writer, series.profiles, labels);
  }
  if (listing !== undefined) writeBytes(writer, listing);
  if (cardinality !== undefined) {
    writeCardinality(writer, cardinality.segments, labels);
    writeCardinality(writer, cardinality.head, labels);
  }
  const frontBytes = writer.front.length;
  const bytes = writer.finish(PARTIAL_HEADER_BYTES, allocate);
  assert(bytes.length < 2 ** 32, "a partial is bounded by the memory of a worker");
  const header = new DataView(bytes.buffer, bytes.byteOffset, PARTIAL_HEADER_BYTES);
  header.setUint32(0, PARTIAL_MAGIC, true);
  header.setUint8(4, PARTIAL_VERSION);
  header.setUint32(LENGTH_AT, bytes.length, true);
  header.setUint32(LENGTH_AT + 4, frontBytes, true);
  return bytes;
}

/** A copy of encoded bytes with a checksum, as a peer is sent them. */
export function withChecksum(encoded: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(encoded);
  const header = new DataView(bytes.buffer);
  header.setUint8(FLAGS_AT, PARTIAL_FLAG_CHECKSUM);
  header.setUint32(CRC_AT, crc32(bytes.subarray(LENGTH_AT)), true);
  return bytes;
}

/** Checks a partial from a peer without opening it: magic, version, length, checksum. Throws `CorruptionError`. */
export function checkPeerPartial(bytes: Uint8Array): void {
  const { flags, crc } = readHeader(bytes);
  if ((flags & PARTIAL_FLAG_CHECKSUM) === 0) fail(FLAGS_AT, "a checksum", "none");
  const found = crc32(bytes.subarray(LENGTH_AT));
  if (found !== crc) fail(CRC_AT, `checksum ${found}`, `${crc}`);
}

/** Reads only what the main thread needs of a partial that workers open: the counts of its receipt. */
export function readCounts(bytes: Uint8Array): Pick<ScanPartial, "recordCount" | "identitySum" | "period"> {
  const { frontBytes } = readHeader(bytes);
  return countsOf(new ByteReader(bytes, OBJECT, PARTIAL_HEADER_BYTES, PARTIAL_HEADER_BYTES + frontBytes));
}

/**
 * Throws `CorruptionError`, or what `interrupt` throws. The columns are views of `given`, which must not change any more; of a copy where it lies in
 * shared memory or not on a multiple of 8 bytes.
 */
export function decodePartial(given: Uint8Array, interrupt: Interrupt = UNINTERRUPTED): ScanPartial {
  const { frontBytes } = readHeader(given);
  const bytes = given.byteOffset % 8 === 0 && !(given.buffer instanceof SharedArrayBuffer) ? given : new Uint8Array(given);
  const reader = new ColumnReader(bytes, { headerBytes: PARTIAL_HEADER_BYTES, frontBytes, object: OBJECT, interrupt });
  const { front } = reader;
  const counts = countsOf(front);
  const contents = front.u8();
  const has = PARTIAL_HAS;
  const all = has.names | has.locations | has.durations | has.listing | has.cardinality;
  if ((contents & ~all) !== 0) reader.fail(`contents within ${all}`, `${contents}`, front.offset - 1);
  const names = (contents & has.names) === 0 ? undefined : readNames(reader);
  const locations = (contents & has.locations) === 0 ? undefined : readLocations(reader);
  const labelSets = readLabelSets(reader, interrupt);
  const durations: PartialDurations | undefined = (contents & has.durations) === 0 ? undefined : { ownNs: readInt128(reader), profiles: readProfiles(reader, labelSets) };
  const points: PartialSeries[] = [];
  for (let left = reader.front.uvarint(); left > 0; left--) points.push(readSeries(reader, labelSets));
  const heatmap: PartialHeatmap[] = [];
  for (let left = reader.front.uvarint(); left > 0; left--) heatmap.push({ labels: labelSetOf(reader, labelSets), profiles: readProfiles(reader, labelSets) });
  const listing = (contents & has.listing) === 0 ? undefined : readBytes(reader);
  const cardinality: ByPlace<PartialCardinality> | undefined =
    (contents & has.cardinality) === 0 ? undefined : { segments: readCardinality(reader, labelSets), head: readCardinality(reader, labelSets) };
  reader.end();
  return { ...counts, names, locations, durations, points, heatmap, listing, cardinality };
}

interface Header {
  readonly flags: number;
  readonly crc: number;
  readonly frontBytes: number;
}

function readHeader(bytes: Uint8Array): Header {
  const reader = new ByteReader(bytes, OBJECT);
  const magic = reader.u32();
  if (magic !== PARTIAL_MAGIC) fail(0, `magic ${PARTIAL_MAGIC}`, `${magic}`);
  const version = reader.u8();
  if (version !== PARTIAL_VERSION) fail(4, `version ${PARTIAL_VERSION}`, `${version}`);
  const flags = reader.u8();
  if ((flags & ~PARTIAL_FLAG_CHECKSUM) !== 0) fail(FLAGS_AT, `flags within ${PARTIAL_FLAG_CHECKSUM}`, `${flags}`);
  const reserved = reader.u16();
  if (reserved !== 0) fail(6, "0", `${reserved}`);
  const crc = reader.u32();
  const length = reader.u32();
  if (length !== bytes.length) fail(LENGTH_AT, `${bytes.length} bytes`, `${length}`);
  const frontBytes = reader.u32();
  if (reader.u32() !== 0) fail(LENGTH_AT + 8, "0", "another number");
  return { flags, crc, frontBytes };
}

function fail(offset: number, expected: string, found: string): never {
  throw new CorruptionError({ object: OBJECT, offset, expected, found });
}

function countsOf(front: ByteReader): Pick<ScanPartial, "recordCount" | "identitySum" | "period"> {
  return { recordCount: front.uvarint(), identitySum: toHex(front.raw(16)), period: BigInt.asIntN(64, front.u64()) };
}

// --- trees ---------------------------------------------------------------------------------------------------------

function writeNames(writer: ColumnWriter, { nodeCount, nodeParent, nodeName, self, names }: NameTree): void {
  writer.front.uvarint(nodeCount);
  writer.column(nodeParent, nodeCount);
  writeSums(writer, self, nodeCount);
  writer.texts(names);
  writer.column(nodeName, nodeCount);
}

function readNames(reader: ColumnReader): NameTree {
  const nodeCount = nodeCountOf(reader);
  const nodeParent = reader.parents(nodeCount);
  const self = readSums(reader, nodeCount);
  const names = reader.texts();
  if (names[0] !== "") reader.fail("a root without a name", `${names.length} names`);
  return { nodeCount, nodeParent, nodeName: reader.ids(nodeCount, names.length), self, names };
}

function writeLocations(writer: ColumnWriter, { tree, self, symbols }: LocationTree): void {
  writer.front.uvarint(tree.nodeCount);
  writer.column(tree.nodeParent, tree.nodeCount);
  writer.column(tree.nodeLocation, tree.nodeCount);
  writeSums(writer, self, tree.nodeCount);
  writeSymbols(writer, symbols);
}

function readLocations(reader: ColumnReader): LocationTree {
  const nodeCount = nodeCountOf(reader);
  const nodeParent = reader.parents(nodeCount);
  const nodeLocation = reader.column(Uint32Array, nodeCount);
  const self = readSums(reader, nodeCount);
  const symbols = readSymbols(reader);
  const tree: StacktraceTree = { nodeCount, nodeParent, nodeLocation };
  for (let node = 0; node < nodeCount; node++) if (nodeLocation[node]! >= symbols.locationCount) reader.fail(`a location below ${symbols.locationCount}`, `${nodeLocation[node]}`);
  return { tree, self, symbols };
}

/** A tree has a root. */
function nodeCountOf(reader: ColumnReader): number {
  const nodeCount = reader.count(4);
  if (nodeCount === 0) reader.fail("a tree with a root", "none");
  return nodeCount;
}

function writeSums(writer: ColumnWriter, { low, high }: NameTree["self"], count: number): void {
  writer.front.u8(high === undefined ? 0 : 1);
  writer.column(low, count);
  if (high !== undefined) writer.column(high, count);
}

function readSums(reader: ColumnReader, count: number): NameTree["self"] {
  const isWide = reader.flag();
  const low = reader.whole(count, TWO_53, 0);
  return { low, high: isWide ? reader.whole(count, TWO_53, 0) : undefined };
}

function writeSymbols(writer: ColumnWriter, symbols: Symbols): void {
  const { stringCount, mappingCount, functionCount, locationCount, lineCount } = symbols;
  const stringBytes = symbols.stringOffset[stringCount]!;
  writer.front.uvarint(stringCount).uvarint(stringBytes).uvarint(mappingCount).uvarint(functionCount).uvarint(locationCount).uvarint(lineCount);
  writer.column(symbols.stringOffset, stringCount + 1);
  writer.column(symbols.stringBytes, stringBytes);
  writer.column(symbols.mappingStart, mappingCount);
  writer.column(symbols.mappingLimit, mappingCount);
  writer.column(symbols.mappingFileOffset, mappingCount);
  writer.column(symbols.mappingFilename, mappingCount);
  writer.column(symbols.mappingBuildId, mappingCount);
  writer.column(symbols.mappingFlags, mappingCount);
  writer.column(symbols.functionName, functionCount);
  writer.column(symbols.functionSystemName, functionCount);
  writer.column(symbols.functionFilename, functionCount);
  writer.column(symbols.functionStartLine, functionCount);
  writer.column(symbols.locationMapping, locationCount);
  writer.column(symbols.locationAddressLow, locationCount);
  writer.column(symbols.locationAddressHigh, locationCount);
  writer.column(symbols.locationFlags, locationCount);
  writer.column(symbols.lineStart, locationCount + 1);
  writer.column(symbols.lineFunction, lineCount);
  writer.column(symbols.lineNumber, lineCount);
}

/** Id 0 of each kind stands for none, and is there. */
function readSymbols(reader: ColumnReader): Symbols {
  const { front } = reader;
  const [stringCount, stringByteCount, mappingCount, functionCount, locationCount, lineCount] = [front.uvarint(), front.uvarint(), front.uvarint(), front.uvarint(), front.uvarint(), front.uvarint()];
  for (const count of [stringCount, mappingCount, functionCount, locationCount]) if (count === 0) reader.fail("symbols of which the first of each kind is none", "no symbols");
  const stringOffset = reader.offsets(stringCount, stringByteCount);
  return {
    stringCount,
    stringOffset,
    stringBytes: reader.column(Uint8Array, stringByteCount),
    mappingCount,
    mappingStart: reader.column(BigUint64Array, mappingCount),
    mappingLimit: reader.column(BigUint64Array, mappingCount),
    mappingFileOffset: reader.column(BigUint64Array, mappingCount),
    mappingFilename: reader.ids(mappingCount, stringCount),
    mappingBuildId: reader.ids(mappingCount, stringCount),
    mappingFlags: reader.column(Uint8Array, mappingCount),
    functionCount,
    functionName: reader.ids(functionCount, stringCount),
    functionSystemName: reader.ids(functionCount, stringCount),
    functionFilename: reader.ids(functionCount, stringCount),
    functionStartLine: reader.whole(functionCount, TWO_63, -TWO_63),
    locationCount,
    locationMapping: reader.ids(locationCount, mappingCount),
    locationAddressLow: reader.column(Uint32Array, locationCount),
    locationAddressHigh: reader.column(Uint32Array, locationCount),
    locationFlags: reader.column(Uint8Array, locationCount),
    lineStart: reader.offsets(locationCount, lineCount),
    lineCount,
    lineFunction: reader.ids(lineCount, functionCount),
    lineNumber: reader.whole(lineCount, TWO_63, -TWO_63),
  };
}

// --- label sets ----------------------------------------------------------------------------------------------------

/** The label sets of a partial, each once, and their texts, each once. */
class LabelTable {
  readonly #texts = new Map<string, number>();
  readonly #sets: Labels[] = [];
  readonly #idByKey = new Map<string, number>();
  /** Equal sets have one id. */
  readonly #ids = new Map<Labels, number>();

  collect({ durations, points, heatmap, cardinality }: ScanPartial): void {
    if (durations !== undefined) this.#collectProfiles(durations.profiles);
    for (const { labels, points: ofSeries, profiles } of points) {
      this.#add(labels);
      this.#collectProfiles(profiles);
      for (const { exemplar } of ofSeries.values()) {
        if (exemplar === undefined) continue;
        this.#add(exemplar.labels);
        for (const text of [exemplar.profileId, exemplar.spanId, exemplar.traceId]) this.#addText(text);
      }
    }
    for (const { labels, profiles } of heatmap) {
      this.#add(labels);
      this.#collectProfiles(profiles);
    }
    for (const place of cardinality === undefined ? [] : [cardinality.segments, cardinality.head]) this.#collectProfiles(place.profiles);
  }

  #collectProfiles({ labelSets }: PartialProfiles): void {
    for (const labels of labelSets) this.#add(labels);
  }

  #add(labels: Labels): void {
    if (this.#ids.has(labels)) return;
    const key = labelsKey(labels);
    const known = this.#idByKey.get(key);
    this.#ids.set(labels, known ?? this.#sets.length);
    if (known !== undefined) return;
    this.#idByKey.set(key, this.#sets.length);
    this.#sets.push(labels);
    for (const { name, value } of labels) {
      this.#addText(name);
      this.#addText(value);
    }
  }

  #addText(text: string): void {
    if (!this.#texts.has(text)) this.#texts.set(text, this.#texts.size);
  }

  idOf(labels: Labels): number {
    return this.#ids.get(labels)!; // collected
  }

  textId(text: string): number {
    return this.#texts.get(text)!; // collected
  }

  write(writer: ColumnWriter): void {
    writer.texts([...this.#texts.keys()]);
    const starts = new Uint32Array(this.#sets.length + 1);
    const ids: number[] = [];
    for (const [set, labels] of this.#sets.entries()) {
      for (const { name, value } of labels) ids.push(this.textId(name), this.textId(value));
      starts[set + 1] = ids.length / 2;
    }
    writer.front.uvarint(this.#sets.length).uvarint(ids.length / 2);
    writer.column(starts, starts.length);
    writer.column(Uint32Array.from(ids), ids.length);
  }
}

interface LabelSets {
  readonly texts: readonly string[];
  readonly sets: readonly Labels[];
}

function readLabelSets(reader: ColumnReader, interrupt: Interrupt): LabelSets {
  const texts = reader.texts();
  const setCount = reader.count(4);
  const labelCount = reader.count(8);
  const starts = reader.offsets(setCount, labelCount);
  const ids = reader.ids(labelCount * 2, texts.length);
  const sets: Labels[] = [];
  for (let set = 0; set < setCount; set++) {
    const labels: Label[] = [];
    for (let i = starts[set]!; i < starts[set + 1]!; i++) {
      interrupt.after(1);
      labels.push({ name: texts[ids[2 * i]!]!, value: texts[ids[2 * i + 1]!]! });
    }
    sets.push(labels);
  }
  return { texts, sets };
}

function labelSetOf(reader: ColumnReader, { sets }: LabelSets): Labels {
  const id = reader.front.uvarint();
  return sets[id] ?? reader.fail(`a label set below ${sets.length}`, `${id}`);
}

// --- what is grouped and counted -----------------------------------------------------------------------------------

function writeProfiles(writer: ColumnWriter, { keys, timesMs, values, labels, labelSets }: PartialProfiles, table: LabelTable): void {
  writer.front.uvarint(values.length).uvarint(labelSets.length);
  writer.column(keys, values.length * KEY_BYTES);
  writer.column(Float64Array.from(timesMs), values.length);
  writer.int64s(values);
  writer.column(Uint32Array.from(labels), values.length);
  writer.column(Uint32Array.from(labelSets, (set) => table.idOf(set)), labelSets.length);
}

function readProfiles(reader: ColumnReader, { sets }: LabelSets): PartialProfiles {
  const count = reader.count(KEY_BYTES);
  const setCount = reader.count(4);
  const keys = reader.column(Uint8Array, count * KEY_BYTES);
  const timesMs = Array.from(reader.whole(count));
  const values = reader.int64s(count);
  const labels = Array.from(reader.ids(count, setCount));
  return { keys, timesMs, values, labels, labelSets: Array.from(reader.ids(setCount, sets.length), (id) => sets[id]!) };
}

function writeSeries(writer: ColumnWriter, { labels, points, profiles }: PartialSeries, table: LabelTable): void {
  const all = [...points.values()];
  writer.front.uvarint(table.idOf(labels)).uvarint(all.length);
  writer.column(Float64Array.from(points.keys()), all.length);
  writer.int64s(all.map(({ sum }) => sum));
  writer.column(Float64Array.from(all, ({ count }) => count), all.length);
  const exemplars = all.flatMap(({ exemplar }, point) => (exemplar === undefined ? [] : [{ point, exemplar }]));
  writer.front.uvarint(exemplars.length);
  const ids = exemplars.flatMap(({ point, exemplar }) => [point, table.idOf(exemplar.labels), table.textId(exemplar.profileId), table.textId(exemplar.spanId), table.textId(exemplar.traceId)]);
  writer.column(Uint32Array.from(ids), ids.length);
  writer.column(Float64Array.from(exemplars, ({ exemplar }) => exemplar.timestampMs), exemplars.length);
  writer.int64s(exemplars.map(({ exemplar }) => exemplar.value));
  writeProfiles(writer, profiles, table);
}

const EXEMPLAR_IDS = 5;

function readSeries(reader: ColumnReader, sets: LabelSets): PartialSeries {
  const labels = labelSetOf(reader, sets);
  const pointCount = reader.count(8);
  const edges = reader.finite(pointCount);
  const sums = reader.int64s(pointCount);
  const counts = reader.whole(pointCount, TWO_53, 0);
  const exemplars = readExemplars(reader, pointCount, sets);
  const points = new Map<number, PartialPoint>();
  for (let i = 0; i < pointCount; i++) points.set(edges[i]!, { sum: sums[i]!, count: counts[i]!, exemplar: exemplars.get(i) });
  return { labels, points, profiles: readProfiles(reader, sets) };
}

/** Reads the exemplars, by the index of their point. */
function readExemplars(reader: ColumnReader, pointCount: number, { texts, sets }: LabelSets): Map<number, Exemplar> {
  const count = reader.count(EXEMPLAR_IDS * 4);
  const ids = reader.column(Uint32Array, count * EXEMPLAR_IDS);
  const timesMs = reader.whole(count);
  const values = reader.int64s(count);
  const exemplars = new Map<number, Exemplar>();
  for (let i = 0; i < count; i++) {
    const at = i * EXEMPLAR_IDS;
    const [labels, profileId, spanId, traceId] = [sets[ids[at + 1]!], texts[ids[at + 2]!], texts[ids[at + 3]!], texts[ids[at + 4]!]];
    if (ids[at]! >= pointCount || labels === undefined || profileId === undefined || spanId === undefined || traceId === undefined) {
      return reader.fail("a point, a label set and three texts", `the ids ${ids.slice(at, at + EXEMPLAR_IDS).join(" ")}`);
    }
    exemplars.set(ids[at]!, { timestampMs: timesMs[i]!, profileId, spanId, traceId, value: values[i]!, labels });
  }
  return exemplars;
}

function writeCardinality(writer: ColumnWriter, { series, ownCount, profiles, sampleCount }: PartialCardinality, table: LabelTable): void {
  writer.front.uvarint(ownCount).uvarint(sampleCount);
  writeBytes(writer, series);
  writeProfiles(writer, profiles, table);
}

function readCardinality(reader: ColumnReader, sets: LabelSets): PartialCardinality {
  const ownCount = reader.front.uvarint();
  const sampleCount = reader.front.uvarint();
  const series = readBytes(reader);
  return { series, ownCount, profiles: readProfiles(reader, sets), sampleCount };
}

function writeBytes(writer: ColumnWriter, bytes: Uint8Array): void {
  writer.front.uvarint(bytes.length);
  writer.column(bytes, bytes.length);
}

function readBytes(reader: ColumnReader): Uint8Array {
  return reader.column(Uint8Array, reader.count(1));
}

/** Two's complement. */
function writeInt128(writer: ColumnWriter, value: bigint): void {
  writer.front.u64(BigInt.asUintN(64, value)).u64(BigInt.asUintN(64, value >> 64n));
}

function readInt128(reader: ColumnReader): bigint {
  const low = reader.front.u64();
  return (BigInt.asIntN(64, reader.front.u64()) << 64n) + low;
}
