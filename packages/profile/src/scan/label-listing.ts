/**
 * A listing of labels: the names, the values of one name, the profile types or the label sets of the series that answer a question.
 *
 *   scan (worker) ──► partial, one run of bytes ──► merged, sorted, cut (worker) ──► printed as the reply's bytes
 *
 * What must stay true: each entry is there once, in bytewise order, and what exceeds the bounds is cut off at the end of that order. So
 * the same question gives the same entries, however the series are spread over memory and segments.
 *
 * Bounded: at twice its bounds a collector drops the entries that no answer can contain, and remembers that it did. How many entries
 * there are in all is then not known any more (`totalCount`).
 *
 * A partial travels between threads as one buffer, since the main thread pays for each object of a message:
 *
 *   u8 isCut · uvarint itemCount · per item: [series: uvarint length of its name] uvarint length of its value, in UTF-16 units
 *   · prefixed: all names and values, one after the other, as UTF-8 · series: uvarint setCount · per set: uvarint length, uvarint items
 */
import { ByteReader, ByteWriter, encodeUtf8 } from "@pyromesh/base";
import type { DatasetView } from "../dataset/dataset.ts";
import type { IdentitySet } from "./identity-set.ts";
import type { Interrupt } from "../model/interrupt.ts";
import { SERIES_STEPS, UNINTERRUPTED } from "../model/interrupt.ts";
import type { Label, Labels } from "../labels/labels.ts";
import { compareText, LABEL_PROFILE_TYPE } from "../labels/labels.ts";
import type { Matcher } from "../selector/matcher.ts";
import { matchesLabels, seriesSteps } from "../selector/matcher.ts";
import { profileTypeOf, seriesLabels, typeLabels } from "../labels/profile-type.ts";
import { liveSeries } from "./scan.ts";
import type { TimeRange } from "./scan.ts";

/** What to list. */
export type Listing =
  | { readonly kind: "names"; readonly alphabet: Alphabet }
  | { readonly kind: "values"; readonly name: string }
  /** Ids of profile types. */
  | { readonly kind: "types" }
  /** Label sets, reduced to these names (none given: to the names that the alphabet allows). A set that has none of them is no entry. */
  | { readonly kind: "series"; readonly names: readonly string[]; readonly alphabet: Alphabet };

/** `legacy`: only names of `[a-zA-Z_][a-zA-Z0-9_]*`, for readers that refuse others. */
export type Alphabet = "legacy" | "utf8";

/** 0: no bound. */
export interface ListingBounds {
  readonly entryCountMax: number;
  /** About the length of the entries in JSON; what escapes add is not counted. */
  readonly bytesMax: number;
}

export interface ListedLabels {
  /** Where entries are texts: these, as `value`. Where they are series: every label that one of them has. */
  readonly items: readonly Label[];
  /** The entries where they are series: indexes into `items`, in the order of the labels' names. */
  readonly sets: readonly Uint32Array[] | undefined;
  readonly entryCount: number;
  /** How many entries were found; undefined where some were dropped at the bounds. */
  readonly totalCount: number | undefined;
}

/** Steps of an `Interrupt` for finding a name or a value in a table of texts. */
const ITEM_STEPS = 8;

const LEGACY_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Bytes that JSON adds to an entry, or to a label of it. */
const TEXT_BYTES = `"",`.length;
const TYPE_BYTES = `{"ID":"","name":"","sampleType":"","sampleUnit":"","periodType":"","periodUnit":""},`.length;
const LABEL_BYTES = `{"name":"","value":""},`.length;
const SET_BYTES = `{"labels":[]},`.length;

export class LabelListing {
  readonly #listing: Listing;
  readonly #entryCountMax: number;
  readonly #bytesMax: number;
  readonly #isWanted: (name: string) => boolean;
  #items: Label[] = [];
  #itemBytes: number[] = [];
  /** name -> value -> index of the item. Texts have the name "". */
  #idOf = new Map<string, Map<string, number>>();
  /** The series that were found, by a key of their items' indexes in rising order. */
  #sets = new Map<string, Uint32Array>();
  #bytes = 0;
  /** When the entries take more than this, those beyond the bounds are dropped. */
  #shrinkBytes: number;
  #isCut = false;

