/** How long a step of the flush waits after it failed: 0.5 s, doubled with each further failure up to 15 s, for ever; there is nothing better to do. */

const FIRST_MS = 500;
const MAX_MS = 15_000;

/** `failureCount`: failures in a row, at least 1. */
export function retryDelayMs(failureCount: number): number {
  return Math.min(MAX_MS, FIRST_MS * 2 ** (Math.min(failureCount, 10) - 1));
}
