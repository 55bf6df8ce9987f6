/**
 * A bucket that checks before every put that it is still the right one, so that nothing is written to an unmounted folder or to another bucket under
 * the same name. All other calls pass through.
 */
import type { Bucket, BucketObject, ListOptions, PutOptions } from "@pyromesh/block";

export class GuardedBucket implements Bucket {
  readonly name: string;
  readonly #inner: Bucket;
  readonly #ensureOurs: (signal: AbortSignal) => Promise<void>;

  /** `ensureOurs` rejects where it is not the right bucket. */
  constructor(inner: Bucket, ensureOurs: (signal: AbortSignal) => Promise<void>) {
    this.name = inner.name;
    this.#inner = inner;
    this.#ensureOurs = ensureOurs;
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    await this.#ensureOurs(signal);
    return this.#inner.put(key, bytes, options, signal);
  }

  create(signal: AbortSignal): Promise<void> {
    return this.#inner.create(signal);
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#inner.check(signal);
  }

  get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#inner.get(key, signal);
  }

  getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#inner.getRange(key, offset, lengthBytes, signal);
  }

  head(key: string, signal: AbortSignal): Promise<BucketObject> {
    return this.#inner.head(key, signal);
  }

  list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    return this.#inner.list(prefix, options, signal);
  }

  delete(key: string, signal: AbortSignal): Promise<void> {
    return this.#inner.delete(key, signal);
  }

  dateMs(signal: AbortSignal): Promise<number | undefined> {
    return this.#inner.dateMs?.(signal) ?? Promise.resolve(undefined);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
