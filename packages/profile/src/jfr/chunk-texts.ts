/** The strings of a chunk, by where they begin. One of encoding 2 is in the pool of strings. */
import type { ConstantPools } from "./constant-pools.ts";
import { dangling, POOL_STRING } from "./constant-pools.ts";
import { JfrCursor, unreadable } from "./jfr-cursor.ts";

export class ChunkTexts {
  readonly #pools: ConstantPools;
  readonly #cursor: JfrCursor;

  constructor(recording: Uint8Array, pools: ConstantPools) {
    this.#pools = pools;
    this.#cursor = new JfrCursor(recording);
  }

  /** Throws a refusal for a string that leads nowhere, or to itself. */
  at(place: number): string {
    return this.#at(place, 0);
  }

  #at(place: number, hops: number): string {
    this.#cursor.at = place;
    return this.#cursor.string((id) => {
      const pool = this.#pools[POOL_STRING];
      const number = pool.find(id);
      if (number < 0) throw dangling(place, POOL_STRING, id);
      if (hops >= HOPS_MAX) throw unreadable(place, `string ${id} leads to itself`);
      return this.#at(pool.placeOf(number), hops + 1);
    });
  }
}

/** A string in the pool is text itself. Some more are followed, and then it is a cycle. */
const HOPS_MAX = 4;
