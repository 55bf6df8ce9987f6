/**
 * Whether a request is still wanted: its client may go away, its time may run out. The AbortSignal that queries wait with is
 * made when it is first asked for: a push, which comes by the thousand, only looks.
 */
import type { Caller } from "./ports.ts";

export class RequestAbort implements Caller {
  #controller: AbortController | undefined;
  #giveUp: ((reason: unknown) => void) | undefined;
  #isAborted = false;
  #reason: unknown;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isAborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  /** The first reason counts. */
  abort(reason: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#giveUp?.(reason);
  }

  /** Settles as `work` does, or rejects with the reason as soon as there is one; `work` goes on unheard. */
  bound<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#giveUp = reject;
      work.then(resolve, reject);
      if (this.#isAborted) reject(this.#reason);
    });
  }
}
