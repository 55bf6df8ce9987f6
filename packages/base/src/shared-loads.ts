/**
 * Shares loads: all callers that ask for the same key while it is being loaded wait for the same load.
 *
 * What must stay true: a caller that goes away gets its own abort reason at once, and the others are not affected. A load is aborted when
 * nobody waits for it any more, and not before. There are at most as many loads as callers that wait.
 */
import { setMaxListeners } from "node:events";

interface Load<T> {
  readonly outcome: Promise<T>;
  readonly controller: AbortController;
  waiterCount: number;
}

export class SharedLoads<T> {
  readonly #byKey = new Map<string, Load<T>>();

  /** `load` gets a signal that aborts once all callers that wait for this load have gone. */
  run(key: string, load: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason as Error); // abort() accepts anything as a reason
    const shared = this.#byKey.get(key) ?? this.#begin(key, load);
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener("abort", onAbort);
        if (--shared.waiterCount > 0) return;
        // Out of the map first, so that callers from now on begin a new load.
        if (this.#byKey.get(key) === shared) this.#byKey.delete(key);
        shared.controller.abort(signal.reason);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason as Error); // abort() accepts anything as a reason
      };
      shared.waiterCount++;
      setMaxListeners(0, signal); // a query waits for many loads at once; each removes its listener
      signal.addEventListener("abort", onAbort, { once: true });
      shared.outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }

  /** Callers from now on begin a new load. Those that wait for the old one get its outcome; it is aborted once all of them have gone. */
  forget(key: string): void {
    this.#byKey.delete(key);
  }

  /** False when the load was forgotten or has ended. Its outcome must not be cached then. */
  isCurrent(key: string, signal: AbortSignal): boolean {
    return this.#byKey.get(key)?.controller.signal === signal;
  }

  get loadCount(): number {
    return this.#byKey.size;
  }

  #begin(key: string, load: (signal: AbortSignal) => Promise<T>): Load<T> {
    const controller = new AbortController();
    const outcome = Promise.resolve().then(() => load(controller.signal));
    const shared: Load<T> = { outcome, controller, waiterCount: 0 };
    this.#byKey.set(key, shared);
    const end = (): void => {
      if (this.#byKey.get(key) === shared) this.#byKey.delete(key);
    };
    outcome.then(end, end);
    return shared;
  }
}
