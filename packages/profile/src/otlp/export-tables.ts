/**
 * The outline of an export: where its dictionary's entries lie. Entries are read when a sample refers to them, since a collector may send one
 * dictionary with hundreds of profiles.
 *
 *   ExportProfilesServiceRequest   1 resource_profiles   2 dictionary
 *   ResourceProfiles               1 resource            2 scope_profiles
 *   ScopeProfiles                  1 scope               2 profiles
 *   ProfilesDictionary             1 mappings  2 locations  3 functions  4 links  5 strings  6 attributes  7 stacks (1.7: units of attributes)
 *
 * Up to OTLP 1.6 the tables lay in the request or in each profile: such an export is refused, with a sentence that says so.
 */
import { malformed, refusal } from "../labels/refusal.ts";
import { textOf } from "./text-cache.ts";
import { LENGTH, WireCursor } from "./wire-cursor.ts";

/**
 * Entries of all tables together, and lines of all locations. An entry takes two bytes of the export or more, and up to 48 bytes of memory once a pprof needed
 * it. The entries that profilers send take 16 bytes of the export and more, so that the largest export that is taken (16 MiB) has half as many. Beyond the bound the export is
 * refused, and beyond that of lines the profile.
 */
export const DICTIONARY_ENTRIES_MAX: number = 2 ** 21;

export class EntryTable {
  readonly count: number;
  /** Entry i lies from `places[2 * i]` to `places[2 * i + 1]`. */
  readonly places: Uint32Array;

  constructor(count: number) {
    this.count = count;
    this.places = new Uint32Array(2 * count);
  }

  startOf(index: number): number {
    return this.places[2 * index]!;
  }

  stopOf(index: number): number {
    return this.places[2 * index + 1]!;
  }
}

export interface ExportTables {
  readonly bytes: Uint8Array;
  readonly mappings: EntryTable;
  readonly locations: EntryTable;
  readonly functions: EntryTable;
  readonly links: EntryTable;
  readonly strings: EntryTable;
  readonly attributes: EntryTable;
  /** Field 7 of the dictionary. */
  readonly stacks: EntryTable;
  /** Strings of the table that were decoded before, by index. */
  readonly texts: Map<number, string>;
}

/** Decoded strings that are kept. Types and names of attributes are few; beyond it a string is decoded each time, unless it is long. */
const TEXTS_MAX = 4096;

/** What is longer is kept however many are: an export can hold few of them, and refer to each a million times. */
export const DECODED_AGAIN_BYTES_MAX = 256;

/** Of the dictionary's fields. Field 0 is none. */
const TABLE_COUNT = 8;

/** Throws a refusal of the export. */
export function readTables(bytes: Uint8Array): ExportTables {
  let hasResources = false;
  let dictionary: readonly [start: number, stop: number] | undefined;
  const cursor = new WireCursor(bytes).enter(0, bytes.length);
  while (cursor.next()) {
    if (cursor.wire !== LENGTH || cursor.field === 0 || cursor.field > 2) throw cursor.field >= 3 && cursor.field <= 8 && cursor.wire === LENGTH ? tooOld() : unknownField("the request", cursor);
    if (cursor.field === 1) hasResources = true;
    else if (dictionary === undefined) dictionary = [cursor.start, cursor.stop];
    else throw tooOld();
  }
  if (dictionary === undefined) {
    throw malformed("the export has no dictionary: send one, as OTLP 1.7 and later have it; senders of OTLP 1.6 or older need an upgrade");
  }
  if (!hasResources) throw malformed("the export has no resource_profiles: send at least one");
  // Counted before memory is made for them.
  const counts = entryCounts(cursor.enter(...dictionary));
  const tables = counts.map((count) => new EntryTable(count));
  const filled = new Uint32Array(TABLE_COUNT);
  cursor.enter(...dictionary);
  while (cursor.next()) {
    const { places } = tables[cursor.field]!;
    const at = filled[cursor.field]!;
    places[at] = cursor.start;
    places[at + 1] = cursor.stop;
    filled[cursor.field] = at + 2;
  }
  const [, mappings, locations, functions, links, strings, attributes, stacks] = tables;
  return { bytes, mappings: mappings!, locations: locations!, functions: functions!, links: links!, strings: strings!, attributes: attributes!, stacks: stacks!, texts: new Map() };
}

/** By field of the dictionary. */
function entryCounts(cursor: WireCursor): number[] {
  const counts = new Array<number>(TABLE_COUNT).fill(0);
  let count = 0;
  while (cursor.next()) {
    const { field } = cursor;
    if (field === 0 || field >= TABLE_COUNT || cursor.wire !== LENGTH) {
      // Field 2 was a table of mappings, whose first field is a number.
      throw cursor.wire === LENGTH ? unknownField("the dictionary", cursor) : tooOld();
    }
    counts[field]!++;
    if (++count > DICTIONARY_ENTRIES_MAX) throw tooManyEntries("entries");
  }
  return counts;
}

/** `entries`, or what else the bound holds for. */
export function tooManyEntries(what: string): Error {
  return refusal("profile_size_limit", `the dictionary of the export has more than ${DICTIONARY_ENTRIES_MAX} ${what}: send fewer profiles at once`);
}

export function stringAt({ bytes, strings, texts }: ExportTables, index: number): string {
  const known = texts.get(index);
  if (known !== undefined) return known;
  if (index >= strings.count) throw outOfTable("string", index, strings.count);
  const [start, stop] = [strings.startOf(index), strings.stopOf(index)];
  const text = textOf(bytes, start, stop);
  if (texts.size < TEXTS_MAX || stop - start > DECODED_AGAIN_BYTES_MAX) texts.set(index, text);
  return text;
}

export function outOfTable(what: string, index: number, count: number): Error {
  return malformed(`it refers to ${what} ${index}, and the dictionary has ${count}: send the whole dictionary`);
}

function tooOld(): Error {
  return malformed("the export has its tables outside of a dictionary, as OTLP 1.6 and older had them: upgrade the sender to OTLP 1.7 or later");
}

export function unknownField(where: string, { field, wire }: WireCursor): Error {
  return malformed(`${where} has a field ${field} of wire type ${wire}, which no known version of OTLP profiles (1.7 to 1.11) has there: nothing was stored of it, since it may be misread`);
}
