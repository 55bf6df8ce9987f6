/**
 * Long work of a worker, in slices: between two of them the worker does what has arrived meanwhile, one batch at a time, and goes on.
 *
 *   scan ──slice──┬──slice──┬──slice──►         a slice: the steps between two checks of the scan's interrupt, some 2 ms
 *                 └ batch   └ batch
 *
 * The batch runs on top of the scan, in the same thread and on the same stack. So what must stay true: a batch changes nothing that a
 * scan reads (dataset-snapshot.ts: rows are only added), and what may arrive is bounded by who sends (worker-queue.ts): short calls
 * anywhere, a listing on top of a scan, nothing on top of a short call. So at most three are on the stack.
 *
 * One batch after each slice, not all that wait: while pushes come without end a query still goes on, a slice for each batch.
 */
export interface SlicedWorkModules<T> {
  /** The next message that has arrived, if there is one. */
  readonly receive: () => T | undefined;
  readonly run: (message: T) => void;
}

export class SlicedWork<T> {
  readonly #modules: SlicedWorkModules<T>;
  #depth = 0;

  constructor(modules: SlicedWorkModules<T>) {
    this.#modules = modules;
  }

  /** True while a query is at work below: what is run now is done between two of its slices. */
  get isNested(): boolean {
    return this.#depth > 0;
  }

  /** Call it between two slices. What a batch throws is its own outcome and never reaches the query below: `run` answers for it. */
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
