/**
 * Runs jobs that come in groups, several at once, and hands out their outcomes group by group, in order. A query reads its objects so: the
 * objects of a window are a group, and later windows are read while earlier ones are scanned.
 *
 *   handed out │ current │ being read ahead ...        │ not begun
 *   group 0  1 │    2    │ 3  4                        │ 5  6  7
 *
 * Bounds, per query: `jobCountMax` jobs and as many requests under way, `aheadCountMax` outcomes ahead of the current group. For all queries
 * together: the bytes read ahead (`ByteBudget`). At a bound later groups wait. Only a group that was scanned gives its bytes back, so the
 * current group may go past the bound on bytes: that of one query at a time. A group of more than `groupBytesMax` is refused.
 */
import { setMaxListeners } from "node:events";
import { assert, CodedError, formatSize } from "@pyromesh/base";

export interface ByteBudgetOptions {
  /** Of one group. One that is larger is refused. */
  readonly groupBytesMax: number;
}

interface Waiter {
  /** Whose it is: one object for each query. */
  readonly query: object;
  readonly sizeBytes: number;
  readonly admit: () => void;
}

/**
 * Bytes that were read ahead and are not scanned yet, of all queries of the process. Past the bound only the current group of one query is
 * admitted, until that query has scanned it; the current groups of other queries wait for their turn. So what is held is the bound and
 * one group.
 */
export class ByteBudget {
  readonly groupBytesMax: number;
  readonly #bytesMax: number;
  #usedBytes = 0;
  /** Of later groups: first come, first served. Each belongs to a job at work. */
  readonly #waiting = new Set<Waiter>();
  /** Of current groups: they go before the others. */
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
   * `admitted` is called once there is room, perhaps at once. `hurry` says that it belongs to the query's current group; `end` withdraws
   * or gives back, whichever is due, and is harmless twice.
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

  /** The query has scanned its current group, or will not. */
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

/** Lets `countMax` requests run at once; the others wait in the order in which they came. Bound: the reads of the jobs under way. */
class Gate {
  readonly #countMax: number;
  readonly #waiting: (() => void)[] = [];
  #count = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count >= this.#countMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#count++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#count--;
      else next(); // takes our place
    }
  }
}

export interface ReadAheadOptions {
  /** Jobs under way at once, and requests of all of them together. */
  readonly jobCountMax: number;
  readonly aheadCountMax: number;
}

/** With 16 requests a bucket's latency of 30 ms is hidden; more would only queue there. `aheadCountMax` bounds outcomes that reserve no bytes: footers. */
export const READ_AHEAD: ReadAheadOptions = { jobCountMax: 16, aheadCountMax: 256 };

/** What a job is given besides its subject. */
export interface JobContext {
  /** Aborted once the outcome is not wanted any more. */
  readonly signal: AbortSignal;
  /** Resolves once so many bytes may be read. They are given back when the group after this one is asked for. */
  reserve(sizeBytes: number): Promise<void>;
  /** Runs one request of the job, in its turn. */
  request<T>(work: () => Promise<T>): Promise<T>;
}

interface Reservation {
  readonly group: number;
  readonly hold: { hurry(): void; end(): void };
}

/**
 * What is handed out is emptied when the next group is asked for.
 *
 * `run` is called for each subject in order. Where it rejects, its group rejects when its turn comes, and the rest is given up; so
 * `run` should answer failures that are no end. Leaving the loop gives up what is under way.
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
  setMaxListeners(0, own.signal); // a job waits for several things at once; each takes its listener back
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
  /** Jobs that were begun and whose group was not handed out yet. */
  let aheadCount = 0;

  const reserve = (group: number, sizeBytes: number): Promise<void> =>
    new Promise((resolve, reject) => {
      groupBytes[group]! += sizeBytes;
      // All of it at once: what the group has read so far is of no use.
      if (groupBytes[group]! > budget.groupBytesMax) own.abort(groupTooLarge(budget.groupBytesMax));
      if (own.signal.aborted) return reject(own.signal.reason as Error); // as the caller gave it, or of a group that is too large
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
      outcome.then(end, end); // handles a rejection too: a group that is given up is never awaited
    }
  };

  /** All of a group's outcomes, though some of its jobs are not begun yet. */
  const handOut = async (group: number): Promise<Outcome[]> => {
    const done: Outcome[] = [];
    while (done.length < groups[group]!.length) {
      own.signal.throwIfAborted();
      const outcome = outcomes[group]![done.length];
      // Jobs begin in order: all at work were begun before this one, and have ended, unless the loop was left.
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
      // Emptied, not just left: who waits for the next group may still hold the array, and so the group's bytes, though they were given back.
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

/** 400: the same question again would be refused again. */
function groupTooLarge(bytesMax: number): CodedError {
  return new CodedError({
    code: "QUERY_OUT_OF_MEMORY",
    kind: "failed_precondition",
    message: `the query would hold more than ${formatSize(bytesMax)} of segments of one window in memory at once, an eighth of what the node may have: name a service in its selector, or give the node more memory`,
    details: { bytesMax },
  });
}
