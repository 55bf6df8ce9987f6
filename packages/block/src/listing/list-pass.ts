/**
 * LISTs in progress, and what they have shown of a key. Several LISTs may run at once. Time is a counter, the tick: it rises when a LIST
 * begins and when one ends, so that "began after that one ended" can be asked.
 */
import type { TenantId } from "@pyromesh/base";
import type { WindowRef } from "./window-ref.ts";

/** What a LIST looks at: all windows; those from one on, of every tenant; one window of one tenant. */
export type ListScope = { readonly kind: "all" } | { readonly kind: "since"; readonly windowStartMs: number } | { readonly kind: "window"; readonly tenant: TenantId; readonly windowStartMs: number };

/** One LIST in progress. */
export interface ListPass {
  readonly scope: ListScope;
  readonly beganAt: number;
  addedCount: number;
  foreignCount: number;
  /** Keys whose object has another size now: it was replaced. */
  readonly changedKeys: string[];
  /** Keys that begin like a floor's and cannot be read. */
  readonly malformedFloors: string[];
}

/** What LISTs have shown of a key. */
export interface Kept {
  /** The tick at which it came, or moved to the bucket. A LIST that began earlier may have passed its name before that: its silence means nothing. */
  sinceTick: number;
  /** When the latest LIST that showed it began. */
  seenTick: number;
  /** When the first LIST ended that did not show it, of those after the last that did; 0: none. */
  missedTick: number;
}

/** Entries between two `yield`s: about 0.1 ms. */
export const SLICE_LENGTH = 200;

export function isWithin(scope: ListScope, { tenant, windowStartMs }: WindowRef): boolean {
  if (scope.kind === "all") return true;
  return scope.kind === "since" ? windowStartMs >= scope.windowStartMs : windowStartMs === scope.windowStartMs && tenant === scope.tenant;
}

/** The LIST should have shown the key, and did not. */
export function isMissed({ seenTick, sinceTick }: Kept, { beganAt }: ListPass): boolean {
  return seenTick < beganAt && sinceTick < beganAt;
}

/** What one LIST that did not show a key, and ended at `endedAt`, says. `gone`: it is the second, and began after the first had ended. */
export function noteMiss(kept: Kept, { beganAt }: ListPass, endedAt: number): "doubted" | "gone" {
  if (kept.missedTick > 0 && kept.missedTick < beganAt) return "gone";
  kept.missedTick ||= endedAt;
  return "doubted";
}

/** The counter, the LISTs that run, and what was removed while they do. */
export class ListPasses {
  #tick = 0;
  /** When the LISTs that run began. */
  readonly #running = new Set<number>();
  /** By key, when it was removed. A LIST that runs may still show it. Emptied when the LISTs of that time have ended. */
  readonly #removedAt = new Map<string, number>();

  get tick(): number {
    return this.#tick;
  }

  begin(scope: ListScope): ListPass {
    const list = { scope, beganAt: ++this.#tick, addedCount: 0, foreignCount: 0, changedKeys: [], malformedFloors: [] };
    this.#running.add(list.beganAt);
    return list;
  }

  /** A LIST whose pages are all in counts as ended from now on: one that begins later is a second one. Returns the tick. */
  complete(): number {
    return ++this.#tick;
  }

  /** Nothing more comes of it. */
  close(list: ListPass): void {
    this.#running.delete(list.beganAt);
    const firstRunning = Math.min(...this.#running);
    for (const [key, tick] of this.#removedAt) if (tick < firstRunning) this.#removedAt.delete(key);
  }

  noteRemoved(key: string): void {
    if (this.#running.size > 0) this.#removedAt.set(key, this.#tick);
  }

  /** Removed after this LIST began: that it shows the key means nothing. */
  wasRemovedUnder({ beganAt }: ListPass, key: string): boolean {
    return (this.#removedAt.get(key) ?? -1) >= beganAt;
  }
}
