/**
 * Stands between the API and the reader: queries wait here for their turn, and equal ones are answered together.
 *
 *   question ──► an equal one in flight is joined (shared-questions.ts)
 *            ──► it runs, waits for its turn, or is refused (query-queue.ts) ──► reader
 *
 * `stats` needs no worker and does not wait. A query whose caller leaves while it waits is taken out of the queue; one whose caller has left
 * already is not put into it.
 */
import { TenantLabels } from "@pyromesh/api";
import type { ProfileSource, Scope } from "@pyromesh/api";
import { CodedError, Turns } from "@pyromesh/base";
import type { Clock, Counter, Histogram, Metrics, TenantId, Timer } from "@pyromesh/base";
import { questionKey } from "./question-key.ts";
import { QueryQueue } from "./query-queue.ts";
import type { QueryClass, QueryQueueOptions, Ticket } from "./query-queue.ts";
import { TURNS_BEFORE_PLAN } from "./query-scanner.ts";
import { SharedQuestions } from "./shared-questions.ts";

const WAIT_SECONDS_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60];

export interface QueuedSourceModules {
  /** The source that answers. It throws while there is none, as during a start, and the query is refused with that error. */
  readonly source: () => ProfileSource;
  /** Absent: true. False in a cluster, where other nodes take pushes too. */
  readonly isAlone?: boolean;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

type QueuedMethod = Exclude<keyof ProfileSource, "stats">;

/** What ends the waiting of a ticket. */
interface Waiter {
  readonly run: () => void;
  readonly refuse: (error: CodedError) => void;
}

export class QueuedSource implements ProfileSource {
  readonly #source: () => ProfileSource;
  readonly #clock: Clock;
  readonly #queue: QueryQueue;
  readonly #options: QueryQueueOptions;
  readonly #questions: SharedQuestions;
  readonly #waiters = new Map<Ticket, Waiter>();
  readonly #refused: Counter;
  readonly #waits: Histogram;
  readonly #tenants = new TenantLabels();
  #expiry: { readonly atMs: number; readonly timer: Timer } | undefined;

