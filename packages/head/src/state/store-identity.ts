/**
 * Who this store is in the bucket: its store id and those it had before, how far each one's ordinals were given, and which
 * bucket it wrote to.
 *
 * What must stay true: an ordinal names the same segment for ever, and none is left out. So an ordinal is taken in the batch that
 * seals its segment; and where one may have been forgotten, the store goes on under a new id.
 *
 * A `plan...` gives what to write and how memory follows once that is durable.
 */
import { assert, CodedError, toHex } from "@pyromesh/base";
import { formerOrdinalKey, META_ORDINAL_FLOOR, ordinalKey } from "../entries/keys.ts";
import { encodeBucketMark, encodeFormerOrdinal, encodeNextOrdinal, encodeStoreMark } from "../entries/meta-entry.ts";
import type { BucketMark, StoreMark } from "../entries/meta-entry.ts";
import type { StoreOp } from "../entries/store.ts";
import { whenSame } from "../store/store-writer.ts";
import type { Change } from "./change.ts";
import { windowKey } from "./record-stats.ts";

export interface WindowOrdinal {
  readonly tenant: string;
  readonly windowStartMs: number;
  /** Every ordinal below it was given. */
  readonly next: number;
}

export interface StoreOrdinal extends WindowOrdinal {
  /** 32 lower-case hex digits. */
  readonly storeId: string;
}

/** A segment's place in the bucket, besides its times. */
export interface OrdinalName {
  /** 32 lower-case hex digits. */
  readonly storeId: string;
  readonly tenant: string;
  readonly windowStartMs: number;
  readonly ordinal: number;
}

/** A part of a change: ordinals are taken and freed in the batch that seals or renames a segment. */
export interface OrdinalChange {
  readonly ops: readonly StoreOp[];
  readonly apply: () => void;
}

/** By `windowKey`. */
export type WindowOrdinals = Map<string, WindowOrdinal>;

/** More than one data dir ever has. At the bound the oldest id leaves `m/store`; its ordinals stay under `l/`. */
const FORMER_ID_COUNT_MAX = 100;

export class StoreIdentity {
  #mark: StoreMark;
  #storeIdText: string;
  #bucketMark: BucketMark | undefined;
  #given: WindowOrdinals;
  /** By store id in hex. */
  readonly #former: Map<string, WindowOrdinals>;
  #floor: number;
  #ordinalNext: number;
  /** The store's mark, where it could not be written at the start: the next change that gives an ordinal or an id takes it along. */
  #unwritten: readonly StoreOp[] = [];

  /** `floor`: of format 1, which raised all ordinals to it after a loss. */
  constructor(init: {
    readonly mark: StoreMark;
    readonly bucketMark: BucketMark | undefined;
    readonly given: WindowOrdinals;
    readonly former: Map<string, WindowOrdinals>;
    readonly floor: number;
  }) {
    this.#mark = init.mark;
    this.#storeIdText = toHex(init.mark.storeId);
    this.#bucketMark = init.bucketMark;
    this.#given = init.given;
    this.#former = init.former;
    this.#floor = init.floor;
    this.#ordinalNext = [...init.given.values()].reduce((most, { next }) => Math.max(most, next), init.floor);
  }

  get storeId(): Uint8Array {
    return this.#mark.storeId;
  }

  get storeIdText(): string {
    return this.#storeIdText;
  }

