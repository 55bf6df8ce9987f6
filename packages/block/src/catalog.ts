/**
 * The catalog: this node's set of readable segments and blocks, in the bucket and on local disk.
 *
 * A thin shell: the rules are in `catalog-view.ts`, who still reads what in `snapshots.ts`; here the bucket is listed and
 * footers are read. What must stay true: a query works on a snapshot, which nothing changes and whose local files stay
 * until it is released. (An object deleted from the bucket under a query is the query's to notice: it plans again.)
 */
import type { Logger, TenantId } from "@pyromesh/base";
import type { Bucket, BucketObject } from "./bucket.ts";
import type { CatalogEntry, RefreshOutcome } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";
import { FooterCache } from "./footer-cache.ts";
import type { SegmentFooter } from "./format.ts";
import type { LocalFiles } from "./local-file.ts";
import { OBJECT_PREFIX } from "./object-path.ts";
import type { RangeSource } from "./segment-reader.ts";
import { readFooter } from "./segment-reader.ts";
import { Snapshots } from "./snapshots.ts";

export interface CatalogOptions {
  /** Decoded footers kept in memory; the least recently used goes first. */
  readonly footerCacheBytesMax?: number;
  /** At the bound new objects are refused with CATALOG_FULL, and a refresh rejects with it. */
  readonly entryCountMax?: number;
}

export interface CatalogModules {
  readonly bucket: Bucket;
  readonly localFiles: LocalFiles;
  readonly logger: Logger;
}

/** Some 3000 footers of 20 services. */
const FOOTER_CACHE_BYTES_MAX = 128 * 2 ** 20;
/** About 500 MB of entries: compaction and retention keep a catalog far below. */
const ENTRY_COUNT_MAX = 1_000_000;

export interface CatalogSnapshot {
  readonly entries: readonly CatalogEntry[];
  /** Say so when the last read has ended; in a `finally`. */
  release(): void;
}

export class Catalog {
  readonly #bucket: Bucket;
  readonly #localFiles: LocalFiles;
  readonly #logger: Logger;
  readonly #view: CatalogView;
  readonly #footers: FooterCache;
  readonly #snapshots = new Snapshots();

  constructor(options: CatalogOptions, modules: CatalogModules) {
    this.#bucket = modules.bucket;
    this.#localFiles = modules.localFiles;
    this.#logger = modules.logger;
    this.#view = new CatalogView(options.entryCountMax ?? ENTRY_COUNT_MAX);
    this.#footers = new FooterCache(options.footerCacheBytesMax ?? FOOTER_CACHE_BYTES_MAX);
  }

  get entryCount(): number {
    return this.#view.entryCount;
  }

  get(key: string): CatalogEntry | undefined {
    return this.#view.get(key);
  }

  entries(): Iterable<CatalogEntry> {
    return this.#view.entries();
  }

  /** False where the key is there already. */
  add(entry: CatalogEntry): boolean {
    return this.#view.add(entry);
  }

  /** After an upload: the same key, now in the bucket. Delete the local file through `whenUnused`. */
  replace(entry: CatalogEntry): void {
    this.#view.replace(entry);
  }

  remove(key: string): boolean {
    this.#footers.delete(key);
    return this.#view.remove(key);
  }

  /** Entries that may hold a record of these tenants in [startMs, endMs]. To read them, `acquire` instead. */
  plan(tenants: readonly TenantId[], startMs: number, endMs: number): readonly CatalogEntry[] {
    return this.#view.plan(tenants, startMs, endMs);
  }

  acquire(tenants: readonly TenantId[], startMs: number, endMs: number): CatalogSnapshot {
    return { entries: this.plan(tenants, startMs, endMs), release: this.#snapshots.begin() };
  }

  /** Runs `destroy` once every snapshot taken until now is released. Its failure is logged: what it left is found at the next start. */
  whenUnused(destroy: () => void | Promise<void>): void {
    this.#snapshots.whenUnused(() => {
      Promise.resolve()
        .then(destroy)
        .catch((error: unknown) => this.#logger.warn("could not remove what no query reads any more", { error }));
    });
  }

  /** Snapshots not yet released; one that only grows is a leak. */
  get snapshotCount(): number {
    return this.#snapshots.liveCount;
  }

  /** LISTs the bucket and takes the difference in. Rejects, changing nothing, when a page could not be had. */
  async refresh(signal: AbortSignal): Promise<RefreshOutcome> {
    const listNumber = this.#view.beginList();
    const listed: BucketObject[] = [];
    for await (const page of this.#bucket.list(OBJECT_PREFIX, {}, signal)) for (const object of page) listed.push(object);
    const outcome = this.#view.endList(listNumber, listed);
    if (outcome.foreignCount > 0) this.#logger.warn("the bucket holds objects that are not ours; they are left alone", { bucket: this.#bucket.name, objectCount: outcome.foreignCount });
    return outcome;
  }

  /** The bytes of an entry, by range. */
  source(entry: CatalogEntry): RangeSource {
    const { key, sizeBytes } = entry;
    if (entry.place === "local") return { sizeBytes, read: (offset, lengthBytes, signal) => this.#localFiles.read(key, offset, lengthBytes, signal) };
    return { sizeBytes, read: (offset, lengthBytes, signal) => this.#bucket.getRange(key, offset, lengthBytes, signal) };
  }

  /** From the cache, else read. Two at once may both read it: cheaper than a shared read that either may cancel. */
  async footer(entry: CatalogEntry, signal: AbortSignal): Promise<SegmentFooter> {
    const cached = this.#footers.get(entry.key);
    if (cached !== undefined) return cached;
    const footer = await readFooter(this.source(entry), entry.key, signal);
    // One that left meanwhile says nothing of what comes under its key.
    if (this.#view.get(entry.key) === entry) this.#footers.set(entry.key, footer);
    return footer;
  }
}
