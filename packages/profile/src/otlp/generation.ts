/**
 * Which version of OTLP an export follows. The protocol is in development: fields moved, and no field says which version it is. The structure
 * does, since a number is never where a message was:
 *
 *                       1.7                     1.8              1.9              1.10, 1.11
 *   Sample              1 locations start       1 stack          1 stack          1 stack
 *                       2 locations length      2 values         2 values         2 attributes
 *                       3 values                3 attributes     3 attributes     3 link
 *                       4 attributes            4 link           4 link           4 values
 *                       5 link  6 timestamps    5 timestamps     5 timestamps     5 timestamps
 *   Profile             3 location indexes      3 time           3 time           3 time
 *                       4 time  5 duration      4 duration       4 duration       4 duration
 *                       6 period type 7 period  5 type 6 period  5 type 6 period  5 type 6 period
 *                       10 id                   8 id             7 id             7 id
 *   attribute           a name in full          index of a name  index of a name  index of a name
 *
 * The table is of packed lists; of those that are not: unpacked-sample.ts. Each field that is seen rules some versions out. Where 1.9 and 1.10 are
 * both left (samples that have only a stack, field 2 and timestamps), field 2 must be attributes if it has not one number for each timestamp, or if
 * it names attributes that nothing else does.
 * What contradicts itself, and what is still ambiguous then, is refused: a guess would store other values than were measured.
 */
import { VarintCursor } from "@pyromesh/base";
import { malformed } from "../labels/refusal.ts";
import type { EntryTable, ExportTables } from "./export-tables.ts";
import { unknownField } from "./export-tables.ts";
import { versionsOfUnpacked } from "./unpacked-sample.ts";
import { ANY, FROM_8, NONE, V10, V7, V8 } from "./version-set.ts";
import { FIXED64, LENGTH, packedNumbers, VARINT, WireCursor } from "./wire-cursor.ts";

/** Field numbers of the messages that moved; 0: the version has no such field. */
export interface Layout {
  readonly version: "1.7" | "1.8 or 1.9" | "1.10";
  readonly profile: { readonly locationIndices: number; readonly time: number; readonly duration: number; readonly periodType: number; readonly period: number };
  readonly sample: { readonly stack: number; readonly locationsLength: number; readonly values: number; readonly attributes: number; readonly link: number; readonly timestamps: number };
  /** False: entry 0 of a table is an entry like the others. True: it stands for none. */
  readonly hasNullEntries: boolean;
}

export const LAYOUT_1_7: Layout = {
  version: "1.7",
  profile: { locationIndices: 3, time: 4, duration: 5, periodType: 6, period: 7 },
  sample: { stack: 1, locationsLength: 2, values: 3, attributes: 4, link: 5, timestamps: 6 },
  hasNullEntries: false,
};
const PROFILE_1_8 = { locationIndices: 0, time: 3, duration: 4, periodType: 5, period: 6 };
const LAYOUT_1_8: Layout = {
  version: "1.8 or 1.9",
  profile: PROFILE_1_8,
  sample: { stack: 1, locationsLength: 0, values: 2, attributes: 3, link: 4, timestamps: 5 },
  hasNullEntries: true,
};
export const LAYOUT_1_10: Layout = {
  version: "1.10",
  profile: PROFILE_1_8,
  sample: { stack: 1, locationsLength: 0, values: 4, attributes: 2, link: 3, timestamps: 5 },
  hasNullEntries: true,
};

/** Which versions a field of that number and wire type leaves. Fields that are not listed belong to no version. */
type Evidence = ReadonlyMap<number, number>;

function key(field: number, wire: number): number {
  return field * 8 + wire;
}

const OF_SAMPLE: Evidence = new Map([
  [key(1, VARINT), ANY],
  [key(2, VARINT), V7],
  [key(2, LENGTH), FROM_8],
  [key(3, VARINT), V10],
  [key(3, LENGTH), V7 | V8],
  [key(4, VARINT), V8],
  [key(4, LENGTH), V7 | V10],
  [key(5, VARINT), V7],
  [key(5, LENGTH), FROM_8],
  [key(6, LENGTH), V7],
]);

