/**
 * Ends long work early: scans and merges count their steps here, and an exception ends them once nobody waits for the answer any more. The caller
 * must not use what such work had filled in part.
 */
export class Interrupt {
  readonly #check: () => void;
  #left = STEPS_BETWEEN;

  /** `check` throws where the work is to end. */
  constructor(check: () => void) {
    this.#check = check;
  }

  /** Counts `steps` more. A sample or a node is one step: 10 to 100 ns. */
  after(steps: number): void {
    this.#left -= steps;
    if (this.#left <= 0) this.now();
  }

  /** For loops in which a call per step would cost too much: `index` is the loop's own, and every 4096th checks. */
  at(index: number): void {
    if ((index & 0xfff) === 0) this.now();
  }

  now(): void {
    this.#left = STEPS_BETWEEN;
    this.#check();
  }
}

/** Steps between two checks: 2 ms at most, and too rare to slow a scan. */
const STEPS_BETWEEN = 1 << 14;

/** Steps of matching the labels of one series without regular expressions: some microseconds. */
export const SERIES_STEPS = 64;

/** Steps of a row for which more is done than adding up its samples, such as finding a group or a profile by its id: some microseconds. */
export const ROW_STEPS = 64;

/** For work that is never ended early. */
export const UNINTERRUPTED: Interrupt = new Interrupt(() => {});
