/**
 * Which rows are in memory: generations, each from one cut to the next, and the pins that hold them.
 * A generation leaves memory once its cut is sealed and the last query that planned it has ended.
 *
 * What must stay true: the generation turns in the same turn of the loop in which the head makes the cut, and leaves in the one in which the
 * head seals it. So a record lies in the generation of its own cut, and a query that pins between any two steps finds it.
 */
import { assert } from "@pyromesh/base";
import type { Generation } from "../compute/compute.ts";

export class Generations {
  readonly #live = new Set<Generation>();
  readonly #pins = new Map<Generation, number>();
  readonly #leaving = new Set<Generation>();
  /** Of cuts not yet sealed. */
  readonly #ofCut = new Map<number, Generation>();
  readonly #drop: (generation: Generation) => void;
  #open: Generation = 0;

  constructor(drop: (generation: Generation) => void) {
    this.#drop = drop;
    this.#live.add(this.#open);
  }

  /** Where new rows go. */
  get open(): Generation {
    return this.#open;
  }

  /** Ends the open generation, whose rows are the cut's, and begins the next. */
  turn(cutId: number): void {
    assert(!this.#ofCut.has(cutId), "a cut is made once");
    this.#ofCut.set(cutId, this.#open);
    this.#open++;
    this.#live.add(this.#open);
  }

  /** Where the rows of a cut are; undefined for one that is sealed. */
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

  /** The cut is sealed: no new query plans its generation, which is dropped when the last that did ends. */
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
