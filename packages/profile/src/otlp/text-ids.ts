/**
 * Numbers of the texts that are written to a pprof and are not strings of the dictionary: types, units, names and values of labels. Most are the same from one
 * pprof of the export to the next, so the numbers are stamped instead of deleted.
 */

/** Texts that are kept from one pprof to the next: beyond it all are forgotten. A pprof of its own has no bound but its size. */
const TEXTS_MAX = 4096;

export class TextIds {
  #texts = new Map<string, TextId>();
  #stamp = 0;

  /** Forgets all numbers. */
  clear(): void {
    this.#stamp++;
    if (this.#texts.size > TEXTS_MAX) this.#texts = new Map();
  }

  /** The text's number: `next`, if it has none. */
  idOf(text: string, next: number): number {
    const known = this.#texts.get(text);
    if (known === undefined) {
      this.#texts.set(text, { id: next, stamp: this.#stamp });
      return next;
    }
    if (known.stamp !== this.#stamp) {
      known.id = next;
      known.stamp = this.#stamp;
    }
    return known.id;
  }
}

interface TextId {
  id: number;
  /** Of the pprof in which it has the number. */
  stamp: number;
}