  constructor(options: QueryQueueOptions, { source, clock, isAlone = true, metrics }: QueuedSourceModules) {
    this.#source = source;
    this.#clock = clock;
    this.#options = options;
    this.#queue = new QueryQueue(options);
    const joined = metrics.counter("pyromesh_queries_shared_total", "Queries that were answered by an equal one in flight.");
    this.#questions = new SharedQuestions(() => joined.add({}), { isAlone });
    this.#refused = metrics.counter("pyromesh_queries_refused_total", "Queries that were refused because too many waited (full) or they had waited too long (timeout).", ["reason", "tenant"]);
    this.#waits = metrics.histogram("pyromesh_query_wait_seconds", "How long queries waited for their turn; 0 where they ran at once.", ["class"], WAIT_SECONDS_BUCKETS);
    const classes = ["listing", "scan"] as const;
    metrics.gauge("pyromesh_queries_running", "Queries that run now.", ["class"], (gauge) => {
      for (const queryClass of classes) gauge.set({ class: queryClass }, this.#queue.runningCount(queryClass));
    });
    metrics.gauge("pyromesh_queries_waiting", "Queries that wait for their turn.", ["class"], (gauge) => {
      for (const queryClass of classes) gauge.set({ class: queryClass }, this.#queue.waitingCount(queryClass));
    });
  }

  /** Call it when a push of the tenant was committed, before it is answered: a question that comes later joins no run that has begun. */
  onCommitted(tenant: string): void {
    this.#questions.onCommitted(tenant);
  }

  readonly listing: ProfileSource["listing"] = this.#queued("listing", "listing");
  readonly flameGraph: ProfileSource["flameGraph"] = this.#queued("scan", "flameGraph");
  readonly treeBytes: ProfileSource["treeBytes"] = this.#queued("scan", "treeBytes");
  readonly diff: ProfileSource["diff"] = this.#queued("scan", "diff");
  readonly pprof: ProfileSource["pprof"] = this.#queued("scan", "pprof");
  readonly dot: ProfileSource["dot"] = this.#queued("scan", "dot");
  readonly render: ProfileSource["render"] = this.#queued("scan", "render");
  readonly topTable: ProfileSource["topTable"] = this.#queued("scan", "topTable");
  readonly points: ProfileSource["points"] = this.#queued("scan", "points");
  readonly heatmap: ProfileSource["heatmap"] = this.#queued("scan", "heatmap");
  readonly analyze: ProfileSource["analyze"] = this.#queued("scan", "analyze");

  async stats(tenant: TenantId, signal: AbortSignal): Promise<Awaited<ReturnType<ProfileSource["stats"]>>> {
    return this.#source().stats(tenant, signal);
  }

  /** Wraps a method of the port: its queries wait in the queue. Each method takes its arguments and then the signal, and gives equal answers for equal arguments. */
  #queued<M extends QueuedMethod>(queryClass: QueryClass, method: M): ProfileSource[M] {
    const ask = async (...args: readonly unknown[]): Promise<unknown> => {
      const source = this.#source();
      const asked = args.slice(0, -1);
      const signal = args.at(-1) as AbortSignal; // the last parameter of every method of the port
      // By then it is known whether the caller has left already. Such a caller must not join a run, which would go on until each of them is known to have left.
      const turns = new Turns({ clock: this.#clock });
      for (let turn = 0; turn < TURNS_BEFORE_PLAN && !signal.aborted; turn++) await turns.give();
      signal.throwIfAborted();
      const tenants = [...new Set(asked.flatMap(tenantsOf))];
      const inTurn = (own: AbortSignal, begin: () => void): Promise<unknown> =>
        this.#inTurn(queryClass, tenants[0] ?? "", own, () => {
          begin();
          return (source[method] as typeof ask).apply(source, [...asked, own]);
        });
      return this.#questions.ask({ key: questionKey(method, asked), tenants }, inTurn, signal);
    };
    return ask as ProfileSource[M]; // it passes the arguments and the answer on as they are
  }

  async #inTurn<T>(queryClass: QueryClass, tenant: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const decision = this.#queue.ask(tenant, queryClass, this.#clock.monotonicMs());
    if (decision.kind === "refuse") throw this.#full(tenant, queryClass);
    const { ticket } = decision;
    if (decision.kind === "wait") {
      const { evicted } = decision;
      if (evicted !== undefined) this.#refuse(evicted, this.#full(evicted.tenant, queryClass));
      await this.#turnOf(ticket, signal);
    }
    try {
      this.#waits.observe({ class: queryClass }, (this.#clock.monotonicMs() - ticket.askedMs) / 1000);
      return await run();
    } finally {
      this.#end(ticket);
    }
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

  #refuse(ticket: Ticket, error: CodedError): void {
    const waiter = this.#waiters.get(ticket);
    this.#waiters.delete(ticket);
    waiter?.refuse(error);
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
      for (const ticket of this.#queue.expire(this.#clock.monotonicMs())) this.#refuse(ticket, this.#late(ticket));
      this.#watchExpiry();
    });
    this.#expiry = { atMs, timer };
  }

  #full(tenant: string, queryClass: QueryClass): CodedError {
    this.#refused.add({ reason: "full", tenant: this.#tenants.of(tenant) });
    const seconds = this.#queue.retryAfterSeconds(queryClass, this.#clock.monotonicMs());
    return new CodedError({
      code: "QUERY_QUEUE_FULL",
      kind: "unavailable",
      message: `${this.#queue.waitingCount(queryClass)} queries wait already, and no tenant has more of them than this one: try again in ${seconds} s, ask for less at once, or raise --max-queued-queries`,
      details: { retryAfterSeconds: seconds },
    });
  }

  #late({ tenant, queryClass }: Ticket): CodedError {
    this.#refused.add({ reason: "timeout", tenant: this.#tenants.of(tenant) });
    const seconds = this.#queue.retryAfterSeconds(queryClass, this.#clock.monotonicMs());
    return new CodedError({
      code: "QUERY_QUEUE_TIMEOUT",
      kind: "unavailable",
      message: `the query waited ${this.#options.waitMaxMs / 1000} s for its turn, while others ran: try again in ${seconds} s, ask for less at once, or give the node more cores`,
      details: { retryAfterSeconds: seconds },
    });
  }
}

/** The tenants of one argument. An argument that is no query (the options of a diff) has none. */
function tenantsOf(asked: unknown): readonly TenantId[] {
  return typeof asked === "object" && asked !== null && "tenants" in asked ? (asked as Scope).tenants : [];
}
