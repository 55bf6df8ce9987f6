/**
 * Which process of each store a reader has heard of, and since when. A store remembers only since its start into which objects its records went; so a reader
 * that hears of a start lists the bucket before it believes that its plan lacks nothing.
 */
import type { StoreId } from "@pyromesh/ring";

export class Boots {
  readonly #heard = new Map<StoreId, { readonly bootId: string; readonly atMs: number }>();

  /**
   * When this node learned of the boot. `known`: the boot that the view names, whose time the view's `listAfterMs` covers: -Infinity then. Bound: one for each
   * store of `stores`; others are forgotten.
   */
  learnedAtMs(storeId: StoreId, bootId: string, { known, nowMs, stores }: { readonly known: string | undefined; readonly nowMs: number; readonly stores: ReadonlySet<StoreId> }): number {
    if (known === bootId) return -Infinity;
    const before = this.#heard.get(storeId);
    if (before?.bootId === bootId) return before.atMs;
    if (this.#heard.size > stores.size) for (const heard of [...this.#heard.keys()]) if (!stores.has(heard)) this.#heard.delete(heard);
    this.#heard.set(storeId, { bootId, atMs: nowMs });
    return nowMs;
  }
}
