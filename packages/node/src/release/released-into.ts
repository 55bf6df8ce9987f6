/**
 * The objects into which this store released or sealed records: a query whose plan lacks one of them would find the records neither there nor here, so the
 * digest round names them (design 10.2).
 *
 * What must stay true: an object is noted in the turn in which the head forgets its records. After a restart nothing is remembered: `sinceMs` says so, and a
 * reader that has not listed the bucket since then lists first.
 *
 * Bound: 24 h and `countMax` objects, some 700 bytes each. At the bound those noted longest ago are forgotten, and `sinceMs` moves on to their time. A segment that waits for
 * its upload is not forgotten: no LIST shows it. The disk budget bounds how many there are.
 */
import type { Clock } from "@pyromesh/base";
import type { HeardObject } from "@pyromesh/block";

export interface ReleasedIntoOptions {
  readonly countMax?: number;
}

const COUNT_MAX = 50_000;
const KEPT_MS = 24 * 3_600_000;

interface Noted {
  readonly object: HeardObject;
  readonly atMs: number;
}

export class ReleasedInto {
  readonly #clock: Clock;
  readonly #countMax: number;
  /** By key, the one noted longest ago first. */
  readonly #noted = new Map<string, Noted>();
  /** Keys by tenant and window. */
  readonly #windows = new Map<string, Map<number, Set<string>>>();
  #sinceMs: number;

  constructor({ countMax = COUNT_MAX }: ReleasedIntoOptions, { clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#countMax = countMax;
    this.#sinceMs = clock.monotonicMs();
  }

  /** By this node's monotonic clock: every object into which records went since then is remembered. */
  get sinceMs(): number {
    this.#expire();
    return this.#sinceMs;
  }

  get count(): number {
    return this.#noted.size;
  }

  /** Again for an object that takes more records, or that was uploaded meanwhile. */
  note(object: HeardObject): void {
    this.forget(object.key);
    this.#noted.set(object.key, { object, atMs: this.#clock.monotonicMs() });
    const { tenant, windowStartMs } = object.meta;
    let windows = this.#windows.get(tenant);
    if (windows === undefined) this.#windows.set(tenant, (windows = new Map()));
    const keys = windows.get(windowStartMs);
    if (keys === undefined) windows.set(windowStartMs, new Set([object.key]));
    else keys.add(object.key);
    this.#expire();
  }

  /** It can be planned no more: the segment was lost, and the bucket says so by a mark. */
  forget(key: string): void {
    const noted = this.#noted.get(key);
    if (noted === undefined) return;
    this.#noted.delete(key);
    const { tenant, windowStartMs } = noted.object.meta;
    const windows = this.#windows.get(tenant);
    const keys = windows?.get(windowStartMs);
    keys?.delete(key);
    if (keys?.size === 0) windows?.delete(windowStartMs);
    if (windows?.size === 0) this.#windows.delete(tenant);
  }

  /** All that are remembered, the one noted longest ago first. */
  *objects(): Generator<HeardObject, void> {
    for (const { object } of this.#noted.values()) yield object;
  }

  /** Of these tenants, in windows that begin in [firstWindowMs, lastWindowMs]. */
  within(tenants: readonly string[], firstWindowMs: number, lastWindowMs: number): HeardObject[] {
    this.#expire();
    const found: HeardObject[] = [];
    for (const tenant of tenants) {
      for (const [windowStartMs, keys] of this.#windows.get(tenant) ?? []) {
        if (windowStartMs < firstWindowMs || windowStartMs > lastWindowMs) continue;
        for (const key of keys) found.push(this.#noted.get(key)!.object); // both change together
      }
    }
    return found;
  }

  #expire(): void {
    const oldestMs = this.#clock.monotonicMs() - KEPT_MS;
    for (const [key, { object, atMs }] of this.#noted) {
      if (this.#noted.size <= this.#countMax && atMs >= oldestMs) return;
      if (!object.isUploaded) continue;
      this.#sinceMs = Math.max(this.#sinceMs, atMs + 1);
      this.forget(key);
    }
  }
}
