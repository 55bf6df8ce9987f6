/**
 * Runs jobs that come in groups, several at once, and hands out their outcomes group by group, in order. This is how a query reads its objects:
 * the objects of a window are a group, and later windows are read while earlier ones are scanned.
 *
 *   handed out │ current │ being read ahead ...        │ not begun
 *   group 0  1 │    2    │ 3  4                        │ 5  6  7
 *
 * Bounds of each query: `jobCountMax` jobs and as many requests under way, and `aheadCountMax` outcomes ahead of the current group. Bound of all
 * queries together: the bytes read ahead (`ByteBudget`). At a bound later groups wait. Bytes are given back only when their group was scanned,
 * so the current group of one query at a time may go past the bound on bytes: else nobody could go on. A group of more than `groupBytesMax`
 * is refused.
 */
import { setMaxListeners } from "node:events";
import { assert, CodedError, formatSize } from "@pyromesh/base";
import { Gate } from "./gate.ts";

export interface ByteBudgetOptions {
  /** Bytes of one group. A query with a larger group is refused. */
  readonly groupBytesMax: number;
}

interface Waiter {
  /** The query that asks: one object for each query. */
  readonly query: object;
  readonly sizeBytes: number;
  readonly admit: () => void;
}

/**
 * Bounds the bytes that all queries of the process have read and not scanned yet. Past the bound only the current group of one query is
 * admitted, until that query has scanned it; the current groups of other queries wait for their turn. So at most the bound and one group
 * are held.
 */
export class ByteBudget {
  readonly groupBytesMax: number;
  readonly #bytesMax: number;
  #usedBytes = 0;
  /** Requests of later groups, in the order in which they came. Bound: each belongs to a job under way. */
  readonly #waiting = new Set<Waiter>();
  /** Requests of current groups: these are admitted before the others. */
  readonly #urgent = new Set<Waiter>();
  /** The query whose current group may go past the bound. */
  #overdrawnBy: object | undefined;

