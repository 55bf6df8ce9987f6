/**
 * What a plan takes of one window: its visible entries in the order of their keys. Made when a plan first wants the window and kept until the
 * window changes, so that a plan of a month (720 windows, 20,000 entries and more) copies lists and sorts nothing. Pure.
 */

import type { CatalogEntry } from "./catalog-entry.ts";
import { visibleEntries } from "./visible-entries.ts";

export interface WindowPlan {
  /** By key. */
  readonly entries: readonly CatalogEntry[];
  /** The range of all entries' times, both ends inclusive. */
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
}

/** `all`: the window's entries, hidden ones too. */
export function planWindow(all: readonly CatalogEntry[]): WindowPlan {
  const entries = visibleEntries(all);
  let minTimeMs = Infinity;
  let maxTimeMs = -Infinity;
  for (const { meta } of entries) {
    minTimeMs = Math.min(minTimeMs, meta.minTimeMs);
    maxTimeMs = Math.max(maxTimeMs, meta.maxTimeMs);
  }
  // Keys are ASCII (object-path.ts), whose order JavaScript's own comparison gives, at a tenth of the time of comparing as UTF-8.
  return { entries: entries.sort((a, b) => (a.key < b.key ? -1 : 1)), minTimeMs, maxTimeMs };
}

/** Adds the entries that have a time in [startMs, endMs]. */
export function addEntriesWithin({ entries, minTimeMs, maxTimeMs }: WindowPlan, startMs: number, endMs: number, planned: CatalogEntry[]): void {
  const isWhole = minTimeMs >= startMs && maxTimeMs <= endMs;
  for (const entry of entries) if (isWhole || (entry.meta.minTimeMs <= endMs && entry.meta.maxTimeMs >= startMs)) planned.push(entry);
}
