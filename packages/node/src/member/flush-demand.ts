/**
 * What is to be flushed before its time: all that came before a moment (`POST /flush`, a node that leaves, a replication that rises), and what was kept together with a store
 * that is lost.
 */

export class FlushDemand {
  /** One for each who waits. */
  readonly #moments = new Set<{ readonly seq: number }>();
  /** By the id of a lost store: the seq that was next when its loss was learned. */
  readonly #lost = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#moments.size === 0 && this.#lost.size === 0;
  }

  /** All records with a smaller seq. Returns what ends the demand. */
  add(seq: number): () => void {
    const moment = { seq };
    this.#moments.add(moment);
    return () => void this.#moments.delete(moment);
  }

  /** Records with a smaller seq whose list names this store. */
  addLost(storeId: string, seq: number): void {
    this.#lost.set(storeId, Math.max(seq, this.#lost.get(storeId) ?? 0));
  }

  endLost(storeId: string): void {
    this.#lost.delete(storeId);
  }

  includes(seq: number, stores: readonly string[]): boolean {
    for (const moment of this.#moments) if (seq < moment.seq) return true;
    if (this.#lost.size > 0) for (const storeId of stores) if (seq < (this.#lost.get(storeId) ?? 0)) return true;
    return false;
  }
}
