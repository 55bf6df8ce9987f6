/**
 * Reads of catalogued objects, from the bucket or local disk: footers and datasets' byte ranges, through one cache and with one read
 * under way for each of them, however many queries want it.
 *
 * What must stay true: an object is what its key says. Tenant, window, store, ordinal and times of a footer are compared with the key
 * before anything of the object is used: one tenant's segment under another tenant's key is a damaged object, and is shown to nobody.
 */
import { CorruptionError, sharedBytes, SharedLoads } from "@pyromesh/base";
import type { Bucket } from "../bucket/bucket.ts";
import type { CatalogEntry } from "../catalog/catalog-view.ts";
import type { DatasetEntry, SegmentFooter, SegmentMeta } from "../segment/format.ts";
import type { LocalFiles } from "./local-file.ts";
import { ObjectCache } from "./object-cache.ts";
import type { CachedFooter } from "./object-cache.ts";
import type { RangeSource } from "../segment/segment-reader.ts";
import { checkSections, findDataset, readFooterAndBytes } from "../segment/segment-reader.ts";

export interface ObjectReaderOptions {
  /** Footers and ranges kept in memory. */
  readonly cacheBytesMax: number;
}

export interface ObjectReaderModules {
  readonly bucket: Bucket;
  readonly localFiles: LocalFiles;
}

export class ObjectReader {
  readonly #bucket: Bucket;
  readonly #localFiles: LocalFiles;
  readonly #cache: ObjectCache;
  readonly #footers = new SharedLoads<CachedFooter>();
  readonly #ranges = new SharedLoads<Uint8Array>();

  constructor(options: ObjectReaderOptions, modules: ObjectReaderModules) {
    this.#bucket = modules.bucket;
    this.#localFiles = modules.localFiles;
    this.#cache = new ObjectCache(options.cacheBytesMax);
  }

  /** The bytes of an entry, by range, as they are now: not from the cache. */
  source(entry: Pick<CatalogEntry, "key" | "place" | "sizeBytes">): RangeSource {
    const { key, sizeBytes } = entry;
    if (entry.place === "local") return { sizeBytes, read: (offset, lengthBytes, signal) => this.#localFiles.read(key, offset, lengthBytes, signal) };
    return { sizeBytes, read: (offset, lengthBytes, signal) => this.#bucket.getRange(key, offset, lengthBytes, signal) };
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
    const load = `${key}\0${dataset.service}`;
    const read = async (own: AbortSignal): Promise<Uint8Array> => {
      const bytes = shared(await this.source(entry).read(dataset.offset, dataset.length, own));
      if (this.#ranges.isCurrent(load, own)) this.#cache.keepRange(key, dataset, bytes);
      return bytes;
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
    checkKey(entry, footer.meta);
    const dataset = service === undefined ? undefined : findDataset(footer, service);
    if (dataset !== undefined) checkSections(await source.read(dataset.offset, dataset.length, signal), dataset, entry.key);
  }

  /** Everything kept of the object; what is being read of it is not kept either. */
  forget(key: string): void {
    for (const { service } of this.#cache.footer(key)?.footer.datasets ?? []) this.#ranges.forget(`${key}\0${service}`);
    this.#footers.forget(key);
    this.#cache.forget(key);
  }

  get cache(): Pick<ObjectCache, "sizeBytes" | "entryCount"> {
    return this.#cache;
  }

  async #footer(entry: CatalogEntry, signal: AbortSignal): Promise<CachedFooter> {
    const { key } = entry;
    const cached = this.#cache.footer(key);
    if (cached !== undefined) return cached;
    const read = async (own: AbortSignal): Promise<CachedFooter> => {
      const { footer, bytes } = await readFooterAndBytes(this.source(entry), key, own);
      checkKey(entry, footer.meta);
      const kept = { footer, bytes: bytes === undefined ? undefined : shared(bytes) };
      if (this.#footers.isCurrent(key, own)) this.#cache.keepFooter(key, kept);
      return kept;
    };
    return this.#footers.run(key, read, signal);
  }
}

/** What a key and a footer both say. A block has no store of its own, nor an ordinal. */
const SHARED_FIELDS = ["tenant", "windowStartMs", "level", "minTimeMs", "maxTimeMs"] as const;

function checkKey({ key, meta: named }: CatalogEntry, found: SegmentMeta): void {
  const expect = (field: string, expected: string | number, is: string | number): void => {
    if (expected !== is) throw new CorruptionError({ object: key, offset: -1, expected: `${field} ${expected}, as its key says`, found: `${is}` });
  };
  for (const field of SHARED_FIELDS) expect(field, named[field], found[field]);
  if (named.kind !== "segment") return;
  expect("storeId", named.storeId, found.storeId);
  expect("ordinal", named.ordinal, found.ordinal);
}

function shared(bytes: Uint8Array): Uint8Array {
  const copy = sharedBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
