/**
 * What clients know about each part they pushed: sent, acked, refused or unknown. This decides how often the part may be counted. The ledger
 * uses plain maps and no code of the product, so that a mistake there cannot hide here.
 *
 *   acked                       exactly once
 *   refused (4xx)               never
 *   no answer yet, or 5xx       once or not at all
 *   not recognised on a retry   once for each try that was acked, and once or not at all for each other try that was not refused
 *
 * A node recognises a retry by the time in the pprof or by the idempotency key.
 */
import type { Part } from "../history/part.ts";

/** What clients know about one part. */
export class Fate {
  readonly part: Part;
  /** The pprof has a time, or the request an idempotency key, so all tries make the same record. */
  readonly isOnce: boolean;
  /** Tries that may have been kept. */
  #openCount = 0;
  #ackedCount = 0;
  /** How often an answer counted it; the greatest number of all answers. */
  #seenCount = 0;
  // A part without a time gets that of its arrival, which is between these two.
  #firstSentMs = Infinity;
  #lastAnsweredMs = -Infinity;
  #inFlightCount = 0;
  /** How often the node may have forgotten the idempotency key between two tries. Each time the part may count once more. */
  #forgottenCount = 0;
  /** How far the clock of a node may be off, from which a part without a time gets it. */
  readonly #skewMs: number;
  readonly #isSeenKept: boolean;

  constructor(part: Part, { isOnce, isSeenKept, skewMsMax }: { readonly isOnce: boolean } & LedgerOptions) {
    this.part = part;
    this.isOnce = isOnce;
    this.#isSeenKept = isSeenKept;
    this.#skewMs = part.timeMs === undefined ? skewMsMax : 0;
  }

  /** A try is sent. `mayBeForgotten`: the node may have forgotten the key of the try before, and count this one again. */
  sent(nowMs: number, { mayBeForgotten }: { readonly mayBeForgotten: boolean }): void {
    if (mayBeForgotten && this.#openCount > 0) this.#forgottenCount++;
    this.#openCount++;
    this.#inFlightCount++;
    this.#firstSentMs = Math.min(this.#firstSentMs, nowMs);
  }

  acked(nowMs: number): void {
    this.#answered(nowMs);
    this.#ackedCount++;
  }

  /** This try was refused for good: the node kept nothing of it. */
  refused(nowMs: number): void {
    this.#answered(nowMs);
    this.#openCount--;
  }

  /** There was no answer, or one that leaves open whether the part was kept. The node may still be working on the request. */
  unknown(): void {
    this.#inFlightCount--;
    this.#lastAnsweredMs = Infinity;
  }

  seen(count: number): void {
    this.#seenCount = Math.max(this.#seenCount, count);
  }

  get seenCount(): number {
    return this.#seenCount;
  }

  forgetSeen(): void {
    this.#seenCount = 0;
  }

  get isAcked(): boolean {
    return this.#ackedCount > 0;
  }

  /** How often it was sent again, those tries left out that were refused for good. */
  get triesAgain(): number {
    return Math.max(0, this.#openCount - 1);
  }

  /** How often it must be counted at least. */
  get min(): number {
    const acked = this.isOnce ? Math.min(1, this.#ackedCount) : this.#ackedCount;
    return this.#isSeenKept ? Math.max(acked, this.#seenCount) : acked;
  }

  /** How often it may be counted at most. */
  get max(): number {
    return this.isOnce ? Math.min(this.#openCount, 1 + this.#forgottenCount) : this.#openCount;
  }

  /** Whether its record, if there is one, has a time from `startMs` to `endMs`. Without a time of its own this may be unknown: "perhaps". */
  within(startMs: number, endMs: number, nowMs: number): "inside" | "outside" | "perhaps" {
    const from = this.part.timeMs ?? this.#firstSentMs;
    const to = this.part.timeMs ?? (this.#inFlightCount > 0 || this.#lastAnsweredMs === Infinity ? nowMs : Math.max(this.#firstSentMs, this.#lastAnsweredMs));
    if (from - this.#skewMs >= startMs && to + this.#skewMs <= endMs) return "inside";
    return to + this.#skewMs < startMs || from - this.#skewMs > endMs ? "outside" : "perhaps";
  }

  #answered(nowMs: number): void {
    this.#inFlightCount--;
    this.#lastAnsweredMs = Math.max(this.#lastAnsweredMs, nowMs);
  }
}

export interface LedgerOptions {
  /** How far the wall clock of a node may be off. */
  readonly skewMsMax: number;
  /**
   * What one answer showed the next ones show too. Not so in a cluster: a part whose push was not acked may be on a single store, and an answer is complete
   * without that one.
   */
  readonly isSeenKept: boolean;
}

export class Ledger {
  /** By id of the part. */
  readonly fates: Map<number, Fate> = new Map();
  readonly #options: LedgerOptions;
  #nextId = 1;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  nextId(): number {
    return this.#nextId++;
  }

  open(part: Part, options: { readonly isOnce: boolean }): Fate {
    const fate = new Fate(part, { ...options, ...this.#options });
    this.fates.set(part.id, fate);
    return fate;
  }

  get ackedCount(): number {
    let count = 0;
    for (const fate of this.fates.values()) if (fate.isAcked) count++;
    return count;
  }
}
