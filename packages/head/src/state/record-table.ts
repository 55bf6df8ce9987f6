/**
 * What the head knows of each record that it holds, without the record's bytes: one row of 72 bytes, found by seq.
 *
 *   | timeMs f64 | commit f64 | fingerprint u64 | identity 16 | entryBytes u32 | recordBytes u32 | sampleCount u32 | sum u32 |
 *   | names u32 | stores u32 | run u32 | rank u32 |
 *
 * Rows lie in pages of 256 seqs each. A page goes with its last row, so a record that stays for long keeps 18 KiB at most. Names and
 * store lists are shared by many rows and kept once. There is no object for a record: a head of small records holds several 100,000.
 */
import { assert } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { STORE_ID_BYTES } from "../entries/meta-entry.ts";
import { STORE_COUNT_MAX } from "../entries/record-entry.ts";
import type { RecordPlace } from "../entries/record-entry.ts";
import { hashOfWords } from "./identity-hash.ts";
import { Interned } from "./interned.ts";

/** What a row is made of. */
export interface NewRow {
  readonly record: EncodedRecord;
  readonly place: RecordPlace;
  /** What it takes in the store. */
  readonly entryBytes: number;
  /** The checksum of its entry, which its commit's sum is made of. */
  readonly sum: number;
  /** The number of its commit; not 0. */
  readonly commit: number;
}

export interface Names {
  readonly tenant: string;
  readonly service: string;
}

export class RecordTable {
  readonly #pages = new Map<number, Page>();
  readonly #names = new Interned<Names>();
  readonly #stores = new Interned<readonly Uint8Array[]>();
  /** The names and stores of the last row that was added: mostly the next one has the same. */
  #last: { readonly names: Names; readonly namesIndex: number; readonly stores: readonly Uint8Array[]; readonly storesIndex: number } | undefined;
  #size = 0;
  /** How many rows there are with a list of this many stores. */
  readonly #countByStores = new Uint32Array(STORE_COUNT_MAX + 1);

  /** Count of rows. */
  get size(): number {
    return this.#size;
  }

  /** Length of the shortest list of stores; undefined where there is no row. */
  get storeCountMin(): number | undefined {
    const shortest = this.#countByStores.findIndex((count) => count > 0);
    return shortest < 0 ? undefined : shortest;
  }

  /** `run`: see `RecordStats`. */
  add(seq: number, row: NewRow, run: number): void {
    const number = Math.floor(seq / PAGE_ROWS);
    let page = this.#pages.get(number);
    if (page === undefined) this.#pages.set(number, (page = new Page()));
    const index = seq % PAGE_ROWS;
    assert(page.f64[index * ROW_F64 + COMMIT] === 0, "a seq is given once");
    const { record, place } = row;
    const f64At = index * ROW_F64;
    page.f64[f64At + TIME] = record.timeMs;
    page.f64[f64At + COMMIT] = row.commit;
    page.u64[f64At + FINGERPRINT] = record.fingerprint;
    page.bytes.set(record.identity, index * ROW_BYTES + IDENTITY);
    const u32At = index * ROW_U32;
    page.u32[u32At + ENTRY_BYTES] = row.entryBytes;
    page.u32[u32At + RECORD_BYTES] = record.bytes.length;
    page.u32[u32At + SAMPLE_COUNT] = record.sampleCount;
    page.u32[u32At + SUM] = row.sum;
    page.u32[u32At + RUN] = run;
    page.u32[u32At + RANK] = place.rank;
    this.#shareNames(page, u32At, record, place.stores);
    this.#countByStores[place.stores.length]!++;
    page.count++;
    this.#size++;
  }

  /** `row` shows nothing after that. */
  remove({ page, index, seq }: Row): void {
    assert(page.f64[index * ROW_F64 + COMMIT] !== 0, "what is removed is there");
    const u32At = index * ROW_U32;
    this.#names.drop(page.u32[u32At + NAMES]!);
    this.#countByStores[this.#stores.at(page.u32[u32At + STORES]!).length]!--;
    this.#stores.drop(page.u32[u32At + STORES]!);
    this.#last = undefined; // its indexes may be others' from now on
    page.f64[index * ROW_F64 + COMMIT] = 0;
    page.count--;
    this.#size--;
    if (page.count === 0) this.#pages.delete(Math.floor(seq / PAGE_ROWS));
  }

