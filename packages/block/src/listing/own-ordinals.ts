/**
 * Which ordinals a LIST should show: those that this node's stores gave, and those of segments that earlier LISTs showed. Pure.
 *
 * The functions that go through long lists yield every `SLICE_LENGTH` entries, so that the event loop is not held up.
 */
import type { TenantId } from "@pyromesh/base";
import type { ListScope } from "./list-pass.ts";
import { isWithin, SLICE_LENGTH } from "./list-pass.ts";
import type { SegmentKey } from "./object-path.ts";
import { parseObjectKey } from "./object-path.ts";
import type { WindowRef } from "./window-ref.ts";
import { windowId } from "./window-ref.ts";

/** What this node knows of its own stores when a LIST ends. */
export interface OwnOrdinals {
  /** Of every store id that this data dir used since it adopted its bucket: ordinals below `next` were given. */
  readonly stores: readonly { readonly storeId: string; readonly tenant: string; readonly windowStartMs: number; readonly next: number }[];
  /** The store id that new segments get. Undefined: no conflict of this store is looked for. */
  readonly currentStoreId: string | undefined;
  /** Keys of segments and marks that wait on this node's disk. */
  readonly pendingKeys: Iterable<string>;
  /** Stores that wrote before ordinals were given without gaps: gaps in theirs mean nothing. */
  readonly exemptStoreIds: ReadonlySet<string>;
}

export const NO_OWN_ORDINALS: OwnOrdinals = { stores: [], currentStoreId: undefined, pendingKeys: [], exemptStoreIds: new Set() };

/** All ordinals of the store below these were given. */
export interface GivenOrdinals {
  /** The greatest that this node's head says or that an earlier LIST showed. */
  next: number;
  /** What this node's head says. */
  ownNext: number;
}

export interface ExpectedWindow extends WindowRef {
  /** By store id. */
  readonly givenOf: Map<string, GivenOrdinals>;
}

/** The ordinals that the LIST should show, by window. Only windows in the LIST's scope are in it. */
export function* expectedByWindow(scope: ListScope, own: OwnOrdinals, vanished: VanishedOrdinals): Generator<void, Map<string, ExpectedWindow>> {
  const expected = new Map<string, ExpectedWindow>();
  const givenBy = (window: WindowRef, storeId: string): GivenOrdinals => {
    const id = windowId(window);
    let found = expected.get(id);
    if (found === undefined) expected.set(id, (found = { tenant: window.tenant, windowStartMs: window.windowStartMs, givenOf: new Map<string, GivenOrdinals>() }));
    let given = found.givenOf.get(storeId);
    if (given === undefined) found.givenOf.set(storeId, (given = { next: 0, ownNext: 0 }));
    return given;
  };
  let steps = 0;
  for (const { storeId, tenant, windowStartMs, next } of own.stores) {
    if (++steps % SLICE_LENGTH === 0) yield;
    const window = { tenant: tenant as TenantId, windowStartMs }; // the API parsed it before the head took the record
    if (!isWithin(scope, window)) continue;
    const given = givenBy(window, storeId);
    given.next = Math.max(given.next, next);
    given.ownNext = Math.max(given.ownNext, next);
  }
  for (const { window, storeId, next } of vanished.all()) {
    if (++steps % SLICE_LENGTH === 0) yield;
    if (!isWithin(scope, window)) continue;
    const given = givenBy(window, storeId);
    given.next = Math.max(given.next, next);
  }
  return expected;
}

export interface PendingOrdinal {
  readonly storeId: string;
  readonly ordinal: number;
}

/** By window. */
export function* pendingByWindow(keys: Iterable<string>): Generator<void, Map<string, PendingOrdinal[]>> {
  const pending = new Map<string, PendingOrdinal[]>();
  let steps = 0;
  for (const key of keys) {
    if (++steps % SLICE_LENGTH === 0) yield;
    const meta = parseObjectKey(key);
    if (meta === undefined || meta.kind === "block") continue;
    const id = windowId(meta);
    const found = pending.get(id);
    if (found === undefined) pending.set(id, [meta]);
    else found.push(meta);
  }
  return pending;
}

/** Groups of store, tenant and window. At the bound the oldest is forgotten: that another store's last segment is missing is then not noticed. */
const VANISHED_COUNT_MAX = 10_000;

interface VanishedGroup {
  readonly window: WindowRef;
  readonly storeId: string;
  /** One more than the highest ordinal that vanished. */
  readonly next: number;
}

/** Segments that LISTs showed and then showed no more. Their ordinals were given: one may have been the last of another node's store. */
export class VanishedOrdinals {
  readonly #groups = new Map<string, VanishedGroup>();

  add({ tenant, windowStartMs, storeId, ordinal }: SegmentKey): void {
    const id = `${windowId({ tenant, windowStartMs })}/${storeId}`;
    const known = this.#groups.get(id);
    if (known === undefined && this.#groups.size >= VANISHED_COUNT_MAX) this.#groups.delete(this.#groups.keys().next().value!); // it is full, so it has a first
    this.#groups.set(id, { window: { tenant, windowStartMs }, storeId, next: Math.max(known?.next ?? 0, ordinal + 1) });
  }

  all(): Iterable<VanishedGroup> {
    return this.#groups.values();
  }
}
