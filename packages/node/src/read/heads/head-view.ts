/**
 * What one store answers for in one query: the records of its head that match, as they were at one moment, and that no object of the plan has.
 *
 *   request ─► 1. note the head's next seq, pin the generations
 *              2. match: compare the head with the planned objects; what the bucket has is released. One that is nowhere, or gone from the bucket, ends it: the caller asks again
 *              3. collect the records below that seq, page by page
 *              4. in the turn of the last page: into which segments did records leave?
 *
 * What must stay true: a record that the head held at step 1 is in the view, or in a planned object, or in a segment that step 4 names. Records that
 * come later are left out: their pushes were not answered by this store when the query began. So the caller, which adds what was named to its
 * plan and asks again, counts each record once.
 *
 * A view does not change: later seals and releases leave its identities as they are, and the generations that hold its rows stay.
 */
import { Turns } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import { isBucketError, parseObjectKey, SourceSet, storeOf } from "@pyromesh/block";
import type { Catalog, CatalogEntry, HeardObject } from "@pyromesh/block";
import { RecordColumns } from "@pyromesh/head";
import { makeMatcher, WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import type { Generation, PlainMatcher } from "../../compute/compute.ts";
import type { Gate } from "../gate.ts";
import type { PlannedObjects } from "./planned-objects.ts";
import type { HeadMatcher, MatchOutcome, PinnedGenerations, ReleasedInto, ViewedHead } from "./ports.ts";
import { TenantView } from "./tenant-view.ts";

/** An object of the plan that a holder may not know, or know as another. */
export interface PlannedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly place: "bucket" | `store:${string}`;
}

export interface SegmentName {
  readonly tenant: TenantId;
  readonly windowStartMs: number;
  readonly storeId: string;
  readonly ordinal: number;
}

export interface ViewRequest {
  readonly tenants: readonly TenantId[];
  readonly startMs: number;
  readonly endMs: number;
  /** Matchers of the label service_name. A service is meant where all of one list admit it; without lists every service is. */
  readonly services: readonly (readonly PlainMatcher[])[];
  readonly planned: PlannedObjects;
  /** span: only the times of the head's records and what the plan lacks are asked for, and no view is made. */
  readonly wants: "records" | "span";
  /** Objects of the plan by key: its blocks, its segments that wait at a store, and those that this store did not know when it was asked before. */
  readonly objects: readonly PlannedObject[];
}

export interface HeadViewModules {
  readonly clock: Clock;
  readonly head: ViewedHead;
  readonly generations: PinnedGenerations;
  readonly catalog: Pick<Catalog, "forgetHeard" | "plan">;
  readonly matcher: HeadMatcher;
  readonly releasedInto: ReleasedInto;
  /** Bounds how many views are being made: each holds what it has listed so far. */
  readonly gate: Gate;
}

export type OpenedView =
  /** Planned segments that this store's catalog does not have: nothing was pinned. */
  | { readonly kind: "unknown"; readonly unknown: readonly SegmentName[] }
  /** Keys of the request of segments that wait at no store and are not in the bucket: records of this head may be in them or not, so there is no view. */
  | { readonly kind: "nowhere"; readonly nowhere: readonly string[] }
  /** The key of an object that the plan has in the bucket, and that is not there any more: there is no view for the same reason. */
  | { readonly kind: "gone"; readonly key: string }
  | { readonly kind: "view"; readonly view: HeadView; readonly named: readonly HeardObject[] };

export interface HeadView {
  readonly tenants: ReadonlyMap<TenantId, TenantView>;
  readonly generations: readonly Generation[];
  readonly recordCount: number;
  readonly sizeBytes: number;
  /** Gives the generations free. */
  release(): void;
}

