/**
 * Decides which queries run, which wait, and which are refused. Pure.
 *
 *   ask ──► runs at once          while fewer than `runningMax` of its class run
 *       ──► waits                 by tenant; within a tenant in the order of arrival
 *       ──► is refused            at `waitingMax`, and after `waitMaxMs` of waiting
 *
 *   tenant a:  1 2 3 4 5 ...      when a query ends, the next one is taken from the tenant whose turn it is, which then goes to the end:
 *   tenant b:  1                  a1 b1 a2 a3 ...
 *
 * There are two classes with bounds of their own: listings (of label names, values, types, series), which take milliseconds, and scans, which may
 * take many seconds. So the menus of a page do not wait for a flame graph of a month.
 *
 * At `waitingMax` the newest query of the tenant with the most waiting queries is refused: a tenant with fifty in the queue cannot keep
 * another's first one out. A query over several tenants counts for the first of them.
 */

export type QueryClass = "listing" | "scan";

export interface QueryQueueOptions {
  /** Queries of each class that run at once. */
  readonly runningMax: Readonly<Record<QueryClass, number>>;
  /** Queries of each class that wait. At the bound one is refused, see above. */
  readonly waitingMax: number;
  /** A query that has waited for so long is refused, since its caller will not wait much longer. */
  readonly waitMaxMs: number;
}

/** One query in the queue, from its question to its end. */
export interface Ticket {
  readonly tenant: string;
  readonly queryClass: QueryClass;
  readonly askedMs: number;
}

export type Decision =
  | { readonly kind: "run"; readonly ticket: Ticket }
  /** `evicted` waited until now and is refused, to make room for the ticket. */
  | { readonly kind: "wait"; readonly ticket: Ticket; readonly evicted: Ticket | undefined }
  | { readonly kind: "refuse" };

/** The weight of the newest time between two ends in their running mean. */
const LATEST_WEIGHT = 0.2;
const RETRY_AFTER_SECONDS_MAX = 600;

interface ClassState {
  runningCount: number;
  waitingCount: number;
  /** The waiting queries of each tenant that has some; the tenant whose turn it is comes first. */
  readonly waiting: Map<string, Ticket[]>;
  /** Mean time between the ends of two queries while all places were taken; undefined before there were any. */
  meanEndMs: number | undefined;
  /** Time of the last end, or of when the last place was taken, whichever is later. */
  sinceMs: number;
}

export class QueryQueue {
  readonly #options: QueryQueueOptions;
  readonly #classes: Readonly<Record<QueryClass, ClassState>> = { listing: emptyState(), scan: emptyState() };

  constructor(options: QueryQueueOptions) {
    this.#options = options;
  }

  ask(tenant: string, queryClass: QueryClass, nowMs: number): Decision {
    const state = this.#classes[queryClass];
    const { runningMax, waitingMax } = this.#options;
    const ticket: Ticket = { tenant, queryClass, askedMs: nowMs };
    if (state.runningCount < runningMax[queryClass]) {
      state.runningCount++;
      if (state.runningCount === runningMax[queryClass]) state.sinceMs = nowMs;
      return { kind: "run", ticket };
    }
    if (waitingMax === 0) return { kind: "refuse" };
    let evicted: Ticket | undefined;
    if (state.waitingCount >= waitingMax) {
      const ownCount = state.waiting.get(tenant)?.length ?? 0;
      const [largest, tickets] = largestOf(state.waiting);
      // With this one more the asking tenant would have as many waiting as the largest: it is refused itself.
      if (tickets.length <= ownCount + 1) return { kind: "refuse" };
      evicted = tickets.at(-1)!;
      this.#remove(state, largest, evicted);
    }
    const own = state.waiting.get(tenant);
    if (own === undefined) state.waiting.set(tenant, [ticket]);
    else own.push(ticket);
    state.waitingCount++;
    return { kind: "wait", ticket, evicted };
  }

  /** Call it when a query that ran has ended, successfully or not. Returns the query that runs now in its place, if one waited. */
  end({ queryClass }: Ticket, nowMs: number): Ticket | undefined {
    const state = this.#classes[queryClass];
    if (state.runningCount === this.#options.runningMax[queryClass]) {
      const sinceLastMs = nowMs - state.sinceMs;
      state.meanEndMs = state.meanEndMs === undefined ? sinceLastMs : state.meanEndMs + (sinceLastMs - state.meanEndMs) * LATEST_WEIGHT;
      state.sinceMs = nowMs;
    }
    const [tenant] = state.waiting.keys();
    if (tenant === undefined) {
      state.runningCount--;
      return undefined;
    }
    const tickets = state.waiting.get(tenant)!; // a key of it
    const next = tickets[0]!;
    this.#remove(state, tenant, next);
    // The tenant goes to the end of the row.
    if (tickets.length > 0) {
      state.waiting.delete(tenant);
      state.waiting.set(tenant, tickets);
    }
    return next;
  }

  /** Call it when the caller of a waiting query has left. */
  leave(ticket: Ticket): void {
    this.#remove(this.#classes[ticket.queryClass], ticket.tenant, ticket);
  }

  /** Removes the queries that have waited too long, and returns them. */
  expire(nowMs: number): Ticket[] {
    const late: Ticket[] = [];
    for (const state of Object.values(this.#classes)) {
      for (const [tenant, tickets] of [...state.waiting]) {
        for (const ticket of tickets.filter(({ askedMs }) => nowMs - askedMs >= this.#options.waitMaxMs)) {
          late.push(ticket);
          this.#remove(state, tenant, ticket);
        }
      }
    }
    return late;
  }

  /** The time at which the next waiting query will have waited too long; undefined where none waits. */
  get nextExpiryMs(): number | undefined {
    let askedMs = Infinity;
    for (const { waiting } of Object.values(this.#classes)) for (const [first] of waiting.values()) askedMs = Math.min(askedMs, first!.askedMs);
    return askedMs === Infinity ? undefined : askedMs + this.#options.waitMaxMs;
  }

  runningCount(queryClass: QueryClass): number {
    return this.#classes[queryClass].runningCount;
  }

  waitingCount(queryClass: QueryClass): number {
    return this.#classes[queryClass].waitingCount;
  }

  /**
   * How long until all that wait now have had their turn, from the mean time between two ends. Where the last end is longer ago than the mean,
   * that time is used in its place, so that a queue in which nothing ends tells longer and longer times.
   */
  retryAfterSeconds(queryClass: QueryClass, nowMs: number): number {
    const { waitingCount, meanEndMs, sinceMs } = this.#classes[queryClass];
    const betweenEndsMs = Math.max(meanEndMs ?? 0, nowMs - sinceMs);
    return Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, Math.ceil(((waitingCount + 1) * betweenEndsMs) / 1000)));
  }

  #remove(state: ClassState, tenant: string, ticket: Ticket): void {
    const tickets = state.waiting.get(tenant);
    const at = tickets?.indexOf(ticket) ?? -1;
    if (tickets === undefined || at === -1) return;
    tickets.splice(at, 1);
    state.waitingCount--;
    if (tickets.length === 0) state.waiting.delete(tenant);
  }
}

function emptyState(): ClassState {
  return { runningCount: 0, waitingCount: 0, waiting: new Map(), meanEndMs: undefined, sinceMs: 0 };
}

function largestOf(waiting: ReadonlyMap<string, Ticket[]>): [tenant: string, tickets: readonly Ticket[]] {
  let largest: [string, readonly Ticket[]] = ["", []];
  for (const entry of waiting) if (entry[1].length > largest[1].length) largest = entry;
  return largest;
}
