/** What a query over several heads needs of the store that it asks. Flush and release have the other side. */
import type { CatalogEntry, HeardObject } from "@pyromesh/block";
import type { Head } from "@pyromesh/head";
import type { Generation } from "../../compute/compute.ts";

export type ViewedHead = Pick<Head, "storeId" | "nextSeq" | "collect" | "read" | "spanOf" | "quarantine">;

export interface PinnedGenerations {
  pin(): { readonly generations: readonly Generation[]; release(): void };
}

export interface HeadMatcher {
  /**
   * Compares every record that the head holds when it is called with the identities of these objects, where that was not done before, and releases those
   * that an object of the bucket has. Rejects where an object cannot be read now.
   */
  match(objects: readonly CatalogEntry[], signal: AbortSignal): Promise<MatchOutcome>;
}

export interface MatchOutcome {
  /** Identities (16 characters of latin1 each) of records that the head holds on although one of the objects has them: it waits for its upload, for instance. */
  readonly kept: ReadonlySet<string>;
  /** Segments that were to wait at another store, and are neither there nor in the bucket. Nothing was compared with them. */
  readonly nowhere: readonly CatalogEntry[];
}

export interface ReleasedInto {
  /**
   * Segments and blocks into which this store sealed records or released them, of windows that begin in [firstWindowMs, lastWindowMs], as far back as it
   * remembers: those that wait here for their upload, too, also after a restart. A record is in one of them from the turn in which it leaves the head.
   */
  within(tenants: readonly string[], firstWindowMs: number, lastWindowMs: number): readonly HeardObject[];
  /** It remembers all that left the head since then, by the monotonic clock. */
  readonly sinceMs: number;
}
