/**
 * What all replies that are not read yet may hold together. A reply takes room once its size is known; where its size can be foreseen its
 * handler reserves room before the reply is built, and waits for it.
 *
 *   reserve(foreseen) ─ build ─► swap(foreseen, real) ─ compress ─► swap(real, compressed) ─ read ─► give
 *
 * What must stay true: `bytes` never exceeds the bound but for one large reply that is alone (else it could never be sent). Replies
 * of more than a mebibyte share three quarters of it: who asks for little finds room while others do not read much.
 *
 * A reply that is built and finds no room is refused and dropped at once: to wait with it would be to hold it.
 */
import { CodedError, unavailable } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";

export interface ReplyBudgetOptions {
  readonly bytesMax: number;
  /** How long a reservation waits. Past it the request is refused (503). */
  readonly waitMs: number;
  /** How many may wait. Past it one more is refused at once (503): requests that wait count as at work, and pushes need their places. */
  readonly waitingCountMax: number;
}

export interface ReplyBudgetModules {
  readonly clock: Clock;
  /** How long it takes until so many bytes more are free, as far as can be told. */
  readonly roomInMs: (bytes: number) => number;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
  readonly refuse: (error: CodedError) => void;
}

const LARGE_BYTES = 2 ** 20;
const RETRY_AFTER_SECONDS_MAX = 60;

export class ReplyBudget {
  readonly #options: ReplyBudgetOptions;
  readonly #clock: Clock;
  readonly #roomInMs: (bytes: number) => number;
  readonly #waiting = new Set<Waiting>();
  #bytes = 0;
  /** Of them, in large replies. */
  #largeBytes = 0;
  #isStopped = false;

  constructor(options: ReplyBudgetOptions, modules: ReplyBudgetModules) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#roomInMs = modules.roomInMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** How much is reserved for a reply that may become so large: not so much that a few that may be large keep all others out. */
  reservationFor(bytes: number): number {
    return Math.min(bytes, Math.floor(this.#largeBytesMax / 4));
  }

  /** Rejects REPLIES_TOO_LARGE, NODE_STOPPING, or the signal's reason. Whoever fits goes first, the longest waiting among them before others. */
  reserve(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#isStopped) return Promise.reject(stopping());
    if (this.tryTake(bytes)) return Promise.resolve();
    if (this.#waiting.size >= this.#options.waitingCountMax) return Promise.reject(this.refusal(bytes));
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // whatever the caller gave
      const end = (): void => {
        this.#waiting.delete(waiting);
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
      };
      const waiting: Waiting = {
        bytes,
        grant: () => {
          end();
          resolve();
        },
        refuse: (error) => {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => {
        end();
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiting);
      const timer = this.#clock.after(this.#options.waitMs, () => waiting.refuse(this.refusal(bytes)));
    });
  }

  tryTake(bytes: number): boolean {
    if (!this.#fits(bytes, 0)) return false;
    this.#add(bytes);
    return true;
  }

  /** Of a reply that was handed to the kernel, which did not take all of it. A quarter past the bound; false beyond. */
  tryTakeSent(bytes: number): boolean {
    if (this.#bytes + bytes > this.#options.bytesMax * 1.25) return false;
    this.#add(bytes);
    return true;
  }

  /** What was taken as `from` becomes `to`, with nobody in between; false, and nothing is changed, where that does not fit. */
  trySwap(from: number, to: number): boolean {
    if (to > from && !this.#fits(to, from)) return false;
    this.#add(-from);
    this.#add(to);
    this.#grant();
    return true;
  }

  give(bytes: number): void {
    if (bytes === 0) return;
    this.#add(-bytes);
    this.#grant();
  }

  /** Who waits is refused, and so is whoever comes. */
  stop(): void {
    this.#isStopped = true;
    for (const waiting of this.#waiting) waiting.refuse(stopping());
  }

  /** 503, with the time until there will be room. */
  refusal(bytes: number): CodedError {
    const retryAfterSeconds = Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(this.#roomInMs(bytes) / 1000)));
    return new CodedError({
      code: "REPLIES_TOO_LARGE",
      kind: "unavailable",
      message: `this node holds as many bytes of replies as it may until they are read: ask for less, or again in ${retryAfterSeconds} s`,
      details: { retryAfterSeconds },
    });
  }

  get #largeBytesMax(): number {
    return this.#options.bytesMax * 0.75;
  }

  #fits(bytes: number, insteadOf: number): boolean {
    const others = this.#bytes - insteadOf;
    if (bytes < LARGE_BYTES) return others + bytes <= this.#options.bytesMax;
    const otherLarge = this.#largeBytes - (insteadOf >= LARGE_BYTES ? insteadOf : 0);
    return otherLarge === 0 || others + bytes <= this.#largeBytesMax;
  }

  #add(bytes: number): void {
    this.#bytes += bytes;
    if (Math.abs(bytes) >= LARGE_BYTES) this.#largeBytes += bytes;
  }

  #grant(): void {
    for (const waiting of this.#waiting) if (this.tryTake(waiting.bytes)) waiting.grant();
  }
}

function stopping(): CodedError {
  return unavailable("NODE_STOPPING", "this node is stopping: ask another, or try again in a second");
}
