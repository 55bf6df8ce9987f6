/** Counts an event, and lets a test wait for its next times. */
export class EventCount {
  #count = 0;
  readonly #waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();

  get count(): number {
    return this.#count;
  }

  add(): void {
    this.#count++;
    for (const waiting of this.#waiting) {
      if (waiting.count > this.#count) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** Resolves when the event has happened `count` times. */
  reach(count: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#count >= count) resolve();
      else this.#waiting.add({ count, resolve });
    });
  }
}