  constructor(listing: Listing, bounds: ListingBounds) {
    this.#listing = listing;
    this.#entryCountMax = bounds.entryCountMax > 0 ? bounds.entryCountMax : Infinity;
    this.#bytesMax = bounds.bytesMax > 0 ? bounds.bytesMax : Infinity;
    this.#shrinkBytes = 2 * this.#bytesMax;
    this.#isWanted = wantedNames(listing);
  }

  /**
   * Adds every label set (with the labels of its profile type) that has a row in range, of a record that is not in `except`, and matches one of
   * the selectors (none given: every one).
   */
  scan(view: DatasetView, range: TimeRange, selectors: readonly (readonly Matcher[])[], interrupt: Interrupt = UNINTERRUPTED, except?: IdentitySet): void {
    const isLive = liveSeries(view, range, interrupt, except);
    const steps = seriesSteps(selectors);
    for (let index = 0; index < view.series.length; index++) {
      interrupt.after(SERIES_STEPS);
      if (isLive[index] === 0) continue;
      const { labels, sampleTypes, periodType } = view.series[index]!;
      for (const sampleType of sampleTypes) {
        interrupt.after(steps);
        const type = profileTypeOf(labels, sampleType, periodType);
        if (selectors.length > 0) {
          const own = seriesLabels(labels, type);
          if (!selectors.some((selector) => matchesLabels(selector, own))) continue;
        }
        this.#add(labels, typeLabels(labels, type));
      }
    }
  }

  /** Adds one label set, with the labels of its profile type. */
  addLabels(labels: Labels): void {
    this.#add(labels, []);
  }

  #add(own: Labels, ofType: readonly Label[]): void {
    const listing = this.#listing;
    switch (listing.kind) {
      case "names":
        for (const { name, value } of own) if (value !== "" && this.#isWanted(name)) this.#addText(name);
        for (const { name, value } of ofType) if (value !== "" && this.#isWanted(name)) this.#addText(name);
        break;
      case "series":
        this.#addSet(own, ofType);
        break;
      default: {
        const name = listing.kind === "types" ? LABEL_PROFILE_TYPE : listing.name;
        const value = valueOf(own, name) ?? valueOf(ofType, name);
        if (value !== undefined) this.#addText(value);
      }
    }
  }

  #addText(text: string): void {
    const countBefore = this.#items.length;
    this.#itemOf("", text);
    if (this.#items.length > countBefore) this.#grow(this.#itemBytes[countBefore]!);
  }

  #addSet(own: Labels, ofType: readonly Label[]): void {
    const ids: number[] = [];
    for (const { name, value } of own) if (value !== "" && this.#isWanted(name)) ids.push(this.#itemOf(name, value));
    for (const { name, value } of ofType) if (value !== "" && this.#isWanted(name)) ids.push(this.#itemOf(name, value));
    this.#keepSet(ids);
  }

  #keepSet(ids: number[]): void {
    if (ids.length === 0) return;
    ids.sort(byNumber);
    const key = ids.join(",");
    if (this.#sets.has(key)) return;
    this.#sets.set(key, Uint32Array.from(ids));
    this.#grow(ids.reduce((bytes, id) => bytes + this.#itemBytes[id]!, SET_BYTES));
  }

  #itemOf(name: string, value: string): number {
    let values = this.#idOf.get(name);
    if (values === undefined) this.#idOf.set(name, (values = new Map<string, number>()));
    let id = values.get(value);
    if (id !== undefined) return id;
    id = this.#items.length;
    values.set(value, id);
    this.#items.push({ name, value });
    this.#itemBytes.push(this.#bytesOf(name, value));
    return id;
  }

  #bytesOf(name: string, value: string): number {
    const valueBytes = Buffer.byteLength(value);
    switch (this.#listing.kind) {
      case "series":
        return LABEL_BYTES + Buffer.byteLength(name) + valueBytes;
      case "types":
        return TYPE_BYTES + 2 * valueBytes; // the id, and its parts once more
      default:
        return TEXT_BYTES + valueBytes;
    }
  }

