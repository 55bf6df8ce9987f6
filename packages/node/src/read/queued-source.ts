/**
 * Stands between the API and the reader: queries wait here for their turn, and equal ones are answered together.
 *
 *   question ──► an equal one in flight is joined (shared-questions.ts)
 *            ──► it runs, waits for its turn, or is refused (query-turns.ts) ──► reader
 *
 * `stats` needs no worker and does not wait.
 */
import { TenantLabels } from "@pyromesh/api";
import type { ProfileSource, Scope } from "@pyromesh/api";
import { CodedError, Turns } from "@pyromesh/base";
import type { Clock, Counter, Histogram, Metrics, TenantId } from "@pyromesh/base";
import { questionKey } from "./question-key.ts";
import type { QueryClass, QueryQueueOptions } from "./query-queue.ts";
import { TURNS_BEFORE_PLAN } from "./query-scanner.ts";
import { QueryTurns } from "./query-turns.ts";
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

export class QueuedSource implements ProfileSource {
  readonly #source: () => ProfileSource;
  readonly #clock: Clock;
  readonly #turns: QueryTurns;
  readonly #options: QueryQueueOptions;
  readonly #questions: SharedQuestions;
  readonly #refused: Counter;
  readonly #waits: Histogram;
  readonly #tenants = new TenantLabels();

  constructor(options: QueryQueueOptions, { source, clock, isAlone = true, metrics }: QueuedSourceModules) {
    this.#source = source;
    this.#clock = clock;
    this.#options = options;
    this.#turns = new QueryTurns(options, { clock, refusal: (because, { tenant, queryClass }) => (because === "full" ? this.#full(tenant, queryClass) : this.#late(tenant, queryClass)) });
    const joined = metrics.counter("pyromesh_queries_shared_total", "Queries that were answered by an equal one in flight.");
    this.#questions = new SharedQuestions(() => joined.add({}), { isAlone });
    this.#refused = metrics.counter("pyromesh_queries_refused_total", "Queries that were refused because too many waited (full) or they had waited too long (timeout).", ["reason", "tenant"]);
    this.#waits = metrics.histogram("pyromesh_query_wait_seconds", "How long queries waited for their turn; 0 where they ran at once.", ["class"], WAIT_SECONDS_BUCKETS);
    const classes = ["listing", "scan"] as const;
    metrics.gauge("pyromesh_queries_running", "Queries that run now.", ["class"], (gauge) => {
      for (const queryClass of classes) gauge.set({ class: queryClass }, this.#turns.runningCount(queryClass));
    });
    metrics.gauge("pyromesh_queries_waiting", "Queries that wait for their turn.", ["class"], (gauge) => {
      for (const queryClass of classes) gauge.set({ class: queryClass }, this.#turns.waitingCount(queryClass));
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
        this.#turns.run(tenants[0] ?? "", queryClass, own, (waitedMs) => {
          this.#waits.observe({ class: queryClass }, waitedMs / 1000);
          begin();
          return (source[method] as typeof ask).apply(source, [...asked, own]);
        });
      return this.#questions.ask({ key: questionKey(method, asked), tenants }, inTurn, signal);
    };
    return ask as ProfileSource[M]; // it passes the arguments and the answer on as they are
  }

  #full(tenant: string, queryClass: QueryClass): CodedError {
    this.#refused.add({ reason: "full", tenant: this.#tenants.of(tenant) });
    const seconds = this.#turns.retryAfterSeconds(queryClass);
    return new CodedError({
      code: "QUERY_QUEUE_FULL",
      kind: "unavailable",
      message: `${this.#turns.waitingCount(queryClass)} queries wait already, and no tenant has more of them than this one: try again in ${seconds} s, ask for less at once, or raise --max-queued-queries`,
      details: { retryAfterSeconds: seconds },
    });
  }

  #late(tenant: string, queryClass: QueryClass): CodedError {
    this.#refused.add({ reason: "timeout", tenant: this.#tenants.of(tenant) });
    const seconds = this.#turns.retryAfterSeconds(queryClass);
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
