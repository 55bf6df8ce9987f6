/**
 * A memory budget: how many bytes may be held at once for one purpose, and who waits for some of them.
 *
 *   take: there is room? -> held
 *         else           -> waits in line, first come first served -> held, or refused when its time is up
 *
 * What must stay true: `take` and `tryTake` never let more than `bytesMax` be held. Whoever waits holds nothing of what it waits for, so
 * that those who hold some always end: ask for everything at once, or grow with `tryTake`, which does not wait.
 *
 * Two lines, since one large piece at the head of a single line would keep every small one waiting: a quarter of the budget stays free of
 * large pieces, and small ones go first. The caller says which is which. Each line is as long as there are callers: bound those.
 */
import type { Clock, Timer } from "./clock.ts";

export interface MemoryBudgetOptions {
  readonly bytesMax: number;
  /** How long `take` waits at most. */
  readonly waitTimeoutMs: number;
}

/** A place in line. */
export interface BudgetWait {
  /** True: the bytes are held, `give` them back. False: there was no room in time, or it was cancelled; nothing is held. */
  readonly outcome: Promise<boolean>;
  /** Call when nobody wants the bytes any more. Without effect once the outcome is known. */
  cancel(): void;
}

interface Waiter {
  readonly sizeBytes: number;
  readonly timer: Timer;
  readonly resolve: (isHeld: boolean) => void;
}

/** Large pieces leave a quarter free. */
const LARGE_PART = 3 / 4;

export class MemoryBudget {
  readonly bytesMax: number;
  /** A large piece of more than this never gets in. */
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

  /** Held now. */
  get bytes(): number {
    return this.#bytes;
  }

  get waitingCount(): number {
    return this.#small.size + this.#large.size;
  }

  /** Now or not at all: for who holds some already, and grows. Nobody in line has a better right to it: who grows ends sooner. */
  tryTake(sizeBytes: number): boolean {
    if (this.#bytes + sizeBytes > this.bytesMax) return false;
    this.#bytes += sizeBytes;
    return true;
  }

  /** Now, where nobody is in line before: the way without a promise. */
  tryBegin(sizeBytes: number, isLarge: boolean): boolean {
    if ((isLarge ? this.#large : this.#small).size > 0 || !this.#hasRoom(sizeBytes, isLarge)) return false;
    this.#bytes += sizeBytes;
    return true;
  }

  /** Waits in line. Call it only where `tryBegin` gave nothing. */
  wait(sizeBytes: number, isLarge: boolean): BudgetWait {
    const line = isLarge ? this.#large : this.#small;
    let settle!: (isHeld: boolean) => void; // set at once by the promise
    const outcome = new Promise<boolean>((resolve) => (settle = resolve));
    const leave = (): void => {
      if (!line.delete(waiter)) return;
      waiter.timer.cancel();
      settle(false);
      this.#admit(); // who stood behind a larger piece may fit
    };
    const waiter: Waiter = { sizeBytes, timer: this.#clock.after(this.waitTimeoutMs, leave), resolve: settle };
    line.add(waiter);
    return { outcome, cancel: leave };
  }

  /** Held whatever the bound: for what exists already when its size is known. Others wait until it is given back. */
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
