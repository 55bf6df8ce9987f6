/**
 * Whether the reader of a reply is too slow to be waited for. Pure: it is told what time it is and how much was taken.
 *
 * A reader has to take `bytesMin` again and again, each time within a window. How long the window is depends on who else waits:
 *
 *   nobody                          slowWindowMs    a bad line is served, for as long as it takes
 *   others, for the reply's room    wantedWindowMs  and a reply that is older than `timeoutMs` is cut, however steady its reader is
 *   the stop of the node            stopWindowMs    counted from the stop at the earliest
 *
 * What was taken is what the kernel took, and that comes in lumps: it asks for more when a third of its own buffer is free, which on
 * loopback is 1.5 MB. So a reader there may be cut unless it reads 1.5 MB in each window; on a network the lumps are some 30 KB.
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
  /** Others wait for the room that the reply takes. */
  readonly isRoomWanted: boolean;
  /** Undefined: the node does not stop. */
  readonly stoppingSinceMs: number | undefined;
}

export class ReaderPace {
  readonly #rule: PaceRule;
  readonly #startMs: number;
  /** When it had last taken `bytesMin` more, and how much it had taken then. */
  #markMs: number;
  #markBytes = 0;

  constructor(rule: PaceRule, nowMs: number) {
    this.#rule = rule;
    this.#startMs = nowMs;
    this.#markMs = nowMs;
  }

  /** Time in which the reader cannot read, as its reply waits behind another, does not count. */
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

  /** When the reply will be gone at the latest that can be told: read at its pace so far, or cut. */
  endsInMs(takenBytes: number, leftBytes: number, nowMs: number): number {
    const { bytesMin, wantedWindowMs, timeoutMs } = this.#rule;
    if (takenBytes - this.#markBytes < bytesMin && nowMs > this.#markMs) return Math.max(0, this.#markMs + wantedWindowMs - nowMs);
    const pace = takenBytes / Math.max(1, nowMs - this.#startMs);
    return Math.min(Math.max(0, this.#startMs + timeoutMs - nowMs), leftBytes / Math.max(pace, 1e-3));
  }
}
