/**
 * The outline of an export: where its resources lie, and where each entry of the dictionary does. Entries are read when a sample refers to
 * them, since a collector may send one dictionary with hundreds of profiles.
 *
 *   ExportProfilesServiceRequest   1 resource_profiles   2 dictionary
 *   ResourceProfiles               1 resource            2 scope_profiles
 *   ScopeProfiles                  1 scope               2 profiles
 *   ProfilesDictionary             1 mappings  2 locations  3 functions  4 links  5 strings  6 attributes  7 stacks (1.7: units of attributes)
 *
 * Up to OTLP 1.6 the tables lay in the request or in each profile: such an export is refused, with a sentence that says so.
 */
import { decodeUtf8 } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import { LENGTH, WireCursor } from "./wire-cursor.ts";

/** Entry i lies from `starts[i]` to `stops[i]`. */
export class EntryTable {
  readonly starts: number[] = [];
  readonly stops: number[] = [];

  get count(): number {
    return this.starts.length;
  }

  add({ start, stop }: WireCursor): void {
    this.starts.push(start);
    this.stops.push(stop);
  }
}

export interface ExportTables {
  readonly bytes: Uint8Array;
  readonly resources: EntryTable;
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

export function readTables(bytes: Uint8Array): ExportTables {
  const resources = new EntryTable();
  let dictionary: readonly [start: number, stop: number] | undefined;
  const top = new WireCursor(bytes).enter(0, bytes.length);
  while (top.next()) {
    if (top.wire !== LENGTH || top.field > 2) throw top.field >= 3 && top.field <= 8 && top.wire === LENGTH ? tooOld() : unknownField("the request", top);
    if (top.field === 1) resources.add(top);
    else if (dictionary === undefined) dictionary = [top.start, top.stop];
    else throw tooOld();
  }
  if (dictionary === undefined) {
    throw malformed("the export has no dictionary: send one, as OTLP 1.7 and later have it; senders of OTLP 1.6 or older need an upgrade");
  }
  if (resources.count === 0) throw malformed("the export has no resource_profiles: send at least one");
  const tables = Array.from({ length: 8 }, () => new EntryTable());
  const cursor = new WireCursor(bytes).enter(...dictionary);
  while (cursor.next()) {
    const table = tables[cursor.field];
    if (table === undefined || cursor.field === 0 || cursor.wire !== LENGTH) {
      // Field 2 was a table of mappings, whose first field is a number.
      throw cursor.wire === LENGTH ? unknownField("the dictionary", cursor) : tooOld();
    }
    table.add(cursor);
  }
  const [, mappings, locations, functions, links, strings, attributes, stacks] = tables;
  return { bytes, resources, mappings: mappings!, locations: locations!, functions: functions!, links: links!, strings: strings!, attributes: attributes!, stacks: stacks!, texts: new Map() };
}

export function stringAt({ bytes, strings, texts }: ExportTables, index: number): string {
  const known = texts.get(index);
  if (known !== undefined) return known;
  if (index >= strings.count) throw outOfTable("string", index, strings.count);
  const [start, stop] = [strings.starts[index]!, strings.stops[index]!];
  const text = decodeUtf8(bytes.subarray(start, stop));
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
