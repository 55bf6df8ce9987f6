/**
 * Guesses, before a push is decoded, whether this node will have rank 0 of its records and so intern their rows: then they are pre-interned while the columns are at hand,
 * which saves decoding the record a second time. A service pushes the same label set again and again, so where its last push belonged, the next one will.
 *
 * A wrong guess costs time and nothing else: rows that are pre-interned in vain are dropped, and a record without them is interned from its bytes.
 *
 * Bound: LABEL_SETS_MAX; at the bound all are forgotten, as they are with each change of the view.
 */
import type { ClusterView } from "@pyromesh/ring";
import type { Cluster } from "../cluster/ports.ts";
import type { PlacedRecord, Placement } from "./placement.ts";

/** Some 60 bytes each: 6 MB. */
const LABEL_SETS_MAX = 100_000;

export interface FirstRanksModules {
  readonly cluster: Pick<Cluster, "view">;
  readonly placement: Pick<Placement, "of">;
}

export class FirstRanks {
  readonly #modules: FirstRanksModules;
  /** By tenant, by the number of the label set: whether all records of the first push under this view had their rank 0 here. */
  readonly #ownByTenant = new Map<string, Map<number, boolean>>();
  #count = 0;
  #view: ClusterView | undefined;

  constructor(modules: FirstRanksModules) {
    this.#modules = modules;
  }

  isExpected(tenant: string, labelSet: number): boolean {
    if (this.#modules.cluster.view.members.length === 1) return true;
    return this.#of(tenant)?.get(labelSet) === true;
  }

  /** `records`: of a push with this label set. */
  learn(tenant: string, labelSet: number, records: readonly PlacedRecord[]): void {
    const { cluster, placement } = this.#modules;
    if (cluster.view.members.length === 1 || this.#of(tenant)?.has(labelSet) === true) return;
    if (this.#count >= LABEL_SETS_MAX) this.#forget();
    let own = this.#ownByTenant.get(tenant);
    if (own === undefined) this.#ownByTenant.set(tenant, (own = new Map()));
    own.set(labelSet, records.every((record) => placement.of(record).ranks[0]?.isSelf === true));
    this.#count++;
  }

  #of(tenant: string): ReadonlyMap<number, boolean> | undefined {
    const { view } = this.#modules.cluster;
    if (this.#view !== view) this.#forget();
    this.#view = view;
    return this.#ownByTenant.get(tenant);
  }

  #forget(): void {
    this.#ownByTenant.clear();
    this.#count = 0;
  }
}
