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
import { checkProfileSize } from "../labels/limits.ts";
import { malformed, refusal } from "../labels/refusal.ts";
import type { Attributes } from "./attributes.ts";
import type { EntryTable, ExportTables } from "./export-tables.ts";
import { outOfTable } from "./export-tables.ts";
import type { Layout } from "./generation.ts";
import { IdTable } from "./id-table.ts";
import { MessageBuffer } from "./message-buffer.ts";
import type { ProfileHead } from "./profile-head.ts";
import { OtlpSample } from "./otlp-sample.ts";
import { SERVICE_ATTRIBUTE } from "./series-labels.ts";
import { TextIds } from "./text-ids.ts";
import { FunctionColumns, LocationColumns } from "./symbol-columns.ts";
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
  readonly #tableAttributes: Attributes;
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
  readonly #idTables: readonly IdTable[];
  readonly #functionColumns: FunctionColumns;
  readonly #locationColumns: LocationColumns;
  /** Mappings that were parsed, by index. */
  readonly #parsedMappings = new Map<number, ParsedMapping>();
  readonly #labelStrings: number[] = [];
  #labelStringCount = 0;
  readonly #texts = new TextIds();
  #stringCount = 0;
  readonly #usedMappings: number[] = [];
  #usedMappingCount = 0;
  #hasFilenames = false;
  #hasLineNumbers = false;

  #readBytes = 0;
  /** Of the pprofs before the one that `#out` holds. */
  #writtenBytes = 0;
  readonly #frames: number[] = [];
  readonly #locationIndices: number[] = [];
  #locationIndexCount = 0;
  /** The profile whose list that is. */
  #locationIndicesOf: ProfileHead | undefined;
  /** Functions of the lines of the location that is being written. */
  readonly #lineFunctions: number[] = [];
  readonly #stackCursor: WireCursor;
  readonly #entryCursor: WireCursor;
  readonly #varints: VarintCursor;
  readonly #sample: OtlpSample;

  constructor(tables: ExportTables, attributes: Attributes, layout: Layout, limits: OtlpWriteLimits) {
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
    this.#idTables = [this.#locations, this.#functions, this.#mappings, this.#strings, this.#attributes, this.#links];
    this.#functionColumns = new FunctionColumns(tables);
    this.#locationColumns = new LocationColumns(tables, layout.hasNullEntries);
    this.#stackCursor = new WireCursor(tables.bytes);
    this.#entryCursor = new WireCursor(tables.bytes);
    this.#varints = new VarintCursor(tables.bytes);
    this.#sample = new OtlpSample(tables.bytes, layout);
  }

  /** Bytes written for all pprofs so far, those that were refused meanwhile also. */
  get writtenBytes(): number {
    return this.#writtenBytes + this.#out.length;
  }

  /** Bytes of the dictionary that were read, for all pprofs so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** `samples`: where each lies, start and stop in turn. Throws a refusal of the profile. */
  write(head: ProfileHead, samples: readonly number[]): Uint8Array {
    this.#begin();
    this.#readLocationIndices(head);
    for (let i = 0; i < samples.length; i += 2) {
      const sample = this.#sample.read(samples[i]!, samples[i + 1]!);
      const frameCount = this.#layout.sample.locationsLength === 0 ? this.#stackFrames(sample.stack) : this.#slicedFrames(sample);
      this.#writeSample(head, sample, frameCount);
      checkProfileSize(this.#out.length, this.#limits);
    }
    this.#end(head);
    return this.#out.copy();
  }

  #begin(): void {
    this.#writtenBytes += this.#out.length;
    this.#out.reset();
    for (const table of this.#idTables) table.clear();
    this.#texts.clear();
    this.#labelStringCount = this.#usedMappingCount = 0;
    this.#hasFilenames = this.#hasLineNumbers = false;
    this.#stringCount = 0;
    this.#text(""); // string 0
  }

  #end(head: ProfileHead): void {
    const out = this.#out;
    for (let i = 0; i < this.#usedMappingCount; i++) this.#writeMapping(i + 1, this.#usedMappings[i]!);
    for (const { type, unit } of head.types) this.#writeType(PPROF.sampleType, type, unit);
    if (head.periodType.type !== "" || head.periodType.unit !== "") this.#writeType(PPROF.periodType, head.periodType.type, head.periodType.unit);
    out.varintField(PPROF.period, head.period);
    out.halves(PPROF.time, head.timeLow, head.timeHigh);
    out.varintField(PPROF.duration, head.durationNs);
  }

  #writeType(field: number, type: string, unit: string): void {
    const typeId = this.#text(type);
    this.#out.numbers(field, typeId, this.#text(unit)); // the text is written before the message begins
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
    out.packed(1, frames, frameCount);
    const values = out.begin(2);
    sample.putValues(scales, out);
    out.end(values);
    for (let i = 0; i < sample.attributeCount; i++) {
      const first = sample.attributes[i]!;
      if (first !== NO_LABELS) out.numbers(LABEL, labelStrings[first - 1]!, labelStrings[first]!);
    }
    if (link !== NO_LABELS) {
      out.numbers(LABEL, labelStrings[link - 1]!, labelStrings[link]!);
      if (labelStrings[link + 1] !== 0) out.numbers(LABEL, labelStrings[link + 1]!, labelStrings[link + 2]!);
    }
    out.end(at);
  }

  /** From 1.8 on a stack is an entry of the dictionary. */
  #stackFrames(index: number): number {
    const cursor = this.#enter(this.#stackCursor, "stack", this.#tables.stacks, index);
    let count = 0;
    while (cursor.next()) {
      if (cursor.field === 1 && (cursor.wire === LENGTH || cursor.wire === VARINT)) count = packedNumbers(this.#varints, cursor.start, cursor.stop, this.#frames, count);
    }
    return count;
  }

  /** In 1.7 it is a part of the profile's list of locations. */
  #slicedFrames({ stack: first, locationsLength: count }: OtlpSample): number {
    const locationCount = this.#locationIndexCount;
    if (count > 0 && first + count > locationCount) throw malformed(`a sample has locations ${first} to ${first + count - 1} of its profile's location_indices, which are ${locationCount}: send all of them`);
    for (let i = 0; i < count; i++) this.#frames[i] = this.#locationIndices[first + i]!;
    return count;
  }

  /** Read once for all services of a profile: it can name thousands of them, and have one list that is as long as the export. */
  #readLocationIndices(head: ProfileHead): void {
    if (head === this.#locationIndicesOf) return;
    this.#locationIndicesOf = undefined; // a list that is torn is left half read
    const { locationIndices: places } = head;
    let count = 0;
    for (let i = 0; i < places.length; i += 2) count = packedNumbers(this.#varints, places[i]!, places[i + 1]!, this.#locationIndices, count);
    this.#locationIndexCount = count;
    this.#locationIndicesOf = head;
  }

  // --- labels ---------------------------------------------------------------------------------------------------------

  /** One more than where the attribute's two strings stand in `#labelStrings`; NO_LABELS where it makes no label. */
  #attribute(index: number): number {
    const known = this.#attributes.get(index);
    if (known !== undefined) return known;
    this.#count("attribute", this.#tables.attributes, index);
    const { key, text } = this.#tableAttributes.at(index);
    let first = NO_LABELS;
    if (key !== "" && text !== "" && key !== SERVICE_ATTRIBUTE) first = this.#addLabelStrings(this.#text(key), this.#text(text));
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
      first = this.#addLabelStrings(this.#text("span_id"), this.#text(span));
      if (trace === "") this.#addLabelStrings(0, 0);
      else this.#addLabelStrings(this.#text("trace_id"), this.#text(trace));
    }
    this.#links.set(index, first);
    return first;
  }

  /** Returns one more than where the two stand. */
  #addLabelStrings(key: number, text: number): number {
    this.#labelStrings[this.#labelStringCount++] = key;
    this.#labelStrings[this.#labelStringCount++] = text;
    return this.#labelStringCount - 1;
  }

  // --- symbols --------------------------------------------------------------------------------------------------------

  #location(index: number): number {
    const known = this.#locations.get(index);
    if (known !== undefined) return known;
    this.#count("location", this.#tables.locations, index);
    const columns = this.#locationColumns;
    columns.read(index);
    const { lines } = columns;
    const [lineStart, lineStop] = [columns.lineStart[index]!, columns.lineStop[index]!];
    const lineFunctions = this.#lineFunctions;
    for (let i = lineStart; i < lineStop; i++) {
      lineFunctions[i - lineStart] = this.#function(lines[2 * i]!);
      if (lines[2 * i + 1] !== 0) this.#hasLineNumbers = true;
    }
    const mapping = columns.mapping[index]!;
    const mappingId = mapping === 0 ? 0 : this.#mapping(mapping - 1, lineStart < lineStop);
    const id = this.#locations.add(index);
    const out = this.#out;
    const at = out.begin(PPROF.location);
    out.number(1, id);
    out.number(2, mappingId);
    out.halves(3, columns.addressLow[index]!, columns.addressHigh[index]!);
    for (let i = lineStart; i < lineStop; i++) out.numbers(4, lineFunctions[i - lineStart]!, lines[2 * i + 1]!);
    out.end(at);
    return id;
  }

  #function(index: number): number {
    const known = this.#functions.get(index);
    if (known !== undefined) return known;
    this.#count("function", this.#tables.functions, index);
    const columns = this.#functionColumns;
    columns.read(index);
    const name = this.#string(columns.name[index]!);
    const systemName = this.#string(columns.systemName[index]!);
    const filename = this.#string(columns.filename[index]!);
    if (filename !== 0) this.#hasFilenames = true;
    const id = this.#functions.add(index);
    this.#out.numbers(PPROF.function, id, name, systemName, filename, columns.startLine[index]!);
    return id;
  }

  /** Gives the mapping an id. It is written at the end, when it is known what its functions have. */
  #mapping(index: number, hasFunctions: boolean): number {
    const key = index * 2 + Number(hasFunctions);
    const known = this.#mappings.get(key);
    if (known !== undefined) return known;
    this.#usedMappings[this.#usedMappingCount++] = key;
    return this.#mappings.add(key);
  }

  #writeMapping(id: number, key: number): void {
    const index = key >> 1;
    this.#count("mapping", this.#tables.mappings, index);
    const { start, limit, offset, filename, buildId } = this.#parsedMapping(index);
    const filenameId = this.#string(filename);
    const buildIdText = this.#text(buildId);
    const out = this.#out;
    const at = out.begin(PPROF.mapping);
    out.number(1, id);
    out.varintField(2, start);
    out.varintField(3, limit);
    out.varintField(4, offset);
    out.number(5, filenameId);
    out.number(6, buildIdText);
    if (key % 2 === 1) {
      out.number(7, 1);
      out.number(8, Number(this.#hasFilenames));
      out.number(9, Number(this.#hasLineNumbers));
    }
    out.end(at);
  }

  #parsedMapping(index: number): ParsedMapping {
    const known = this.#parsedMappings.get(index);
    if (known !== undefined) return known;
    const { mappings } = this.#tables;
    let [start, limit, offset]: (number | bigint)[] = [0, 0, 0];
    let filename = 0;
    const attributes: number[] = [];
    const cursor = this.#entryCursor.enter(mappings.startOf(index), mappings.stopOf(index));
    while (cursor.next()) {
      if (cursor.field === 5 && (cursor.wire === LENGTH || cursor.wire === VARINT)) packedNumbers(this.#varints, cursor.start, cursor.stop, attributes, attributes.length);
      else if (cursor.wire !== VARINT) continue;
      else if (cursor.field === 1) start = cursor.int64();
      else if (cursor.field === 2) limit = cursor.int64();
      else if (cursor.field === 3) offset = cursor.int64();
      else if (cursor.field === 4) filename = cursor.number;
    }
    const mapping = { start: start!, limit: limit!, offset: offset!, filename, buildId: this.#buildId(attributes) };
    if (this.#parsedMappings.size < PARSED_MAPPINGS_MAX) this.#parsedMappings.set(index, mapping);
    return mapping;
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
    return cursor.enter(table.startOf(index), table.stopOf(index));
  }

  /** Counts the bytes of an entry that the pprof needs. */
  #count(what: string, table: EntryTable, index: number): void {
    if (index >= table.count) throw outOfTable(what, index, table.count);
    this.#readBytes += table.stopOf(index) - table.startOf(index);
    if (this.#readBytes > this.#limits.readBytesMax) throw refusal("profile_size_limit", `the export has profiles that need more than ${this.#limits.readBytesMax} bytes of its dictionary: send fewer at once`);
  }

  // --- strings --------------------------------------------------------------------------------------------------------

  /** A string of the dictionary. */
  #string(index: number): number {
    const { bytes, strings } = this.#tables;
    if (index >= strings.count) throw outOfTable("string", index, strings.count);
    const known = this.#strings.get(index);
    if (known !== undefined) return known;
    const start = strings.startOf(index);
    const stop = strings.stopOf(index);
    const id = start === stop ? 0 : this.#stringCount++;
    if (id !== 0) this.#out.raw(PPROF.string, bytes, start, stop);
    this.#strings.set(index, id);
    return id;
  }

  #text(text: string): number {
    const id = this.#texts.idOf(text, this.#stringCount);
    if (id === this.#stringCount) {
      this.#stringCount++;
      this.#out.text(PPROF.string, text);
    }
    return id;
  }
}

const NO_LABELS = 0;
const TRACE_HEX_DIGITS = 32;
const SPAN_HEX_DIGITS = 16;
/** A field of a pprof's sample. */
const LABEL = 3;

/** A mapping of the dictionary. */
interface ParsedMapping {
  readonly start: number | bigint;
  readonly limit: number | bigint;
  readonly offset: number | bigint;
  /** Index of the string. */
  readonly filename: number;
  readonly buildId: string;
}

/** Mappings that are kept parsed. Most exports have fewer; beyond it a mapping is parsed for each pprof. */
const PARSED_MAPPINGS_MAX = 4096;

/** Empty for an id of zeros, which stands for none. */
function idHex(id: Uint8Array): string {
  return id.every((byte) => byte === 0) ? "" : Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex");
}
