/** Values that many records share (a tenant and service, a list of stores), each kept once for as long as one of them uses it. */
import { assert } from "@pyromesh/base";

export class Interned<T> {
  readonly #indexes = new Map<string, number>();
  readonly #values: { readonly key: string; readonly value: T; useCount: number }[] = [];
  /** Indexes that nobody uses. */
  readonly #free: number[] = [];

  /** The index of the value of `key`, which gets one more user. */
  use(key: string, make: () => T): number {
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.#free.pop() ?? this.#values.length;
      this.#values[index] = { key, value: make(), useCount: 0 };
      this.#indexes.set(key, index);
    }
    this.#values[index]!.useCount++; // just found, or made
    return index;
  }

  useAgain(index: number): void {
    this.#values[index]!.useCount++; // the caller uses it
  }

  /** One user less. With the last the value goes, and another may take its index. */
  drop(index: number): void {
    const held = this.#values[index];
    assert(held !== undefined && held.useCount > 0, "what is dropped was used");
    if (--held.useCount > 0) return;
    this.#indexes.delete(held.key);
    this.#free.push(index);
  }

  /** Each value in use, with how many use it. */
  *each(): Generator<{ readonly value: T; readonly useCount: number }, void> {
    for (const held of this.#values) if (held.useCount > 0) yield held;
  }

  at(index: number): T {
    const held = this.#values[index];
    assert(held !== undefined && held.useCount > 0, "a value is kept while it is used");
    return held.value;
  }
}
