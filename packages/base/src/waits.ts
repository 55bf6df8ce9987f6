/** Waiting: for work that others share, for a bounded time, and longer after each failure. */
import type { Clock } from "./clock.ts";

/** The outcome of `work`, or the signal's reason where it aborts first. The work goes on: others may wait for it. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error); // abort() accepts anything as a reason
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

interface TimeLimit {
  readonly timeoutMs: number;
  /** Makes the error that is thrown after `timeoutMs`. */
  readonly lateError: () => Error;
}

/** The outcome of `work`, or `lateError` after `timeoutMs`, or the signal's reason where it aborts first. The work goes on. */
export async function within<T>(work: Promise<T>, { timeoutMs, lateError }: TimeLimit, { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<T> {
  const ended = new AbortController(); // ends the timer and removes its listener from the caller's signal
  const late = clock.sleep(timeoutMs, AbortSignal.any([signal, ended.signal])).then(() => {
    throw lateError();
  });
  late.catch(() => undefined); // nobody waits for the one that comes second
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    ended.abort();
  }
}

/** How long to wait after `failureCount` failures in a row (at least 1): `firstMs`, doubled for each further failure, up to `maxMs`. */
export function retryDelayMs(failureCount: number, { firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number }): number {
  return Math.min(maxMs, firstMs * 2 ** (failureCount - 1));
}
