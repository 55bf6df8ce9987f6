/**
 * The generations of rows in memory, and which queries read them. A generation holds the rows of one cut: those inserted since the cut before it.
 * It leaves memory once its cut is sealed and the last query that pinned it has ended.
 *
 *   open    4 ───────────── cut ──▶ 5 ──────────── cut ──▶ 6 ...        rows of rank 0, as they are committed
 *   aside        4.5   5.5                                              rows that the head is read for: a takeover's, or one query's
 *
 * What must stay true: a generation ends in the turn of the event loop in which the head makes the cut, and leaves the plans of queries in the
 * turn in which the head seals it. So a record lies in the generation of its own cut, and a query that pins between any two steps finds it.
 *
 * Bound: the open generation, one per unsealed cut (`UNSEALED_COUNT_MAX`), and those that queries under way still read.
 */
import { assert } from "@pyromesh/base";
import type { Generation } from "../compute/compute.ts";

export class Generations {
  readonly #live = new Set<Generation>();
  readonly #pins = new Map<Generation, number>();
  readonly #leaving = new Set<Generation>();
  /** The generation of each cut that is not sealed yet. */
  readonly #ofCut = new Map<number, Generation>();
  readonly #drop: (generation: Generation) => void;
  #open: Generation = 0;
  /** Given last. */
  #last: Generation = 0;

  constructor(drop: (generation: Generation) => void) {
    this.#drop = drop;
    this.#live.add(this.#open);
  }

  /** The generation that new rows go to. */
  get open(): Generation {
    return this.#open;
  }

  /** Ends the open generation, which becomes the cut's, and begins the next. */
  turn(cutId: number): void {
    assert(!this.#ofCut.has(cutId), "a cut is made once");
    this.#ofCut.set(cutId, this.#open);
    this.#open = this.#last = Math.floor(this.#last) + 1;
    this.#live.add(this.#open);
  }

  /**
   * A generation beside the open one, for rows that its user reads from the head and inserts. No query pins it, and a worker that dies does not get it back: what reads
   * it then is refused, and its user begins again with another. Its user drops it (`Compute.drop`).
   */
  aside(): Generation {
    const next = this.#last + (Number.isInteger(this.#last) ? 0.5 : 1);
    this.#last = next;
    return next;
  }

  /** No generation that was given so far is higher. */
  get last(): Generation {
    return this.#last;
  }

  /** The generation with the rows of a cut; undefined for a cut that is sealed. */
  of(cutId: number): Generation | undefined {
    return this.#ofCut.get(cutId);
  }

  pin(): { readonly generations: readonly Generation[]; release(): void } {
    const generations = [...this.#live];
    for (const generation of generations) this.#pins.set(generation, (this.#pins.get(generation) ?? 0) + 1);
    let isHeld = true;
    return {
      generations,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        for (const generation of generations) {
          const left = this.#pins.get(generation)! - 1;
          if (left > 0) this.#pins.set(generation, left);
          else this.#pins.delete(generation);
          this.#dropIfUnused(generation);
        }
      },
    };
  }

  /** Call it when the cut is sealed: no later query pins its generation, and it is dropped when the last query that did has ended. */
  leave(cutId: number): void {
    const generation = this.#ofCut.get(cutId);
    if (generation === undefined) return;
    this.#ofCut.delete(cutId);
    this.#live.delete(generation);
    this.#leaving.add(generation);
    this.#dropIfUnused(generation);
  }

  #dropIfUnused(generation: Generation): void {
    if (!this.#leaving.has(generation) || this.#pins.has(generation)) return;
    this.#leaving.delete(generation);
    this.#drop(generation);
  }
}
