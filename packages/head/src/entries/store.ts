/**
 * The ordered store under the head: keys and values as bytes, keys in bytewise order, batches that land whole or not at all.
 *
 * What must stay true: after a synced batch resolved, it and every batch before it survive kill -9 and power loss. After a
 * batch was refused, the store may hold it or not, and takes no further batch until it is opened again.
 */

export interface OrderedStore {
  /** All of `ops` or none of them, in order. Takes an op's bytes before it asks for the next, so that they may share one buffer. */
  batch(ops: Iterable<StoreOp>, options: BatchOptions): Promise<void>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>;
  /** Every entry of the range in key order, some `pageBytes` at a time. Throws where the store cannot read on. */
  pages(range: KeyRange, options: { readonly pageBytes: number }): AsyncIterable<readonly StoreEntry[]>;
  /** Gives back the disk of what was deleted in the range. */
  compact(range: KeyRange): Promise<void>;
  close(): Promise<void>;
}

export interface BatchOptions {
  readonly isSynced: boolean;
  /** Bytes of all values, where they may be many: a large batch is written in another way. */
  readonly sizeBytes?: number;
}

export type StoreOp =
  | { readonly kind: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly key: Uint8Array };

export interface StoreEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** From `from`, up to but without `to`. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** Opens the store; asked again after a failed write, so only one opened store lives at a time. */
export interface StoreOpener {
  /**
   * `isRepairing`: a store that does not open is repaired, and if that fails moved aside and replaced by an empty one; `loss`
   * says so. Otherwise it throws. Throws `HEAD_LOCKED` while another process holds the store.
   */
  open(options: { readonly isRepairing: boolean }): Promise<OpenedStore>;
  /** Rewrites a closed store without what cannot be read. */
  repair(): Promise<void>;
  /** Removes what `open` left beside the store: the file that names the holder. */
  release(): Promise<void>;
}

export interface OpenedStore {
  readonly store: OrderedStore;
  readonly loss: StoreLoss | undefined;
}

export interface StoreLoss {
  readonly kind: "repaired" | "replaced";
  readonly reason: string;
}
