/** Ways of waiting: for work that others wait for too, for no longer than a time, and longer after each failure. */
import type { Clock } from "./clock.ts";

/** `work`'s outcome, or the signal's reason when it aborts first. The work goes on: others may wait for it. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error); // whatever the caller gave
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

export interface TimeLimit {
  readonly timeoutMs: number;
  /** What is thrown after `timeoutMs`; made then. */
  readonly lateError: () => Error;
}

/** `work`'s outcome, or `lateError` after `timeoutMs`, or the signal's reason when it aborts first. The work goes on. */
export async function within<T>(work: Promise<T>, { timeoutMs, lateError }: TimeLimit, { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<T> {
  const ended = new AbortController(); // else the timer, and its listener on the caller's signal, would outlive the answer
  const late = clock.sleep(timeoutMs, AbortSignal.any([signal, ended.signal])).then(() => {
    throw lateError();
  });
  late.catch(() => undefined); // whichever comes second has nobody who waits for it
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    ended.abort();
  }
}

/** How long to wait after so many failures in a row (at least 1): `firstMs`, doubled with each further one up to `maxMs`. */
export function retryDelayMs(failureCount: number, { firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number }): number {
  return Math.min(maxMs, firstMs * 2 ** (failureCount - 1));
}
