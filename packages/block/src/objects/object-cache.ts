/**
 * Cache of what was read of objects: footers, datasets' ranges, and small objects whole. They share one budget; at the bound the entry used
 * longest ago leaves, and is read again when it is needed.
 *
 * What must stay true: an entry counts what it takes in memory, with its key and bookkeeping, not its length in the file. Bytes lie in
 * shared memory, so that worker threads read them without a copy.
 *
 * An object never changes, so no entry becomes stale. One that turns out to be damaged is dropped and read again.
 */
import { LRUCache } from "lru-cache";
import type { DatasetEntry, SegmentFooter } from "../segment/format.ts";

/** A footer and, of a small object, all its bytes. */
export interface CachedFooter {
  readonly footer: SegmentFooter;
  readonly bytes: Uint8Array | undefined;
}

/** A decoded footer takes about 8 times its encoded bytes, which are varints (measured on 1000 datasets of 16 sections). */
const FOOTER_FACTOR = 8;
/** Key, slots of the map and the footer's own objects (measured: 20,000 footers of 215 bytes take 2.5 kB each). */
const FOOTER_BASE_BYTES = 1024;
/** A shared buffer with its view, key and slots (measured: 20,000 of 960 bytes take 1.3 kB each). */
const RANGE_BASE_BYTES = 512;

export class ObjectCache {
  readonly #entries: LRUCache<string, CachedFooter | Uint8Array>;
  /** Services of which a range is kept, by object. */
  readonly #services = new Map<string, Set<string>>();

  /** An entry larger than the whole budget is not kept: it is read again each time. */
  constructor(bytesMax: number) {
    this.#entries = new LRUCache({
      maxSize: Math.max(1, bytesMax),
      sizeCalculation: (entry) => (entry instanceof Uint8Array ? RANGE_BASE_BYTES + entry.length : footerCost(entry)),
      dispose: (_entry, kept) => this.#forgetService(kept),
    });
  }

  footer(key: string): CachedFooter | undefined {
    const found = this.#entries.get(key);
    return found instanceof Uint8Array ? undefined : found;
  }

  keepFooter(key: string, entry: CachedFooter): void {
    this.#entries.set(key, entry);
  }

  range(key: string, { service }: DatasetEntry): Uint8Array | undefined {
    const found = this.#entries.get(rangeKey(key, service));
    return found instanceof Uint8Array ? found : undefined;
  }

  keepRange(key: string, { service }: DatasetEntry, bytes: Uint8Array): void {
    const kept = rangeKey(key, service);
    this.#entries.set(kept, bytes);
    if (!this.#entries.has(kept)) return; // larger than the budget
    const services = this.#services.get(key);
    if (services === undefined) this.#services.set(key, new Set([service]));
    else services.add(service);
  }

  /** All of an object. */
  forget(key: string): void {
    this.#entries.delete(key);
    for (const service of [...(this.#services.get(key) ?? [])]) this.#entries.delete(rangeKey(key, service));
  }

  #forgetService(kept: string): void {
    const [key, service] = kept.split("\0", 2);
    const services = this.#services.get(key!); // a text has a first part
    if (service === undefined || services === undefined) return;
    services.delete(service);
    if (services.size === 0) this.#services.delete(key!);
  }

  /** What the entries cost together. */
  get sizeBytes(): number {
    return this.#entries.calculatedSize;
  }

  get entryCount(): number {
    return this.#entries.size;
  }
}

/** Object keys hold no control characters. */
function rangeKey(key: string, service: string): string {
  return `${key}\0${service}`;
}

function footerCost({ footer, bytes }: CachedFooter): number {
  return FOOTER_BASE_BYTES + footer.footerBytes * FOOTER_FACTOR + (bytes === undefined ? 0 : RANGE_BASE_BYTES + bytes.length);
}
