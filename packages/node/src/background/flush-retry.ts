import { retryDelayMs } from "@pyromesh/base";

/** The pause before the next try of a flush step, after so many failures in a row (at least 1). Tries never end: records wait on disk meanwhile, and the disk budget bounds them. */
export function flushRetryMs(failureCount: number): number {
  return retryDelayMs(failureCount, { firstMs: 500, maxMs: 15_000 });
}
