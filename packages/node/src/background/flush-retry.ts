import { retryDelayMs } from "@pyromesh/base";

/** How long a step of the flush waits after so many failures in a row (at least 1). It is tried for ever: records wait on disk meanwhile, and the disk budget bounds them. */
export function flushRetryMs(failureCount: number): number {
  return retryDelayMs(failureCount, { firstMs: 500, maxMs: 15_000 });
}
