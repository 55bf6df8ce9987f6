/**
 * Datasets of segments as bytes, from local disk or the bucket, kept in a bounded cache.
 * Ranges lie in shared memory, so that lanes read them without copies.
 */
import { contentSum } from "@pyromesh/block";
import type { Catalog, CatalogEntry, DatasetEntry, SegmentFooter } from "@pyromesh/block";
import type { SegmentPart } from "../compute/compute.ts";

export interface SegmentSourceOptions {
  /** Of dataset ranges kept in memory. At the bound the one used longest ago leaves. */
  readonly cacheBytesMax: number;
}

export class SegmentSource {
  readonly #options: SegmentSourceOptions;
  readonly #catalog: Catalog;
  readonly #ranges = new Map<string, Uint8Array>();
  #rangeBytes = 0;

  constructor(options: SegmentSourceOptions, modules: { readonly catalog: Catalog }) {
    this.#options = options;
    this.#catalog = modules.catalog;
  }

  footer(entry: CatalogEntry, signal: AbortSignal): Promise<SegmentFooter> {
    return this.#catalog.footer(entry, signal);
  }

  /** The datasets of an object that `wants` says yes to. */
  async parts(entry: CatalogEntry, wants: (dataset: DatasetEntry) => boolean, signal: AbortSignal): Promise<SegmentPart[]> {
    const footer = await this.footer(entry, signal);
    const parts: SegmentPart[] = [];
    for (const dataset of footer.datasets) {
      if (!wants(dataset)) continue;
      parts.push({
        tenant: entry.meta.tenant,
        windowStartMs: entry.meta.windowStartMs,
        service: dataset.service,
        object: entry.key,
        bytes: await this.#range(entry, dataset, signal),
        entry: dataset,
      });
    }
    return parts;
  }

  async #range(entry: CatalogEntry, dataset: DatasetEntry, signal: AbortSignal): Promise<Uint8Array> {
    const cacheKey = `${entry.key}\0${dataset.service}\0${contentSum(dataset)}`;
    const kept = this.#ranges.get(cacheKey);
    if (kept !== undefined) {
      this.#ranges.delete(cacheKey);
      this.#ranges.set(cacheKey, kept);
      return kept;
    }
    const read = await this.#catalog.source(entry).read(dataset.offset, dataset.length, signal);
    const shared = new Uint8Array(new SharedArrayBuffer(read.length));
    shared.set(read);
    this.#ranges.set(cacheKey, shared);
    this.#rangeBytes += shared.length;
    while (this.#rangeBytes > this.#options.cacheBytesMax && this.#ranges.size > 1) {
      const [oldestKey, oldest] = this.#ranges.entries().next().value!;
      this.#ranges.delete(oldestKey);
      this.#rangeBytes -= oldest.length;
    }
    return shared;
  }
}
