/**
 * The catalog's set of entries and the rules by which it changes. Pure: no bucket, no clock.
 *
 *   tenant ──► window ──► key ──► entry
 *
 * What must stay true: an entry leaves only when someone removed it, or when a LIST that began after we learned of it
 * shows that the bucket has it no more. An object on local disk is never removed by a LIST: the bucket has not got it yet.
 */
import type { TenantId } from "@pyromesh/base";
import { CodedError } from "@pyromesh/base";
import { compareText, WINDOW_MS } from "@pyromesh/profile";
import type { BucketObject } from "./bucket.ts";
import type { ReadableKey } from "./object-path.ts";
import { parseObjectKey } from "./object-path.ts";

/** Never changed: a change puts a new one in its place. */
export interface CatalogEntry {
  readonly key: string;
  /** What the key says. */
  readonly meta: ReadableKey;
  readonly sizeBytes: number;
  /** `local`: sealed on this node's disk, waiting for upload. */
  readonly place: "bucket" | "local";
  /** Of a local one, for people. */
  readonly path?: string;
}

export interface RefreshOutcome {
  readonly addedCount: number;
  readonly removedCount: number;
  /** Keys under the prefix that are none of ours. */
  readonly foreignCount: number;
}

interface Kept {
  readonly entry: CatalogEntry;
  /** Seen in a LIST: missing from a later one it is gone. */
  readonly isListed: boolean;
  /** The LIST number that was the newest begun when it came (or moved) to the bucket. */
  readonly sinceList: number;
  /** LISTs, begun after it came, that did not show it. */
  readonly missedCount: number;
}

/** A hearsay entry that two whole LISTs, both begun after we heard of it, do not show was deleted before it was ever listed. */
const MISSED_COUNT_MAX = 2;

export class CatalogView {
  readonly #entryCountMax: number;
  readonly #byKey = new Map<string, Kept>();
  readonly #byTenant = new Map<string, Map<number, Set<string>>>();
  /** Removed since a LIST began that has not ended: it may still show them. Emptied by each LIST that ends. */
  readonly #removedSince = new Map<string, number>();
  #listNumber = 0;

  /** At `entryCountMax` nothing more is added (CATALOG_FULL): an entry takes about half a KB. */
  constructor(entryCountMax: number) {
    this.#entryCountMax = entryCountMax;
  }

  get entryCount(): number {
    return this.#byKey.size;
  }

  get(key: string): CatalogEntry | undefined {
    return this.#byKey.get(key)?.entry;
  }

  /** All entries, in no order. */
  *entries(): Generator<CatalogEntry> {
    for (const { entry } of this.#byKey.values()) yield entry;
  }

  /** False where it is there already. A local one is not made a bucket one by this: `replace` does that. */
  add(entry: CatalogEntry): boolean {
    if (this.#byKey.has(entry.key)) return false;
    this.#put({ entry, isListed: false, sinceList: this.#listNumber, missedCount: 0 });
    return true;
  }

  /** Puts `entry` in the place of the one of the same key, or adds it. */
  replace(entry: CatalogEntry): void {
    this.#put({ entry, isListed: this.#byKey.get(entry.key)?.isListed ?? false, sinceList: this.#listNumber, missedCount: 0 });
  }

  /** Call it after the object was deleted, else the next LIST brings it back. */
  remove(key: string): boolean {
    const kept = this.#byKey.get(key);
    if (kept === undefined) return false;
    this.#removedSince.set(key, this.#listNumber);
    this.#byKey.delete(key);
    const { tenant, windowStartMs } = kept.entry.meta;
    const windows = this.#byTenant.get(tenant);
    const keys = windows?.get(windowStartMs);
    keys?.delete(key);
    if (keys?.size === 0) windows?.delete(windowStartMs);
    if (windows?.size === 0) this.#byTenant.delete(tenant);
    return true;
  }

  /** Entries of these tenants with a time in [startMs, endMs], by tenant as asked, then by key. */
  plan(tenants: readonly TenantId[], startMs: number, endMs: number): CatalogEntry[] {
    const planned: CatalogEntry[] = [];
    for (const tenant of new Set(tenants)) {
      const found: CatalogEntry[] = [];
      for (const [windowStartMs, keys] of this.#byTenant.get(tenant) ?? []) {
        if (windowStartMs > endMs || windowStartMs + WINDOW_MS <= startMs) continue;
        for (const key of keys) {
          const { entry } = this.#byKey.get(key)!; // both maps change together
          if (entry.meta.minTimeMs <= endMs && entry.meta.maxTimeMs >= startMs) found.push(entry);
        }
      }
      planned.push(...found.sort((a, b) => compareText(a.key, b.key)));
    }
    return planned;
  }

  /** Call before a LIST's first request; hand what it gives to `endList`. */
  beginList(): number {
    return ++this.#listNumber;
  }

  /** Takes a whole LIST in. A LIST that failed half way must not come here: what it did not reach would look gone. */
  endList(listNumber: number, listed: Iterable<BucketObject>): RefreshOutcome {
    const seen = new Set<string>();
    let addedCount = 0;
    let removedCount = 0;
    let foreignCount = 0;
    for (const object of listed) {
      const meta = parseObjectKey(object.key);
      if (meta === undefined) {
        foreignCount++;
        continue;
      }
      if (meta.kind === "mark") continue; // holds no records
      seen.add(object.key);
      const kept = this.#byKey.get(object.key);
      if (kept === undefined && (this.#removedSince.get(object.key) ?? -1) >= listNumber) continue;
      if (kept === undefined) addedCount++;
      // A local one stays local: its owner knows that the upload is through when it says `replace`.
      const entry: CatalogEntry = kept?.entry ?? { key: object.key, meta, sizeBytes: object.sizeBytes, place: "bucket" };
      this.#put({ entry, isListed: true, sinceList: kept?.sinceList ?? listNumber, missedCount: 0 });
    }
    for (const [key, kept] of [...this.#byKey]) {
      // One that came after this LIST began may have been behind its reading point: it says nothing of it.
      if (seen.has(key) || kept.entry.place === "local" || kept.sinceList >= listNumber) continue;
      const missedCount = kept.missedCount + 1;
      if (kept.isListed || missedCount >= MISSED_COUNT_MAX) {
        this.remove(key);
        removedCount++;
      } else {
        this.#byKey.set(key, { ...kept, missedCount });
      }
    }
    for (const [key, number] of this.#removedSince) if (number <= listNumber) this.#removedSince.delete(key);
    return { addedCount, removedCount, foreignCount };
  }

  #put(kept: Kept): void {
    const { key, meta } = kept.entry;
    // One on local disk is never refused: its records have left memory for it. The head's disk budget bounds them.
    if (kept.entry.place !== "local" && !this.#byKey.has(key) && this.#byKey.size >= this.#entryCountMax) {
      throw new CodedError({
        code: "CATALOG_FULL",
        kind: "unavailable",
        message: `the catalog holds ${this.#entryCountMax} objects and takes no more: lower --retention, raise --flush-interval, or give each cluster a prefix of its own in the bucket`,
      });
    }
    this.#byKey.set(key, kept);
    let windows = this.#byTenant.get(meta.tenant);
    if (windows === undefined) this.#byTenant.set(meta.tenant, (windows = new Map<number, Set<string>>()));
    const keys = windows.get(meta.windowStartMs);
    if (keys === undefined) windows.set(meta.windowStartMs, new Set([key]));
    else keys.add(key);
  }
}
