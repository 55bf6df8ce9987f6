/**
 * Functions and locations of the dictionary as columns. An entry is parsed when a pprof first needs it, and once for all pprofs of the export: profiles of one
 * program, or of one machine's kernel, share most of theirs.
 *
 * What must stay true: whatever an entry that was parsed refers to is in its table. Memory is 21 bytes for a location, 17 for a function and 8 for a line, of which the
 * system gives only the pages that are written; DICTIONARY_ENTRIES_MAX bounds both.
 */
import type { EntryTable, ExportTables } from "./export-tables.ts";
import { DICTIONARY_ENTRIES_MAX, outOfTable, tooManyEntries } from "./export-tables.ts";
import { LENGTH, VARINT, WireCursor } from "./wire-cursor.ts";

/** Line numbers are int64; larger ones and negative ones are none. */
const LINE_MAX = 2 ** 31;

/** Each column is by the index of the function, and valid once `read` was called with it. */
export class FunctionColumns {
  readonly name: Uint32Array;
  readonly systemName: Uint32Array;
  readonly filename: Uint32Array;
  readonly startLine: Uint32Array;
  readonly #isRead: Uint8Array;
  readonly #table: EntryTable;
  readonly #stringCount: number;
  readonly #cursor: WireCursor;

  constructor({ bytes, functions, strings }: ExportTables) {
    const { count } = functions;
    this.#table = functions;
    this.#stringCount = strings.count;
    this.#cursor = new WireCursor(bytes);
    this.name = new Uint32Array(count);
    this.systemName = new Uint32Array(count);
    this.filename = new Uint32Array(count);
    this.startLine = new Uint32Array(count);
    this.#isRead = new Uint8Array(count);
  }

  /** The caller knows the index to be in the table. Throws a refusal of the profile. */
  read(index: number): void {
    if (this.#isRead[index] === 0) this.#parse(index);
  }

  #parse(index: number): void {
    let name = 0;
    let systemName = 0;
    let filename = 0;
    let startLine = 0;
    const cursor = this.#cursor.enter(this.#table.startOf(index), this.#table.stopOf(index));
    while (cursor.next()) {
      if (cursor.wire !== VARINT) continue;
      const { number } = cursor;
      if (cursor.field === 1) name = number;
      else if (cursor.field === 2) systemName = number;
      else if (cursor.field === 3) filename = number;
      else if (cursor.field === 4 && number <= LINE_MAX) startLine = number;
    }
    this.name[index] = this.#string(name);
    this.systemName[index] = this.#string(systemName);
    this.filename[index] = this.#string(filename);
    this.startLine[index] = startLine;
    this.#isRead[index] = 1;
  }

  #string(index: number): number {
    if (index >= this.#stringCount) throw outOfTable("string", index, this.#stringCount);
    return index;
  }
}

/** There is room at first for a line of each location, and so many more. */
const LINES_MIN = 64;

/** Each column is by the index of the location, and valid once `read` was called with it. */
export class LocationColumns {
  /** One more than the index of the mapping; 0: none. */
  readonly mapping: Uint32Array;
  readonly addressLow: Uint32Array;
  readonly addressHigh: Uint32Array;
  readonly lineStart: Uint32Array;
  readonly lineStop: Uint32Array;
  /** Line i of all: the function in `lines[2 * i]`, and the number. */
  lines: Uint32Array;
  #lineCount = 0;
  readonly #isRead: Uint8Array;
  readonly #tables: ExportTables;
  readonly #hasNullEntries: boolean;
  readonly #cursor: WireCursor;
  readonly #lineCursor: WireCursor;

  constructor(tables: ExportTables, hasNullEntries: boolean) {
    const { count } = tables.locations;
    this.#tables = tables;
    this.#hasNullEntries = hasNullEntries;
    this.#cursor = new WireCursor(tables.bytes);
    this.#lineCursor = new WireCursor(tables.bytes);
    this.mapping = new Uint32Array(count);
    this.addressLow = new Uint32Array(count);
    this.addressHigh = new Uint32Array(count);
    this.lineStart = new Uint32Array(count);
    this.lineStop = new Uint32Array(count);
    this.lines = new Uint32Array(2 * (count + LINES_MIN));
    this.#isRead = new Uint8Array(count);
  }

  /** The caller knows the index to be in the table. Throws a refusal of the profile. */
  read(index: number): void {
    if (this.#isRead[index] === 0) this.#parse(index);
  }

  #parse(index: number): void {
    const { locations, mappings } = this.#tables;
    let mapping = this.#hasNullEntries ? 0 : -1;
    const lineStart = this.#lineCount;
    const cursor = this.#cursor.enter(locations.startOf(index), locations.stopOf(index));
    try {
      while (cursor.next()) {
        if (cursor.field === 1 && cursor.wire === VARINT) mapping = cursor.number;
        else if (cursor.field === 2 && cursor.wire === VARINT) {
          this.addressLow[index] = cursor.low();
          this.addressHigh[index] = cursor.high();
        } else if (cursor.field === 3 && cursor.wire === LENGTH) this.#addLine(cursor.start, cursor.stop);
      }
      if (mapping >= mappings.count && !(mapping === 0 && this.#hasNullEntries)) throw outOfTable("mapping", mapping, mappings.count);
    } catch (thrown) {
      this.#lineCount = lineStart;
      throw thrown;
    }
    this.mapping[index] = mapping < 0 || (mapping === 0 && this.#hasNullEntries) ? 0 : mapping + 1;
    this.lineStart[index] = lineStart;
    this.lineStop[index] = this.#lineCount;
    this.#isRead[index] = 1;
  }

  /** A line of no function says nothing. */
  #addLine(start: number, stop: number): void {
    let called = 0;
    let number = 0;
    const cursor = this.#lineCursor.enter(start, stop);
    while (cursor.next()) {
      if (cursor.wire !== VARINT) continue;
      if (cursor.field === 1) called = cursor.number;
      else if (cursor.field === 2) number = cursor.number;
    }
    if (called === 0 && this.#hasNullEntries) return;
    const { functions } = this.#tables;
    if (called >= functions.count) throw outOfTable("function", called, functions.count);
    const at = 2 * this.#lineCount++;
    if (this.#lineCount > DICTIONARY_ENTRIES_MAX) throw tooManyEntries("lines");
    if (at === this.lines.length) {
      const grown = new Uint32Array(2 * at);
      grown.set(this.lines);
      this.lines = grown;
    }
    this.lines[at] = called;
    this.lines[at + 1] = number > LINE_MAX ? 0 : number; // a negative one
  }
}
