/**
 * One load in flight per key: whoever asks for what is being loaded waits for the same load.
 *
 * What must stay true: a caller that goes away gets its own reason at once and takes nothing from the others; a load is aborted when
 * nobody waits for it any more, and not before. Holds as many loads as are under way: each belongs to a caller that waits.
 */
import { setMaxListeners } from "node:events";

interface Load<T> {
  readonly outcome: Promise<T>;
  readonly controller: AbortController;
  waiterCount: number;
}

export class SharedLoads<T> {
  readonly #byKey = new Map<string, Load<T>>();

  /** `load` gets a signal of its own: it is aborted once all who wait for this load have gone. */
  run(key: string, load: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason as Error); // whatever the caller gave
    const shared = this.#byKey.get(key) ?? this.#begin(key, load);
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener("abort", onAbort);
        if (--shared.waiterCount > 0) return;
        // Out of the map first: whoever comes from now on begins a new load.
        if (this.#byKey.get(key) === shared) this.#byKey.delete(key);
        shared.controller.abort(signal.reason);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason as Error); // whatever the caller gave
      };
      shared.waiterCount++;
      setMaxListeners(0, signal); // a query waits for many loads at once; each takes its listener back
      signal.addEventListener("abort", onAbort, { once: true });
      shared.outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }

  /** Whoever asks from now on begins a new load. Those who wait for the old one get its outcome; it is aborted once all of them have gone. */
  forget(key: string): void {
    this.#byKey.delete(key);
  }

  /** False once the load was forgotten, or ended: its outcome is not to be kept. */
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
