/**
 * The digest of the table: two nodes with equal digests know the same. In 256 buckets, so that two that differ exchange little more than what differs.
 *
 * An item's hash is SHA-256 over its bytes, the first 128 bits; a bucket's is the sum of its items' (four lanes of 32 bits, each modulo 2^32), the whole's
 * is the sum of the buckets'. Hashes are made when somebody asks, of the items that changed since.
 */
import { hash } from "node:crypto";
import { assert, ByteWriter, crc32, encodeUtf8, toHex } from "@pyromesh/base";
import type { StoreId } from "@pyromesh/ring";
import type { Entry } from "./entry.ts";
import type { Loss } from "./losses.ts";
import { writeEntry, writeLoss } from "./table-bytes.ts";
import type { TableMessage } from "./table-message.ts";

export const BUCKETS = 256;
/** Of one bucket on the wire: enough to tell buckets of honest nodes apart. */
export const BUCKET_DIGEST_BYTES = 8;

export class TableDigest {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #losses: ReadonlyMap<StoreId, Loss>;
  readonly #changedEntries = new Set<string>();
  readonly #changedLosses = new Set<StoreId>();
  /** The hash of each item as it stands in `#lanes`. Bounded by the table. */
  readonly #entryHashes = new Map<string, Uint32Array>();
  readonly #lossHashes = new Map<StoreId, Uint32Array>();
  readonly #lanes = new Uint32Array(BUCKETS * LANES);
  readonly #sum = new Uint32Array(LANES);
  /** Of `#lanes` as they stand; undefined: not made since they changed. */
  #text: string | undefined;
  #buckets: Uint8Array | undefined;

  constructor(entries: ReadonlyMap<string, Entry>, losses: ReadonlyMap<StoreId, Loss>) {
    this.#entries = entries;
    this.#losses = losses;
    for (const name of entries.keys()) this.#changedEntries.add(name);
    for (const store of losses.keys()) this.#changedLosses.add(store);
  }

  entryChanged(name: string): void {
    this.#changedEntries.add(name);
  }

  lossChanged(store: StoreId): void {
    this.#changedLosses.add(store);
  }

  /** 32 hex digits. */
  get text(): string {
    this.#update();
    return (this.#text ??= toHex(new Uint8Array(this.#sum.buffer)));
  }

  /** `BUCKETS` times `BUCKET_DIGEST_BYTES`. Nobody changes it. */
  get buckets(): Uint8Array {
    this.#update();
    return (this.#buckets ??= this.#makeBuckets());
  }

  /**
   * What a node with these bucket digests lacks: it is whole for that node, and no other. Make it from one request and send it as one message: what
   * changes in between would be missing.
   */
  lackedBy(bucketDigests: Uint8Array): TableMessage {
    const own = this.buckets;
    assert(bucketDigests.length === own.length, "the digests of other buckets");
    const isEqual = (bucket: number): boolean => {
      for (let at = bucket * BUCKET_DIGEST_BYTES; at < (bucket + 1) * BUCKET_DIGEST_BYTES; at++) if (own[at] !== bucketDigests[at]) return false;
      return true;
    };
    return {
      isWhole: true,
      entries: [...this.#entries.values()].filter((entry) => !isEqual(bucketOfMember(entry.name))),
      losses: [...this.#losses.values()].filter((loss) => !isEqual(bucketOfLoss(loss.storeId))),
    };
  }

  #makeBuckets(): Uint8Array {
    const bytes = new Uint8Array(BUCKETS * BUCKET_DIGEST_BYTES);
    const lanes = new Uint8Array(this.#lanes.buffer);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = bucket * LANES * 4;
      bytes.set(lanes.subarray(at, at + BUCKET_DIGEST_BYTES), bucket * BUCKET_DIGEST_BYTES);
    }
    return bytes;
  }

  #update(): void {
    if (this.#changedEntries.size === 0 && this.#changedLosses.size === 0) return;
    this.#text = undefined;
    this.#buckets = undefined;
    for (const name of this.#changedEntries) this.#replace(this.#entryHashes, name, bucketOfMember(name), this.#entries.get(name), writeEntry);
    for (const store of this.#changedLosses) this.#replace(this.#lossHashes, store, bucketOfLoss(store), this.#losses.get(store), writeLoss);
    this.#changedEntries.clear();
    this.#changedLosses.clear();
  }

  #replace<T>(hashes: Map<string, Uint32Array>, key: string, bucket: number, item: T | undefined, write: (writer: ByteWriter, item: T) => void): void {
    const at = bucket * LANES;
    const old = hashes.get(key);
    if (old !== undefined) this.#add(at, old, -1);
    if (item === undefined) {
      hashes.delete(key);
      return;
    }
    const writer = new ByteWriter(512);
    write(writer, item);
    const digest = hash("sha256", writer.finish(), "buffer");
    const lanes = Uint32Array.from({ length: LANES }, (_, lane) => digest.readUInt32LE(lane * 4));
    this.#add(at, lanes, 1);
    hashes.set(key, lanes);
  }

  #add(at: number, lanes: Uint32Array, sign: 1 | -1): void {
    for (let lane = 0; lane < LANES; lane++) {
      this.#lanes[at + lane]! += sign * lanes[lane]!;
      this.#sum[lane]! += sign * lanes[lane]!;
    }
  }
}

export function bucketOfMember(name: string): number {
  return crc32(encodeUtf8(name)) % BUCKETS;
}

export function bucketOfLoss(store: StoreId): number {
  return Number.parseInt(store.slice(0, 2), 16);
}

const LANES = 4;
