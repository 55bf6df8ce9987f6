/**
 * Datasets of segments as bytes: footers and dataset ranges, from local disk or the bucket, kept in bounded caches.
 * Ranges lie in shared memory, so that lanes read them without copies.
 */
import type { Bucket, CatalogEntry, DatasetEntry, LocalSegments, RangeSource, SegmentFooter } from "@pyromesh/block";
import { readFooter } from "@pyromesh/block";
import type { SegmentPart } from "../compute/compute.ts";

export interface SegmentSourceOptions {
  /** Of dataset ranges kept in memory. At the bound the one used longest ago leaves. */
  readonly cacheBytesMax: number;
  readonly footerCountMax: number;
}

export interface SegmentSourceModules {
  readonly bucket: Bucket;
  readonly local: LocalSegments;
}

export class SegmentSource {
  readonly #options: SegmentSourceOptions;
  readonly #modules: SegmentSourceModules;
  readonly #footers = new Map<string, SegmentFooter>();
  readonly #ranges = new Map<string, Uint8Array>();
  #rangeBytes = 0;

  constructor(options: SegmentSourceOptions, modules: SegmentSourceModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** The datasets of an object that `wants` says yes to. */
  async parts(entry: CatalogEntry, wants: (dataset: DatasetEntry) => boolean, signal: AbortSignal): Promise<SegmentPart[]> {
    const source = await this.#source(entry);
    const footer = await this.#footer(entry, source, signal);
    const parts: SegmentPart[] = [];
    for (const dataset of footer.datasets) {
      if (!wants(dataset)) continue;
      const bytes = await this.#range(entry.key, dataset, source, signal);
      parts.push({
        tenant: entry.meta.tenant,
        windowStartMs: entry.meta.windowStartMs,
        service: dataset.service,
        object: entry.key,
        bytes,
        entry: dataset,
      });
    }
    return parts;
  }

  async #source(entry: CatalogEntry): Promise<RangeSource> {
    if (entry.place === "local") return this.#modules.local.open(entry.key);
    const { bucket } = this.#modules;
    return { sizeBytes: entry.sizeBytes, read: (offset, length, signal) => bucket.getRange(entry.key, offset, length, signal) };
  }

  async #footer(entry: CatalogEntry, source: RangeSource, signal: AbortSignal): Promise<SegmentFooter> {
    const kept = this.#footers.get(entry.key);
    const footer = kept ?? (await readFooter(source, entry.key, signal));
    this.#footers.delete(entry.key);
    this.#footers.set(entry.key, footer);
    if (this.#footers.size > this.#options.footerCountMax) this.#footers.delete(this.#footers.keys().next().value!);
    return footer;
  }

  async #range(key: string, dataset: DatasetEntry, source: RangeSource, signal: AbortSignal): Promise<Uint8Array> {
    const cacheKey = `${key}\0${dataset.service}`;
    const kept = this.#ranges.get(cacheKey);
    if (kept !== undefined) {
      this.#ranges.delete(cacheKey);
      this.#ranges.set(cacheKey, kept);
      return kept;
    }
    const read = await source.read(dataset.offset, dataset.length, signal);
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