  /** The lists of stores, with how many rows have each. */
  storeLists(): { readonly stores: readonly Uint8Array[]; readonly recordCount: number }[] {
    return Array.from(this.#stores.each(), ({ value, useCount }) => ({ stores: value, recordCount: useCount }));
  }

  /** The smallest seq of a row; undefined: there is none. */
  get firstSeq(): number | undefined {
    let least = Infinity;
    for (const number of this.#pages.keys()) if (number < least) least = number;
    const page = this.#pages.get(least);
    if (page === undefined) return undefined;
    for (let index = 0; index < PAGE_ROWS; index++) if (page.f64[index * ROW_F64 + COMMIT] !== 0) return least * PAGE_ROWS + index;
    return undefined;
  }

  /** Whether the row of `seq`, which is there, has this identity. */
  hasIdentity(seq: number, identity: Uint8Array): boolean {
    const page = this.#pages.get(Math.floor(seq / PAGE_ROWS));
    if (page === undefined) return false;
    const at = (seq % PAGE_ROWS) * ROW_BYTES + IDENTITY;
    for (let index = 0; index < IDENTITY_BYTES; index++) if (page.bytes[at + index] !== identity[index]) return false;
    return true;
  }

  /** Undefined where there is none. */
  at(seq: number): Row | undefined {
    const page = this.#pages.get(Math.floor(seq / PAGE_ROWS));
    const index = seq % PAGE_ROWS;
    if (page === undefined || page.f64[index * ROW_F64 + COMMIT] === 0) return undefined;
    return new Row(this.#names, this.#stores).moveTo(page, index, seq);
  }

  /** The rows of these seqs, all of which are there. It gives the same object each time, as `rows`; the row may be removed. */
  *rowsOf(seqs: readonly number[]): Generator<Row, void> {
    const row = new Row(this.#names, this.#stores);
    let number = -1;
    let page: Page | undefined;
    for (const seq of seqs) {
      const ofSeq = Math.floor(seq / PAGE_ROWS);
      if (ofSeq !== number) page = this.#pages.get((number = ofSeq));
      const index = seq % PAGE_ROWS;
      assert(page !== undefined && page.f64[index * ROW_F64 + COMMIT] !== 0, "the row is there");
      yield row.moveTo(page, index, seq);
    }
  }

  /** Count of rows from `fromSeq` to `toSeq`, both inclusive. */
  countOf(fromSeq: number, toSeq: number): number {
    let count = 0;
    for (let seq = fromSeq; seq <= toSeq; ) {
      const number = Math.floor(seq / PAGE_ROWS);
      const page = this.#pages.get(number);
      const end = Math.min(toSeq, (number + 1) * PAGE_ROWS - 1);
      for (; page !== undefined && seq <= end; seq++) if (page.f64[(seq % PAGE_ROWS) * ROW_F64 + COMMIT] !== 0) count++;
      seq = end + 1;
    }
    return count;
  }

  /** All rows from `fromSeq` to `toSeq`, both inclusive, in order. It gives the same object each time, on the next row: copy what is kept. */
  *rows(fromSeq: number, toSeq: number): Generator<Row, void> {
    const row = new Row(this.#names, this.#stores);
    for (const number of this.#pageNumbers(Math.floor(fromSeq / PAGE_ROWS), Math.floor(toSeq / PAGE_ROWS))) {
      const page = this.#pages.get(number);
      if (page === undefined) continue; // it went meanwhile
      const first = number * PAGE_ROWS;
      for (let index = Math.max(0, fromSeq - first); index < PAGE_ROWS && first + index <= toSeq; index++) {
        if (page.f64[index * ROW_F64 + COMMIT] !== 0) yield row.moveTo(page, index, first + index);
      }
    }
  }

  /** The numbers of the existing pages in a range, in order. It need not count from 0: the seqs of an old store begin far above. */
  #pageNumbers(from: number, to: number): number[] {
    if (to - from < this.#pages.size) return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
    return [...this.#pages.keys()].filter((number) => from <= number && number <= to).sort((a, b) => a - b);
  }

  #shareNames(page: Page, u32At: number, { tenant, service }: Names, given: readonly Uint8Array[]): void {
    const last = this.#last;
    let namesIndex: number;
    if (last?.names.tenant === tenant && last.names.service === service) this.#names.useAgain((namesIndex = last.namesIndex));
    else namesIndex = this.#names.use(`${tenant}/${service}`, () => ({ tenant, service })); // a tenant id holds no slash
    let storesIndex: number;
    if (last !== undefined && areSameStores(last.stores, given)) this.#stores.useAgain((storesIndex = last.storesIndex));
    else storesIndex = this.#stores.use(storesKeyOf(given), () => given.map((storeId) => Uint8Array.from(storeId)));
    if (last?.namesIndex !== namesIndex || last.storesIndex !== storesIndex) {
      this.#last = { names: this.#names.at(namesIndex), namesIndex, stores: this.#stores.at(storesIndex), storesIndex };
    }
    page.u32[u32At + NAMES] = namesIndex;
    page.u32[u32At + STORES] = storesIndex;
  }
}

/** One row, read where it lies. */
export class Row {
  readonly #names: Interned<Names>;
  readonly #stores: Interned<readonly Uint8Array[]>;
  /** Where it lies. */
  page!: Page; // `moveTo` follows the constructor
  index = 0;
  seq = 0;

  constructor(names: Interned<Names>, stores: Interned<readonly Uint8Array[]>) {
    this.#names = names;
    this.#stores = stores;
  }

  moveTo(page: Page, index: number, seq: number): this {
    this.page = page;
    this.index = index;
    this.seq = seq;
    return this;
  }

  get timeMs(): number {
    return this.page.f64[this.index * ROW_F64 + TIME]!;
  }
  get commit(): number {
    return this.page.f64[this.index * ROW_F64 + COMMIT]!;
  }
  get fingerprint(): bigint {
    return this.page.u64[this.index * ROW_F64 + FINGERPRINT]!;
  }
  get entryBytes(): number {
    return this.#u32(ENTRY_BYTES);
  }
  get recordBytes(): number {
    return this.#u32(RECORD_BYTES);
  }
  get sampleCount(): number {
    return this.#u32(SAMPLE_COUNT);
  }
  get sum(): number {
    return this.#u32(SUM);
  }
  get rank(): number {
    return this.#u32(RANK);
  }
  get run(): number {
    return this.#u32(RUN);
  }
  set run(run: number) {
    this.page.u32[this.index * ROW_U32 + RUN] = run;
  }
  /** The same number for the same tenant and service, for as long as a row has them. */
  get namesIndex(): number {
    return this.#u32(NAMES);
  }
  get tenant(): string {
    return this.#names.at(this.namesIndex).tenant;
  }
  get service(): string {
    return this.#names.at(this.namesIndex).service;
  }
  get stores(): readonly Uint8Array[] {
    return this.#stores.at(this.#u32(STORES));
  }
  /** Equals `identityHash` of the record's identity. */
  get identityHash(): number {
    return hashOfWords(this.#u32(IDENTITY / 4), this.#u32(IDENTITY / 4 + 1), this.#u32(IDENTITY / 4 + 2), this.#u32(IDENTITY / 4 + 3));
  }
  /** A copy. */
  get identity(): Uint8Array {
    const at = this.index * ROW_BYTES + IDENTITY;
    return this.page.bytes.slice(at, at + IDENTITY_BYTES);
  }
  /** Copies the four words of the identity and the two of the fingerprint. */
  copyWords(identities: Uint32Array, identityAt: number, fingerprints: Uint32Array, fingerprintAt: number): void {
    const from = this.index * ROW_U32;
    const { u32 } = this.page;
    for (let word = 0; word < IDENTITY_BYTES / 4; word++) identities[identityAt + word] = u32[from + IDENTITY / 4 + word]!;
    fingerprints[fingerprintAt] = u32[from + FINGERPRINT * 2]!;
    fingerprints[fingerprintAt + 1] = u32[from + FINGERPRINT * 2 + 1]!;
  }
  /** In latin1: 16 characters. */
  get identityKey(): string {
    const at = this.index * ROW_BYTES + IDENTITY;
    return this.page.buffer.toString("latin1", at, at + IDENTITY_BYTES);
  }
  /** One of the identity's four words, each four bytes of it read as a little-endian number. */
  identityWord(word: 0 | 1 | 2 | 3): number {
    return this.#u32(IDENTITY / 4 + word);
  }

  #u32(field: number): number {
    return this.page.u32[this.index * ROW_U32 + field]!;
  }
}

class Page {
  readonly buffer: Buffer;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly u64: BigUint64Array;
  /** The number of rows in use. */
  count = 0;

  constructor() {
    const memory = new ArrayBuffer(PAGE_ROWS * ROW_BYTES);
    this.buffer = Buffer.from(memory);
    this.bytes = new Uint8Array(memory);
    this.u32 = new Uint32Array(memory);
    this.f64 = new Float64Array(memory);
    this.u64 = new BigUint64Array(memory);
  }
}

const PAGE_ROWS = 256;
const IDENTITY_BYTES = 16;
const ROW_BYTES = 72;
const ROW_U32 = ROW_BYTES / 4;
const ROW_F64 = ROW_BYTES / 8;
/** In units of 8 bytes. A row whose commit is 0 is not there. */
const TIME = 0;
const COMMIT = 1;
const FINGERPRINT = 2;
/** In bytes. */
const IDENTITY = 24;
/** In units of 4 bytes. */
const ENTRY_BYTES = 10;
const RECORD_BYTES = 11;
const SAMPLE_COUNT = 12;
const SUM = 13;
const NAMES = 14;
const STORES = 15;
const RUN = 16;
const RANK = 17;

/** By their bytes: the caller may fill one list anew for each record. */
function areSameStores(known: readonly Uint8Array[], given: readonly Uint8Array[]): boolean {
  if (known.length !== given.length) return false;
  for (let rank = 0; rank < known.length; rank++) {
    const a = known[rank]!;
    const b = given[rank]!;
    for (let at = 0; at < STORE_ID_BYTES; at++) if (a[at] !== b[at]) return false;
  }
  return true;
}

function storesKeyOf(stores: readonly Uint8Array[]): string {
  let key = "";
  for (const storeId of stores) key += Buffer.from(storeId.buffer, storeId.byteOffset, storeId.byteLength).toString("latin1");
  return key;
}