const OF_PROFILE: Evidence = new Map([
  [key(1, LENGTH), ANY],
  [key(2, LENGTH), ANY],
  [key(3, VARINT), V7],
  [key(3, LENGTH), V7],
  [key(3, FIXED64), FROM_8],
  [key(4, VARINT), ANY],
  [key(5, VARINT), V7],
  [key(5, LENGTH), FROM_8],
  [key(6, LENGTH), V7],
  [key(6, VARINT), FROM_8],
  [key(7, VARINT), V7],
  [key(7, LENGTH), FROM_8], // 1.8: comments; from 1.9 on: the id
  [key(8, LENGTH), V7 | V8],
  [key(8, VARINT), FROM_8],
  [key(9, VARINT), V7 | V8],
  [key(9, LENGTH), FROM_8],
  [key(10, LENGTH), ANY],
  [key(11, VARINT), V7],
  [key(11, LENGTH), FROM_8],
  [key(12, LENGTH), V7 | V8],
  [key(13, LENGTH), V7],
  [key(14, LENGTH), V7],
]);

/** From 1.9 on the attributes of a profile. */
const PROFILE_ATTRIBUTES = 11;

/** A type of values had an aggregation temporality up to 1.8. */
const OF_VALUE_TYPE: Evidence = new Map([
  [key(1, VARINT), ANY],
  [key(2, VARINT), ANY],
  [key(3, VARINT), V7 | V8],
]);

/** Throws a refusal. */
export function layoutOf(tables: ExportTables): Layout {
  const seen = new VersionSearch(tables);
  seen.dictionary();
  if (!seen.isDecided) seen.profiles();
  return seen.layout();
}

class VersionSearch {
  readonly #tables: ExportTables;
  #left = ANY;
  #hasSamples = false;
  /** The numbers in field 2 of samples that 1.9 and 1.10 would read differently. */
  readonly #disputed = new Set<number>();
  /** Attributes that profiles have themselves. */
  readonly #ofProfiles = new Set<number>();
  /** A sample has lists that are not packed, and 1.9 and 1.10 would read them differently. */
  #isUnpackedDisputed = false;

  constructor(tables: ExportTables) {
    this.#tables = tables;
  }

  get isDecided(): boolean {
    return this.#left === V7 || this.#left === V8 || this.#left === V10;
  }

  /** The first entry of two tables says whether the export is of 1.7. */
  dictionary(): void {
    const { bytes, attributes, stacks } = this.#tables;
    const cursor = new WireCursor(bytes);
    const named = firstEntry(attributes, (start) => bytes[start]! >> 3 !== 2);
    if (named >= 0) {
      cursor.enter(attributes.startOf(named), attributes.stopOf(named)).next();
      this.#leave(cursor.wire === LENGTH ? V7 : FROM_8);
    }
    const filled = firstEntry(stacks, () => true);
    if (filled >= 0) this.#leave(versionsOfStack(cursor.enter(stacks.startOf(filled), stacks.stopOf(filled))));
  }

  /** Reads profiles and samples until one version is left. */
  profiles(): void {
    const { bytes } = this.#tables;
    const [resource, scope, profile, inner, sample] = Array.from({ length: 5 }, () => new WireCursor(bytes)) as [WireCursor, WireCursor, WireCursor, WireCursor, WireCursor];
    const request = new WireCursor(bytes).enter(0, bytes.length);
    while (request.next()) {
      if (request.field !== 1) continue;
      resource.enter(request.start, request.stop);
      while (resource.next()) {
        if (resource.field !== 2 || resource.wire !== LENGTH) continue;
        scope.enter(resource.start, resource.stop);
        while (scope.next()) {
          if (scope.field !== 2 || scope.wire !== LENGTH) continue;
          // The profile's own fields first: a sample without values looks like one of another version.
          profile.enter(scope.start, scope.stop);
          while (profile.next()) {
            this.#leaveBy(OF_PROFILE, "a profile", profile);
            if (profile.field === PROFILE_ATTRIBUTES && profile.wire === LENGTH) this.#attributesOfProfile(profile);
            if (profile.field !== 1) continue;
            inner.enter(profile.start, profile.stop);
            while (inner.next()) this.#leaveBy(OF_VALUE_TYPE, "a sample type", inner);
          }
          if (this.isDecided) return;
          profile.enter(scope.start, scope.stop);
          while (profile.next()) {
            if (profile.field === 2) this.#sample(sample, profile);
            if (this.isDecided) return;
          }
        }
      }
    }
  }

