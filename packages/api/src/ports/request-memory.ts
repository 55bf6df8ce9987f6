/**
 * What one request holds of the memory for unpacked bodies. A body of 64 kB opens to 64 MB: so what it opens to is asked for before it is
 * opened, and given back when the handler has ended.
 *
 * What must stay true: a request waits for memory only while it holds none of it; what it needs beyond that it gets at once or not at all.
 */
import { CodedError } from "@pyromesh/base";
import type { BudgetWait, MemoryBudget } from "@pyromesh/base";

export interface UnpackMemory {
  /** One request never gets more. */
  readonly bytesMax: number;
  /** Waits for a bounded time. Rejects BODIES_TOO_MANY (503). Ask once, for all that is known to be needed; never for more than `bytesMax`. */
  take(sizeBytes: number): Promise<void>;
  /** More, at once. False: there is no room. */
  tryTake(sizeBytes: number): boolean;
}

/** Of a larger one a quarter of the budget is kept free: requests of agents mostly unpack to less. */
const LARGE_BYTES_MIN = 2 ** 20;

export class RequestMemory implements UnpackMemory {
  readonly #budget: MemoryBudget;
  #takenBytes = 0;
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

  /** Call once the handler has ended. */
  release(): void {
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  /** Call when the connection is gone: it waits no more. */
  onClosed(): void {
    this.#wait?.cancel();
  }
}

/** `Retry-After` says as long as it waited already: nobody knows when the others will be done. */
export function bodiesTooMany({ waitTimeoutMs }: MemoryBudget): CodedError {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitTimeoutMs / 1000));
  return new CodedError({
    code: "BODIES_TOO_MANY",
    kind: "unavailable",
    message: `this node holds as many request bodies as its memory allows: try again in ${retryAfterSeconds} s`,
    details: { retryAfterSeconds },
  });
}
