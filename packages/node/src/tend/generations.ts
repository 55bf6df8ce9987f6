/**
 * Which rows are in memory: generations, each from one cut to the next, and the pins that hold them.
 * A generation leaves memory once its cut is sealed and the last query that planned it has ended.
 */
import { assert } from "@pyromesh/base";
import type { Generation } from "../compute/compute.ts";

export class Generations {
  readonly #live = new Set<Generation>();
  readonly #pins = new Map<Generation, number>();
  readonly #leaving = new Set<Generation>();
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

  /** Ends the open generation and begins the next. Returns the one that ended. */
  turn(): Generation {
    const ended = this.#open;
    this.#open = ended + 1;
    this.#live.add(this.#open);
    return ended;
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

  /** No new query plans it; dropped when the last that did ends. */
  leave(generation: Generation): void {
    assert(generation !== this.#open, "the open generation stays");
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
