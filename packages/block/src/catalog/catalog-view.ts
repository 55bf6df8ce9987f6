/**
 * The catalog's set of entries and the rules by which it changes. Pure: no bucket, no clock.
 *
 *   tenant ──► window ──► key ──► entry
 *
 * What must stay true: an entry leaves only when someone removed it, or when two whole LISTs that began after we learned of it,
 * the second after the first had ended, do not show it. A LIST that misses a key once changes nothing. An object on local disk
 * is never removed by a LIST: the bucket has not got it yet.
 *
 * A LIST comes in pages (`beginList`, `takePage`, `endList`); several may run at once. Time is a counter, `#tick`, that rises when a LIST
 * begins and when it ends, so that "began after that ended" can be asked.
 */
import type { TenantId } from "@pyromesh/base";
import { CodedError } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import type { BucketObject } from "../bucket/bucket.ts";
import type { MarkKey, ObjectKey, ReadableKey } from "./object-path.ts";
import { parseObjectKey, printWindow } from "./object-path.ts";
import type { GapState } from "./ordinal-gaps.ts";
import { gapsOf, NO_GAPS, printOrdinals, settleGaps } from "./ordinal-gaps.ts";
import { addEntriesWithin, planWindow } from "./window-plan.ts";
import type { WindowPlan } from "./window-plan.ts";

/** Never changed: a change puts a new one in its place. */
export interface CatalogEntry {
  readonly key: string;
  /** What the key says. */
  readonly meta: ReadableKey;
  readonly sizeBytes: number;
  /** `local`: sealed on this node's disk, waiting for upload. */
  readonly place: "bucket" | "local";
  /** Of a local one, for people. */
  readonly path?: string;
}

/** What a LIST looks at: all windows; those from one on, of every tenant; one of one tenant. */
export type ListScope = { readonly kind: "all" } | { readonly kind: "since"; readonly windowStartMs: number } | { readonly kind: "window"; readonly tenant: TenantId; readonly windowStartMs: number };

/** One LIST in progress. */
export interface ListPass {
  readonly scope: ListScope;
  readonly beganAt: number;
  addedCount: number;
  foreignCount: number;
  /** Keys whose object has another size now: it was replaced. */
  readonly changedKeys: string[];
}

/** What this node knows of its own stores, for a LIST that ends. */
export interface OwnOrdinals {
  /** Of every store id that this data dir used since it adopted its bucket: ordinals below `next` were given. */
  readonly stores: readonly { readonly storeId: string; readonly tenant: string; readonly windowStartMs: number; readonly next: number }[];
  /** The store id that new segments get; undefined: nobody asks. */
  readonly currentStoreId: string | undefined;
  /** Keys of segments and marks that wait on this node's disk. */
  readonly pendingKeys: Iterable<string>;
  /** Stores whose ordinals may have gaps that mean nothing: they wrote before ordinals were given without gaps. */
  readonly exemptStoreIds: ReadonlySet<string>;
}

export const NO_OWN_ORDINALS: OwnOrdinals = { stores: [], currentStoreId: undefined, pendingKeys: [], exemptStoreIds: new Set() };

export interface RefreshOutcome {
  readonly addedCount: number;
  readonly removedCount: number;
  /** Keys under the prefix that are none of ours. */
  readonly foreignCount: number;
  /** Keys whose object was replaced by one of another size. */
  readonly changedKeys: readonly string[];
  /** Windows of which the LIST leaves a doubt: a known key is missing, or an ordinal is, for the first time. At most `DOUBT_COUNT_MAX`. */
  readonly doubts: readonly WindowRef[];
  /** Signs that another data dir writes under this one's store id. At most ten. */
  readonly storeConflicts: readonly string[];
}

export interface WindowRef {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
}

/** Ordinals of one store that are missing from one tenant's window. */
export interface SegmentGap extends WindowRef {
  readonly storeId: string;
  readonly gaps: GapState;
}

