/**
 * How many ad hoc profiles are worked on at once: each has its file in memory, and takes a worker for as long as a large push does. Others wait,
 * by tenant in turn (read/query-queue.ts), and are refused with ADHOC_BUSY (503) where too many wait, or for too long.
 */
import { CodedError } from "@pyromesh/base";
import type { Clock } from "@pyromesh/base";
import { QueryQueue } from "../read/query-queue.ts";
import type { QueryClass, Ticket } from "../read/query-queue.ts";

/** Drawings, of one file or two, and LISTs. A file is 16 MiB at most, once in the request or from the bucket and once for the worker. */
const RUNNING_MAX: Readonly<Record<QueryClass, number>> = { scan: 2, listing: 4 };
const WAITING_MAX = 32;
const WAIT_MAX_MS = 10_000;

export class AdHocQueue {
  readonly #clock: Clock;
  readonly #queue = new QueryQueue({ runningMax: RUNNING_MAX, waitingMax: WAITING_MAX, waitMaxMs: WAIT_MAX_MS });
  /** What ends the waiting of a ticket: its turn (undefined), or why there is none. */
  readonly #waiting = new Map<Ticket, (refusal: Error | undefined) => void>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  async run<T>(tenant: string, queryClass: QueryClass, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const decision = this.#queue.ask(tenant, queryClass, this.#clock.monotonicMs());
    if (decision.kind === "refuse") throw busy(this.#retryAfterSeconds(queryClass));
    if (decision.kind === "wait") {
      if (decision.evicted !== undefined) this.#waiting.get(decision.evicted)?.(busy(this.#retryAfterSeconds(queryClass)));
      await this.#turnOf(decision.ticket, signal);
    }
    try {
      return await work();
    } finally {
      const next = this.#queue.end(decision.ticket, this.#clock.monotonicMs());
      if (next !== undefined) this.#waiting.get(next)!(undefined); // every ticket that waits is there
    }
  }

  async #turnOf(ticket: Ticket, signal: AbortSignal): Promise<void> {
    const leave = (refusal: Error): void => {
      this.#queue.leave(ticket);
      this.#waiting.get(ticket)?.(refusal);
    };
    const onAbort = (): void => leave(signal.reason as Error); // abort() accepts anything as a reason
    const timer = this.#clock.after(WAIT_MAX_MS, () => leave(busy(this.#retryAfterSeconds(ticket.queryClass))));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => this.#waiting.set(ticket, (refusal) => (refusal === undefined ? resolve() : reject(refusal))));
    } finally {
      this.#waiting.delete(ticket);
      timer.cancel();
      signal.removeEventListener("abort", onAbort);
    }
  }

  #retryAfterSeconds(queryClass: QueryClass): number {
    return this.#queue.retryAfterSeconds(queryClass, this.#clock.monotonicMs());
  }
}

function busy(retryAfterSeconds: number): CodedError {
  return new CodedError({ code: "ADHOC_BUSY", kind: "unavailable", message: `this node works on as many ad hoc profiles as it may: try again in ${retryAfterSeconds} s, or ask another node`, details: { retryAfterSeconds } });
}
