/**
 * A lock: one holder at a time, and the others in the order in which they came. Whoever calls bounds how many may wait.
 */
export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when the caller holds it, with what gives it back. */
  async lock(): Promise<() => void> {
    const before = this.#last;
    let end = (): void => {};
    this.#last = new Promise((resolve) => (end = resolve));
    await before;
    return end;
  }
}
