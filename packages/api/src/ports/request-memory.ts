/**
 * The memory that one request takes for its decompressed body. A body of 64 kB may decompress to 64 MB, so the memory is taken from a
 * budget before decompression starts, and given back when the handler ends.
 *
 * What must stay true: a request waits for memory only while it holds none. What it needs beyond its first share it gets at once or not
 * at all.
 */
import { CodedError, freeBytes } from "@pyromesh/base";
import type { BudgetWait, MemoryBudget } from "@pyromesh/base";

export interface UnpackMemory {
  /** The most that one request can get. */
  readonly bytesMax: number;
  /**
   * Waits for a bounded time. Rejects BODIES_TOO_MANY (503). Call it while nothing is held, with everything that is known to be needed; never
   * with more than `bytesMax`.
   */
  take(sizeBytes: number): Promise<void>;
  /** Takes more without waiting. False: there is no room. */
  tryTake(sizeBytes: number): boolean;
  /** Gives back what was taken for a step that has ended. The rest is given back with the request. */
  give(sizeBytes: number): void;
  /** Frees the bytes with the request, where they are of `largeBytes`. Nothing may use them when the handler has ended. */
  freeAtEnd(bytes: Uint8Array): void;
}

/** Requests for more than this leave a quarter of the budget free: most pushes of agents decompress to less. */
const LARGE_BYTES_MIN = 2 ** 20;

export class RequestMemory implements UnpackMemory {
  readonly #budget: MemoryBudget;
  #takenBytes = 0;
  /** A body and the messages in it, one after the other. */
  readonly #freed: Uint8Array[] = [];
  #wait: BudgetWait | undefined;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get bytesMax(): number {
    return this.#budget.largeBytesMax;
  }

  async take(sizeBytes: number): Promise<void> {
    const isLarge = sizeBytes >= LARGE_BYTES_MIN;
    if (!this.#budget.tryBegin(sizeBytes, isLarge)) {
      this.#wait = this.#budget.wait(sizeBytes, isLarge);
      const isHeld = await this.#wait.outcome;
      this.#wait = undefined;
      if (!isHeld) throw bodiesTooMany(this.#budget);
    }
    this.#takenBytes += sizeBytes;
  }

  tryTake(sizeBytes: number): boolean {
    if (!this.#budget.tryTake(sizeBytes)) return false;
    this.#takenBytes += sizeBytes;
    return true;
  }

  give(sizeBytes: number): void {
    this.#takenBytes -= sizeBytes;
    this.#budget.give(sizeBytes);
  }

  freeAtEnd(bytes: Uint8Array): void {
    this.#freed.push(bytes);
  }

  /** Call it when the handler has ended. */
  release(): void {
    for (const bytes of this.#freed) freeBytes(bytes);
    this.#freed.length = 0;
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  /** Call it when the connection is closed: the request stops waiting. */
  onClosed(): void {
    this.#wait?.cancel();
  }
}

/** `Retry-After` is the time that the request has waited already: when the others end is not known. */
export function bodiesTooMany({ waitTimeoutMs }: MemoryBudget): CodedError {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitTimeoutMs / 1000));
  return new CodedError({
    code: "BODIES_TOO_MANY",
    kind: "unavailable",
    message: `this node has no memory left for more request bodies: try again in ${retryAfterSeconds} s`,
    details: { retryAfterSeconds },
  });
}
