/**
 * Writes the samples of one OTLP profile that belong to one service as a pprof, byte for byte from the export: of the dictionary only what these
 * samples refer to.
 *
 *   sample --stack--> locations --> functions, mappings, strings      each entry gets an id of the pprof when a sample first needs it
 *
 * A mapping may become two of the pprof: one for locations that have lines, which is marked as having functions, and one for those that have
 * only an address. So symbolized frames are told apart by function, and others by address and build id.
 *
 * One writer serves a whole export, and its tables of ids are stamped instead of cleared: the time for a pprof is that of its own samples, however
 * large the dictionary is.
 */
import { VarintCursor } from "@pyromesh/base";
import type { ProfileLimits } from "../labels/limits.ts";
import { checkProfileSize, orUnbounded, tooManySamples } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import type { TableAttributes } from "./attributes.ts";
import type { EntryTable, ExportTables } from "./export-tables.ts";
import { outOfTable } from "./export-tables.ts";
import type { Layout } from "./generation.ts";
import { IdTable } from "./id-table.ts";
import { MessageBuffer } from "./message-buffer.ts";
import type { ProfileHead } from "./profile-head.ts";
import { OtlpSample } from "./otlp-sample.ts";
import { SERVICE_ATTRIBUTE } from "./series-labels.ts";
import { LENGTH, packedNumbers, VARINT, WireCursor } from "./wire-cursor.ts";

/** Attributes of a mapping that identify its binary, the best first. */
const BUILD_ID_ATTRIBUTES = ["process.executable.build_id.gnu", "process.executable.build_id.go", "process.executable.build_id.htlhash"];

const PPROF = { sampleType: 1, sample: 2, mapping: 3, location: 4, function: 5, string: 6, time: 9, duration: 10, periodType: 11, period: 12 } as const;

/** Of one profile, and of all profiles of the export together. */
export interface OtlpWriteLimits extends ProfileLimits {
  readonly readBytesMax: number;
}

export class OtlpPprofWriter {
  readonly #tables: ExportTables;
  readonly #tableAttributes: TableAttributes;
  readonly #layout: Layout;
  readonly #limits: OtlpWriteLimits;
  readonly #out = new MessageBuffer();
  readonly #locations: IdTable;
  readonly #functions: IdTable;
  /** Two for each mapping: without functions, and with them. */
  readonly #mappings: IdTable;
  readonly #strings: IdTable;
  /** The pairs of label strings of an attribute: ids 2i and 2i + 1 of `#labelStrings`. */
  readonly #attributes: IdTable;
  readonly #links: IdTable;
  #labelStrings: number[] = [];
  readonly #texts = new Map<string, number>();
  #stringCount = 0;
  #usedMappings: number[] = [];
  #hasFilenames = false;
  #hasLineNumbers = false;

  #readBytes = 0;
  readonly #frames: number[] = [];
  readonly #stackCursor: WireCursor;
  readonly #entryCursor: WireCursor;
  readonly #lineCursor: WireCursor;
  readonly #varints: VarintCursor;
  readonly #sample: OtlpSample;

  constructor(tables: ExportTables, attributes: TableAttributes, layout: Layout, limits: OtlpWriteLimits) {
    this.#tables = tables;
    this.#tableAttributes = attributes;
    this.#layout = layout;
    this.#limits = limits;
    this.#locations = new IdTable(tables.locations.count);
    this.#functions = new IdTable(tables.functions.count);
    this.#mappings = new IdTable(tables.mappings.count * 2);
    this.#strings = new IdTable(tables.strings.count);
    this.#attributes = new IdTable(tables.attributes.count);
    this.#links = new IdTable(tables.links.count);
    this.#stackCursor = new WireCursor(tables.bytes);
    this.#entryCursor = new WireCursor(tables.bytes);
    this.#lineCursor = new WireCursor(tables.bytes);
    this.#varints = new VarintCursor(tables.bytes);
    this.#sample = new OtlpSample(tables.bytes, layout);
  }

  /** Bytes written so far, of a pprof that is refused meanwhile also. */
  get writtenBytes(): number {
    return this.#out.length;
  }