  /** Whether it is the id in force, or one that this store had before. */
  isOwn(storeId: Uint8Array): boolean {
    return isSameId(storeId, this.#mark.storeId) || this.#mark.formerIds.some((former) => isSameId(storeId, former));
  }

  get isFirstFormat(): boolean {
    return this.#mark.isFirstFormat;
  }

  get bucketMark(): BucketMark | undefined {
    return this.#bucketMark;
  }

  /** No ordinal at or above it was given under this id. */
  get ordinalNext(): number {
    return this.#ordinalNext;
  }

  /** How many ordinals were given under the current store id. */
  get givenOrdinalCount(): number {
    let count = 0;
    for (const { next } of this.#given.values()) count += next;
    return count;
  }

  next(tenant: string, windowStartMs: number): OrdinalName {
    return { storeId: this.#storeIdText, tenant, windowStartMs, ordinal: Math.max(this.#given.get(windowKey(tenant, windowStartMs))?.next ?? 0, this.#floor) };
  }

  /** What could not be written at the start, and is taken along by the next change. */
  keepUnwritten(ops: readonly StoreOp[]): void {
    this.#unwritten = ops;
  }

  /** Throws `HEAD_ORDINAL_NOT_NEXT`. */
  planTaking(names: readonly OrdinalName[]): OrdinalChange {
    this.#checkNext(names);
    return {
      ops: [...this.#unwritten, ...names.map(({ tenant, windowStartMs, ordinal }): StoreOp => ({ kind: "put", ...encodeNextOrdinal(tenant, windowStartMs, ordinal + 1) }))],
      apply: () => {
        this.#unwritten = [];
        for (const { tenant, windowStartMs, ordinal } of names) {
          const key = windowKey(tenant, windowStartMs);
          assert(ordinal >= (this.#given.get(key)?.next ?? 0), "an ordinal is given once");
          this.#given.set(key, { tenant, windowStartMs, next: ordinal + 1 });
          this.#ordinalNext = Math.max(this.#ordinalNext, ordinal + 1);
        }
      },
    };
  }

  /** The ordinals of the id in force are kept under `l/`, except a first format's: those may have holes. */
  planNewId(storeId: Uint8Array): Change {
    return this.#planMark({ storeId, isFirstFormat: this.#mark.isFirstFormat, formerIds: [...this.#mark.formerIds, this.#mark.storeId].slice(-FORMER_ID_COUNT_MAX) });
  }

  /** `storeId`: a new one, which only a store of the first format takes. */
  planBucket(bucketMark: BucketMark, storeId: Uint8Array): Change {
    const { isFirstFormat, formerIds } = this.#mark;
    const renewal = isFirstFormat ? this.#planMark({ storeId, isFirstFormat: false, formerIds: [...formerIds, this.#mark.storeId].slice(-FORMER_ID_COUNT_MAX) }) : undefined;
    const entry = encodeBucketMark(bucketMark);
    return {
      ops: [...(renewal?.ops ?? this.#unwritten), { kind: "put", ...entry }],
      probe: whenSame(entry),
      apply: () => {
        this.#unwritten = [];
        renewal?.apply();
        this.#bucketMark = bucketMark;
      },
    };
  }

  /** A segment of a former id was renamed: its ordinal and all above count as not given. Segments are renamed in the order of their ordinals, the lowest first. */
  planLowering({ storeId, tenant, windowStartMs, ordinal }: OrdinalName): OrdinalChange {
    const key = windowKey(tenant, windowStartMs);
    const ordinals = this.#former.get(storeId);
    const former = ordinals?.get(key);
    if (former === undefined || former.next <= ordinal) return { ops: [], apply: () => {} };
    return {
      ops: [ordinal === 0 ? { kind: "delete", key: formerOrdinalKey(storeId, tenant, windowStartMs) } : { kind: "put", ...encodeFormerOrdinal(storeId, tenant, windowStartMs, ordinal) }],
      apply: () => {
        if (ordinal === 0) ordinals!.delete(key); // it held `former`
        else ordinals!.set(key, { tenant, windowStartMs, next: ordinal });
      },
    };
  }

  /** Of every id this data dir has used since it adopted a bucket. */
  ordinals(): readonly StoreOrdinal[] {
    const all: StoreOrdinal[] = [];
    for (const [storeId, ordinals] of this.#former) for (const ordinal of ordinals.values()) all.push({ storeId, ...ordinal });
    if (!this.#mark.isFirstFormat) for (const ordinal of this.#given.values()) all.push({ storeId: this.#storeIdText, ...ordinal });
    return all;
  }

  /** Throws `HEAD_ORDINAL_NOT_NEXT` for an ordinal that is not the next one of its tenant and window under the id in force. */
  #checkNext(names: readonly OrdinalName[]): void {
    const counts = new Map<string, number>();
    for (const given of names) {
      const key = windowKey(given.tenant, given.windowStartMs);
      const count = counts.get(key) ?? 0;
      const next = this.next(given.tenant, given.windowStartMs);
      const wanted = { ...next, ordinal: next.ordinal + count };
      if (given.storeId !== wanted.storeId || given.ordinal !== wanted.ordinal) throw notNext(given, wanted);
      counts.set(key, count + 1);
    }
  }

  #planMark(mark: StoreMark): Change {
    const isKept = !this.#mark.isFirstFormat;
    const ops: StoreOp[] = [...this.#unwritten];
    if (this.#floor > 0) ops.push({ kind: "delete", key: META_ORDINAL_FLOOR });
    for (const { tenant, windowStartMs, next } of this.#given.values()) {
      ops.push({ kind: "delete", key: ordinalKey(tenant, windowStartMs) });
      if (isKept) ops.push({ kind: "put", ...encodeFormerOrdinal(this.#storeIdText, tenant, windowStartMs, next) });
    }
    const entry = encodeStoreMark(mark);
    ops.push({ kind: "put", ...entry });
    return {
      ops,
      probe: whenSame(entry),
      apply: () => {
        this.#unwritten = [];
        if (isKept) this.#former.set(this.#storeIdText, this.#given);
        this.#given = new Map();
        this.#floor = 0;
        this.#ordinalNext = 0;
        this.#mark = mark;
        this.#storeIdText = toHex(mark.storeId);
      },
    };
  }
}

function isSameId(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}

function notNext(given: OrdinalName, wanted: OrdinalName): CodedError {
  return new CodedError({
    code: "HEAD_ORDINAL_NOT_NEXT",
    kind: "failed_precondition",
    message: `ordinal ${given.ordinal} of store ${given.storeId} is not the next one of tenant ${given.tenant} and window ${given.windowStartMs}, which is ${wanted.ordinal} of store ${wanted.storeId}: ask for it again`,
    details: { storeId: given.storeId, ordinal: given.ordinal, nextStoreId: wanted.storeId, nextOrdinal: wanted.ordinal },
  });
}
