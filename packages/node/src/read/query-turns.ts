/**
 * Lets work wait for its turn, as query-queue.ts decides. Work whose caller leaves while it waits is taken out of the queue; work whose caller has left
 * already is not put into it.
 */
import type { Clock, CodedError, Timer } from "@pyromesh/base";
import { QueryQueue } from "./query-queue.ts";
import type { QueryClass, QueryQueueOptions, Ticket } from "./query-queue.ts";

export interface QueryTurnsModules {
  readonly clock: Clock;
  /** What work is refused with: because too many waited, or because it waited too long. Called once for each. */
  readonly refusal: (because: "full" | "timeout", asked: Pick<Ticket, "queryClass" | "tenant">) => CodedError;
}

/** What ends the waiting of a ticket. */
interface Waiter {
  readonly run: () => void;
  readonly refuse: (error: CodedError) => void;
}

export class QueryTurns {
  readonly #clock: Clock;
  readonly #refusal: QueryTurnsModules["refusal"];
  readonly #queue: QueryQueue;
  readonly #waiters = new Map<Ticket, Waiter>();
  #expiry: { readonly atMs: number; readonly timer: Timer } | undefined;

  constructor(options: QueryQueueOptions, { clock, refusal }: QueryTurnsModules) {
    this.#clock = clock;
    this.#refusal = refusal;
    this.#queue = new QueryQueue(options);
  }

  /** `work` is told how long it waited. */
  async run<T>(tenant: string, queryClass: QueryClass, signal: AbortSignal, work: (waitedMs: number) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const decision = this.#queue.ask(tenant, queryClass, this.#clock.monotonicMs());
    if (decision.kind === "refuse") throw this.#refusal("full", { tenant, queryClass });
    const { ticket } = decision;
    if (decision.kind === "wait") {
      const { evicted } = decision;
      if (evicted !== undefined) this.#refuse(evicted, "full");
      await this.#turnOf(ticket, signal);
    }
    try {
      return await work(this.#clock.monotonicMs() - ticket.askedMs);
    } finally {
      this.#end(ticket);
    }
  }

  runningCount(queryClass: QueryClass): number {
    return this.#queue.runningCount(queryClass);
  }

  waitingCount(queryClass: QueryClass): number {
    return this.#queue.waitingCount(queryClass);
  }

  /** When to ask again, for who is refused now. */
  retryAfterSeconds(queryClass: QueryClass): number {
    return this.#queue.retryAfterSeconds(queryClass, this.#clock.monotonicMs());
  }

  /** Resolves when the ticket that waits is to run. */
  #turnOf(ticket: Ticket, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#queue.leave(ticket);
        this.#waiters.delete(ticket);
        this.#watchExpiry();
        reject(signal.reason as Error); // whatever the caller gave
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.set(ticket, {
        run: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
        refuse: (error) => {
          signal.removeEventListener("abort", onAbort);
          reject(error);
        },
      });
      this.#watchExpiry();
    });
  }

  #end(ticket: Ticket): void {
    const next = this.#queue.end(ticket, this.#clock.monotonicMs());
    if (next === undefined) return;
    const waiter = this.#waiters.get(next);
    this.#waiters.delete(next);
    waiter?.run();
    this.#watchExpiry();
  }

  #refuse(ticket: Ticket, because: "full" | "timeout"): void {
    const waiter = this.#waiters.get(ticket);
    this.#waiters.delete(ticket);
    waiter?.refuse(this.#refusal(because, ticket));
  }

  /** Keeps one timer: for the ticket that has waited longest. */
  #watchExpiry(): void {
    const atMs = this.#queue.nextExpiryMs;
    if (atMs === this.#expiry?.atMs) return;
    this.#expiry?.timer.cancel();
    this.#expiry = undefined;
    if (atMs === undefined) return;
    const timer = this.#clock.after(Math.max(0, atMs - this.#clock.monotonicMs()), () => {
      this.#expiry = undefined;
      for (const ticket of this.#queue.expire(this.#clock.monotonicMs())) this.#refuse(ticket, "timeout");
      this.#watchExpiry();
    });
    this.#expiry = { atMs, timer };
  }
}
