/**
 * The catalog's set of entries and the rules by which it changes. Pure: no bucket, no clock.
 *
 *   tenant ──► window ──► key ──► entry
 *
 * What must stay true: an entry leaves only when someone removed it, or when two whole LISTs that began after we learned of it,
 * the second after the first had ended, do not show it. A LIST that misses a key once changes nothing. An object that waits on a disk for
 * its upload is never removed by a LIST: the bucket has not got it yet.
 *
 * A LIST comes in pages (`beginList`, `takePage`, `endList`); several may run at once (`list-pass.ts`).
 */
import type { TenantId } from "@pyromesh/base";
import { CodedError } from "@pyromesh/base";
import { WINDOW_MS } from "@pyromesh/profile";
import type { BucketObject } from "../bucket/bucket.ts";
import { parseFloorKey, rangeAbove } from "../listing/floor.ts";
import { Floors } from "../listing/floors.ts";
import type { Kept, ListPass, ListScope } from "../listing/list-pass.ts";
import { isMissed, ListPasses, noteMiss, SLICE_LENGTH } from "../listing/list-pass.ts";
import type { MarkKey } from "../listing/object-path.ts";
import { parseObjectKey } from "../listing/object-path.ts";
import type { OrdinalRange } from "../listing/ordinal-gaps.ts";
import { gapsOf, settleGaps } from "../listing/ordinal-gaps.ts";
import type { ExpectedWindow, OwnOrdinals, PendingOrdinal } from "../listing/own-ordinals.ts";
import { expectedByWindow, NO_OWN_ORDINALS, pendingByWindow, VanishedOrdinals } from "../listing/own-ordinals.ts";
import type { SegmentGap } from "../listing/segment-gaps.ts";
import { SegmentGaps } from "../listing/segment-gaps.ts";
import { SharedTexts } from "../listing/shared-texts.ts";
import { conflictOf, WindowOrdinals } from "../listing/window-ordinals.ts";
import type { WindowRef } from "../listing/window-ref.ts";
import { windowId } from "../listing/window-ref.ts";
import { storeOf } from "./catalog-entry.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import type { KeptEntry } from "./entry-set.ts";
import { EntrySet } from "./entry-set.ts";
import { HeardKeys } from "./heard-keys.ts";
import type { HeardObject, HeardOutcome, Origin } from "./heard-object.ts";
import { checkHeard } from "./heard-object.ts";
import type { SourceSet } from "./source-set.ts";
import { WindowIndex } from "./window-index.ts";

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
  /** Keys that begin like a floor's and cannot be read. At most ten. */
  readonly malformedFloors: readonly string[];
}

interface KeptMark extends Kept {
  readonly meta: MarkKey;
}

/** How many doubts, conflicts and malformed names one LIST reports. At the bound the next LIST finds the rest. */
const DOUBT_COUNT_MAX = 100;
const CONFLICT_COUNT_MAX = 10;
const MALFORMED_COUNT_MAX = 10;

export class CatalogView {
  readonly #entryCountMax: number;
  readonly #entries = new EntrySet();
  readonly #marks = new Map<string, KeptMark>();
  readonly #markIndex = new WindowIndex();
  /** Keys of blocks whose sources are not known. */
  readonly #unreadBlocks = new Set<string>();
  readonly #floors = new Floors();
  readonly #heard = new HeardKeys();
  readonly #gaps = new SegmentGaps();
  readonly #vanished = new VanishedOrdinals();
  readonly #passes = new ListPasses();
  readonly #texts = new SharedTexts();

  /** At `entryCountMax` entries, marks and floors together nothing more is added (CATALOG_FULL): each takes about half a KB. */
  constructor(entryCountMax: number) {
    this.#entryCountMax = entryCountMax;
  }

  get entryCount(): number {
    return this.#entries.size;
  }

  get(key: string): CatalogEntry | undefined {
    return this.#entries.get(key)?.entry;
  }