  constructor(bytesMax: number, { groupBytesMax }: ByteBudgetOptions = { groupBytesMax: Infinity }) {
    this.#bytesMax = bytesMax;
    this.groupBytesMax = groupBytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Calls `admitted` once there is room, perhaps before it returns. `hurry` says that the bytes belong to the query's current group. `end` withdraws
   * the request, or gives the bytes back where it was admitted; a second call does nothing.
   */
  ask(query: object, sizeBytes: number, admitted: () => void): { hurry(): void; end(): void } {
    let state: "waiting" | "admitted" | "ended" = "waiting";
    const waiter: Waiter = {
      query,
      sizeBytes,
      admit: (): void => {
        this.#forget(waiter);
        state = "admitted";
        this.#usedBytes += sizeBytes;
        admitted();
      },
    };
    this.#waiting.add(waiter);
    this.#admitAll();
    return {
      hurry: () => {
        if (state !== "waiting") return;
        this.#waiting.delete(waiter);
        this.#urgent.add(waiter);
        this.#admitAll();
      },
      end: () => {
        if (state === "admitted") this.#usedBytes -= sizeBytes;
        this.#forget(waiter);
        state = "ended";
        this.#admitAll();
      },
    };
  }

  /** Call it when the query has scanned its current group, or gives up. */
  endGroup(query: object): void {
    if (this.#overdrawnBy !== query) return;
    this.#overdrawnBy = undefined;
    this.#admitAll();
  }

  #forget(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    this.#urgent.delete(waiter);
  }

  #admitAll(): void {
    for (const waiter of this.#urgent) {
      if (!this.#hasRoomFor(waiter)) {
        if (this.#overdrawnBy !== undefined && this.#overdrawnBy !== waiter.query) continue;
        this.#overdrawnBy = waiter.query;
      }
      waiter.admit();
    }
    if (this.#urgent.size > 0) return;
    for (const waiter of this.#waiting) {
      if (!this.#hasRoomFor(waiter)) return;
      waiter.admit();
    }
  }

  #hasRoomFor({ sizeBytes }: Waiter): boolean {
    return this.#usedBytes + sizeBytes <= this.#bytesMax;
  }
}

export interface ReadAheadOptions {
  /** Jobs under way at once, and requests of all of them together. */
  readonly jobCountMax: number;
  readonly aheadCountMax: number;
}

/** 16 requests at once hide a bucket's latency of 30 ms; more would only queue there. `aheadCountMax` bounds what reserves no bytes: footers. */
export const READ_AHEAD: ReadAheadOptions = { jobCountMax: 16, aheadCountMax: 256 };

/** What a job is given besides its subject. */
export interface JobContext {
  /** Aborts once the outcome is not wanted any more. */
  readonly signal: AbortSignal;
  /** Resolves once the job may read this many bytes. They count until the group after this one is requested. */
  reserve(sizeBytes: number): Promise<void>;
  /** Runs one request of the job once fewer than `jobCountMax` are under way. */
  request<T>(work: () => Promise<T>): Promise<T>;
}

interface Reservation {
  readonly group: number;
  readonly hold: { hurry(): void; end(): void };
}

/**
 * Hands out the outcomes of each group. The array is emptied when the next group is asked for.
 *
 * `run` is called for each subject in order. Where it rejects, the loop rejects when its group's turn comes, and all other jobs are aborted; so
 * `run` should return failures that must not end the query. Leaving the loop aborts the jobs under way.
 */
export async function* readAhead<Subject, Outcome>(
  groups: readonly (readonly Subject[])[],
  run: (subject: Subject, context: JobContext) => Promise<Outcome>,
  modules: { readonly budget: ByteBudget; readonly signal: AbortSignal },
  { jobCountMax, aheadCountMax }: ReadAheadOptions = READ_AHEAD,
): AsyncGenerator<readonly Outcome[]> {
  const { budget, signal } = modules;
  signal.throwIfAborted();
  const own = new AbortController();
  setMaxListeners(0, own.signal); // jobs wait for several things at once; each wait removes its listener
  const onAbort = (): void => own.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const gate = new Gate(jobCountMax);
  const query = {};
  const reservations = new Set<Reservation>();
  const groupBytes = groups.map(() => 0);
  const outcomes: Promise<Outcome>[][] = groups.map(() => []);
  let current = 0;
  let next = { group: 0, at: 0 };
  let atWorkCount = 0;
  /** Jobs that were begun, of groups that were not handed out yet. */
  let aheadCount = 0;

  const reserve = (group: number, sizeBytes: number): Promise<void> =>
    new Promise((resolve, reject) => {
      groupBytes[group]! += sizeBytes;
      // The whole query is given up now: what the group has read so far is of no use.
      if (groupBytes[group]! > budget.groupBytesMax) own.abort(groupTooLarge(budget.groupBytesMax));
      if (own.signal.aborted) return reject(own.signal.reason as Error); // the caller's reason, or that a group is too large
      const onOwnAbort = (): void => reject(own.signal.reason as Error);
      own.signal.addEventListener("abort", onOwnAbort, { once: true });
      const hold = budget.ask(query, sizeBytes, () => {
        own.signal.removeEventListener("abort", onOwnAbort);
        resolve();
      });
      reservations.add({ group, hold });
      if (group <= current) hold.hurry();
    });

  const begin = (): void => {
    while (next.group < groups.length && atWorkCount < jobCountMax && !own.signal.aborted) {
      const { group, at } = next;
      if (at === groups[group]!.length) {
        next = { group: group + 1, at: 0 };
        continue;
      }
      if (group > current && aheadCount >= aheadCountMax) return;
      next = { group, at: at + 1 };
      atWorkCount++;
      aheadCount++;
      const outcome = run(groups[group]![at]!, { signal: own.signal, reserve: (sizeBytes) => reserve(group, sizeBytes), request: (work) => gate.run(work) });
      outcomes[group]!.push(outcome);
      const end = (): void => {
        atWorkCount--;
        begin();
      };
      outcome.then(end, end); // a rejection too: nobody awaits the jobs of a group that is given up
    }
  };

  /** Awaits all outcomes of a group, also where some of its jobs have not begun yet. */
  const handOut = async (group: number): Promise<Outcome[]> => {
    const done: Outcome[] = [];
    while (done.length < groups[group]!.length) {
      own.signal.throwIfAborted();
      const outcome = outcomes[group]![done.length];
      // Jobs begin in order. All those before this one have ended, so there is room for it, unless the loop was left.
      assert(outcome !== undefined, "the next job of the current group has begun once those before it ended");
      done.push(await outcome.finally(() => own.signal.throwIfAborted()));
    }
    return done;
  };

  try {
    for (; current < groups.length; current++) {
      for (const { group, hold } of reservations) if (group === current) hold.hurry();
      begin();
      const done = await handOut(current);
      own.signal.throwIfAborted();
      outcomes[current] = [];
      aheadCount -= done.length;
      begin();
      yield done;
      // Emptied, since the caller may still hold the array while it waits for the next group: its bytes would stay in memory and count nowhere.
      done.length = 0;
      for (const reservation of reservations) {
        if (reservation.group > current) continue;
        reservations.delete(reservation);
        reservation.hold.end();
      }
      budget.endGroup(query);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    own.abort(signal.aborted ? signal.reason : new Error("nobody reads on"));
    for (const { hold } of reservations) hold.end();
    budget.endGroup(query);
  }
}

/** 400, since the same question would be refused again. */
function groupTooLarge(bytesMax: number): CodedError {
  return new CodedError({
    code: "QUERY_OUT_OF_MEMORY",
    kind: "failed_precondition",
    message: `the query would hold more than ${formatSize(bytesMax)} of segments of one window in memory at once, an eighth of what the node may have: name a service in its selector, or give the node more memory`,
    details: { bytesMax },
  });
}
