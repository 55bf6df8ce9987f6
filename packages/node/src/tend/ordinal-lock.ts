/**
 * Who gives ordinals does it alone: from asking the head which ordinal comes next to the write that takes it. The head refuses an
 * ordinal that is not the next one, so this only saves work; it is never what keeps ordinals apart.
 *
 * Bound: whoever seals and whoever renames waits for its turn; there is one of the first and one of the second a queue of uploads.
 */

export class OrdinalLock {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
