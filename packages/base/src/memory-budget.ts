/**
 * A memory budget: the bytes that may be held at once for one purpose, and the callers that wait for some of them.
 *
 *   tryBegin: there is room, and nobody waits -> held
 *   wait:     first come, first served -> held, or refused after `waitTimeoutMs`
 *   tryTake:  for a caller that holds some already: held at once, or not at all
 *   give:     returns bytes, and lets those that wait have them
 *
 * What must stay true: never more than `bytesMax` are held. A caller that waits holds nothing of this budget, so those that hold some
 * always end. So ask for everything at once, or grow with `tryTake`.
 *
 * There are two queues, because one large request at the head of a single queue would block all small ones. Small requests go first, and
 * large ones leave a quarter of the budget free; the caller says which one it makes. The queues are as long as there are callers: bound
 * those.
 */
import type { Clock, Timer } from "./clock.ts";

export interface MemoryBudgetOptions {
  readonly bytesMax: number;
  /** How long `wait` takes at most. */
  readonly waitTimeoutMs: number;
}

/** A place in a queue. */
export interface BudgetWait {
  /** True: the bytes are held, and must be given back. False: there was no room in time, or the wait was cancelled. */
  readonly outcome: Promise<boolean>;
  /** Call it when nobody needs the bytes any more. No effect once the outcome is known. */
  cancel(): void;
}

interface Waiter {
  readonly sizeBytes: number;
  readonly timer: Timer;
  readonly resolve: (isHeld: boolean) => void;
}

/** Large requests leave a quarter free. */
const LARGE_PART = 3 / 4;

export class MemoryBudget {
  readonly bytesMax: number;
  /** A large request for more than this can never be granted. */
  readonly largeBytesMax: number;
  readonly waitTimeoutMs: number;
  readonly #clock: Clock;
  readonly #small = new Set<Waiter>();
  readonly #large = new Set<Waiter>();
  #bytes = 0;

  constructor({ bytesMax, waitTimeoutMs }: MemoryBudgetOptions, { clock }: { readonly clock: Clock }) {
    this.bytesMax = bytesMax;
    this.largeBytesMax = Math.floor(bytesMax * LARGE_PART);
    this.waitTimeoutMs = waitTimeoutMs;
    this.#clock = clock;
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#bytes;
  }

  get waitingCount(): number {
    return this.#small.size + this.#large.size;
  }

  /** For a caller that holds some bytes and needs more. It goes before those that wait, so that it ends sooner. */
  tryTake(sizeBytes: number): boolean {
    if (this.#bytes + sizeBytes > this.bytesMax) return false;
    this.#bytes += sizeBytes;
    return true;
  }

  /** Takes the bytes where there is room and nobody waits. It spares the promise that `wait` makes. */
  tryBegin(sizeBytes: number, isLarge: boolean): boolean {
    if ((isLarge ? this.#large : this.#small).size > 0 || !this.#hasRoom(sizeBytes, isLarge)) return false;
    this.#bytes += sizeBytes;
    return true;
  }

  /** Waits in a queue. Call it where `tryBegin` returned false. */
  wait(sizeBytes: number, isLarge: boolean): BudgetWait {
    const line = isLarge ? this.#large : this.#small;
    let settle!: (isHeld: boolean) => void; // the promise sets it at once
    const outcome = new Promise<boolean>((resolve) => (settle = resolve));
    const leave = (): void => {
      if (!line.delete(waiter)) return;
      waiter.timer.cancel();
      settle(false);
      this.#admit(); // smaller requests behind this one may fit now
    };
    const waiter: Waiter = { sizeBytes, timer: this.#clock.after(this.waitTimeoutMs, leave), resolve: settle };
    line.add(waiter);
    return { outcome, cancel: leave };
  }

  /** Counts bytes that exist already when their size is known, even beyond the bound. Callers that wait go on waiting until they are given back. */
  add(sizeBytes: number): void {
    this.#bytes += sizeBytes;
  }

  give(sizeBytes: number): void {
    this.#bytes -= sizeBytes;
    this.#admit();
  }

  #admit(): void {
    this.#admitFrom(this.#small, false);
    this.#admitFrom(this.#large, true);
  }

  #admitFrom(line: Set<Waiter>, isLarge: boolean): void {
    for (const waiter of line) {
      if (!this.#hasRoom(waiter.sizeBytes, isLarge)) return;
      line.delete(waiter);
      waiter.timer.cancel();
      this.#bytes += waiter.sizeBytes;
      waiter.resolve(true);
    }
  }

  #hasRoom(sizeBytes: number, isLarge: boolean): boolean {
    return this.#bytes + sizeBytes <= (isLarge ? this.largeBytesMax : this.bytesMax);
  }
}