  /** Bytes of the dictionary that were read, for all pprofs so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** `samples`: where each lies, start and stop in turn. Throws a refusal of the profile. */
  write(head: ProfileHead, samples: readonly number[]): Uint8Array {
    this.#begin();
    const sampleCountMax = orUnbounded(this.#limits.sampleCountMax);
    if (samples.length / 2 > sampleCountMax) throw tooManySamples(sampleCountMax);
    const locationIndices: number[] = [];
    const locationCount = packedNumbers(this.#varints, ...head.locationIndices, locationIndices);
    for (let i = 0; i < samples.length; i += 2) {
      const sample = this.#sample.read(samples[i]!, samples[i + 1]!);
      const frameCount = this.#layout.sample.locationsLength === 0 ? this.#stackFrames(sample.stack) : this.#slicedFrames(sample, locationIndices, locationCount);
      this.#writeSample(head, sample, frameCount);
      checkProfileSize(this.#out.length, this.#limits);
    }
    this.#end(head);
    return this.#out.copy();
  }

  #begin(): void {
    this.#out.reset();
    for (const table of [this.#locations, this.#functions, this.#mappings, this.#strings, this.#attributes, this.#links]) table.clear();
    this.#texts.clear();
    this.#labelStrings = [];
    this.#usedMappings = [];
    this.#hasFilenames = this.#hasLineNumbers = false;
    this.#stringCount = 0;
    this.#text(""); // string 0
  }

  #end(head: ProfileHead): void {
    const out = this.#out;
    for (const [i, key] of this.#usedMappings.entries()) this.#writeMapping(i + 1, key);
    for (const { type, unit } of head.types) this.#writeType(PPROF.sampleType, type, unit);
    if (head.periodType.type !== "" || head.periodType.unit !== "") this.#writeType(PPROF.periodType, head.periodType.type, head.periodType.unit);
    out.wide(PPROF.period, BigInt.asUintN(64, head.period));
    out.wide(PPROF.time, head.timeNs);
    out.wide(PPROF.duration, head.durationNs);
  }

  #writeType(field: number, type: string, unit: string): void {
    const [typeId, unitId] = [this.#text(type), this.#text(unit)];
    const at = this.#out.begin(field);
    this.#out.number(1, typeId);
    this.#out.number(2, unitId);
    this.#out.end(at);
  }

  // --- samples --------------------------------------------------------------------------------------------------------

  #writeSample({ scales }: ProfileHead, sample: OtlpSample, frameCount: number): void {
    const out = this.#out;
    const frames = this.#frames;
    const labelStrings = this.#labelStrings;
    for (let i = 0; i < frameCount; i++) frames[i] = this.#location(frames[i]!);
    for (let i = 0; i < sample.attributeCount; i++) sample.attributes[i] = this.#attribute(sample.attributes[i]!);
    const link = sample.hasLink ? this.#link(sample.link) : NO_LABELS;
    const at = out.begin(PPROF.sample);
    const locations = out.begin(1);
    for (let i = 0; i < frameCount; i++) out.uvarint(frames[i]!);
    out.end(locations);
    const values = out.begin(2);
    sample.putValues(scales, out);
    out.end(values);
    for (let i = 0; i < sample.attributeCount; i++) {
      const first = sample.attributes[i]!;
      if (first !== NO_LABELS) this.#label(labelStrings[first - 1]!, labelStrings[first]!);
    }
    if (link !== NO_LABELS) {
      this.#label(labelStrings[link - 1]!, labelStrings[link]!);
      if (labelStrings[link + 1] !== 0) this.#label(labelStrings[link + 1]!, labelStrings[link + 2]!);
    }
    out.end(at);
  }

  #label(key: number, text: number): void {
    const at = this.#out.begin(3);
    this.#out.number(1, key);
    this.#out.number(2, text);
    this.#out.end(at);
  }

  /** From 1.8 on a stack is an entry of the dictionary. */
  #stackFrames(index: number): number {
    const cursor = this.#enter(this.#stackCursor, "stack", this.#tables.stacks, index);
    let count = 0;
    while (cursor.next()) {
      if (cursor.field !== 1) continue;
      if (cursor.wire === VARINT) this.#frames[count++] = cursor.number;
      else if (count === 0) count = packedNumbers(this.#varints, cursor.start, cursor.stop, this.#frames);
      else throw malformed("a stack has its locations in several lists: send one");
    }
    return count;
  }

  /** In 1.7 it is a part of the profile's list of locations. */
  #slicedFrames({ stack: first, locationsLength: count }: OtlpSample, locationIndices: readonly number[], locationCount: number): number {
    if (count > 0 && first + count > locationCount) throw malformed(`a sample has locations ${first} to ${first + count - 1} of its profile's location_indices, which are ${locationCount}: send all of them`);
    for (let i = 0; i < count; i++) this.#frames[i] = locationIndices[first + i]!;
    return count;
  }

  // --- labels ---------------------------------------------------------------------------------------------------------

  /** One more than where the attribute's two strings stand in `#labelStrings`; NO_LABELS where it makes no label. */
  #attribute(index: number): number {
    const known = this.#attributes.get(index);
    if (known !== undefined) return known;
    this.#count("attribute", this.#tables.attributes, index);
    const { key, text } = this.#tableAttributes.at(index);
    let first = NO_LABELS;
    if (key !== "" && text !== "" && key !== SERVICE_ATTRIBUTE) first = this.#labelStrings.push(this.#text(key), this.#text(text)) - 1;
    this.#attributes.set(index, first);
    return first;
  }

