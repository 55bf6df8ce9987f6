/**
 * Decides whether the client reads a reply too slowly. Pure: time and progress are passed in.
 *
 * The client has to read `bytesMin` in every window. The length of the window depends on who else waits:
 *
 *   nobody                           slowWindowMs    a slow connection is served, however long it takes
 *   others, for the reply's memory   wantedWindowMs  a reply older than `timeoutMs` is cut off too, however steadily it is read
 *   the stop of the node             stopWindowMs    counted from the stop or later
 *
 * Progress is what the kernel has taken, and it takes in lumps: it asks for more when a third of its buffer is free, which is 1.5 MB on
 * loopback. So a client on loopback must read 1.5 MB in each window; on a network the lumps are some 30 KB.
 */
export interface PaceRule {
  readonly bytesMin: number;
  readonly slowWindowMs: number;
  readonly wantedWindowMs: number;
  readonly stopWindowMs: number;
  readonly timeoutMs: number;
}

export interface PaceContext {
  readonly nowMs: number;
  /** Another request waits for the memory that the reply holds. */
  readonly isRoomWanted: boolean;
  /** When the stop began. Undefined: the node is not stopping. */
  readonly stoppingSinceMs: number | undefined;
}

export class ReaderPace {
  readonly #rule: PaceRule;
  readonly #startMs: number;
  /** When the client completed its last `bytesMin`, and the total it had read by then. */
  #markMs: number;
  #markBytes = 0;

  constructor(rule: PaceRule, nowMs: number) {
    this.#rule = rule;
    this.#startMs = nowMs;
    this.#markMs = nowMs;
  }

  /** The time in which the reply waits behind another one of its connection does not count: the client cannot read it yet. */
  pause(nowMs: number): void {
    this.#markMs = nowMs;
  }

  isTooSlow(takenBytes: number, { nowMs, isRoomWanted, stoppingSinceMs }: PaceContext): boolean {
    const { bytesMin, slowWindowMs, wantedWindowMs, stopWindowMs, timeoutMs } = this.#rule;
    if (takenBytes - this.#markBytes >= bytesMin) {
      this.#markBytes = takenBytes;
      this.#markMs = nowMs;
    }
    if (stoppingSinceMs !== undefined && nowMs - Math.max(this.#markMs, stoppingSinceMs) >= stopWindowMs) return true;
    if (isRoomWanted && nowMs - this.#startMs >= timeoutMs) return true;
    return nowMs - this.#markMs >= (isRoomWanted ? wantedWindowMs : slowWindowMs);
  }

  /** An upper estimate of when the reply is gone: read to its end at the pace so far, or cut off. */
  endsInMs(takenBytes: number, leftBytes: number, nowMs: number): number {
    const { bytesMin, wantedWindowMs, timeoutMs } = this.#rule;
    if (takenBytes - this.#markBytes < bytesMin && nowMs > this.#markMs) return Math.max(0, this.#markMs + wantedWindowMs - nowMs);
    const pace = takenBytes / Math.max(1, nowMs - this.#startMs);
    return Math.min(Math.max(0, this.#startMs + timeoutMs - nowMs), leftBytes / Math.max(pace, 1e-3));
  }
}
