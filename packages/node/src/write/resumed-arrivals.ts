/**
 * Records of pushes without a time of their own that the head held when the node started: by the name of the push and the time that it got, their identities. Of such a push nothing else is
 * left to compare with. Whether a push that comes by the name is one of them shows once it was encoded with that time.
 *
 * Bounds: `recordsMax` records, TIMES_MAX times of a name, the newest of them. Beyond these the oldest are forgotten, and so is a time by which REFUTED_MAX pushes turned out to be others: a client
 * that sends everything under one name would have each push encoded once more for nothing. What is forgotten counts once more when it is sent again.
 */

/** Profiles of one push get the same time. So these are the last pushes of a name. */
const TIMES_MAX = 4;
/** A push of more profiles may lose its time to another push of the same name. */
const REFUTED_MAX = 256;

export interface ResumedArrival {
  readonly timeMs: number;
  readonly identities: Set<string>;
  /** How many pushes were encoded with the time, and were others. */
  refutedCount: number;
}

export class ResumedArrivals {
  readonly #recordsMax: number;
  /** By name, the newest time first. Names in the order in which they came. */
  readonly #arrivals = new Map<string, ResumedArrival[]>();
  #recordCount = 0;

  constructor({ recordsMax }: { readonly recordsMax: number }) {
    this.#recordsMax = recordsMax;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  add(name: string, timeMs: number, identity: string): void {
    let times = this.#arrivals.get(name);
    if (times === undefined) this.#arrivals.set(name, (times = []));
    let arrival = times.find((known) => known.timeMs === timeMs);
    if (arrival === undefined) {
      arrival = { timeMs, identities: new Set(), refutedCount: 0 };
      times.push(arrival);
      times.sort((a, b) => b.timeMs - a.timeMs);
    }
    this.#recordCount -= arrival.identities.size;
    arrival.identities.add(identity);
    this.#recordCount += arrival.identities.size;
    if (times.length > TIMES_MAX) this.#drop(name, times.at(-1)!);
    while (this.#recordCount > this.#recordsMax) {
      const [oldest] = this.#arrivals; // there are records, so there is a name
      this.#drop(oldest![0], oldest![1].at(-1)!);
    }
  }

  /** The newest time of the name for which this is true. */
  next(name: string, isWanted: (timeMs: number) => boolean): ResumedArrival | undefined {
    return this.#arrivals.get(name)?.find(({ timeMs }) => isWanted(timeMs));
  }

  /** Whether one of these records of a push is one of the arrival's. Those that are, are forgotten here: the push itself is known by now. */
  takeOut(arrival: ResumedArrival, name: string, identities: readonly string[]): boolean {
    const known = identities.filter((identity) => arrival.identities.has(identity));
    if (known.length === 0) {
      if (++arrival.refutedCount >= REFUTED_MAX) this.#drop(name, arrival);
      return false;
    }
    for (const identity of known) if (arrival.identities.delete(identity) && this.#holds(name, arrival)) this.#recordCount--;
    if (arrival.identities.size === 0) this.#drop(name, arrival);
    return true;
  }

  forgetOlderThan(timeMs: number): void {
    for (const [name, times] of this.#arrivals) for (const arrival of times.filter((known) => known.timeMs < timeMs)) this.#drop(name, arrival);
  }

  #drop(name: string, arrival: ResumedArrival): void {
    if (!this.#holds(name, arrival)) return;
    const times = this.#arrivals.get(name)!; // it is there
    times.splice(times.indexOf(arrival), 1);
    if (times.length === 0) this.#arrivals.delete(name);
    this.#recordCount -= arrival.identities.size;
  }

  /** False where it was dropped while a push that had its time was under way. */
  #holds(name: string, arrival: ResumedArrival): boolean {
    return this.#arrivals.get(name)?.includes(arrival) === true;
  }
}
