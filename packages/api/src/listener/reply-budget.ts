/**
 * The memory that all replies hold together until they are read. A reply takes memory once its size is known. Where the handler can
 * estimate the size, it reserves memory before it builds the reply, and waits for it.
 *
 *   reserve(estimate) ─ build ─► swap(estimate, real) ─ compress ─► swap(real, compressed) ─ read ─► give
 *
 * What must stay true: `bytes` never exceeds the bound, except for one large reply that is alone (it could never be sent otherwise).
 * Replies of more than 1 MiB share three quarters of the budget, so that small ones find room behind slow readers of large ones.
 *
 * A reply that was built and finds no room is refused and dropped at once: waiting would mean holding its memory.
 */
import { CodedError, unavailable } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";

interface ReplyBudgetOptions {
  readonly bytesMax: number;
  /** How long a reservation waits. After that the request is refused (503). */
  readonly waitMs: number;
  /**
   * How many reservations may wait. One more is refused at once (503): waiting requests count as requests at work, and pushes need those
   * places.
   */
  readonly waitingCountMax: number;
}

interface ReplyBudgetModules {
  readonly clock: Clock;
  /** An estimate of how long it takes until so many more bytes are free. */
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
  /** The part of `#bytes` that large replies hold. */
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

  /**
   * How much to reserve for a reply of this expected size: at most a quarter of the share of large replies, so that a few queries cannot
   * block all others.
   */
  reservationFor(bytes: number): number {
    return Math.min(bytes, Math.floor(this.#largeBytesMax / 4));
  }

  /**
   * Rejects REPLIES_TOO_LARGE, NODE_STOPPING, or the signal's reason. When memory gets free, the longest waiting reservation that fits
   * goes first.
   */
  reserve(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#isStopped) return Promise.reject(stopping());
    if (this.tryTake(bytes)) return Promise.resolve();
    if (this.#waiting.size >= this.#options.waitingCountMax) return Promise.reject(this.refusal(bytes));
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // abort() accepts anything as a reason
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

  /**
   * For a small reply that was written and of which the kernel did not take everything. May exceed the bound by a quarter; false beyond
   * that.
   */
  tryTakeSent(bytes: number): boolean {
    if (this.#bytes + bytes > this.#options.bytesMax * 1.25) return false;
    this.#add(bytes);
    return true;
  }

  /** Replaces `from` bytes by `to` bytes in one step. False where that does not fit; then nothing changes. */
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

  /** Refuses all that wait, and all that come. */
  stop(): void {
    this.#isStopped = true;
    for (const waiting of this.#waiting) waiting.refuse(stopping());
  }

  /** A 503 that says in how many seconds there should be room. */
  refusal(bytes: number): CodedError {
    const retryAfterSeconds = Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(this.#roomInMs(bytes) / 1000)));
    return new CodedError({
      code: "REPLIES_TOO_LARGE",
      kind: "unavailable",
      message: `this node has no memory left for this reply until others are read: ask for less, or try again in ${retryAfterSeconds} s`,
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
