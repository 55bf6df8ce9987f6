/**
 * Only one caller at a time gives ordinals: it asks the head for the next one, writes the file, and has the head take it. Without the lock
 * two callers would ask for the same ordinal, and the head would refuse the second, whose file was written for nothing.
 *
 * Bound: one seal, one new store id and the uploads under way (`BUSY_MAX`) can wait at a time.
 */

export class OrdinalLock {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
