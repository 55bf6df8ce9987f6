/**
 * Which stores keep a record, in the order of their ranks: the replica set of its series on the ring of the view. Without a cluster it is this store alone.
 *
 * Members that do not answer this node are left out while enough others are there, so that records are not sent under a rank that will flush late.
 *
 * What must stay true: a list is distinct, no longer than the replication in force, and names no store that is known as lost.
 */
import type { EncodedRecord } from "@pyromesh/profile";
import { isInRun, replicaSet, RingOfView } from "@pyromesh/ring";
import type { ClusterView, ReplicaSet, RunOptions } from "@pyromesh/ring";
import type { StoreList } from "../cluster/append-message.ts";
import type { Cluster } from "../cluster/ports.ts";

export type PlacedRecord = Pick<EncodedRecord, "tenant" | "service" | "fingerprint">;

/** Which members a tenant's records may be placed on. */
export interface PlacementLimits {
  /** Members over which the series of one service are spread; 0, or fewer than keep a record: as many as keep one. */
  readonly serviceSpread: number;
  /** Members that a tenant's records are kept to. 0: all. */
  readonly tenantShardSize: number;
}

export interface PlacedRank {
  readonly member: string;
  readonly storeId: string;
  /** It is this node's own store. */
  readonly isSelf: boolean;
}

/** Many records share one. */
export interface Placed extends StoreList {
  /** In the order of `stores`. */
  readonly ranks: readonly PlacedRank[];
}

export interface PlacementModules {
  readonly cluster: Pick<Cluster, "view" | "isLost">;
  /** This store's id, 16 bytes: the same object as long as it does not change. */
  readonly storeId: () => Uint8Array;
  readonly limitsOf: (tenant: string) => PlacementLimits;
  /** Names of members that do not answer this node; the same object as long as they are the same. */
  readonly silent: () => ReadonlySet<string>;
}

export class Placement {
  readonly #modules: PlacementModules;
  readonly #ring = new RingOfView();
  /** The ring with the silent members, for when too few others are left. */
  readonly #wholeRing = new RingOfView();
  /** What was made of a replica set, as long as the set lives. */
  #placed = new WeakMap<ReplicaSet, Placed>();
  #placedIn: ClusterView | undefined;
  #own: Placed | undefined;
  /** One object, filled anew for each lookup. */
  readonly #options: { -readonly [K in keyof RunOptions]: RunOptions[K] } = { replication: 1, spread: 1, shardSize: 0 };

  constructor(modules: PlacementModules) {
    this.#modules = modules;
  }

  /** May hold fewer stores than `acks`, where not enough members are there. */
  of(record: PlacedRecord): Placed {
    const { cluster, silent } = this.#modules;
    const { view } = cluster;
    if (view.members.length === 1) return this.#onSelf();
    const options = this.#optionsOf(view, record.tenant);
    const answering = replicaSet(this.#ring.of(view, silent()), record, options);
    return this.#print(answering.length >= view.acks ? answering : replicaSet(this.#wholeRing.of(view), record, options), view);
  }

  /** The same without members that failed, others in their place as far as there are any. */
  without(record: PlacedRecord, failed: ReadonlySet<string>): Placed {
    const { view } = this.#modules.cluster;
    const options = this.#optionsOf(view, record.tenant);
    const { replication } = options;
    options.replication += failed.size;
    const members = replicaSet(this.#wholeRing.of(view), record, options).filter(({ name }) => !failed.has(name));
    return this.#print(members.slice(0, replication), view);
  }

  /** False: this node keeps no series of the service, so none of its rows is needed here. */
  mayKeep(tenant: string, service: string): boolean {
    const { view } = this.#modules.cluster;
    if (view.members.length === 1) return true;
    return isInRun(this.#wholeRing.of(view), tenant, service, view.self.name, this.#optionsOf(view, tenant));
  }

  #optionsOf({ replication }: ClusterView, tenant: string): { -readonly [K in keyof RunOptions]: RunOptions[K] } {
    const { serviceSpread, tenantShardSize } = this.#modules.limitsOf(tenant);
    const options = this.#options;
    options.replication = replication;
    options.spread = serviceSpread;
    options.shardSize = tenantShardSize;
    return options;
  }

  #onSelf(): Placed {
    const { cluster, storeId } = this.#modules;
    const { acks, self } = cluster.view;
    const id = storeId();
    if (this.#own?.stores[0] !== id || this.#own.acks !== acks) this.#own = { stores: [id], acks, ranks: [{ member: self.name, storeId: self.storeId, isSelf: true }] };
    return this.#own;
  }

  #print(members: ReplicaSet, view: ClusterView): Placed {
    if (this.#placedIn !== view) {
      // Acks and losses may be others now.
      this.#placed = new WeakMap();
      this.#placedIn = view;
    }
    let placed = this.#placed.get(members);
    if (placed === undefined) {
      const kept = members.filter(({ storeId }) => !this.#modules.cluster.isLost(storeId));
      const ranks = kept.map(({ name, storeId }): PlacedRank => ({ member: name, storeId, isSelf: name === view.self.name }));
      placed = { stores: ranks.map(({ storeId }) => Buffer.from(storeId, "hex")), acks: view.acks, ranks };
      this.#placed.set(members, placed);
    }
    return placed;
  }
}
