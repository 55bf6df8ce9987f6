/** Segments that are missing from the bucket, by window and store: what `ordinal-gaps.ts` finds, kept from LIST to LIST. */
import type { TenantId } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import { printWindow } from "./object-path.ts";
import type { GapState } from "./ordinal-gaps.ts";
import { NO_GAPS, printOrdinals } from "./ordinal-gaps.ts";
import type { WindowRef } from "./window-ref.ts";
import { windowId } from "./window-ref.ts";

/** Ordinals of one store that are missing from one tenant's window. */
export interface SegmentGap extends WindowRef {
  readonly storeId: string;
  readonly gaps: GapState;
}

const NO_STORES: ReadonlyMap<string, SegmentGap> = new Map();

export class SegmentGaps {
  /** By `windowId`, then by store id. Bound: the stores of the catalog's entries and marks, of segments that vanished, and of this node's own ordinals. */
  readonly #byWindow = new Map<string, Map<string, SegmentGap>>();

  /** The gaps of a window, by store id. */
  of(window: WindowRef): ReadonlyMap<string, SegmentGap> {
    return this.#byWindow.get(windowId(window)) ?? NO_STORES;
  }

  stateOf(window: WindowRef, storeId: string): GapState {
    return this.of(window).get(storeId)?.gaps ?? NO_GAPS;
  }

  /** A gap of nothing is forgotten. */
  set(gap: SegmentGap): void {
    const id = windowId(gap);
    const byStore = this.#byWindow.get(id) ?? new Map<string, SegmentGap>();
    if (gap.gaps.holes.length + gap.gaps.suspected.length > 0) byStore.set(gap.storeId, gap);
    else byStore.delete(gap.storeId);
    if (byStore.size > 0) this.#byWindow.set(id, byStore);
    else this.#byWindow.delete(id);
  }

  /** In the windows of these tenants that [startMs, endMs] touches. */
  within(tenants: readonly TenantId[], startMs: number, endMs: number): SegmentGap[] {
    const found: SegmentGap[] = [];
    for (const gap of this.all()) if (gap.windowStartMs <= endMs && gap.windowStartMs + WINDOW_MS > startMs && tenants.includes(gap.tenant)) found.push(gap);
    return found;
  }

  *all(): Generator<SegmentGap> {
    for (const byStore of this.#byWindow.values()) yield* byStore.values();
  }
}

/** For people: `window 20260302T14, store 0f1e...: 3, 5-8 missing`. Names no tenant. */
export function describeGap({ windowStartMs, storeId, gaps }: SegmentGap): string {
  const ranges = [...gaps.holes, ...gaps.suspected].sort((a, b) => a.first - b.first);
  const doubt = gaps.holes.length === 0 ? "may be missing, which the next listing decides" : "missing";
  return `window ${printWindow(windowStartMs)}, store ${storeId}: ${printOrdinals(ranges)} ${doubt}`;
}
