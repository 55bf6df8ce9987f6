/**
 * Timeouts of one length, which share one timer. A timer of its own for every request would cost more than the timeout is worth: hardly
 * any request reaches it.
 *
 * There are at most as many timeouts as requests at work. They are a linked list whose members forget their neighbours as they leave. A Map would make
 * a new table every few requests, and each old table refers to the next: once the garbage collector has moved one of them to the old generation, all
 * later ones with their requests follow it there.
 */
import type { Clock, Timer } from "@pyromesh/base";

export interface Waiting {
  /** Called when its time has passed, once. */
  onTimeout(): void;
}

export class Timeouts<Each extends Waiting = Waiting> {
  readonly #lengthMs: number;
  readonly #clock: Clock;
  /** Before the first and behind the last. All have the same length, so the order in which they were added is that in which they time out. */
  readonly #ends = new Timeout<Each>();
  #timer: Timer | undefined;

  constructor(options: { readonly lengthMs: number }, modules: { readonly clock: Clock }) {
    this.#lengthMs = options.lengthMs;
    this.#clock = modules.clock;
  }

  get lengthMs(): number {
    return this.#lengthMs;
  }

  add(waiting: Each): Timer {
    const timeout = new Timeout(waiting, this.#clock.monotonicMs() + this.#lengthMs);
    timeout.linkBefore(this.#ends);
    if (this.#timer === undefined) this.#wait(this.#lengthMs);
    return timeout;
  }

  /** Those that wait now, the longest first. `visit` may cancel any of them. */
  forEach(visit: (waiting: Each, ageMs: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    const all: Timeout<Each>[] = [];
    for (let timeout = this.#ends.next; timeout !== this.#ends; timeout = timeout.next) all.push(timeout);
    for (const { isListed, waiting, deadlineMs } of all) if (isListed) visit(waiting!, nowMs + this.#lengthMs - deadlineMs); // only the ends have none
  }

  /** Removes the timer: no timeout fires any more. */
  stop(): void {
    this.#ends.cancel();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#expire());
  }

  #expire(): void {
    this.#timer = undefined;
    for (let { next: first } = this.#ends; first.waiting !== undefined; { next: first } = this.#ends) {
      const leftMs = first.deadlineMs - this.#clock.monotonicMs();
      // A timer may fire a little early. A wait below its resolution would fire early again, at once.
      if (leftMs > 0) return this.#wait(Math.max(1, leftMs));
      first.cancel();
      first.waiting.onTimeout();
    }
  }
}

/** One in the list, or, with nobody waiting, the ends of it. One that has left is a list of its own. */
class Timeout<Each extends Waiting> implements Timer {
  next: Timeout<Each> = this;
  #previous: Timeout<Each> = this;
  readonly waiting: Each | undefined;
  readonly deadlineMs: number;

  constructor(waiting?: Each, deadlineMs = Infinity) {
    this.waiting = waiting;
    this.deadlineMs = deadlineMs;
  }

  get isListed(): boolean {
    return this.next !== this;
  }

  linkBefore(other: Timeout<Each>): void {
    this.next = other;
    this.#previous = other.#previous;
    this.#previous.next = this;
    other.#previous = this;
  }

  cancel(): void {
    this.#previous.next = this.next;
    this.next.#previous = this.#previous;
    this.next = this;
    this.#previous = this;
  }
}