  /** As `#attribute`: the strings of the span, then those of the trace or two zeros. */
  #link(index: number): number {
    const { bytes, links } = this.#tables;
    const known = this.#links.get(index);
    if (known !== undefined) return known;
    let [trace, span] = ["", ""];
    const cursor = this.#enter(this.#entryCursor, "link", links, index);
    while (cursor.next()) {
      if (cursor.wire !== LENGTH) continue;
      const hex = idHex(bytes.subarray(cursor.start, cursor.stop));
      if (cursor.field === 1 && hex.length === TRACE_HEX_DIGITS) trace = hex;
      else if (cursor.field === 2 && hex.length === SPAN_HEX_DIGITS) span = hex;
    }
    let first = NO_LABELS;
    if (span !== "") {
      first = this.#labelStrings.push(this.#text("span_id"), this.#text(span)) - 1;
      if (trace === "") this.#labelStrings.push(0, 0);
      else this.#labelStrings.push(this.#text("trace_id"), this.#text(trace));
    }
    this.#links.set(index, first);
    return first;
  }

  // --- symbols --------------------------------------------------------------------------------------------------------

  #location(index: number): number {
    const known = this.#locations.get(index);
    if (known !== undefined) return known;
    const cursor = this.#enter(this.#entryCursor, "location", this.#tables.locations, index);
    let mapping = this.#layout.hasNullEntries ? 0 : -1;
    let address: number | bigint = 0;
    const lines: number[] = [];
    while (cursor.next()) {
      if (cursor.field === 1 && cursor.wire === VARINT) mapping = cursor.number;
      else if (cursor.field === 2 && cursor.wire === VARINT) address = cursor.number <= Number.MAX_SAFE_INTEGER ? cursor.number : cursor.uint64();
      else if (cursor.field === 3 && cursor.wire === LENGTH) this.#readLine(cursor, lines);
    }
    for (let i = 0; i < lines.length; i += 2) lines[i] = this.#function(lines[i]!);
    const isNone = mapping < 0 || (mapping === 0 && this.#layout.hasNullEntries);
    const mappingId = isNone ? 0 : this.#mapping(mapping, lines.length > 0);
    const id = this.#locations.add(index);
    const out = this.#out;
    const at = out.begin(PPROF.location);
    out.number(1, id);
    out.number(2, mappingId);
    out.wide(3, address);
    for (let i = 0; i < lines.length; i += 2) {
      const line = out.begin(4);
      out.number(1, lines[i]!);
      out.number(2, lines[i + 1]!);
      out.end(line);
    }
    out.end(at);
    return id;
  }

  /** Adds the line's function and number. A line of no function says nothing. */
  #readLine({ start, stop }: WireCursor, lines: number[]): void {
    let [called, number] = [0, 0];
    const cursor = this.#lineCursor.enter(start, stop);
    while (cursor.next()) {
      if (cursor.wire !== VARINT) continue;
      if (cursor.field === 1) called = cursor.number;
      else if (cursor.field === 2) number = cursor.number;
    }
    if (called === 0 && this.#layout.hasNullEntries) return;
    if (number > LINE_MAX) number = 0; // a negative one
    if (number > 0) this.#hasLineNumbers = true;
    lines.push(called, number);
  }

  #function(index: number): number {
    const known = this.#functions.get(index);
    if (known !== undefined) return known;
    let [name, systemName, filename, startLine] = [0, 0, 0, 0];
    const cursor = this.#enter(this.#lineCursor, "function", this.#tables.functions, index);
    while (cursor.next()) {
      if (cursor.wire !== VARINT) continue;
      if (cursor.field === 1) name = cursor.number;
      else if (cursor.field === 2) systemName = cursor.number;
      else if (cursor.field === 3) filename = cursor.number;
      else if (cursor.field === 4 && cursor.number <= LINE_MAX) startLine = cursor.number;
    }
    [name, systemName, filename] = [this.#string(name), this.#string(systemName), this.#string(filename)];
    if (filename !== 0) this.#hasFilenames = true;
    const id = this.#functions.add(index);
    const out = this.#out;
    const at = out.begin(PPROF.function);
    out.number(1, id);
    out.number(2, name);
    out.number(3, systemName);
    out.number(4, filename);
    out.number(5, startLine);
    out.end(at);
    return id;
  }

  /** Gives the mapping an id. It is written at the end, when it is known what its functions have. */
  #mapping(index: number, hasFunctions: boolean): number {
    const { mappings } = this.#tables;
    if (index >= mappings.count) throw outOfTable("mapping", index, mappings.count);
    const key = index * 2 + Number(hasFunctions);
    const known = this.#mappings.get(key);
    if (known !== undefined) return known;
    this.#usedMappings.push(key);
    return this.#mappings.add(key);
  }

  #writeMapping(id: number, key: number): void {
    const index = key >> 1;
    let [start, limit, offset] = [0n, 0n, 0n];
    let filename = 0;
    let attributes: readonly number[] = [];
    const cursor = this.#enter(this.#entryCursor, "mapping", this.#tables.mappings, index);
    while (cursor.next()) {
      if (cursor.wire === VARINT) {
        if (cursor.field === 1) start = cursor.uint64();
        else if (cursor.field === 2) limit = cursor.uint64();
        else if (cursor.field === 3) offset = cursor.uint64();
        else if (cursor.field === 4) filename = cursor.number;
      } else if (cursor.field === 5 && cursor.wire === LENGTH) {
        const found: number[] = [];
        packedNumbers(this.#varints, cursor.start, cursor.stop, found);
        attributes = found;
      }
    }
    const filenameId = this.#string(filename);
    const buildId = this.#text(this.#buildId(attributes));
    const out = this.#out;
    const at = out.begin(PPROF.mapping);
    out.number(1, id);
    out.wide(2, start);
    out.wide(3, limit);
    out.wide(4, offset);
    out.number(5, filenameId);
    out.number(6, buildId);
    if (key % 2 === 1) {
      out.number(7, 1);
      out.number(8, Number(this.#hasFilenames));
      out.number(9, Number(this.#hasLineNumbers));
    }
    out.end(at);
  }

  #buildId(attributes: readonly number[]): string {
    let best = BUILD_ID_ATTRIBUTES.length;
    let id = "";
    for (const index of attributes) {
      this.#count("attribute", this.#tables.attributes, index);
      const { key, text } = this.#tableAttributes.at(index);
      const rank = BUILD_ID_ATTRIBUTES.indexOf(key);
      if (rank >= 0 && rank < best && text !== "") [best, id] = [rank, text];
    }
    return id;
  }

  // --- the dictionary ------------------------------------------------------------------------------------------------

  /** Turns the cursor to the entry. */
  #enter(cursor: WireCursor, what: string, table: EntryTable, index: number): WireCursor {
    this.#count(what, table, index);
    return cursor.enter(table.starts[index]!, table.stops[index]!);
  }

  /** Counts the bytes of an entry that is read now. */
  #count(what: string, table: EntryTable, index: number): void {
    if (index >= table.count) throw outOfTable(what, index, table.count);
    this.#readBytes += table.stops[index]! - table.starts[index]!;
    if (this.#readBytes > this.#limits.readBytesMax) throw refusal("profile_size_limit", `the export has profiles that need more than ${this.#limits.readBytesMax} bytes of its dictionary: send fewer at once`);
  }

  // --- strings --------------------------------------------------------------------------------------------------------

  /** A string of the dictionary. */
  #string(index: number): number {
    const { bytes, strings } = this.#tables;
    if (index >= strings.count) throw outOfTable("string", index, strings.count);
    const known = this.#strings.get(index);
    if (known !== undefined) return known;
    const [start, stop] = [strings.starts[index]!, strings.stops[index]!];
    const id = start === stop ? 0 : this.#stringCount++;
    if (id !== 0) this.#out.raw(PPROF.string, bytes, start, stop);
    this.#strings.set(index, id);
    return id;
  }

  #text(text: string): number {
    let id = this.#texts.get(text);
    if (id !== undefined) return id;
    id = this.#stringCount++;
    this.#texts.set(text, id);
    this.#out.text(PPROF.string, text);
    return id;
  }
}

const NO_LABELS = 0;
const TRACE_HEX_DIGITS = 32;
const SPAN_HEX_DIGITS = 16;
/** Line numbers are int64; larger ones and negative ones are none. */
const LINE_MAX = 2 ** 31;

/** Empty for an id of zeros, which stands for none. */
function idHex(id: Uint8Array): string {
  return id.every((byte) => byte === 0) ? "" : Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex");
}
