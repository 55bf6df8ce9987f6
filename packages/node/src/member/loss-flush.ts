/**
 * What a store does about stores that are lost (design 10.1): it flushes early all that it took before it learned of the loss, and says so once it has read all of that in the
 * bucket. When every survivor has, the loss can be cleared.
 *
 * What must stay true: "flushed" counts from this process's own sight of the loss. A restart learns of it again, with all that the replay found before it.
 */
import type { ClusterView, LostStore, StoreId } from "@pyromesh/ring";
import type { Cluster } from "../cluster/ports.ts";
import type { FlushDemand } from "./flush-demand.ts";

export interface LossFlushModules {
  readonly cluster: Pick<Cluster, "noteFlushed" | "onChange" | "view">;
  readonly head: { readonly nextSeq: number };
  readonly demand: FlushDemand;
  readonly isFlushedBefore: (seq: number) => boolean;
  /** More is to be flushed now than was before. */
  readonly hurry: () => void;
}

interface Learned {
  readonly storeId: StoreId;
  readonly incarnation: number;
  readonly seq: number;
}

export class LossFlush {
  readonly #modules: LossFlushModules;
  /** By store and incarnation. Bound: the losses that the view has. */
  readonly #learned = new Map<string, Learned>();
  #endListening: () => void = () => {};

  constructor(modules: LossFlushModules) {
    this.#modules = modules;
  }

  start(): void {
    this.#endListening = this.#modules.cluster.onChange((view) => this.#onView(view));
    this.#onView(this.#modules.cluster.view);
  }

  stop(): void {
    this.#endListening();
  }

  /** Call it when something has come to the bucket. */
  look(): void {
    this.#onView(this.#modules.cluster.view);
  }

  #onView({ lostStores, self }: ClusterView): void {
    const { cluster, demand, head, hurry, isFlushedBefore } = this.#modules;
    const open = new Map(lostStores.filter(({ isCleared }) => !isCleared).map((loss) => [idOf(loss), loss]));
    for (const [id, { storeId }] of this.#learned) {
      if (open.has(id)) continue;
      this.#learned.delete(id);
      demand.endLost(storeId);
    }
    let hasMore = false;
    for (const [id, { storeId, incarnation, flushedBy }] of open) {
      let learned = this.#learned.get(id);
      if (learned === undefined) {
        learned = { storeId, incarnation, seq: head.nextSeq };
        this.#learned.set(id, learned);
        demand.addLost(storeId, learned.seq);
        hasMore = true;
      }
      if (!isFlushedBefore(learned.seq)) continue;
      demand.endLost(storeId);
      if (!flushedBy.includes(self.name)) cluster.noteFlushed(storeId, incarnation);
    }
    if (hasMore) hurry();
  }
}

function idOf({ storeId, incarnation }: Pick<LostStore, "storeId" | "incarnation">): string {
  return `${storeId}/${incarnation}`;
}
