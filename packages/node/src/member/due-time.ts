/**
 * How long after it came a record of rank above 0 is due: this store then asks whoever should have flushed it. A few flush intervals, so that nobody is asked
 * for what is about to be flushed, nor for what is being uploaded.
 */
export function dueAfterMsOf(flushIntervalMs: number): number {
  return Math.max(DUE_AFTER_MS_MIN, FLUSH_INTERVALS * flushIntervalMs);
}

const FLUSH_INTERVALS = 3;
const DUE_AFTER_MS_MIN = 5_000;
