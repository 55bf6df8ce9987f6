/**
 * What one member has granted: for each target the store that holds it, and until when. Pure.
 *
 * What must stay true: a member grants a target to one store at a time, and to another one only when what it granted before has ended, by its own clock, or was
 * given back. A process that has just started does not know what the one before it granted, so it grants nothing for as long as a grant lasts.
 *
 * Bounded: GRANTS_MAX targets. Beyond it nothing new is granted, until others end.
 */
import type { StoreId } from "@pyromesh/ring";
import type { TargetNumber } from "../cluster/hold-message.ts";

/** How long a hold lasts from when its request was sent, by the clock of who sent it. A crashed member's targets move after it. */
export const HOLD_MS = 10_000;
/** How long a grant lasts from when its request came, by the clock of who grants: longer, since clocks differ in their rate. */
export const GRANT_MS: number = HOLD_MS * 1.05;

const GRANTS_MAX = 1_000_000;

interface Grant {
  readonly storeId: StoreId;
  readonly untilMs: number;
}

export class HoldGrants {
  readonly #grants = new Map<TargetNumber, Grant>();
  readonly #byStore = new Map<StoreId, ReadonlySet<TargetNumber>>();
  readonly #startedMs: number;

  /** Times are of the monotonic clock. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** `wanted`: all that the store wants to hold now. What it held besides is free. */
  grant(storeId: StoreId, wanted: readonly TargetNumber[], nowMs: number): boolean[] {
    this.#free(storeId, new Set(wanted));
    if (nowMs - this.#startedMs < GRANT_MS) return wanted.map(() => false);
    const granted = wanted.map((target) => this.#grant(storeId, target, nowMs));
    const held = new Set(wanted.filter((_, index) => granted[index]));
    if (held.size > 0) this.#byStore.set(storeId, held);
    return granted;
  }

  #grant(storeId: StoreId, target: TargetNumber, nowMs: number): boolean {
    const known = this.#grants.get(target);
    if (known === undefined && this.#grants.size >= GRANTS_MAX) this.#dropEnded(nowMs);
    if (known === undefined ? this.#grants.size >= GRANTS_MAX : known.storeId !== storeId && known.untilMs > nowMs) return false;
    this.#grants.set(target, { storeId, untilMs: nowMs + GRANT_MS });
    return true;
  }

  #free(storeId: StoreId, wanted: ReadonlySet<TargetNumber>): void {
    for (const target of this.#byStore.get(storeId) ?? []) {
      if (!wanted.has(target) && this.#grants.get(target)?.storeId === storeId) this.#grants.delete(target);
    }
    this.#byStore.delete(storeId);
  }

  #dropEnded(nowMs: number): void {
    for (const [target, { untilMs }] of this.#grants) if (untilMs <= nowMs) this.#grants.delete(target);
    for (const [storeId, held] of this.#byStore) if (![...held].some((target) => this.#grants.get(target)?.storeId === storeId)) this.#byStore.delete(storeId);
  }
}
