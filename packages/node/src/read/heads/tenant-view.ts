/** The records of one tenant in a view of a head: their identities by series, with what two stores compare. */
import type { Turns } from "@pyromesh/base";
import type { RecordColumns } from "@pyromesh/head";
import { IdentitySet } from "@pyromesh/profile";

/** What a store says of one series. Equal counts and sums: the same records. */
export interface SeriesDigests {
  readonly seriesCount: number;
  readonly fingerprints: BigUint64Array;
  readonly counts: Uint32Array;
  /** How many of them have rows in memory here: those of rank 0. */
  readonly internedCounts: Uint32Array;
  /** Sums of the identities modulo 2^128, four words each, the lowest first. */
  readonly sums: Uint32Array;
}

export class TenantView implements SeriesDigests {
  readonly #columns: Pick<RecordColumns, "fingerprintWords" | "identities" | "identityWords" | "ranks" | "seqs">;
  readonly #columnBytes: number;
  /** By a hash of the fingerprint: the series and one, or 0. Open addressing, at most half full. A fingerprint is part of a SHA-256, so its lower word is a good hash. */
  #slots = new Int32Array(64);
  #seriesCount = 0;
  /** By record: the next record of its series; -1: none. */
  readonly #next: Int32Array;
  /** By series: its first record. */
  #first = new Int32Array(16);
  #fingerprintWords = new Uint32Array(32);
  #counts = new Uint32Array(16);
  #internedCounts = new Uint32Array(16);
  #sums = new Uint32Array(64);
  #recordCount = 0;

  private constructor(columns: RecordColumns) {
    const { fingerprintWords, identities, identityWords, ranks, seqs } = columns;
    this.#columns = { fingerprintWords, identities, identityWords, ranks, seqs };
    this.#columnBytes = columns.sizeBytes;
    this.#next = new Int32Array(columns.count);
  }

  /** Without the records whose identities `left` has. */
  static async of(columns: RecordColumns, left: ReadonlySet<string>, turns: Turns): Promise<TenantView> {
    const view = new TenantView(columns);
    const identities = Buffer.from(columns.identities.buffer, columns.identities.byteOffset, columns.identities.byteLength);
    for (let record = 0; record < columns.count; record++) {
      if ((record & 1023) === 0 && turns.areDue) await turns.give();
      if (left.size > 0 && left.has(identities.toString("latin1", record * 16, record * 16 + 16))) continue;
      view.#add(record);
    }
    return view;
  }

  get recordCount(): number {
    return this.#recordCount;
  }
  get seriesCount(): number {
    return this.#seriesCount;
  }
  get fingerprints(): BigUint64Array {
    return new BigUint64Array(this.#fingerprintWords.buffer, 0, this.#seriesCount);
  }
  get counts(): Uint32Array {
    return this.#counts.subarray(0, this.seriesCount);
  }
  get internedCounts(): Uint32Array {
    return this.#internedCounts.subarray(0, this.seriesCount);
  }
  get sums(): Uint32Array {
    return this.#sums.subarray(0, this.seriesCount * 4);
  }
  get sizeBytes(): number {
    return this.#columnBytes + this.#next.byteLength + this.#first.length * SERIES_BYTES;
  }

  /** The records of a series, by index. */
  *recordsOf(fingerprint: bigint): Generator<number> {
    const series = this.#slots[this.#slotOf(Number(fingerprint & 0xffff_ffffn), Number(fingerprint >> 32n))]! - 1;
    for (let record = series < 0 ? -1 : this.#first[series]!; record >= 0; record = this.#next[record]!) yield record;
  }

  /** All records, by index. */
  *records(): Generator<number> {
    for (let series = 0; series < this.seriesCount; series++) {
      for (let record = this.#first[series]!; record >= 0; record = this.#next[record]!) yield record;
    }
  }

  /** The records that have one of these identities, 16 bytes each, by index. */
  *recordsWith(identities: Uint8Array): Generator<number> {
    if (identities.length === 0) return;
    const wanted = new IdentitySet({ except: identities });
    const own = this.#columns.identities;
    for (const record of this.records()) if (wanted.has(own, record * 16)) yield record;
  }

  /** 16 bytes; a view. */
  identityOf(record: number): Uint8Array {
    return this.#columns.identities.subarray(record * 16, record * 16 + 16);
  }

  rankOf(record: number): number {
    return this.#columns.ranks[record]!;
  }

  seqOf(record: number): number {
    return this.#columns.seqs[record]!;
  }

  #add(record: number): void {
    const { fingerprintWords, identityWords, ranks } = this.#columns;
    const [low, high] = [fingerprintWords[record * 2]!, fingerprintWords[record * 2 + 1]!];
    const slot = this.#slotOf(low, high);
    let series = this.#slots[slot]! - 1;
    if (series < 0) {
      series = this.#seriesCount++;
      if (series === this.#first.length) this.#grow();
      this.#fingerprintWords[series * 2] = low;
      this.#fingerprintWords[series * 2 + 1] = high;
      this.#first[series] = -1;
      this.#slots[slot] = series + 1;
      if (this.#seriesCount * 2 > this.#slots.length) this.#rehash();
    }
    this.#next[record] = this.#first[series]!;
    this.#first[series] = record;
    this.#counts[series]!++;
    if (ranks[record] === 0) this.#internedCounts[series]!++;
    this.#recordCount++;
    const sums = this.#sums;
    let carry = 0;
    for (let word = 0; word < 4; word++) {
      const total = sums[series * 4 + word]! + identityWords[record * 4 + word]! + carry;
      sums[series * 4 + word] = total;
      carry = total >= 2 ** 32 ? 1 : 0;
    }
  }

  /** Where the series is, or where it belongs. */
  #slotOf(low: number, high: number): number {
    const mask = this.#slots.length - 1;
    const words = this.#fingerprintWords;
    let slot = low & mask;
    for (let series = this.#slots[slot]! - 1; series >= 0; series = this.#slots[(slot = (slot + 1) & mask)]! - 1) {
      if (words[series * 2] === low && words[series * 2 + 1] === high) break;
    }
    return slot;
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let series = 0; series < this.#seriesCount; series++) this.#slots[this.#slotOf(this.#fingerprintWords[series * 2]!, this.#fingerprintWords[series * 2 + 1]!)] = series + 1;
  }

  #grow(): void {
    const length = this.#first.length * 2;
    const [first, fingerprints, counts, interned, sums] = [new Int32Array(length), new Uint32Array(length * 2), new Uint32Array(length), new Uint32Array(length), new Uint32Array(length * 4)];
    first.set(this.#first);
    fingerprints.set(this.#fingerprintWords);
    counts.set(this.#counts);
    interned.set(this.#internedCounts);
    sums.set(this.#sums);
    [this.#first, this.#fingerprintWords, this.#counts, this.#internedCounts, this.#sums] = [first, fingerprints, counts, interned, sums];
  }
}

/** Columns, and two slots. */
const SERIES_BYTES = 48;
