/**
 * Reads of catalogued objects, wherever they lie (`object-source.ts`): footers and datasets' byte ranges, through one cache and with one
 * read under way for each of them, however many queries want it.
 *
 * What must stay true: an object is what its key says. Tenant, window, store, ordinal and times of a footer are compared with the key
 * before anything of the object is used: one tenant's segment under another tenant's key is a damaged object, and is shown to nobody.
 */
import { sharedBytes, SharedLoads } from "@pyromesh/base";
import type { CatalogEntry } from "../catalog/catalog-entry.ts";
import { checkMeta } from "../catalog/meta-check.ts";
import type { DatasetEntry, SegmentFooter } from "../segment/format.ts";
import { ObjectCache } from "./object-cache.ts";
import type { CachedFooter } from "./object-cache.ts";
import type { ObjectSource, PlacedObject } from "./object-source.ts";
import type { RangeSource } from "../segment/segment-reader.ts";
import { checkSections, findDataset, readFooterAndBytes } from "../segment/segment-reader.ts";

export interface ObjectReaderOptions {
  /** Footers and ranges kept in memory. */
  readonly cacheBytesMax: number;
}

export interface ObjectReaderModules {
  readonly source: ObjectSource;
}

export class ObjectReader {
  readonly #source: ObjectSource;
  readonly #cache: ObjectCache;
  readonly #footers = new SharedLoads<CachedFooter>();
  readonly #ranges = new SharedLoads<Uint8Array>();
  /** By object, the reads of ranges under way: `forget` must find them although the cache may have dropped the footer that lists them. */
  readonly #reading = new Map<string, Set<RangeRead>>();

  constructor(options: ObjectReaderOptions, modules: ObjectReaderModules) {
    this.#source = modules.source;
    this.#cache = new ObjectCache(options.cacheBytesMax);
  }

  /** The bytes of an entry, by range, as they are now: not from the cache. */
  source(object: PlacedObject): RangeSource {
    return { sizeBytes: object.sizeBytes, read: (offset, lengthBytes, signal) => this.#source.read(object, offset, lengthBytes, signal) };
  }

  /** Throws CorruptionError, also where the object is not what its key says; errors of the bucket pass through. */
  async footer(entry: CatalogEntry, signal: AbortSignal): Promise<SegmentFooter> {
    return (await this.#footer(entry, signal)).footer;
  }

  /** The whole range of a dataset of the entry's footer. Shared memory: nobody writes there. */
  async range(entry: CatalogEntry, dataset: DatasetEntry, signal: AbortSignal): Promise<Uint8Array> {
    const { key } = entry;
    const whole = this.#cache.footer(key)?.bytes;
    if (whole !== undefined) return whole.subarray(dataset.offset, dataset.offset + dataset.length);
    const cached = this.#cache.range(key, dataset);
    if (cached !== undefined) return cached;
    const load = loadOf(key, dataset.service);
    const read = async (own: AbortSignal): Promise<Uint8Array> => {
      const end = this.#beginRead(key, load);
      try {
        const bytes = shared(await this.source(entry).read(dataset.offset, dataset.length, own));
        if (this.#ranges.isCurrent(load, own)) this.#cache.keepRange(key, dataset, bytes);
        return bytes;
      } finally {
        end();
      }
    };
    return this.#ranges.run(load, read, signal);
  }

  /**
   * Reads again, past the cache, the footer and, where a service is named, its dataset, and checks what a checksum covers. Throws as
   * `footer` does. The checks hold the thread up for a millisecond or two a MB of the dataset.
   */
  async check(entry: CatalogEntry, service: string | undefined, signal: AbortSignal): Promise<void> {
    const source = this.source(entry);
    const { footer } = await readFooterAndBytes(source, entry.key, signal);
    checkMeta(entry, footer.meta);
    const dataset = service === undefined ? undefined : findDataset(footer, service);
    if (dataset !== undefined) checkSections(await source.read(dataset.offset, dataset.length, signal), dataset, entry.key);
  }

  /** Everything kept of the object; what is being read of it is not kept either. */
  forget(key: string): void {
    for (const { load } of this.#reading.get(key) ?? []) this.#ranges.forget(load);
    this.#footers.forget(key);
    this.#cache.forget(key);
  }

  get cache(): Pick<ObjectCache, "sizeBytes" | "entryCount"> {
    return this.#cache;
  }

  /** Returns what ends it. */
  #beginRead(key: string, load: string): () => void {
    const read = { load };
    const reads = this.#reading.get(key) ?? new Set<RangeRead>();
    this.#reading.set(key, reads.add(read));
    return () => {
      reads.delete(read);
      if (reads.size === 0 && this.#reading.get(key) === reads) this.#reading.delete(key);
    };
  }

  async #footer(entry: CatalogEntry, signal: AbortSignal): Promise<CachedFooter> {
    const { key } = entry;
    const cached = this.#cache.footer(key);
    if (cached !== undefined) return cached;
    const read = async (own: AbortSignal): Promise<CachedFooter> => {
      const { footer, bytes } = await readFooterAndBytes(this.source(entry), key, own);
      checkMeta(entry, footer.meta);
      const kept = { footer, bytes: bytes === undefined ? undefined : shared(bytes) };
      if (this.#footers.isCurrent(key, own)) this.#cache.keepFooter(key, kept);
      return kept;
    };
    return this.#footers.run(key, read, signal);
  }
}

/** One for each read: an aborted one may end after the next has begun. */
interface RangeRead {
  /** Its name among the shared loads. */
  readonly load: string;
}

/** Object keys hold no control characters. */
function loadOf(key: string, service: string): string {
  return `${key}\0${service}`;
}

function shared(bytes: Uint8Array): Uint8Array {
  const copy = sharedBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