  /** In 1.8 the field is the original payload. Read as numbers it can only leave an export ambiguous, which is refused, and never misread. */
  #attributesOfProfile({ start, stop }: WireCursor): void {
    const { bytes, attributes } = this.#tables;
    const varints = new VarintCursor(bytes, start, stop);
    for (let number = varints.next(); number >= 0; number = varints.next()) if (number < attributes.count) this.#ofProfiles.add(number);
  }

  #sample(sample: WireCursor, { start, stop }: WireCursor): void {
    this.#hasSamples = true;
    const unpacked = versionsOfUnpacked(this.#tables, sample.enter(start, stop));
    if (unpacked !== NONE) {
      if ((unpacked & FROM_8) === FROM_8) this.#isUnpackedDisputed = true;
      return this.#leave(unpacked);
    }
    sample.enter(start, stop);
    let [numberBytes, timestampBytes, hasOthers] = [0, 0, false];
    while (sample.next()) {
      this.#leaveBy(OF_SAMPLE, "a sample", sample);
      if (sample.field === 2) numberBytes += sample.stop - sample.start;
      else if (sample.field === 5) timestampBytes += sample.stop - sample.start;
      else if (sample.field !== 1) hasOthers = true;
    }
    if (this.isDecided || hasOthers || numberBytes === 0) return;
    // Only a stack, field 2, and perhaps timestamps.
    if (timestampBytes === 0) return this.#leave(V8); // attributes alone are no sample
    const numbers: number[] = [];
    addNumbers(sample.enter(start, stop), 2, new VarintCursor(this.#tables.bytes), numbers);
    if (numbers.length * 8 !== timestampBytes) return this.#leave(V10);
    const attributeCount = this.#tables.attributes.count;
    if (numbers.some((number) => number === 0 || number >= attributeCount)) return this.#leave(V8);
    for (const number of numbers) this.#disputed.add(number);
  }

  #leaveBy(evidence: Evidence, where: string, cursor: WireCursor): void {
    const versions = evidence.get(key(cursor.field, cursor.wire));
    if (versions === undefined) throw unknownField(where, cursor);
    this.#leave(versions);
  }

  #leave(versions: number): void {
    this.#left &= versions;
    if (this.#left === NONE) {
      throw malformed("the export mixes fields of several versions of OTLP profiles: send all of it in one version, 1.7 or later");
    }
  }

  layout(): Layout {
    const left = this.#left;
    if (left === V7) return LAYOUT_1_7;
    if (left === V8) return LAYOUT_1_8;
    // Without samples, or with timestamps alone, the versions from 1.8 on are read alike.
    if (left === V10 || !this.#hasSamples || (left === FROM_8 && this.#disputed.size === 0 && !this.#isUnpackedDisputed)) return LAYOUT_1_10;
    if (left === FROM_8 && this.#explainsAttributes()) return LAYOUT_1_10;
    throw malformed(
      "the export does not tell which version of OTLP profiles it follows: field 2 of its samples may be values (1.8, 1.9) or attributes (1.10); send values with the samples, or upgrade the sender",
    );
  }

  /** Whether the disputed numbers name attributes that nothing else refers to: senders put no attribute into the table that nothing has. */
  #explainsAttributes(): boolean {
    const { bytes, mappings, locations, attributes } = this.#tables;
    const others = new Set(this.#ofProfiles);
    const cursor = new WireCursor(bytes);
    const varints = new VarintCursor(bytes);
    for (const [table, field] of [[mappings, 5], [locations, 4]] as const) {
      for (let i = 0; i < table.count; i++) {
        const numbers: number[] = [];
        addNumbers(cursor.enter(table.startOf(i), table.stopOf(i)), field, varints, numbers);
        // Of those in the table alone: whoever sends an export could choose others that all collide in the hash table.
        for (const number of numbers) if (number < attributes.count) others.add(number);
      }
    }
    let unexplained = 0;
    let explained = 0;
    for (let i = 1; i < attributes.count; i++) {
      if (others.has(i)) continue;
      if (this.#disputed.has(i)) explained++;
      else unexplained++;
    }
    return explained > 0 && unexplained === 0;
  }
}

/** Of an entry of the dictionary's field 7: a unit has two numbers in 1.7, and a stack one list. A list of one number that is not packed may be either. */
function versionsOfStack(cursor: WireCursor): number {
  let count = 0;
  for (; cursor.next(); count++) {
    if (cursor.field !== 1) return V7;
    if (cursor.wire === LENGTH) return FROM_8;
  }
  return count > 1 ? FROM_8 : ANY;
}

/** Adds the numbers of the list in field `field` of the message at `cursor`, which it moves to the message's end. */
function addNumbers(cursor: WireCursor, field: number, varints: VarintCursor, numbers: number[]): void {
  while (cursor.next()) {
    if (cursor.field === field && (cursor.wire === LENGTH || cursor.wire === VARINT)) packedNumbers(varints, cursor.start, cursor.stop, numbers, numbers.length);
  }
}

/** The first entry that is not empty and begins as asked; -1: there is none. */
function firstEntry(table: EntryTable, begins: (start: number) => boolean): number {
  for (let i = 0; i < table.count; i++) if (table.startOf(i) < table.stopOf(i) && begins(table.startOf(i))) return i;
  return -1;
}