export async function openHeadView(request: ViewRequest, modules: HeadViewModules, signal: AbortSignal): Promise<OpenedView> {
  const { catalog, gate, generations, head, matcher } = modules;
  const untilSeq = head.nextSeq;
  const pin = generations.pin();
  try {
    const { objects, unknown } = request.wants === "span" ? NO_OBJECTS : objectsToMatch(request, modules);
    if (unknown.length > 0) {
      pin.release();
      return { kind: "unknown", unknown };
    }
    const { kept, nowhere } = objects.length === 0 ? NOTHING : await matcher.match(objects, signal);
    if (nowhere.length > 0) {
      pin.release();
      for (const { key } of nowhere) catalog.forgetHeard(key);
      return { kind: "nowhere", nowhere: nowhere.slice(0, UNKNOWN_MAX).map(({ key }) => key) };
    }
    // The gate comes after the match: one tenant's slow reads of the bucket must not keep the others waiting.
    const { named, tenants } = await gate.run(() => collect(request, untilSeq, kept, modules, signal));
    const views = [...tenants.values()];
    const recordCount = views.reduce((sum, view) => sum + view.recordCount, 0);
    const sizeBytes = views.reduce((sum, view) => sum + view.sizeBytes, 0);
    return { kind: "view", view: { tenants, generations: pin.generations, recordCount, sizeBytes, release: pin.release }, named };
  } catch (error) {
    pin.release();
    if (isBucketError(error, "BUCKET_NOT_FOUND") && error.key !== "" && !signal.aborted) return { kind: "gone", key: error.key };
    throw error;
  }
}

/** The records below `untilSeq` but those in `kept`, and into which segments others left. */
async function collect(
  request: ViewRequest,
  untilSeq: number,
  kept: ReadonlySet<string>,
  { clock, head, releasedInto }: HeadViewModules,
  signal: AbortSignal,
): Promise<{ readonly tenants: ReadonlyMap<TenantId, TenantView>; readonly named: readonly HeardObject[] }> {
  signal.throwIfAborted();
  const turns = new Turns({ clock });
  const admits = admitted(request.services);
  const { startMs, endMs } = request;
  const collected: (readonly [TenantId, RecordColumns])[] = [];
  for (const tenant of request.wants === "span" ? [] : request.tenants) {
    const columns = new RecordColumns();
    collected.push([tenant, columns]);
    const filter = { tenant, startMs, endMs, admits, untilSeq };
    let fromSeq: number | undefined = head.collect(filter, columns);
    while (fromSeq !== undefined) {
      if (turns.areDue) await turns.give();
      signal.throwIfAborted();
      fromSeq = head.collect(filter, columns, fromSeq);
    }
  }
  const keysTold = keysByName(request.objects);
  // In the turn of the last page: what left the head before is remembered by now.
  const named = releasedInto
    .within(request.tenants, windowStartOf(startMs), windowStartOf(endMs))
    .filter((object) => object.meta.maxTimeMs >= startMs && object.meta.minTimeMs <= endMs && !isCovered(request, keysTold, object));
  const tenants = new Map<TenantId, TenantView>();
  for (const [tenant, columns] of collected) if (columns.count > 0) tenants.set(tenant, await TenantView.of(columns, kept, turns));
  return { tenants, named };
}

// --- helpers ----------------------------------------------------------------------------------------------------------

const NOTHING: MatchOutcome = { kept: new Set(), nowhere: [] };
const NONE: readonly CatalogEntry[] = [];
const NO_OBJECTS = { objects: [], unknown: [] };

/**
 * The planned objects of which the head may hold a record of the range: of the same window, and of times that overlap with those of the head's records. A store that was
 * just started holds seconds of the window, and need not read the objects of an hour before its first answer.
 */
