/**
 * Which queries still read: a file that left the catalog may be deleted only after every query that could have planned it has ended.
 *
 *   acquire 1 ──────────────── release
 *        acquire 2 ─────────────────────── release
 *              whenUnused(destroy)               ▲ destroy runs here: 1 and 2 began before it, 3 does not matter
 *                     acquire 3 ────────────────────── release
 */

export class Snapshots {
  /** Numbers of those not released, oldest first. */
  readonly #live = new Set<number>();
  /** In order of `afterNumber`. One for each object that is to be deleted, so bounded by the objects there are. */
  readonly #waiting: { readonly afterNumber: number; readonly run: () => void }[] = [];
  #number = 0;

  /** Returns the function that ends it. Calling that twice does no harm. */
  begin(): () => void {
    const number = ++this.#number;
    this.#live.add(number);
    return () => {
      if (this.#live.delete(number)) this.#runDue();
    };
  }

  /** Runs `run` once all that have begun by now have ended; at once where none has. */
  whenUnused(run: () => void): void {
    this.#waiting.push({ afterNumber: this.#number, run });
    this.#runDue();
  }

  get liveCount(): number {
    return this.#live.size;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  #runDue(): void {
    const [oldest = Infinity] = this.#live;
    while (this.#waiting.length > 0 && this.#waiting[0]!.afterNumber < oldest) this.#waiting.shift()!.run();
  }
}
