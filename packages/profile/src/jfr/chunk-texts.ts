/** The strings of a chunk, by where they begin. One of encoding 2 is in the pool of strings. */
import type { ConstantPools } from "./constant-pools.ts";
import { dangling, POOL_STRING } from "./constant-pools.ts";
import { JfrCursor, unreadable } from "./jfr-cursor.ts";
import type { TextBudget } from "./text-budget.ts";

export class ChunkTexts {
  readonly #pools: ConstantPools;
  readonly #cursor: JfrCursor;
  readonly #budget: TextBudget;

  constructor(recording: Uint8Array, pools: ConstantPools, budget: TextBudget) {
    this.#pools = pools;
    this.#cursor = new JfrCursor(recording);
    this.#budget = budget;
  }

  /** Throws a refusal for a string that leads nowhere, or to itself, and beyond the budget. */
  at(place: number): string {
    const text = this.#at(place, 0);
    this.#budget.spend(text.length);
    return text;
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
