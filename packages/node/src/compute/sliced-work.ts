/**
 * Long work of a worker in slices: after each slice the worker does one batch that has arrived meanwhile, if there is one, and goes on.
 *
 *   scan ──slice──┬──slice──┬──slice──►         a slice: the steps between two checks of the scan's interrupt, some 2 ms
 *                 └ batch   └ batch
 *
 * The batch runs on top of the scan, in the same thread and on the same stack. So what must stay true: a batch changes nothing that a
 * scan reads (dataset-snapshot.ts: rows are only added), and what may arrive is bounded by who sends (worker-queue.ts): short calls
 * anywhere, a listing on top of a scan, nothing on top of a short call. So at most three are on the stack.
 *
 * One batch after each slice, not all that wait: under pushes without end a query still goes on, by one slice for each batch.
 */
export interface SlicedWorkModules<T> {
  /** Takes the next message that has arrived; undefined where there is none. */
  readonly receive: () => T | undefined;
  readonly run: (message: T) => void;
}

export class SlicedWork<T> {
  readonly #modules: SlicedWorkModules<T>;
  #depth = 0;

  constructor(modules: SlicedWorkModules<T>) {
    this.#modules = modules;
  }

  /** True while a message is run between two slices. */
  get isNested(): boolean {
    return this.#depth > 0;
  }

  /** Called between two slices. `run` must not throw: an error in a batch is the outcome of that batch, not of the query below it. */
  giveWay(): void {
    const message = this.#modules.receive();
    if (message === undefined) return;
    this.#depth++;
    try {
      this.#modules.run(message);
    } finally {
      this.#depth--;
    }
  }
}
