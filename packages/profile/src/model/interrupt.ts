/**
 * The way out of long work: scans and merges say how far they have come, and end where nobody waits for the answer any more.
 * Half-done work is garbage then: whoever is interrupted throws away what it was filling.
 */
export class Interrupt {
  readonly #check: () => void;
  #left = STEPS_BETWEEN;

  /** `check` throws when the work is to end. */
  constructor(check: () => void) {
    this.#check = check;
  }

  /** So many steps more are done: a sample or a node is one, some 10 to 100 ns. */
  after(steps: number): void {
    this.#left -= steps;
    if (this.#left <= 0) this.now();
  }

  /** For loops whose steps are dear: `index` is the loop's own, and every 4096th is a check. */
  at(index: number): void {
    if ((index & 0xfff) === 0) this.now();
  }

  now(): void {
    this.#left = STEPS_BETWEEN;
    this.#check();
  }
}

/** Some 2 ms at most, and too seldom to be seen in a scan's time. */
const STEPS_BETWEEN = 1 << 14;

/** Steps that matching the labels of one series takes, without regular expressions: some microseconds. */
export const SERIES_STEPS = 64;

/** Steps that a row takes of which more is done than that its samples are added up: a time, a group, a profile found by its id. Some microseconds. */
export const ROW_STEPS = 64;

/** For work that is done to its end. */
export const UNINTERRUPTED: Interrupt = new Interrupt(() => {});
