/**
 * Contact (design 5.8): a store acknowledges a record, and a node answers 200, only while a majority of the full members has answered probes that it sent
 * within the lease.
 *
 * What must stay true: a probe counts from when it was sent. Whoever fences this store does so after it heard the probe, so once it has fenced for longer
 * than the lease, none of its answers counts here any more, however late it came. Clocks of two nodes are never compared.
 */
import type { StoreId } from "@pyromesh/ring";
import type { Electorate } from "./majority.ts";

export class Contact {
  readonly #leaseMs: number;
  /** By store, when the last probe that it answered was sent. Bounded by the table: stores that leave it are forgotten here. */
  readonly #sentMs = new Map<StoreId, number>();
  /** Contact holds until then, while the electorate stays: answers only prolong it. */
  #untilMs = -Infinity;
  /** Out of contact: so many answers must come, while the electorate stays, before looking at all voters again can find a majority. */
  #missingCount = 0;

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** The store answered a probe that this node sent at `sentMs`. Answers may come late and in any order. */
  heard(store: StoreId, sentMs: number): void {
    const last = this.#sentMs.get(store);
    if (last !== undefined && last >= sentMs) return;
    this.#sentMs.set(store, sentMs);
    this.#missingCount--;
  }

  isHeard(store: StoreId, nowMs: number): boolean {
    const sentMs = this.#sentMs.get(store);
    return sentMs !== undefined && nowMs - sentMs <= this.#leaseMs;
  }

  /** While it is in contact: it will be until then at least, unless others vote. As found when `isInContact` was asked last. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** `self` counts where it is a voter. */
  isInContact(electorate: Electorate, self: StoreId, nowMs: number): boolean {
    if (nowMs <= this.#untilMs) return true;
    if (this.#missingCount > 0) return false;
    const heardCount = electorate.voters.reduce((count, store) => (store === self || this.isHeard(store, nowMs) ? count + 1 : count), 0);
    this.#missingCount = electorate.needed - heardCount;
    if (this.#missingCount > 0) return false;
    const sent = electorate.voters.map((store) => (store === self ? Infinity : (this.#sentMs.get(store) ?? -Infinity))).sort((a, b) => b - a);
    this.#untilMs = sent[electorate.needed - 1]! + this.#leaseMs;
    return true;
  }

  /** Others vote now. */
  electorateChanged(): void {
    this.#untilMs = -Infinity;
    this.#missingCount = 0;
  }

  forget(store: StoreId): void {
    this.#sentMs.delete(store);
    this.electorateChanged();
  }
}