/** What LISTs have shown of a key. */
interface Kept {
  /** The tick at which it came, or moved to the bucket: a LIST that began before says nothing of it. */
  sinceTick: number;
  /** When the latest LIST that showed it began. */
  seenTick: number;
  /** When the first LIST that missed it since ended; 0: none did. */
  missedTick: number;
}

interface KeptEntry extends Kept {
  entry: CatalogEntry;
}

interface KeptMark extends Kept {
  readonly meta: MarkKey;
}

const NO_WINDOWS: ReadonlyMap<number, Set<string>> = new Map();

/** At the bound the next LIST finds the rest. */
const DOUBT_COUNT_MAX = 100;
const CONFLICT_COUNT_MAX = 10;
/** Entries between two `yield`s: some 0.1 ms. */
const SLICE_LENGTH = 200;
/** Segments that vanished, remembered per store, tenant and window. At the bound the oldest are forgotten: then a last segment of another node's store is no longer known as missing. */
const VANISHED_COUNT_MAX = 10_000;

export class CatalogView {
  readonly #entryCountMax: number;
  readonly #byKey = new Map<string, KeptEntry>();
  readonly #byTenant = new Map<string, Map<number, Set<string>>>();
  /** By the set of a window's keys in `#byTenant`. Dropped when the window changes, and made again when a query plans it. */
  readonly #windowPlans = new WeakMap<Set<string>, WindowPlan<CatalogEntry>>();
  readonly #marks = new Map<string, KeptMark>();
  /** By tenant, then by window. */
  readonly #marksOf = new Map<string, Map<number, Set<string>>>();
  /** By `windowId`, then by store id. Bound: stores of the entries and marks, of `#vanished`, and of this node's own ordinals. */
  readonly #gaps = new Map<string, Map<string, SegmentGap>>();
  /** By `groupId`: one more than the highest ordinal of a segment that LISTs took away. */
  readonly #vanished = new Map<string, { readonly group: WindowRef & { readonly storeId: string }; readonly next: number }>();
  /** Removed since a LIST began that has not ended: it may still show them. */
  readonly #removedSince = new Map<string, number>();
  /** When the LISTs that run began. */
  readonly #running = new Set<number>();
  /** One copy of each text that many entries hold. Cleared at its bound (10,000): then a text may be held twice. */
  readonly #texts = new Map<string, string>();
  #tick = 0;

  /** At `entryCountMax` entries and marks together nothing more is added (CATALOG_FULL): each takes about half a KB. */
  constructor(entryCountMax: number) {
    this.#entryCountMax = entryCountMax;
  }

  get entryCount(): number {
    return this.#byKey.size;
  }

  get(key: string): CatalogEntry | undefined {
    return this.#byKey.get(key)?.entry;
  }