  #grow(entryBytes: number): void {
    this.#bytes += entryBytes;
    if (this.entryCount > 2 * this.#entryCountMax || this.#bytes > this.#shrinkBytes) this.#shrink();
  }

  /** How many entries were found and not dropped. */
  get entryCount(): number {
    return this.#listing.kind === "series" ? this.#sets.size : this.#items.length;
  }

  get #isBeyond(): boolean {
    return this.entryCount > this.#entryCountMax || this.#bytes > this.#bytesMax;
  }

  /**
   * Drops the entries beyond the bounds, except the first of them. It stays to mark the end: without it a shorter entry that is found later
   * and comes behind it in order would be taken instead.
   */
  #shrink(): void {
    if (!this.#isBeyond) return;
    const { items, sets } = this.#sorted();
    const kept = this.#fitting(items, sets) + 1;
    if (kept >= this.entryCount) return;
    this.#items = [];
    this.#itemBytes = [];
    this.#idOf = new Map<string, Map<string, number>>();
    this.#sets = new Map<string, Uint32Array>();
    this.#bytes = 0;
    this.#isCut = true;
    if (sets === undefined) for (const { value } of items.slice(0, kept)) this.#addText(value);
    else for (const set of sets.slice(0, kept)) this.#keepSet(Array.from(set, (id) => this.#itemOf(items[id]!.name, items[id]!.value)));
    this.#shrinkBytes = Math.max(2 * this.#bytesMax, this.#bytes + this.#bytesMax); // the one that marks the end may be large by itself
  }

  /** How many of these entries, in order, are within the bounds. */
  #fitting(items: readonly Label[], sets: readonly Uint32Array[] | undefined): number {
    const sizes = items.map(({ name, value }) => this.#bytesOf(name, value));
    const entryCount = sets === undefined ? items.length : sets.length;
    let bytes = 0;
    let fitting = 0;
    while (fitting < entryCount && fitting < this.#entryCountMax) {
      if (sets === undefined) bytes += sizes[fitting]!;
      else bytes = sets[fitting]!.reduce((sum, id) => sum + sizes[id]!, bytes + SET_BYTES);
      if (bytes > this.#bytesMax) break;
      fitting++;
    }
    return fitting;
  }

  #sorted(): Pick<ListedLabels, "items" | "sets"> {
    const items: Label[] = [];
    const rank = new Uint32Array(this.#items.length);
    for (const name of sortedTexts(this.#idOf.keys())) {
      const values = this.#idOf.get(name)!; // `name` is one of its keys
      for (const value of sortedTexts(values.keys())) {
        rank[values.get(value)!] = items.length;
        items.push({ name, value });
      }
    }
    if (this.#listing.kind !== "series") return { items, sets: undefined };
    const sets = Array.from(this.#sets.values(), (set) => set.map((id) => rank[id]!).sort());
    return { items, sets: sets.sort(compareSets) };
  }

  /** Adds what another collector found for the same listing and bounds. Throws `CorruptionError` where the bytes are not such a partial. */
  add(partial: Uint8Array, interrupt: Interrupt = UNINTERRUPTED): void {
    const reader = new ByteReader(partial, "listing of labels");
    const isSeries = this.#listing.kind === "series";
    if (reader.u8() === 1) this.#isCut = true;
    const lengths = Array.from({ length: countOf(reader, isSeries ? 2 : 1) * (isSeries ? 2 : 1) }, () => reader.uvarint());
    const text = wholeUtf8.decode(reader.prefixed());
    const units = lengths.reduce((sum, length) => sum + length, 0);
    if (units !== text.length) reader.fail(`names and values of ${units} units together`, `${text.length}`);
    let at = 0;
    const next = (length: number): string => text.slice(at, (at += length));
    if (!isSeries) {
      for (const length of lengths) {
        interrupt.after(ITEM_STEPS);
        this.#addText(next(length));
      }
      return;
    }
    const items: Label[] = [];
    for (let i = 0; i < lengths.length; i += 2) {
      interrupt.after(ITEM_STEPS);
      items.push({ name: next(lengths[i]!), value: next(lengths[i + 1]!) });
    }
    // By name and value, not by index: adding one may drop items and renumber the others.
    for (let left = countOf(reader, 1); left > 0; left--) {
      interrupt.after(SERIES_STEPS);
      this.#addSet(Array.from({ length: countOf(reader, 1) }, () => itemOf(reader, items)), []);
    }
  }

  /** The entries that were found, up to the first one beyond the bounds. */
  partial(): Uint8Array {
    this.#shrink();
    const isSeries = this.#listing.kind === "series";
    const writer = new ByteWriter(1024);
    writer.u8(this.#isCut ? 1 : 0).uvarint(this.#items.length);
    const texts: string[] = [];
    for (const { name, value } of this.#items) {
      if (isSeries) writer.uvarint(name.length);
      if (isSeries) texts.push(name);
      writer.uvarint(value.length);
      texts.push(value);
    }
    writer.prefixed(encodeUtf8(texts.join("")));
    if (!isSeries) return writer.finish();
    writer.uvarint(this.#sets.size);
    for (const set of this.#sets.values()) {
      writer.uvarint(set.length);
      for (const id of set) writer.uvarint(id);
    }
    return writer.finish();
  }

  /** The first entries in order, at most `limit` of them (0: all that the bounds allow). */
  result(limit: number): ListedLabels {
    const { items, sets } = this.#sorted();
    const isBeyond = this.#isCut || this.#isBeyond;
    const fitting = isBeyond ? this.#fitting(items, sets) : this.entryCount;
    const entryCount = limit > 0 ? Math.min(limit, fitting) : fitting;
    const totalCount = isBeyond ? undefined : this.entryCount;
    if (sets === undefined) return { items: items.slice(0, entryCount), sets, entryCount, totalCount };
    return { items, sets: sets.slice(0, entryCount), entryCount, totalCount };
  }
}

/** A first name may begin with a mark of byte order: it is part of the name. */
const wholeUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A count of things that take `bytesEach` bytes or more: no more of them than are left. */
function countOf(reader: ByteReader, bytesEach: number): number {
  const count = reader.uvarint();
  if (count * bytesEach > reader.remaining) reader.fail(`at most ${reader.remaining} more bytes`, `${count} entries`);
  return count;
}

function itemOf(reader: ByteReader, items: readonly Label[]): Label {
  const id = reader.uvarint();
  return items[id] ?? reader.fail(`an item below ${items.length}`, `${id}`);
}

function wantedNames(listing: Listing): (name: string) => boolean {
  if (listing.kind === "series" && listing.names.length > 0) {
    const names = new Set(listing.names);
    return (name) => names.has(name);
  }
  const isLegacyOnly = "alphabet" in listing && listing.alphabet === "legacy";
  if (!isLegacyOnly) return () => true;
  const known = new Map<string, boolean>();
  return (name) => {
    let isWanted = known.get(name);
    // At the bound all names are forgotten, and tested again when they come.
    if (known.size > KNOWN_NAMES_MAX) known.clear();
    if (isWanted === undefined) known.set(name, (isWanted = LEGACY_NAME.test(name)));
    return isWanted;
  };
}

const KNOWN_NAMES_MAX = 10_000;

/** The value of a label; undefined where it is absent or empty. */
function valueOf(labels: readonly Label[], wanted: string): string | undefined {
  for (const { name, value } of labels) if (name === wanted && value !== "") return value;
  return undefined;
}

/** Sorts bytewise. Without surrogates JavaScript's own order is the same, and ten times faster. */
function sortedTexts(texts: Iterable<string>): string[] {
  const list = [...texts];
  return list.some((text) => SURROGATE.test(text)) ? list.sort(compareText) : list.sort();
}

const SURROGATE = /[\ud800-\udfff]/;

/** The order of `compareLabels`: label by label. Where one set is the beginning of the other, the shorter comes first. */
function compareSets(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function byNumber(a: number, b: number): number {
  return a - b;
}