function objectsToMatch({ tenants, startMs, endMs, planned, objects }: ViewRequest, { catalog, head }: HeadViewModules): { readonly objects: readonly CatalogEntry[]; readonly unknown: readonly SegmentName[] } {
  const told = new SegmentsByName();
  const blocks: CatalogEntry[] = [];
  for (const object of objects) {
    const entry = entryOf(object);
    if (entry?.meta.kind === "segment") told.add(entry.meta, entry);
    else if (entry !== undefined) blocks.push(entry);
  }
  const found: CatalogEntry[] = [];
  const unknown: SegmentName[] = [];
  for (const tenant of tenants) {
    const span = head.spanOf(tenant);
    if (span === undefined) continue;
    const [fromMs, toMs] = [Math.max(span.oldestMs, startMs), Math.min(span.newestMs, endMs)];
    const [firstMs, lastMs] = [windowStartOf(fromMs), windowStartOf(toMs)];
    const overlaps = ({ meta }: CatalogEntry): boolean => meta.maxTimeMs >= fromMs && meta.minTimeMs <= toMs;
    for (const block of blocks) if (block.meta.tenant === tenant && overlaps(block)) found.push(block);
    for (const { windowStartMs, segments, ...window } of planned.windows) {
      if (window.tenant !== tenant || windowStartMs < firstMs || windowStartMs > lastMs) continue;
      const known = new SegmentsByName();
      // Not what only was said to wait at another store: the caller may mean another segment of that ordinal, of other times.
      for (const entry of catalog.plan([tenant], windowStartMs, windowStartMs + WINDOW_MS - 1)) if (entry.meta.kind === "segment" && storeOf(entry.place) === undefined) known.add(entry.meta, entry);
      for (const { storeId, firstOrdinal, lastOrdinal } of segments.ranges()) {
        for (let ordinal = firstOrdinal; ordinal <= lastOrdinal; ordinal++) {
          const name = { tenant, windowStartMs, storeId, ordinal };
          const ofName = new Map([...told.of(name), ...known.of(name)].map((entry) => [entry.key, entry]));
          for (const entry of ofName.values()) if (overlaps(entry)) found.push(entry);
          if (ofName.size === 0 && unknown.push(name) >= UNKNOWN_MAX) return { objects: [], unknown };
        }
      }
    }
  }
  return { objects: found, unknown };
}

/** Segments by store, ordinal and window. Mostly one has a name; one that never was sealed may have been told of under the same. */
class SegmentsByName {
  readonly #byName = new Map<string, CatalogEntry[]>();

  add(name: SegmentName, entry: CatalogEntry): void {
    const id = nameOf(name);
    const entries = this.#byName.get(id);
    if (entries === undefined) this.#byName.set(id, [entry]);
    else entries.push(entry);
  }

  of(name: SegmentName): readonly CatalogEntry[] {
    return this.#byName.get(nameOf(name)) ?? NONE;
  }
}

/** Of one answer; a caller that hears of so many tells those and is told of the next. The same bound for segments that are nowhere: a caller plans without those, and hears of the next. */
export const UNKNOWN_MAX = 4096;

function entryOf({ key, sizeBytes, place }: PlannedObject): CatalogEntry | undefined {
  const meta = parseObjectKey(key);
  return meta === undefined || meta.kind === "mark" ? undefined : { key, meta, sizeBytes, place };
}

function nameOf({ tenant, windowStartMs, storeId, ordinal }: { readonly tenant: string; readonly windowStartMs: number; readonly storeId: string; readonly ordinal: number }): string {
  return `${storeId}/${ordinal}/${windowStartMs}/${tenant}`;
}

/** Of the segments in the request. */
function keysByName(objects: readonly PlannedObject[]): ReadonlyMap<string, ReadonlySet<string>> {
  const keys = new Map<string, Set<string>>();
  for (const { key } of objects) {
    const meta = parseObjectKey(key);
    if (meta?.kind === "segment") keys.set(nameOf(meta), (keys.get(nameOf(meta)) ?? new Set()).add(key));
  }
  return keys;
}

/** The plan reads the object, or all that went into it. What it has under the same ordinal and another key is another segment, which never was sealed. */
function isCovered({ planned }: ViewRequest, keysTold: ReadonlyMap<string, ReadonlySet<string>>, { key, meta: { tenant, windowStartMs, level, storeId, ordinal, sources } }: HeardObject): boolean {
  if (level === 0) return planned.covers({ tenant, windowStartMs, storeId, ordinal }) && (keysTold.get(nameOf({ tenant, windowStartMs, storeId, ordinal }))?.has(key) ?? true);
  const window = planned.windowOf(tenant, windowStartMs);
  return window !== undefined && new SourceSet([...window.segments.ranges(), ...window.inBlocks.ranges()]).includes(new SourceSet(sources));
}

function admitted(services: ViewRequest["services"]): (service: string) => boolean {
  if (services.length === 0) return () => true;
  const selectors = services.map((selector) => selector.map(({ name, operator, value }) => makeMatcher(name, operator, value)));
  return (service) => selectors.some((selector) => selector.every((matcher) => matcher.matches(service)));
}