  /** All entries, in no order. */
  *entries(): Generator<CatalogEntry> {
    for (const { entry } of this.#byKey.values()) yield entry;
  }

  /** All marks, in no order. */
  *marks(): Generator<MarkKey> {
    for (const { meta } of this.#marks.values()) yield meta;
  }

  /** False where it is there already. A local one is not made a bucket one by this: `replace` does that. */
  add(entry: CatalogEntry): boolean {
    if (this.#byKey.has(entry.key)) return false;
    this.#put(entry, 0);
    return true;
  }

  /** Puts `entry` in the place of the one of the same key, or adds it. */
  replace(entry: CatalogEntry): void {
    const kept = this.#byKey.get(entry.key);
    if (kept === undefined) return this.#put(entry, 0);
    this.#change(kept, entry);
    kept.sinceTick = this.#tick;
    kept.missedTick = 0;
  }

  /** Sets the size of an object in the bucket, and nothing else. */
  resize(key: string, sizeBytes: number): void {
    const kept = this.#byKey.get(key);
    if (kept?.entry.place === "bucket" && kept.entry.sizeBytes !== sizeBytes) this.#change(kept, { ...kept.entry, sizeBytes });
  }

  /** Call it after the object was deleted, else the next LIST brings it back. */
  remove(key: string): boolean {
    const kept = this.#byKey.get(key);
    if (kept === undefined) return false;
    if (this.#running.size > 0) this.#removedSince.set(key, this.#tick);
    this.#byKey.delete(key);
    this.#forgetPlan(kept.entry.meta);
    unindex(this.#byTenant, kept.entry.meta, key);
    return true;
  }

  /** Entries of these tenants with a time in [startMs, endMs], by tenant as asked, then by key: so by window. */
  plan(tenants: readonly TenantId[], startMs: number, endMs: number): CatalogEntry[] {
    const planned: CatalogEntry[] = [];
    for (const tenant of new Set(tenants)) {
      const windows = this.#byTenant.get(tenant) ?? NO_WINDOWS;
      const inRange = [...windows.keys()].filter((windowStartMs) => windowStartMs <= endMs && windowStartMs + WINDOW_MS > startMs);
      for (const windowStartMs of inRange.sort((a, b) => a - b)) addEntriesWithin(this.#windowPlan(windows.get(windowStartMs)!), startMs, endMs, planned);
    }
    return planned;
  }

  /** Oldest and newest time that an entry of the tenant may hold. */
  spanOf(tenant: TenantId): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    const windows = this.#byTenant.get(tenant);
    if (windows === undefined) return undefined;
    let [first, last] = [Infinity, -Infinity];
    for (const windowStartMs of windows.keys()) {
      first = Math.min(first, windowStartMs);
      last = Math.max(last, windowStartMs);
    }
    // Windows do not overlap: the oldest time is in the first one and the newest in the last.
    return { oldestMs: this.#windowPlan(windows.get(first)!).minTimeMs, newestMs: this.#windowPlan(windows.get(last)!).maxTimeMs };
  }

  #windowPlan(keys: Set<string>): WindowPlan<CatalogEntry> {
    let plan = this.#windowPlans.get(keys);
    if (plan !== undefined) return plan;
    // Both maps change together, so each key has its entry.
    plan = planWindow(Array.from(keys, (key) => this.#byKey.get(key)!.entry));
    this.#windowPlans.set(keys, plan);
    return plan;
  }

  /** Call it whenever an entry of the window comes, goes or is replaced. */
  #forgetPlan({ tenant, windowStartMs }: ObjectKey): void {
    const keys = this.#byTenant.get(tenant)?.get(windowStartMs);
    if (keys !== undefined) this.#windowPlans.delete(keys);
  }

  /** What is missing from the windows of these tenants that [startMs, endMs] touches. */
  gapsWithin(tenants: readonly TenantId[], startMs: number, endMs: number): SegmentGap[] {
    const found: SegmentGap[] = [];
    for (const byStore of this.#gaps.values()) {
      for (const gap of byStore.values()) {
        if (gap.windowStartMs <= endMs && gap.windowStartMs + WINDOW_MS > startMs && tenants.includes(gap.tenant)) found.push(gap);
      }
    }
    return found;
  }

  /** Everything that is missing. */
  get gaps(): readonly SegmentGap[] {
    const all: SegmentGap[] = [];
    for (const byStore of this.#gaps.values()) all.push(...byStore.values());
    return all;
  }

  /** Call before a LIST's first request, and `endList` or `abandonList` after its last. */
  beginList(scope: ListScope = { kind: "all" }): ListPass {
    const list = { scope, beganAt: ++this.#tick, addedCount: 0, foreignCount: 0, changedKeys: [] };
    this.#running.add(list.beganAt);
    return list;
  }

  /** Takes a page in. What a LIST shows is there, whether the LIST comes to its end or not. Yields now and then, for who must not hold the event loop. */
  *takePage(list: ListPass, page: Iterable<BucketObject>): Generator<void> {
    let newCount = 0;
    for (const { key, sizeBytes } of page) {
      const keptEntry = this.#byKey.get(key);
      const kept = keptEntry ?? this.#marks.get(key);
      if (kept === undefined) {
        this.#takeNew(list, key, sizeBytes);
        if (++newCount % SLICE_LENGTH === 0) yield;
        continue;
      }
      kept.seenTick = Math.max(kept.seenTick, list.beganAt);
      kept.missedTick = 0;
      // A local one stays local: its owner knows that the upload is through when it says `replace`.
      if (keptEntry === undefined || keptEntry.entry.sizeBytes === sizeBytes || keptEntry.entry.place === "local") continue;
      this.#change(keptEntry, { ...keptEntry.entry, sizeBytes });
      list.changedKeys.push(key);
    }
  }

  #takeNew(list: ListPass, key: string, sizeBytes: number): void {
    const meta = parseObjectKey(key);
    if (meta === undefined) {
      list.foreignCount++;
    } else if (meta.kind === "mark") {
      this.#checkRoom();
      this.#marks.set(key, { meta: this.#lean(meta), sinceTick: list.beganAt, seenTick: list.beganAt, missedTick: 0 });
      index(this.#marksOf, meta, key);
    } else if ((this.#removedSince.get(key) ?? -1) < list.beganAt) {
      this.#put({ key, meta: this.#lean(meta), sizeBytes, place: "bucket" }, list.beganAt);
      list.addedCount++;
    }
  }

  /** A LIST that failed half way: what it did not reach is not missing. */
  abandonList(list: ListPass): void {
    this.#running.delete(list.beganAt);
    this.#forgetRemoved();
  }

  /**
   * Ends a LIST of which every page was taken in: what it should have shown and did not is missed, and gaps of ordinals are looked
   * for, in the windows of its scope. Yields now and then; what changes meanwhile is heeded.
   */
  *endList(list: ListPass, own: OwnOrdinals = NO_OWN_ORDINALS): Generator<void, RefreshOutcome> {
    const doubts = new Map<string, WindowRef>();
    const conflicts: string[] = [];
    let removedCount = 0;
    const doubt = (window: WindowRef): void => {
      if (doubts.size < DOUBT_COUNT_MAX) doubts.set(windowId(window), { tenant: window.tenant, windowStartMs: window.windowStartMs });
    };
    const missed: { readonly key: string; readonly window: WindowRef }[] = [];
    const settled: { readonly gap: Omit<SegmentGap, "gaps">; readonly shown: ReturnType<typeof gapsOf> }[] = [];
    let steps = 0;
    for (const window of this.#windowsOf(list.scope)) {
      for (const key of this.#byTenant.get(window.tenant)?.get(window.windowStartMs) ?? []) {
        if (++steps % SLICE_LENGTH === 0) yield;
        const kept = this.#byKey.get(key);
        if (kept?.entry.place === "bucket" && isMissed(kept, list)) missed.push({ key, window });
      }
      for (const key of this.#marksOf.get(window.tenant)?.get(window.windowStartMs) ?? []) {
        if (++steps % SLICE_LENGTH === 0) yield;
        const kept = this.#marks.get(key);
        if (kept !== undefined && isMissed(kept, list)) missed.push({ key, window });
      }
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    // From here on this LIST counts as ended, though what follows pauses: a LIST that begins meanwhile is a second one.
    const endedAt = ++this.#tick;
    for (const { key, window } of missed) {
      const keptEntry = this.#byKey.get(key);
      const kept = keptEntry ?? this.#marks.get(key);
      if (kept === undefined || keptEntry?.entry.place === "local" || !isMissed(kept, list)) continue;
      if (kept.missedTick === 0 || kept.missedTick >= list.beganAt) {
        kept.missedTick ||= endedAt;
        doubt(window);
      } else {
        if (this.#takeAway(key)) removedCount++;
      }
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    const expected = yield* expectedByWindow(list.scope, own, this.#vanished.values());
    const pending = yield* pendingByWindow(own.pendingKeys);
    for (const window of this.#windowsOf(list.scope, expected)) {
      steps += 1 + (this.#byTenant.get(window.tenant)?.get(window.windowStartMs)?.size ?? 0);
      if (steps >= SLICE_LENGTH) {
        steps = 0;
        yield;
      }
      for (const { storeId, segments, listed, marks, next, ownNext } of this.#ordinalsOf(window, list, expected.get(windowId(window)), pending.get(windowId(window)))) {
        const at = `in window ${printWindow(window.windowStartMs)} of store ${storeId}`;
        if (storeId === own.currentStoreId && conflicts.length < CONFLICT_COUNT_MAX) {
          // Of those that this LIST showed: what was given after its pages were in, and sealed or uploaded under the pauses, is our own.
          const strange = listed.find((ordinal) => ordinal >= ownNext);
          if (strange !== undefined) conflicts.push(`segment ${strange} ${at} is in the bucket, and this store gave only those below ${ownNext}`);
          else if (new Set(segments).size < segments.length) conflicts.push(`two segments have one ordinal ${at}`);
        }
        const shown = own.exemptStoreIds.has(storeId) ? [] : gapsOf({ segments, marks, next });
        if (shown.length > 0 || this.#gaps.get(windowId(window))?.has(storeId) === true) settled.push({ gap: { ...window, storeId }, shown });
      }
    }
    for (const { gap, shown } of settled) {
      const gaps = settleGaps(this.#gaps.get(windowId(gap))?.get(gap.storeId)?.gaps ?? NO_GAPS, shown, { beganAt: list.beganAt, endedAt });
      this.#setGaps({ ...gap, gaps });
      if (gaps.suspected.length > 0) doubt(gap);
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    this.abandonList(list);
    const { addedCount, foreignCount, changedKeys } = list;
    return { addedCount, removedCount, foreignCount, changedKeys, doubts: [...doubts.values()], storeConflicts: conflicts };
  }

  #setGaps(gap: SegmentGap): void {
    const id = windowId(gap);
    const byStore = this.#gaps.get(id) ?? new Map<string, SegmentGap>();
    if (gap.gaps.holes.length + gap.gaps.suspected.length > 0) byStore.set(gap.storeId, gap);
    else byStore.delete(gap.storeId);
    if (byStore.size > 0) this.#gaps.set(id, byStore);
    else this.#gaps.delete(id);
  }

  /** True where it was an entry. */
  #takeAway(key: string): boolean {
    const meta = this.#byKey.get(key)?.entry.meta;
    if (meta === undefined) {
      const mark = this.#marks.get(key);
      this.#marks.delete(key);
      if (mark !== undefined) unindex(this.#marksOf, mark.meta, key);
      return false;
    }
    if (meta.kind === "segment") {
      // Its ordinal stays known as given: it may have been the last of a store that is not ours.
      const id = groupId(meta, meta.storeId);
      const next = Math.max(this.#vanished.get(id)?.next ?? 0, meta.ordinal + 1);
      if (!this.#vanished.has(id) && this.#vanished.size >= VANISHED_COUNT_MAX) this.#vanished.delete(this.#vanished.keys().next().value!);
      this.#vanished.set(id, { group: { tenant: meta.tenant, windowStartMs: meta.windowStartMs, storeId: meta.storeId }, next });
    }
    return this.remove(key);
  }

  /** The windows of a scope: of entries and marks, of what is expected, and of gaps known. */
  *#windowsOf(scope: ListScope, expected: ReadonlyMap<string, ExpectedWindow> = new Map()): Generator<WindowRef> {
    if (scope.kind === "window") return yield { tenant: scope.tenant, windowStartMs: scope.windowStartMs };
    const firstMs = scope.kind === "since" ? scope.windowStartMs : -Infinity;
    const seen = new Set<string>();
    const isNew = (window: WindowRef): boolean => {
      if (window.windowStartMs < firstMs || seen.has(windowId(window))) return false;
      seen.add(windowId(window));
      return true;
    };
    for (const byTenant of [this.#byTenant, this.#marksOf]) {
      for (const [tenant, windows] of byTenant) {
        for (const windowStartMs of windows.keys()) {
          if (windowStartMs < firstMs) continue;
          const window = { tenant: tenant as TenantId, windowStartMs }; // a key's
          if (isNew(window)) yield window;
        }
      }
    }
    for (const { tenant, windowStartMs } of expected.values()) {
      const window = { tenant, windowStartMs };
      if (isNew(window)) yield window;
    }
    for (const byStore of [...this.#gaps.values()]) {
      for (const { tenant, windowStartMs } of byStore.values()) {
        const window = { tenant, windowStartMs };
        if (isNew(window)) yield window;
      }
    }
  }

  /** Per store: what the window's entries and marks are, and what was given. */
  #ordinalsOf(window: WindowRef, list: ListPass, expected: ExpectedWindow | undefined, pending: readonly PendingOrdinal[] | undefined): Iterable<WindowOrdinals> {
    const byStore = new Map<string, WindowOrdinals>();
    const of = (storeId: string): WindowOrdinals => {
      let found = byStore.get(storeId);
      if (found === undefined) byStore.set(storeId, (found = { storeId, segments: [], listed: [], marks: [], next: expected?.nextOf.get(storeId)?.next ?? 0, ownNext: expected?.nextOf.get(storeId)?.ownNext ?? 0 }));
      return found;
    };
    for (const key of this.#byTenant.get(window.tenant)?.get(window.windowStartMs) ?? []) {
      const { entry, seenTick } = this.#byKey.get(key)!; // both maps change together
      if (entry.meta.kind !== "segment") continue;
      const ordinals = of(entry.meta.storeId);
      ordinals.segments.push(entry.meta.ordinal);
      if (seenTick === list.beganAt) ordinals.listed.push(entry.meta.ordinal);
    }
    for (const key of this.#marksOf.get(window.tenant)?.get(window.windowStartMs) ?? []) {
      const { meta } = this.#marks.get(key)!; // the same
      of(meta.storeId).marks.push({ mark: meta.mark, ordinal: meta.ordinal });
    }
    for (const storeId of expected?.nextOf.keys() ?? []) of(storeId);
    for (const { storeId, ordinal } of pending ?? []) of(storeId).marks.push({ mark: "void", ordinal }); // it waits here: nothing is missing
    for (const storeId of this.#gaps.get(windowId(window))?.keys() ?? []) of(storeId);
    return byStore.values();
  }

  #put(entry: CatalogEntry, seenTick: number): void {
    const { key, meta } = entry;
    // A local segment is never refused: its records are nowhere else. The head's disk budget bounds local segments.
    if (entry.place !== "local") this.#checkRoom();
    this.#byKey.set(key, { entry, sinceTick: this.#tick, seenTick, missedTick: 0 });
    index(this.#byTenant, meta, key);
    this.#forgetPlan(meta);
  }

  #checkRoom(): void {
    if (this.#byKey.size + this.#marks.size < this.#entryCountMax) return;
    throw new CodedError({
      code: "CATALOG_FULL",
      kind: "unavailable",
      message: `the catalog holds ${this.#entryCountMax} objects and takes no more: raise --flush-interval, or give each cluster a prefix of its own in the bucket`,
    });
  }

  #change(kept: KeptEntry, entry: CatalogEntry): void {
    kept.entry = entry;
    this.#forgetPlan(entry.meta);
  }

  #forgetRemoved(): void {
    const firstRunning = Math.min(...this.#running);
    for (const [key, tick] of this.#removedSince) if (tick < firstRunning) this.#removedSince.delete(key);
  }

  /** The same meta with texts that other entries hold as well. */
  #lean<M extends ObjectKey>(meta: M): M {
    if (meta.kind === "block") return { ...meta, tenant: this.#shared(meta.tenant) };
    return { ...meta, tenant: this.#shared(meta.tenant), storeId: this.#shared(meta.storeId) };
  }

  #shared<T extends string>(text: T): T {
    const known = this.#texts.get(text);
    if (known !== undefined) return known as T; // equal
    if (this.#texts.size >= 10_000) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }
}

interface ExpectedWindow extends WindowRef {
  /** By store id; `ownNext` as this node's head says, `next` also by what was seen. */
  readonly nextOf: Map<string, { next: number; ownNext: number }>;
}

interface WindowOrdinals {
  readonly storeId: string;
  readonly segments: number[];
  /** Those of them that this LIST showed. */
  readonly listed: number[];
  readonly marks: { readonly mark: MarkKey["mark"]; readonly ordinal: number }[];
  readonly next: number;
  readonly ownNext: number;
}

interface PendingOrdinal {
  readonly storeId: string;
  readonly ordinal: number;
}

function isMissed({ seenTick, sinceTick }: Kept, { beganAt }: ListPass): boolean {
  // It came after this LIST began, perhaps at a name that the LIST had passed: that it is not shown says nothing.
  return seenTick < beganAt && sinceTick < beganAt;
}

/** Of a scope's windows; what lies outside of it may be left out. Yields now and then. */
function* expectedByWindow(scope: ListScope, own: OwnOrdinals, vanished: Iterable<{ readonly group: WindowRef & { readonly storeId: string }; readonly next: number }>): Generator<void, Map<string, ExpectedWindow>> {
  const expected = new Map<string, ExpectedWindow>();
  const of = (window: WindowRef, storeId: string): { next: number; ownNext: number } => {
    const id = windowId(window);
    let found = expected.get(id);
    if (found === undefined) expected.set(id, (found = { tenant: window.tenant, windowStartMs: window.windowStartMs, nextOf: new Map<string, { next: number; ownNext: number }>() }));
    let next = found.nextOf.get(storeId);
    if (next === undefined) found.nextOf.set(storeId, (next = { next: 0, ownNext: 0 }));
    return next;
  };
  let steps = 0;
  for (const { storeId, tenant, windowStartMs, next } of own.stores) {
    if (++steps % SLICE_LENGTH === 0) yield;
    const window = { tenant: tenant as TenantId, windowStartMs }; // the API parsed it before the head took the record
    if (!isWithin(scope, window)) continue;
    const known = of(window, storeId);
    known.next = Math.max(known.next, next);
    known.ownNext = Math.max(known.ownNext, next);
  }
  for (const { group, next } of vanished) {
    if (++steps % SLICE_LENGTH === 0) yield;
    if (!isWithin(scope, group)) continue;
    const known = of(group, group.storeId);
    known.next = Math.max(known.next, next);
  }
  return expected;
}

function isWithin(scope: ListScope, { tenant, windowStartMs }: WindowRef): boolean {
  if (scope.kind === "all") return true;
  return scope.kind === "since" ? windowStartMs >= scope.windowStartMs : windowStartMs === scope.windowStartMs && tenant === scope.tenant;
}

/** Yields now and then. */
function* pendingByWindow(keys: Iterable<string>): Generator<void, Map<string, PendingOrdinal[]>> {
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

function windowId({ tenant, windowStartMs }: WindowRef): string {
  return `${windowStartMs}/${tenant}`;
}

function groupId(window: WindowRef, storeId: string): string {
  return `${windowId(window)}/${storeId}`;
}

function index(byTenant: Map<string, Map<number, Set<string>>>, { tenant, windowStartMs }: WindowRef, key: string): void {
  let windows = byTenant.get(tenant);
  if (windows === undefined) byTenant.set(tenant, (windows = new Map<number, Set<string>>()));
  const keys = windows.get(windowStartMs);
  if (keys === undefined) windows.set(windowStartMs, new Set([key]));
  else keys.add(key);
}

function unindex(byTenant: Map<string, Map<number, Set<string>>>, { tenant, windowStartMs }: WindowRef, key: string): void {
  const windows = byTenant.get(tenant);
  const keys = windows?.get(windowStartMs);
  keys?.delete(key);
  if (keys?.size === 0) windows?.delete(windowStartMs);
  if (windows?.size === 0) byTenant.delete(tenant);
}

/** For people: `window 20260302T14, store 0f1e...: segments 3, 5-8`. Names no tenant. */
export function describeGap({ windowStartMs, storeId, gaps }: SegmentGap): string {
  const ranges = [...gaps.holes, ...gaps.suspected].sort((a, b) => a.first - b.first);
  const doubt = gaps.holes.length === 0 ? "may be missing, which the next listing decides" : "missing";
  return `window ${printWindow(windowStartMs)}, store ${storeId}: ${printOrdinals(ranges)} ${doubt}`;
}
