/**
 * Which calls travel to a worker next: pure.
 *
 * Pushes come first. A scan of everything takes seconds, and a push a millisecond; so a push travels while a scan is at work there,
 * and the worker does it between two slices of the scan (sliced-work.ts). Five kinds of calls:
 *
 *   short     pushes, and what is done with their rows   up to BATCH_CALLS_MAX together
 *   apart     one step of a flush, or a large push        a batch of its own, in its place among the short calls
 *   listing   a scan of labels, its merge, its print      one at a time; it goes between two slices of another query
 *   scan      every other call of a query                 one at a time; it never goes on top of a listing
 *   alone     a push or a page that may have ended a worker: nothing travels beside it, so that it is known what the next one dies of
 *
 *   worker:   scan ──slice──┬──slice──┬─────────slice──────────┬──slice──►
 *                           └ pushes  └ listing ─┬─ listing ─► ┘
 *                                                └ pushes
 *
 * Of a listing and a scan that wait, the one that came first goes first: neither is kept from its turn by the others of its kind.
 *
 * What must stay true: short calls and those apart travel in the order in which they came, and a query travels after every short call that
 * came before it, so that it sees the rows of pushes that were answered. A short call may overtake a query that came before it: the query
 * then sees a row more, or does not, and either is an answer of its time.
 */

export type CallKind = "short" | "apart" | "listing" | "scan" | "alone";

export interface QueuedCall {
  readonly kind: CallKind;
  /** Rises with each call. */
  readonly order: number;
}

/** What is away: at most one of each. */
export interface Away {
  /** Short calls, or one apart. */
  readonly short: boolean;
  readonly listing: boolean;
  readonly scan: boolean;
  readonly alone: boolean;
}

/**
 * Outcomes of a batch travel together, so the first waits for the last; what takes long travels alone. (With 8 pushes in flight
 * the median p99 of several runs was 30 ms with 4 and 32 with 8, at the same CPU: one half is committed while the other is decoded.)
 */
const BATCH_CALLS_MAX = 4;

export class WorkerQueue<T extends QueuedCall> {
  /** Short calls and those apart. */
  #short: T[] = [];
  #alone: T[] = [];
  readonly #queries: { listing: T[]; scan: T[] } = { listing: [], scan: [] };

  /** In rising order. Bounded by who calls (compute-worker.ts). */
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

  /** All that wait, in order; none wait any more. */
  drain(): T[] {
    const all = [...this.#short, ...this.#alone, ...this.#queries.listing, ...this.#queries.scan].sort((a, b) => a.order - b.order);
    this.#short = [];
    this.#alone = [];
    this.#queries.listing = [];
    this.#queries.scan = [];
    return all;
  }

  /** The next batch beside what is away; undefined: none may travel now. */
  next(away: Away): T[] | undefined {
    if (away.alone) return undefined;
    const isQueryAway = away.listing || away.scan;
    const [lone] = this.#alone;
    const [short] = this.#short;
    // While a call waits that must be alone no query begins, so that its turn comes. Short calls go on until the queries that are away have ended.
    const isShortHeld = lone !== undefined && !isQueryAway && short !== undefined && short.order > lone.order;
    if (short !== undefined && !away.short && !isShortHeld) return this.#short.splice(0, this.#batchLength());
    if (lone !== undefined) return away.short || isQueryAway || !isBefore(lone, short) ? undefined : [this.#alone.shift()!];
    const { listing: listings, scan: scans } = this.#queries;
    const [listing, scan] = [listings[0], scans[0]];
    const isScanNext = scan !== undefined && !away.scan && (listing === undefined || isBefore(scan, listing));
    // On top of a listing it would keep that until its own end. So it waits for the one that is away, and no later one goes before it.
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
