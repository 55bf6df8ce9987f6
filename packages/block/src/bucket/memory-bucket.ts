/** A bucket in memory, for tests, the simulator and `--bucket memory:`. Its objects are lost when the process ends. */
import type { Clock } from "@pyromesh/base";
import { compareText } from "@pyromesh/profile";
import type { Bucket, BucketObject, ListOptions, PutOptions } from "./bucket.ts";
import { checkKey, checkObjectSize, objectNotFound, rangeOutside } from "./bucket.ts";

const PAGE_LENGTH_MAX = 1000;

export class MemoryBucket implements Bucket {
  readonly name: string = "memory:";
  readonly #clock: Clock;
  readonly #objects = new Map<string, { readonly bytes: Uint8Array; readonly lastModifiedMs: number }>();
  /** All keys in order; undefined after they changed, until a LIST wants them. Never changed in place: a LIST under way goes on with its own. */
  #sortedKeys: readonly string[] | undefined;

  constructor(modules: { readonly clock: Clock }) {
    this.#clock = modules.clock;
  }

  async create(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async check(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  async get(key: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#object(key, signal).bytes.slice();
  }

  async getRange(key: string, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    if (lengthBytes === 0) return new Uint8Array(0);
    const { bytes } = this.#object(key, signal);
    if (offset + lengthBytes > bytes.length) throw rangeOutside(this.name, key, offset, lengthBytes, bytes.length);
    return bytes.slice(offset, offset + lengthBytes);
  }

  async head(key: string, signal: AbortSignal): Promise<BucketObject> {
    const { bytes, lastModifiedMs } = this.#object(key, signal);
    return { key, sizeBytes: bytes.length, lastModifiedMs };
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    signal.throwIfAborted();
    checkKey(key);
    checkObjectSize(this.name, key, bytes.length);
    if (options.ifAbsent === true && this.#objects.has(key)) return { isCreated: false };
    if (!this.#objects.has(key)) this.#sortedKeys = undefined;
    // Not `bytes.slice()`: of a Buffer that is a view, not a copy.
    this.#objects.set(key, { bytes: new Uint8Array(bytes), lastModifiedMs: this.#clock.nowMs() });
    return { isCreated: true };
  }

  async *list(prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    const { startAfter = "", limit = Infinity } = options;
    const sorted = (this.#sortedKeys ??= [...this.#objects.keys()].sort(compareText));
    // Keys with one prefix lie together.
    const isAfterPrefix = compareText(startAfter, prefix) >= 0;
    const first = firstWhere(sorted, (key) => (isAfterPrefix ? compareText(key, startAfter) > 0 : compareText(key, prefix) >= 0));
    const wanted: string[] = [];
    for (let at = first; at < sorted.length && wanted.length < limit && sorted[at]!.startsWith(prefix); at++) wanted.push(sorted[at]!);
    for (let at = 0; at < wanted.length; at += PAGE_LENGTH_MAX) {
      signal.throwIfAborted();
      const page: BucketObject[] = [];
      for (const key of wanted.slice(at, at + PAGE_LENGTH_MAX)) {
        const object = this.#objects.get(key);
        if (object !== undefined) page.push({ key, sizeBytes: object.bytes.length, lastModifiedMs: object.lastModifiedMs });
      }
      if (page.length > 0) yield page;
    }
    signal.throwIfAborted();
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    checkKey(key);
    if (this.#objects.delete(key)) this.#sortedKeys = undefined;
  }

  async close(): Promise<void> {}

  #object(key: string, signal: AbortSignal): { readonly bytes: Uint8Array; readonly lastModifiedMs: number } {
    signal.throwIfAborted();
    checkKey(key);
    const object = this.#objects.get(key);
    if (object === undefined) throw objectNotFound(this.name, key);
    return object;
  }
}

/** The index of the first key for which `isIt` holds, as for all behind it. */
function firstWhere(keys: readonly string[], isIt: (key: string) => boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isIt(keys[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
