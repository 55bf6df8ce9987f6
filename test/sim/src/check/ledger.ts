/**
 * What clients know of each part they pushed: sent, acked, refused, or unknown. From that follows how often a record of it may be counted.
 * Independent of the node: plain maps, no code of the product.
 *
 *   acked                       exactly once
 *   refused (4xx)               never
 *   no answer yet, or 5xx       once or not at all
 *   without clock and key       once for each try that was acked, and once or not at all for each other try
 */
import type { Part } from "../history/part.ts";

export class Fate {
  readonly part: Part;
  /** With a clock or an idempotency key: a try that comes again is the same record. */
  readonly isOnce: boolean;
  /** Tries that may have been kept. */
  #openCount = 0;
  #ackedCount = 0;
  /** As often as an answer held it. */
  #seenCount = 0;
  /** Of a part without a clock: between which times its record may lie. */
  #firstSentMs = Infinity;
  #lastAnsweredMs = -Infinity;
  #isInFlight = 0;
  /** A name without a time may have been forgotten in between: each time it may count once more. */
  #forgottenCount = 0;

  constructor(part: Part, { isOnce }: { readonly isOnce: boolean }) {
    this.part = part;
    this.isOnce = isOnce;
  }

  /** A try is on its way. `mayBeForgotten`: the name under which it goes may not be known any more, and it may count again. */
  sent(nowMs: number, { mayBeForgotten }: { readonly mayBeForgotten: boolean }): void {
    if (mayBeForgotten && this.#openCount > 0) this.#forgottenCount++;
    this.#openCount++;
    this.#isInFlight++;
    this.#firstSentMs = Math.min(this.#firstSentMs, nowMs);
  }

  acked(nowMs: number): void {
    this.#answered(nowMs);
    this.#ackedCount++;
  }

  /** For good: this try kept nothing. */
  refused(nowMs: number): void {
    this.#answered(nowMs);
    this.#openCount--;
  }

  /** No answer, or one that leaves it open. The node may still be at work on it. */
  unknown(): void {
    this.#isInFlight--;
    this.#lastAnsweredMs = Infinity;
  }

  seen(count: number): void {
    this.#seenCount = Math.max(this.#seenCount, count);
  }

  get seenCount(): number {
    return this.#seenCount;
  }

  get isAcked(): boolean {
    return this.#ackedCount > 0;
  }

  get min(): number {
    const acked = this.isOnce ? Math.min(1, this.#ackedCount) : this.#ackedCount;
    return Math.max(acked, this.#seenCount);
  }

  get max(): number {
    return this.isOnce ? Math.min(this.#openCount, 1 + this.#forgottenCount) : this.#openCount;
  }

  /** Where its record lies, if there is one: surely inside, surely outside, or perhaps. */
  within(startMs: number, endMs: number, nowMs: number): "inside" | "outside" | "perhaps" {
    const from = this.part.timeMs ?? this.#firstSentMs;
    const to = this.part.timeMs ?? (this.#isInFlight > 0 || this.#lastAnsweredMs === Infinity ? nowMs : Math.max(this.#firstSentMs, this.#lastAnsweredMs));
    if (from >= startMs && to <= endMs) return "inside";
    return to < startMs || from > endMs ? "outside" : "perhaps";
  }

  #answered(nowMs: number): void {
    this.#isInFlight--;
    this.#lastAnsweredMs = Math.max(this.#lastAnsweredMs, nowMs);
  }
}

export class Ledger {
  /** By the part's id. */
  readonly fates: Map<number, Fate> = new Map();
  #nextId = 1;

  nextId(): number {
    return this.#nextId++;
  }

  open(part: Part, options: { readonly isOnce: boolean }): Fate {
    const fate = new Fate(part, options);
    this.fates.set(part.id, fate);
    return fate;
  }

  get ackedCount(): number {
    let count = 0;
    for (const fate of this.fates.values()) if (fate.isAcked) count++;
    return count;
  }
}
