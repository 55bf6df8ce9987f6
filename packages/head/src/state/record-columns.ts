/**
 * What the head knows of many records, column by column: for a query over several heads, which must name tens of thousands of them and has no time for an
 * object each.
 *
 * A walk is done in pages, between which records may come and leave. What must stay true: a record with a seq below the page's end that is in the head
 * at every page is taken once. So a reader that asks after the last page, in the same turn, what left meanwhile, and to where, misses none.
 */
import type { Row } from "./record-table.ts";
import type { HeadState } from "./state.ts";

/** All that is given must hold. */
export interface CollectFilter {
  readonly tenant: string;
  /** Times of the records, both inclusive. */
  readonly startMs: number;
  readonly endMs: number;
  /** Whether records of a service are meant; it is asked once a page for each service. */
  readonly admits: (service: string) => boolean;
  /** Records of this seq and later ones are left out. */
  readonly untilSeq: number;
}

export class RecordColumns {
  count = 0;
  /** The words of the identities and of the fingerprints: filled by the row, without an object each. */
  #identityWords = new Uint32Array(64 * IDENTITY_WORDS);
  #fingerprintWords = new Uint32Array(64 * FINGERPRINT_WORDS);
  #ranks = new Uint8Array(64);
  #seqs = new Float64Array(64);

  /** 16 bytes each. */
  get identities(): Uint8Array {
    return new Uint8Array(this.#identityWords.buffer, 0, this.count * IDENTITY_WORDS * 4);
  }
  /** Four words each, each four bytes of the identity read as a little-endian number. */
  get identityWords(): Uint32Array {
    return this.#identityWords.subarray(0, this.count * IDENTITY_WORDS);
  }
  /** Two words each, the lower one first. */
  get fingerprintWords(): Uint32Array {
    return this.#fingerprintWords.subarray(0, this.count * FINGERPRINT_WORDS);
  }
  get ranks(): Uint8Array {
    return this.#ranks.subarray(0, this.count);
  }
  get seqs(): Float64Array {
    return this.#seqs.subarray(0, this.count);
  }

  get sizeBytes(): number {
    return this.#identityWords.byteLength + this.#fingerprintWords.byteLength + this.#ranks.byteLength + this.#seqs.byteLength;
  }

  add(row: Row): void {
    if (this.count === this.#ranks.length) this.#grow();
    const at = this.count++;
    row.copyWords(this.#identityWords, at * IDENTITY_WORDS, this.#fingerprintWords, at * FINGERPRINT_WORDS);
    this.#ranks[at] = row.rank;
    this.#seqs[at] = row.seq;
  }

  #grow(): void {
    const length = this.#ranks.length * 2;
    const [identities, fingerprints, ranks, seqs] = [new Uint32Array(length * IDENTITY_WORDS), new Uint32Array(length * FINGERPRINT_WORDS), new Uint8Array(length), new Float64Array(length)];
    identities.set(this.#identityWords);
    fingerprints.set(this.#fingerprintWords);
    ranks.set(this.#ranks);
    seqs.set(this.#seqs);
    [this.#identityWords, this.#fingerprintWords, this.#ranks, this.#seqs] = [identities, fingerprints, ranks, seqs];
  }
}

/** Adds a page of the records that match. Returns the seq at which the next page begins; undefined: this was the last. */
export function collectPage(state: HeadState, { tenant, startMs, endMs, admits, untilSeq }: CollectFilter, into: RecordColumns, fromSeq: number): number | undefined {
  const byNames: (boolean | undefined)[] = [];
  let seenCount = 0;
  for (const row of state.table.rows(fromSeq, untilSeq - 1)) {
    if (seenCount++ >= PAGE_SEEN_MAX) return row.seq;
    const { namesIndex } = row;
    if (!(byNames[namesIndex] ??= row.tenant === tenant && admits(row.service))) continue;
    const { timeMs } = row;
    if (timeMs >= startMs && timeMs <= endMs) into.add(row);
  }
  return undefined;
}

const IDENTITY_WORDS = 4;
const FINGERPRINT_WORDS = 2;
/** Rows that one page looks at: a millisecond or two of work. */
const PAGE_SEEN_MAX = 8192;
