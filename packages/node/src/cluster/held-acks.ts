/**
 * The smallest number of acks under which this store holds anything that is not in the bucket, told to the cluster whenever it changes (design 5.6): a
 * query is complete only if fewer stores than that failed to answer it.
 *
 *   records in the head      by the shortest list of stores: a majority of its length is never more than the acks that it was sent under
 *   sealed segments          what was said when they were sealed, until they are in the bucket
 *   neither                  Infinity: it holds nothing
 *
 * What must stay true: it falls in the turn in which a record becomes durable, and rises only after what was held under less is gone. So `refresh` follows every
 * commit in its turn. After releases and uploads it may come late: until then the number is too small, which refuses some answers and makes none wrong.
 */
import { majorityOf } from "@pyromesh/ring";
import type { Cluster } from "./ports.ts";

export interface HeldAcksModules {
  readonly cluster: Pick<Cluster, "view" | "noteHeld">;
  readonly head: {
    readonly storeCountMin: number | undefined;
    isSealed(segmentKey: string): boolean;
  };
}

export class HeldAcks {
  readonly #modules: HeldAcksModules;
  /** By the key of each sealed segment, some of which may be in the bucket by now. */
  readonly #sealed = new Map<string, number>();
  /** What the records in the head come to. */
  #inHead = Infinity;
  #noted: number | undefined;

  /** `sealedKeys`: segments that an earlier process sealed. Nobody knows any more under how many acks, but its entry said that it held nothing under fewer. */
  constructor(sealedKeys: readonly string[], modules: HeldAcksModules) {
    this.#modules = modules;
    for (const key of sealedKeys) this.#sealed.set(key, modules.cluster.view.self.acksHeld);
    this.refresh();
  }

  /** The head has just dropped these segments' records. */
  noteSealed(segmentKeys: readonly string[]): void {
    const { head } = this.#modules;
    for (const key of this.#sealed.keys()) if (!head.isSealed(key)) this.#sealed.delete(key);
    for (const key of segmentKeys) this.#sealed.set(key, this.#inHead);
    this.refresh();
  }

  noteRenamed(fromKey: string, toKey: string): void {
    const acks = this.#sealed.get(fromKey);
    if (acks === undefined) return;
    this.#sealed.delete(fromKey);
    this.#sealed.set(toKey, acks);
  }

  refresh(): void {
    const { cluster, head } = this.#modules;
    const count = head.storeCountMin;
    this.#inHead = count === undefined ? Infinity : majorityOf(count);
    const acks = this.#inHead > 1 ? this.#leastOfSealed(this.#inHead) : 1;
    if (acks === this.#noted) return;
    this.#noted = acks;
    cluster.noteHeld(acks);
  }

  /** `acks`, or less where a segment that waits was sealed under less. There may be thousands, so the head is asked of those only. */
  #leastOfSealed(acks: number): number {
    let least = acks;
    for (const [key, sealed] of this.#sealed) {
      if (sealed >= least) continue;
      if (this.#modules.head.isSealed(key)) least = sealed;
      else this.#sealed.delete(key);
    }
    return least;
  }
}
