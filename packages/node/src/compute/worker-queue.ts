/**
 * Which calls travel to a worker next: pure.
 *
 * Pushes come first. A scan of everything takes seconds, and a push a millisecond; so a push travels while a scan is at work there,
 * and the worker does it between two slices of the scan (sliced-work.ts). Five kinds of calls:
 *
 *   short     pushes, inserts, releases, drops            up to BATCH_CALLS_MAX in a batch
 *   apart     one step of a build or of a body           a batch of its own, in its place among the short calls
 *             of many profiles, or a large push
 *   listing   a scan of labels, its merge, its print      one at a time; it may run between two slices of another query
 *   scan      every other call of a query                 one at a time; it never runs on top of a listing
 *   alone     a push or a page that may have ended a worker: nothing is sent beside it, which shows what the next worker dies of
 *
 *   worker:   scan ──slice──┬──slice──┬─────────slice──────────┬──slice──►
 *                           └ pushes  └ listing ─┬─ listing ─► ┘
 *                                                └ pushes
 *
 * Of a listing and a scan that wait, the one that came first goes first, so that neither kind starves the other.
 *
 * What must stay true: short calls and those apart travel in the order in which they came, and a query travels after every short call that
 * came before it, so that it sees the rows of pushes that were answered. A short call may overtake a query that came before it: the query
 * may then see rows that were pushed after it was asked, which is as right as not to see them.
 */

export type CallKind = "short" | "apart" | "listing" | "scan" | "alone";

export interface QueuedCall {
  readonly kind: CallKind;
  /** Later calls have higher numbers. */
  readonly order: number;
}

/** Batches that are with the worker: at most one of each. */
export interface Away {
  /** A batch of short calls, or one call apart. */
  readonly short: boolean;
  readonly listing: boolean;
  readonly scan: boolean;
  readonly alone: boolean;
}

/** Outcomes of a batch come back together, so the first call waits for the last: with 4, half of 8 pushes is committed while the other half is decoded (docs/decisions/0006-workers.md). */
const BATCH_CALLS_MAX = 4;

export class WorkerQueue<T extends QueuedCall> {
  /** Short calls and those apart. */
  #short: T[] = [];
  #alone: T[] = [];
  readonly #queries: { listing: T[]; scan: T[] } = { listing: [], scan: [] };

  /** Calls come in rising order. compute-worker.ts bounds how many. */
  push(call: T): void {
    if (call.kind === "listing" || call.kind === "scan") this.#queries[call.kind].push(call);
    else (call.kind === "alone" ? this.#alone : this.#short).push(call);
  }

  remove(call: T): void {
    const without = (calls: T[]): T[] => calls.filter((other) => other !== call);
    this.#short = without(this.#short);
    this.#alone = without(this.#alone);
    this.#queries.listing = without(this.#queries.listing);
    this.#queries.scan = without(this.#queries.scan);
  }

  /** Removes all calls and returns them in order. */
  drain(): T[] {
    const all = [...this.#short, ...this.#alone, ...this.#queries.listing, ...this.#queries.scan].sort((a, b) => a.order - b.order);
    this.#short = [];
    this.#alone = [];
    this.#queries.listing = [];
    this.#queries.scan = [];
    return all;
  }

  /** The next batch to send beside those that are away; undefined where none may be sent now. */
  next(away: Away): T[] | undefined {
    if (away.alone) return undefined;
    const isQueryAway = away.listing || away.scan;
    const [lone] = this.#alone;
    const [short] = this.#short;
    // While a call waits that must be alone, no query begins, so that its turn comes. Short calls are sent until the queries that are away have ended.
    const isShortHeld = lone !== undefined && !isQueryAway && short !== undefined && short.order > lone.order;
    if (short !== undefined && !away.short && !isShortHeld) return this.#short.splice(0, this.#batchLength());
    if (lone !== undefined) return away.short || isQueryAway || !isBefore(lone, short) ? undefined : [this.#alone.shift()!];
    const { listing: listings, scan: scans } = this.#queries;
    const [listing, scan] = [listings[0], scans[0]];
    const isScanNext = scan !== undefined && !away.scan && (listing === undefined || isBefore(scan, listing));
    // A scan on top of a listing would delay the listing until its own end. So it waits for the listing that is away, and no later listing goes before it.
    if (isScanNext) return away.listing || !isBefore(scan, short) ? undefined : [scans.shift()!];
    if (listing !== undefined && !away.listing && isBefore(listing, short)) return [listings.shift()!];
    return undefined;
  }

  #batchLength(): number {
    let length = 0;
    while (length < BATCH_CALLS_MAX && this.#short[length]?.kind === "short") length++;
    return Math.max(1, length);
  }
}

function isBefore(call: QueuedCall, other: QueuedCall | undefined): boolean {
  return other === undefined || call.order < other.order;
}
