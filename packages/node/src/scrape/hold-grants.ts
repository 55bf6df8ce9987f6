/**
 * What one member has granted: for each target the store that holds it, and until when. Pure.
 *
 * What must stay true: a member grants a target to one store at a time, and to another one only when what it granted before has ended, by its own clock, or was
 * given back. Only the newest request of a store says what it gives back: one that was overtaken, behind a link that was replaced, changes nothing. A process that has just started does not know what the one before it granted, so it grants nothing for as long as a grant lasts.
 *
 * Bounded: GRANTS_MAX targets. Beyond it nothing new is granted, until others end. Of a store nothing is kept once all that it was granted must have ended.
 */
import type { StoreId } from "@pyromesh/ring";
import type { TargetNumber } from "../cluster/hold-message.ts";

/** How long a hold lasts from when its request was sent, by the clock of who sent it. A crashed member's targets move after it. */
export const HOLD_MS = 10_000;
/** How long a grant lasts from when its request came, by the clock of who grants: longer, since clocks differ in their rate. */
export const GRANT_MS: number = HOLD_MS * 1.05;

const GRANTS_MAX = 1_000_000;

/** Who asks. */
export interface Asking {
  readonly storeId: StoreId;
  /** The process. A caller passes on requests of none that was replaced: with another one, serials begin again. */
  readonly bootId: string;
  readonly serial: number;
}

interface Asked extends Asking {
  readonly atMs: number;
  readonly granted: ReadonlySet<TargetNumber>;
}

interface Grant {
  readonly storeId: StoreId;
  readonly bootId: string;
  /** Of the request since which nobody else has had the target, nor has the store given it back. */
  readonly sinceSerial: number;
  readonly untilMs: number;
}

export class HoldGrants {
  readonly #grants = new Map<TargetNumber, Grant>();
  /** By store: its newest request. Needed for as long as a grant lasts: an older one could free nothing else that the store counts on. */
  readonly #newest = new Map<StoreId, Asked>();
  readonly #startedMs: number;

  /** Times are of the monotonic clock. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** `wanted`: all that the store wants to hold now. What it held besides is free. */
  grant({ storeId, bootId, serial }: Asking, wanted: readonly TargetNumber[], nowMs: number): boolean[] {
    const newest = this.#newest.get(storeId);
    if (newest === undefined) this.#forgetStores(nowMs);
    else if (newest.bootId === bootId && newest.serial >= serial) return wanted.map(() => false);
    else this.#free(newest, new Set(wanted));
    const mayGrant = nowMs - this.#startedMs >= GRANT_MS;
    const isGranted = wanted.map((target) => mayGrant && this.#grant({ storeId, bootId, serial }, target, nowMs));
    this.#newest.set(storeId, { storeId, bootId, serial, atMs: nowMs, granted: new Set(wanted.filter((_, index) => isGranted[index])) });
    return isGranted;
  }

  /** Whether what the process was granted by that request, or an earlier one, is its own until now: also where its time is over and nobody else has come. */
  isUnbroken({ storeId, bootId, serial }: Asking, targets: readonly TargetNumber[]): boolean[] {
    return targets.map((target) => {
      const grant = this.#grants.get(target);
      return grant !== undefined && grant.storeId === storeId && grant.bootId === bootId && grant.sinceSerial <= serial;
    });
  }

  #grant({ storeId, bootId, serial }: Asking, target: TargetNumber, nowMs: number): boolean {
    const known = this.#grants.get(target);
    if (known === undefined && this.#grants.size >= GRANTS_MAX) this.#dropEnded(nowMs);
    if (known === undefined ? this.#grants.size >= GRANTS_MAX : known.storeId !== storeId && known.untilMs > nowMs) return false;
    const isSame = known?.storeId === storeId && known.bootId === bootId;
    this.#grants.set(target, { storeId, bootId, sinceSerial: isSame ? known.sinceSerial : serial, untilMs: nowMs + GRANT_MS });
    return true;
  }

  #free({ storeId, granted }: Asked, wanted: ReadonlySet<TargetNumber>): void {
    for (const target of granted) if (!wanted.has(target) && this.#grants.get(target)?.storeId === storeId) this.#grants.delete(target);
  }

  #forgetStores(nowMs: number): void {
    for (const [storeId, { atMs }] of this.#newest) if (nowMs - atMs >= GRANT_MS) this.#newest.delete(storeId);
  }

  #dropEnded(nowMs: number): void {
    for (const [target, { untilMs }] of this.#grants) if (untilMs <= nowMs) this.#grants.delete(target);
  }
}