  /** All entries, in no order. */
  *entries(): Generator<CatalogEntry> {
    for (const { entry } of this.#entries.values()) yield entry;
  }

  /** All marks, in no order. */
  *marks(): Generator<MarkKey> {
    for (const { meta } of this.#marks.values()) yield meta;
  }

  /**
   * False where the key is there already. A local entry becomes one of the bucket by `replace`, not by this. What was only heard of gives way:
   * what this node has itself is read where it is.
   */
  add(entry: CatalogEntry): boolean {
    if (this.#heard.has(entry.key)) {
      this.replace(entry);
      return true;
    }
    if (this.#entries.get(entry.key) !== undefined) return false;
    this.#put(entry, 0);
    return true;
  }

  /**
   * Adds an object that another member told of (`heard-object.ts` has the rules). One that is known stays as it is, except that a segment which
   * was known to wait at the origin moves to the bucket when the origin says that it has uploaded it.
   */
  addByMeta(heard: HeardObject, origin: Origin): HeardOutcome {
    const { key, sizeBytes } = heard;
    const checked = checkHeard(heard, origin);
    if (checked.kind === "refused") return checked;
    const { meta, place } = checked;
    const kept = this.#entries.get(key);
    if (kept !== undefined) {
      if (kept.entry.place !== `store:${origin.storeId}` || place !== "bucket") return { kind: "known" };
      this.#entries.change(kept, { ...kept.entry, place });
      kept.sinceTick = this.#passes.tick;
      return { kind: "moved" };
    }
    if (meta.maxTimeMs < this.#floors.of(meta.tenant)) return { kind: "refused", code: "HEARD_BELOW_FLOOR", because: `${key} lies below its tenant's floor` };
    if (!this.#heard.hasRoomFor(origin) || !this.#hasRoom) {
      return { kind: "refused", code: "HEARD_TOO_MANY", because: `${key} is one too many of those that no LIST has shown yet` };
    }
    this.#put({ key, meta: this.#texts.lean(meta), sizeBytes, place }, 0);
    this.#heard.add(key, origin);
    return { kind: "added" };
  }

  /** This node has read the object in the bucket: as if a LIST had shown it. Where it vanishes, it is missing. */
  confirm(key: string): void {
    if (this.#entries.get(key)?.entry.place === "bucket") this.#heard.delete(key);
  }

  /** Drops what this member told of and no LIST has shown: it is gone, and so are the segments that waited at it. Returns how many. */
  forgetHeardFrom(origin: Origin): number {
    const keys = [...this.#heard.keysOf(origin)];
    // Not by `remove`: the objects may well be there, and a LIST that runs and shows one must take it in.
    for (const key of keys) this.#drop(this.#entries.get(key)!); // both change together
    return keys.length;
  }

  /** Drops a segment that another member said waits at it, and that is neither there nor in the bucket. False where nothing of the kind is known of the key. */
  forgetHeard(key: string): boolean {
    const kept = this.#entries.get(key);
    if (kept === undefined || storeOf(kept.entry.place) === undefined) return false;
    // Not by `remove`: a put may still land, and a LIST that runs and shows it must take it in.
    this.#drop(kept);
    return true;
  }

  /** Puts `entry` in the place of the one of the same key, or adds it. */
  replace(entry: CatalogEntry): void {
    this.#heard.delete(entry.key);
    const kept = this.#entries.get(entry.key);
    if (kept === undefined) return this.#put(entry, 0);
    this.#entries.change(kept, entry);
    kept.sinceTick = this.#passes.tick;
    kept.missedTick = 0;
  }

  /** Sets the size of an object in the bucket, and nothing else. */
  resize(key: string, sizeBytes: number): void {
    const kept = this.#entries.get(key);
    if (kept?.entry.place === "bucket" && kept.entry.sizeBytes !== sizeBytes) this.#entries.change(kept, { ...kept.entry, sizeBytes });
  }

  /** Call it after the object was deleted, else the next LIST brings it back. */
  remove(key: string): boolean {
    const kept = this.#entries.get(key);
    if (kept === undefined) return false;
    this.#passes.noteRemoved(key);
    this.#drop(kept);
    return true;
  }

  #drop(kept: KeptEntry): void {
    const { key } = kept.entry;
    this.#entries.delete(kept);
    this.#unreadBlocks.delete(key);
    this.#heard.delete(key);
  }

  /** Blocks that LISTs showed and whose sources are not known: `setSources` is to be called for each. */
  unreadBlocks(): CatalogEntry[] {
    const keys = [...this.#unreadBlocks].filter((key) => !this.#heard.has(key));
    return keys.map((key) => this.#entries.get(key)!.entry); // both change together
  }

  /** What the block's footer says. From now on it hides its sources, and their ordinals are not missing. */
  setSources(key: string, sources: SourceSet): void {
    const kept = this.#entries.get(key);
    if (kept === undefined) return;
    this.#unreadBlocks.delete(key);
    this.#entries.change(kept, { ...kept.entry, sources });
  }

  // --- what queries ask ---------------------------------------------------------------------------------------------

  /**
   * Visible entries (`visible-entries.ts`) of these tenants with a time in [startMs, endMs] and at or above the tenant's floor, by tenant as asked,
   * then by key: so by window. An entry that straddles the floor is planned, and its reader leaves out the records below.
   */
  plan(tenants: readonly TenantId[], startMs: number, endMs: number): CatalogEntry[] {
    return this.#entries.plan(tenants, (tenant) => rangeAbove(this.#floors.of(tenant), { startMs, endMs }));
  }

  /** The tenant's times below it are in no answer. `NO_FLOOR_MS` where it has none. */
  floorOf(tenant: TenantId): number {
    return this.#floors.of(tenant);
  }

  /** Oldest and newest time that an entry of the tenant may hold, above its floor. */
  spanOf(tenant: TenantId): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    return this.#entries.spanOf(tenant, this.#floors.of(tenant));
  }

  /** What is missing from the windows of these tenants that [startMs, endMs] touches. A window below the floor misses nothing. */
  gapsWithin(tenants: readonly TenantId[], startMs: number, endMs: number): SegmentGap[] {
    return this.#gaps.within(tenants, startMs, endMs).filter((gap) => !this.#isBelowFloor(gap));
  }

  /** Everything that is missing. */
  get gaps(): readonly SegmentGap[] {
    return [...this.#gaps.all()].filter((gap) => !this.#isBelowFloor(gap));
  }

  /** All of the window. */
  #isBelowFloor({ tenant, windowStartMs }: WindowRef): boolean {
    return windowStartMs + WINDOW_MS <= this.#floors.of(tenant);
  }

  // --- a LIST -------------------------------------------------------------------------------------------------------

  /** Call before a LIST's first request, and `endList` or `abandonList` after its last. */
  beginList(scope: ListScope = { kind: "all" }): ListPass {
    return this.#passes.begin(scope);
  }

  /** Takes a page in. What a LIST shows is there, whether the LIST comes to its end or not. Yields every `SLICE_LENGTH` new keys. */
  *takePage(list: ListPass, page: Iterable<BucketObject>): Generator<void> {
    let newCount = 0;
    for (const { key, sizeBytes } of page) {
      const keptEntry = this.#entries.get(key);
      const kept = keptEntry ?? this.#marks.get(key) ?? this.#floors.get(key);
      if (kept === undefined) {
        this.#takeNew(list, key, sizeBytes);
        if (++newCount % SLICE_LENGTH === 0) yield;
        continue;
      }
      kept.seenTick = Math.max(kept.seenTick, list.beganAt);
      kept.missedTick = 0;
      if (this.#heard.count > 0) this.#heard.delete(key);
      // A local one stays local: its uploader calls `replace` once it has verified the upload.
      if (keptEntry === undefined || keptEntry.entry.place === "local") continue;
      const { entry } = keptEntry;
      if (entry.place === "bucket" && entry.sizeBytes === sizeBytes) continue;
      if (entry.sizeBytes !== sizeBytes) list.changedKeys.push(key);
      this.#entries.change(keptEntry, { ...entry, sizeBytes, place: "bucket" });
    }
  }

  #takeNew(list: ListPass, key: string, sizeBytes: number): void {
    const meta = parseObjectKey(key);
    if (meta === undefined) {
      this.#takeOther(list, key);
    } else if (meta.kind === "mark") {
      this.#checkRoom();
      this.#marks.set(key, { meta: this.#texts.lean(meta), sinceTick: list.beganAt, seenTick: list.beganAt, missedTick: 0 });
      this.#markIndex.add(meta, key);
    } else if (!this.#passes.wasRemovedUnder(list, key)) {
      this.#put({ key, meta: this.#texts.lean(meta), sizeBytes, place: "bucket" }, list.beganAt);
      list.addedCount++;
    }
  }

  /** A floor, or a foreign key. */
  #takeOther(list: ListPass, key: string): void {
    const floor = parseFloorKey(key);
    if (floor === undefined) {
      list.foreignCount++;
    } else if (floor === "malformed") {
      if (list.malformedFloors.length < MALFORMED_COUNT_MAX) list.malformedFloors.push(key);
    } else {
      this.#checkRoom();
      this.#floors.add(key, floor, list);
    }
  }

  /** A LIST that failed half way: what it did not reach is not missing. */
  abandonList(list: ListPass): void {
    this.#passes.close(list);
  }

  /**
   * Ends a LIST of which every page was taken in: what it should have shown and did not is missed, and gaps of ordinals are looked
   * for, in the windows of its scope. Yields every `SLICE_LENGTH` steps; what changes meanwhile is heeded.
   */
  *endList(list: ListPass, own: OwnOrdinals = NO_OWN_ORDINALS): Generator<void, RefreshOutcome> {
    const doubts = new Map<string, WindowRef>();
    const doubt = (window: WindowRef): void => {
      if (doubts.size < DOUBT_COUNT_MAX) doubts.set(windowId(window), { tenant: window.tenant, windowStartMs: window.windowStartMs });
    };
    const missed = yield* this.#missedBy(list, own);
    const endedAt = this.#passes.complete();
    const removedCount = yield* this.#takeAwayMissed(missed, list, endedAt, doubt);
    if (list.scope.kind !== "window") this.#floors.endList(list, endedAt); // floors stand behind all windows of their tenant
    const { shown, storeConflicts } = yield* this.#gapsShown(list, own);
    let steps = 0;
    for (const { window, storeId, ranges } of shown) {
      const gaps = settleGaps(this.#gaps.stateOf(window, storeId), ranges, { beganAt: list.beganAt, endedAt });
      this.#gaps.set({ ...window, storeId, gaps });
      if (gaps.suspected.length > 0) doubt(window);
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    this.abandonList(list);
    const { addedCount, foreignCount, changedKeys, malformedFloors } = list;
    return { addedCount, removedCount, foreignCount, changedKeys, doubts: [...doubts.values()], storeConflicts, malformedFloors };
  }

  /**
   * Keys that the LIST should have shown. Not those that wait on this node's disk, though they may be uploaded already: none of them
   * counts as a gap, so one that was taken away would be missing without a word.
   */
  *#missedBy(list: ListPass, { pendingKeys }: OwnOrdinals): Generator<void, MissedKey[]> {
    const missed: MissedKey[] = [];
    const pending = new Set(pendingKeys);
    let steps = 0;
    for (const window of this.#windowsOf(list.scope)) {
      for (const key of this.#entries.keysOf(window)) {
        if (++steps % SLICE_LENGTH === 0) yield;
        const kept = this.#entries.get(key);
        if (kept?.entry.place === "bucket" && isMissed(kept, list) && !pending.has(key)) missed.push({ key, window });
      }
      for (const key of this.#markIndex.keysOf(window)) {
        if (++steps % SLICE_LENGTH === 0) yield;
        const kept = this.#marks.get(key);
        if (kept !== undefined && isMissed(kept, list)) missed.push({ key, window });
      }
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    return missed;
  }

  /** Returns how many entries it removed: those that a second LIST missed. The windows of the others are doubted. */
  *#takeAwayMissed(missed: readonly MissedKey[], list: ListPass, endedAt: number, doubt: (window: WindowRef) => void): Generator<void, number> {
    let removedCount = 0;
    let steps = 0;
    for (const { key, window } of missed) {
      const keptEntry = this.#entries.get(key);
      const kept = keptEntry ?? this.#marks.get(key);
      if (kept === undefined || (keptEntry !== undefined && keptEntry.entry.place !== "bucket") || !isMissed(kept, list)) continue;
      if (noteMiss(kept, list, endedAt) === "doubted") doubt(window);
      else if (this.#takeAway(key)) removedCount++;
      if (++steps % SLICE_LENGTH === 0) yield;
    }
    return removedCount;
  }

  /** True where it was an entry. */
  #takeAway(key: string): boolean {
    const meta = this.#entries.get(key)?.entry.meta;
    if (meta === undefined) {
      const mark = this.#marks.get(key);
      this.#marks.delete(key);
      if (mark !== undefined) this.#markIndex.delete(mark.meta, key);
      return false;
    }
    if (meta.kind === "segment" && !this.#heard.has(key)) this.#vanished.add(meta);
    return this.remove(key);
  }

  /** Which ordinals are missing, by window and store, also where none is any more; and signs that another data dir uses this store's id. */
  *#gapsShown(list: ListPass, own: OwnOrdinals): Generator<void, { readonly shown: readonly ShownGap[]; readonly storeConflicts: readonly string[] }> {
    const shown: ShownGap[] = [];
    const storeConflicts: string[] = [];
    const expected = yield* expectedByWindow(list.scope, own, this.#vanished);
    const pending = yield* pendingByWindow(own.pendingKeys);
    let steps = 0;
    for (const window of this.#windowsOf(list.scope, expected)) {
      steps += 1 + this.#entries.keysOf(window).size;
      if (steps >= SLICE_LENGTH) {
        steps = 0;
        yield;
      }
      for (const ordinals of this.#ordinalsOf(window, list, expected.get(windowId(window)), pending.get(windowId(window))).stores()) {
        const { storeId } = ordinals;
        if (storeId === own.currentStoreId && storeConflicts.length < CONFLICT_COUNT_MAX) {
          const conflict = conflictOf(window.windowStartMs, ordinals);
          if (conflict !== undefined) storeConflicts.push(conflict);
        }
        const ranges = own.exemptStoreIds.has(storeId) || this.#isBelowFloor(window) ? [] : gapsOf(ordinals);
        if (ranges.length > 0 || this.#gaps.of(window).has(storeId)) shown.push({ window, storeId, ranges });
      }
    }
    return { shown, storeConflicts };
  }

  /** The windows of a scope: of entries and marks, of what is expected, and of gaps known. Each once. */
  *#windowsOf(scope: ListScope, expected: ReadonlyMap<string, ExpectedWindow> = new Map()): Generator<WindowRef> {
    if (scope.kind === "window") return yield { tenant: scope.tenant, windowStartMs: scope.windowStartMs };
    const firstMs = scope.kind === "since" ? scope.windowStartMs : -Infinity;
    const seen = new Set<string>();
    for (const windows of [this.#entries.windowsFrom(firstMs), this.#markIndex.windowsFrom(firstMs), expected.values(), [...this.#gaps.all()]]) {
      for (const { tenant, windowStartMs } of windows) {
        const window = { tenant, windowStartMs };
        if (windowStartMs < firstMs || seen.has(windowId(window))) continue;
        seen.add(windowId(window));
        yield window;
      }
    }
  }

  /** The window's entries, its marks, and the ordinals that were given there. */
  #ordinalsOf(window: WindowRef, list: ListPass, expected: ExpectedWindow | undefined, pending: readonly PendingOrdinal[] | undefined): WindowOrdinals {
    const ordinals = new WindowOrdinals(expected);
    for (const key of this.#entries.keysOf(window)) {
      const { entry, seenTick } = this.#entries.get(key)!; // of a set, keys and entries change together
      const isListed = seenTick === list.beganAt;
      if (entry.meta.kind === "block") {
        for (const storeId of entry.sources?.storeIds ?? []) {
          const { compacted, listed } = ordinals.of(storeId);
          const ranges = entry.sources!.rangesOf(storeId);
          compacted.push(...ranges);
          if (isListed) listed.push(ranges.at(-1)!.last); // a store of a source set has a range
        }
      } else if (!this.#heard.has(key)) {
        const { segments, listed } = ordinals.of(entry.meta.storeId);
        segments.push(entry.meta.ordinal);
        if (isListed) listed.push(entry.meta.ordinal);
      }
    }
    for (const key of this.#markIndex.keysOf(window)) {
      const { meta } = this.#marks.get(key)!; // map and index change together
      ordinals.of(meta.storeId).marks.push({ mark: meta.mark, ordinal: meta.ordinal });
    }
    for (const { storeId, ordinal } of pending ?? []) ordinals.of(storeId).marks.push({ mark: "void", ordinal }); // it waits here: nothing is missing
    for (const storeId of this.#gaps.of(window).keys()) ordinals.of(storeId);
    return ordinals;
  }

  // --- keeping ------------------------------------------------------------------------------------------------------

  #put(entry: CatalogEntry, seenTick: number): void {
    const { key, meta } = entry;
    // A local segment is never refused: its records are nowhere else. The head's disk budget bounds local segments.
    if (entry.place !== "local") this.#checkRoom();
    this.#entries.add({ entry, sinceTick: this.#passes.tick, seenTick, missedTick: 0 });
    if (meta.kind === "block" && entry.sources === undefined) this.#unreadBlocks.add(key);
  }

  get #hasRoom(): boolean {
    return this.#entries.size + this.#marks.size + this.#floors.count < this.#entryCountMax;
  }

  #checkRoom(): void {
    if (this.#hasRoom) return;
    throw new CodedError({
      code: "CATALOG_FULL",
      kind: "unavailable",
      message: `the catalog holds ${this.#entryCountMax} objects and takes no more: raise --flush-interval, or give each cluster a prefix of its own in the bucket`,
    });
  }
}

interface MissedKey {
  readonly key: string;
  readonly window: WindowRef;
}

interface ShownGap {
  readonly window: WindowRef;
  readonly storeId: string;
  readonly ranges: readonly OrdinalRange[];
}
