/**
 * One scan of a query: from what is asked to its partial answers.
 *
 *   1. plan    the generations in memory and the catalogued objects that may hold the range, pinned together in one turn of the event loop;
 *              in a cluster the objects, and what the heads of all stores hold besides (heads/cluster-heads.ts)
 *   2. fetch   footers, then the byte ranges of the datasets that may match: many requests at once, in the order of the plan
 *   3. scan    window by window as they arrive, in the worker that holds each dataset; identities decide what counts. The heads of a cluster
 *              are scanned by their stores meanwhile
 *
 * The pin of step 1 makes answers exact while a flush runs: a generation leaves memory, and a local segment file is deleted, only when
 * no query that planned it is left. A record that is found in memory and in a segment is counted once.
 *
 * An object that is gone from the bucket when it is read means a new LIST and a new plan, `PLANS_MAX` plans in all; in the last it counts as
 * an object that cannot be read. A store of the cluster that failed after it was asked means a new plan, too.
 * A query that would read more bytes than its tenant may is refused before it reads a dataset; one whose caller went away reads no further.
 * Of what is damaged only that dataset, or that object, makes the query a refusal, or is left out and named where the caller allows it.
 */
import { messageOf, Turns } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import type { Scope } from "@pyromesh/api";
import { NO_FLOOR_MS, storeOf } from "@pyromesh/block";
import type { CatalogEntry, SegmentFooter } from "@pyromesh/block";
import { addIdentitySums, WINDOW_MS, windowStartOf } from "@pyromesh/profile";
import type { Matcher, Receipt } from "@pyromesh/profile";
import type { Compute, Generation, ScanPartial, ScanSpec, ScanTask, SegmentPart } from "../compute/compute.ts";
import { both } from "./both.ts";
import { addSizes, NO_BYTES, sizesOf } from "./dataset-sizes.ts";
import type { DatasetSizes } from "./dataset-sizes.ts";
import { Gathered } from "./gathered.ts";
import type { ClusterHeads } from "./heads/cluster-heads.ts";
import type { ViewRequest } from "./heads/head-view.ts";
import { isPlanAgain, planAgain } from "./heads/opened-heads.ts";
import type { OpenedHeads } from "./heads/opened-heads.ts";
import { incomplete, quarantined, segmentsMissing, tooLarge, unreadable } from "./query-refusals.ts";
import { readAhead } from "./read-ahead.ts";
import type { ByteBudget, JobContext } from "./read-ahead.ts";
import type { QuarantinedSpan } from "./read-plan.ts";
import { datasetFilter, objectsByWindow, quarantinesWithin, specAbove, windowsCovered } from "./read-plan.ts";
import { isDamaged, isVanished, namedReason } from "./segment-source.ts";
import type { ObjectParts, SegmentSource } from "./segment-source.ts";
import { isDamage } from "./unreadable-objects.ts";
import type { Damage, UnreadableObjects } from "./unreadable-objects.ts";

/**
 * Plans of one query, whatever the reason: an object that is gone from the bucket, which a LIST follows, or a store that failed after it was asked. Why three do: decision 0020. A refused
 * query holds nothing, and its caller asks again.
 */
const PLANS_MAX = 3;

/**
 * Turns of the event loop between a query and its plan, so that a query whose caller has left already is not planned, which takes some
 * 10 ms. After three turns it is known that a caller has left: in the first the end of the caller's stream is read, in the second ours is
 * shut, in the third the connection is closed.
 */
export const TURNS_BEFORE_PLAN = 3;

/** What a plan reads. */
interface Sources {
  readonly entries: readonly CatalogEntry[];
  readonly generations: readonly Generation[];
  /** The floor of each tenant of the query: records below it are left out. */
  readonly floors: ReadonlyMap<TenantId, number>;
}

/** Everything a query may read. It is neither dropped from memory nor deleted from local disk until it is released. */
export interface Pin extends Sources {
  release(): void;
}

/** What a plan reads, and what its answer will lack, in words. */
interface PinnedSources extends Sources {
  readonly heads: OpenedHeads | undefined;
  readonly pin: Pin;
  readonly missing: string[];
}

interface Plan extends Sources {
  /** What the stores of the cluster hold besides the entries; undefined on a node without a cluster, which reads the generations. */
  readonly heads: OpenedHeads | undefined;
  /** The query is not planned again: an object that is gone from the bucket counts as one that cannot be read. */
  readonly isLast: boolean;
  /** The entry was to wait at a store, which says that it does not, and the bucket has no such object: no plan should have it. */
  readonly onNowhere: (key: string) => void;
}

export interface QueryScannerModules {
  readonly clock: Clock;
  readonly compute: Compute;
  readonly segments: SegmentSource;
  readonly unreadable: UnreadableObjects;
  /** Bounds what all queries read ahead. */
  readonly readAheadBudget: ByteBudget;
  readonly pin: (tenants: readonly TenantId[], startMs: number, endMs: number) => Pin;
  /** Absent: the node has no cluster, and its own memory is all that is not in objects. */
  readonly heads?: ClusterHeads | undefined;
  /** Lists the bucket again, by a LIST that begins after the call. */
  readonly refresh: (signal: AbortSignal, fromMs: number) => Promise<void>;
  /** Takes a segment out of the plans that another member told of, and that is nowhere: it was named anew, for instance. */
  readonly forgetHeard: (key: string) => void;
  /** Bytes of segments that one query of the tenant may read; 0: any. Of several tenants the smallest holds. */
  readonly queryBytesMaxOf: (tenant: TenantId) => number;
  readonly quarantine: () => readonly QuarantinedSpan[];
  /** Undefined while the catalog knows every object, else why it may not. */
  readonly incompleteBecause: () => string | undefined;
  /** Segments that are missing from the windows of these tenants that the range touches, in words that name no tenant. */
  readonly gapsWithin: (tenants: readonly TenantId[], startMs: number, endMs: number) => readonly string[];
}

export interface Scanned {
  readonly partials: readonly ScanPartial[];
  readonly receipt: Receipt;
  /** What the answer lacks, in words; empty where the caller allows no partial answers. */
  readonly missing: readonly string[];
}

/** What a scan would fetch from segments, according to their footers. */
export interface FetchSizes {
  readonly sizes: DatasetSizes;
  /** Segments of which something would be fetched. */
  readonly blockCount: number;
}

/** One of them must admit a service for its bytes to be read; none: all are. */
type Selectors = readonly (readonly Matcher[])[];

/** An object that could not be read, though it may be whole: the bucket did not answer, for instance. */
interface Failed {
  readonly failure: { readonly text: string; readonly cause: unknown };
}

export class QueryScanner {
  readonly #modules: QueryScannerModules;

  constructor(modules: QueryScannerModules) {
    this.#modules = modules;
  }

  scan(scope: Scope, selectors: Selectors, spec: ScanSpec, signal: AbortSignal): Promise<Scanned> {
    return this.#planned(scope, selectors, "records", signal, (plan, missing) => this.#scanPinned(plan, missing, scope, selectors, spec, signal));
  }

  /** The scan, and what it would fetch of segments, of one and the same plan. */
  scanWithSizes(scope: Scope, selectors: Selectors, spec: ScanSpec, signal: AbortSignal): Promise<Scanned & FetchSizes> {
    return this.#planned(scope, selectors, "records", signal, async (plan, missing) => {
      const scanned = await this.#scanPinned(plan, missing, scope, selectors, spec, signal);
      const fetched = await this.#sizesWithin(plan, missing, scope, selectors, signal);
      return { ...scanned, ...fetched, missing: [...new Set(missing)] }; // an object that cannot be read is found out twice
    });
  }

  /** The oldest and the newest record in the heads of all stores of the cluster; undefined: there is none. Rejects where stores that must answer did not. */
  headsSpan(scope: Scope, signal: AbortSignal): Promise<OpenedHeads["span"]> {
    return this.#planned(scope, [], "span", signal, ({ heads }) => Promise.resolve(heads?.span));
  }

  /** Pins all that the scope may read and runs over it. Where an object is gone from the bucket, lists, plans and runs again. */
  async #planned<T>(scope: Scope, selectors: Selectors, wants: ViewRequest["wants"], signal: AbortSignal, run: (plan: Plan, missing: string[]) => Promise<T>): Promise<T> {
    const turns = new Turns(this.#modules);
    for (let planCount = 1; ; planCount++) {
      for (let turn = 0; turn < TURNS_BEFORE_PLAN && !signal.aborted; turn++) await turns.give();
      signal.throwIfAborted();
      const { missing, pin, ...sources } = this.#modules.heads === undefined ? this.#pinned(scope) : await this.#opened(this.#modules.heads, { scope, selectors, wants }, signal);
      let again: unknown;
      try {
        return await run({ ...sources, isLast: planCount === PLANS_MAX, onNowhere: this.#modules.forgetHeard }, missing);
      } catch (error) {
        if ((!isVanished(error) && !isPlanAgain(error)) || planCount === PLANS_MAX) throw error;
        again = error;
      } finally {
        sources.heads?.release();
        pin.release();
      }
      if (isVanished(again)) await this.#modules.refresh(signal, scope.startMs);
    }
  }

  /** Gaps and pin are of one turn. */
  #pinned(scope: Scope): PinnedSources {
    const missing = this.#gapsOf(scope);
    const pin = this.#modules.pin(scope.tenants, scope.startMs, scope.endMs);
    return { ...pin, pin, missing, heads: undefined };
  }

  async #opened(heads: ClusterHeads, question: { readonly scope: Scope; readonly selectors: Selectors; readonly wants: ViewRequest["wants"] }, signal: AbortSignal): Promise<PinnedSources> {
    const makePlan = (): PinnedSources & { release(): void } => {
      const sources = this.#pinned(question.scope);
      return { ...sources, release: () => sources.pin.release() };
    };
    const opened = await heads.open({ ...question, peerBytesMax: this.#queryBytesMax(question.scope) }, makePlan, signal);
    const { pin, floors, missing } = opened.plan;
    return { pin, floors, entries: opened.entries, generations: [], heads: opened.heads, missing: [...missing, ...opened.missing] };
  }

  async #scanPinned(
    plan: Plan,
    missing: string[],
    scope: Scope,
    selectors: Selectors,
    spec: ScanSpec,
    signal: AbortSignal,
  ): Promise<Scanned> {
    await this.#checkBytes(plan, scope, selectors, signal);
    const { heads } = plan;
    const gathered = new Gathered(spec, { compute: this.#modules.compute, signal });
    const scanOwn = (own: AbortSignal): Promise<number> => this.#scanOwn(plan, missing, scope, selectors, spec, gathered, own);
    if (heads === undefined) {
      const objectCount = await scanOwn(signal);
      return { partials: gathered.partials, receipt: receiptOf(gathered.partials, { objectCount, storeCount: 1 }), missing };
    }
    const [objectCount, ofHeads] = await both(scanOwn, (own) => heads.scan(spec, own), signal);
    await gathered.add(ofHeads);
    const { partials } = gathered;
    return { partials, receipt: receiptOf(partials, { objectCount, storeCount: heads.members.length, nodes: heads.members }), missing: [...missing, ...heads.missing] };
  }

  /** Scans the objects of the plan, and the generations that it has. Resolves with how many objects were read. */
  async #scanOwn(
    plan: Plan,
    missing: string[],
    scope: Scope,
    selectors: Selectors,
    spec: ScanSpec,
    gathered: Gathered,
    signal: AbortSignal,
  ): Promise<number> {
    const { entries, floors, generations } = plan;
    const { readAheadBudget: budget, segments } = this.#modules;
    let objectCount = 0;
    const base = { spec, tenants: scope.tenants, generations };
    const floorOf = (tenant: TenantId): number => floors.get(tenant) ?? NO_FLOOR_MS;
    const wants = datasetFilter(scope, selectors);
    const windows = objectsByWindow(entries);
    const read = (entry: CatalogEntry, context: JobContext): Promise<ObjectParts | Failed> => orFailed(entry, plan, () => segments.parts(entry, wants, context), context.signal);
    const take = (objects: readonly (ObjectParts | Failed)[]): SegmentPart[] => {
      const parts: SegmentPart[] = [];
      for (const object of objects) {
        if ("failure" in object) {
          this.#miss(object, scope, missing);
          continue;
        }
        for (const damage of object.damages) this.#miss(damage, scope, missing);
        if (object.parts.length > 0) objectCount++;
        parts.push(...object.parts);
      }
      return parts;
    };
    let at = 0;
    for await (const objects of readAhead(windows, read, { budget, signal })) {
      const { windowStartMs, tenant } = windows[at++]![0]!.meta;
      // Rows in memory of the same tenant and window are scanned together with its objects: copies of a record share both, so they meet here.
      const task = { ...base, spec: specAbove(floorOf(tenant), spec), tenants: [tenant], firstWindowMs: windowStartMs, lastWindowMs: windowStartMs };
      // `take` is called in place: a variable would keep the parts' bytes in memory while the next window is waited for.
      await gathered.add(await this.#scanIntact({ ...task, parts: take(objects) }, scope, missing, signal));
      signal.throwIfAborted();
    }
    await this.#scanMemoryBetween(base, scope, floorOf, windows, gathered, signal);
    return objectCount;
  }

  async #sizesWithin(plan: Plan, missing: string[], scope: Scope, selectors: Selectors, signal: AbortSignal): Promise<FetchSizes> {
    const wants = datasetFilter(scope, selectors);
    let sizes = NO_BYTES;
    let blockCount = 0;
    for await (const footer of this.#footers(plan, signal)) {
      if ("failure" in footer || isDamaged(footer)) {
        this.#miss(footer, scope, missing);
        continue;
      }
      const wanted = footer.datasets.filter(wants);
      if (wanted.length === 0) continue;
      blockCount++;
      sizes = addSizes(sizes, sizesOf(footer, wanted));
    }
    return { sizes, blockCount };
  }

  /** A worker may find a dataset damaged when it opens it. Where partial answers are allowed, that dataset is left out and the rest is scanned again. */
  async #scanIntact(task: ScanTask, scope: Scope, missing: string[], signal: AbortSignal): Promise<readonly ScanPartial[]> {
    let { parts } = task;
    for (;;) {
      try {
        return await this.#modules.compute.scan({ ...task, parts }, signal);
      } catch (error) {
        if (signal.aborted || !isDamage(error)) throw error;
        const { object, service } = error.details;
        const damaged = parts.find((part) => part.object === object && part.service === service);
        if (damaged === undefined) throw error;
        const damage = { key: damaged.object, service: damaged.service, reason: error.message };
        this.#modules.unreadable.report(damage);
        this.#miss(damage, scope, missing);
        parts = parts.filter((part) => part !== damaged);
      }
    }
  }

  /**
   * Refuses a query that would read more than the least `queryBytesMaxOf` of its tenants. Where all planned objects together are smaller,
   * nothing is read for this; else their footers say how many bytes are in datasets that the selectors leave.
   */
  async #checkBytes(plan: Plan, scope: Scope, selectors: Selectors, signal: AbortSignal): Promise<void> {
    const bytesMax = this.#queryBytesMax(scope) || Infinity;
    if (plan.entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) <= bytesMax) return;
    const wants = datasetFilter(scope, selectors);
    let bytes = 0;
    for await (const footer of this.#footers(plan, signal)) {
      // What cannot be read is reported where it is read for the scan.
      if ("failure" in footer || isDamaged(footer)) continue;
      for (const dataset of footer.datasets) if (wants(dataset)) bytes += dataset.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
    }
  }

  /** The least of its tenants; 0: any. */
  #queryBytesMax({ tenants }: Scope): number {
    const bounds = tenants.map((tenant) => this.#modules.queryBytesMaxOf(tenant)).filter((bound) => bound > 0);
    return bounds.length === 0 ? 0 : Math.min(...bounds);
  }

  /** The footer of each planned object, in order. */
  async *#footers(plan: Plan, signal: AbortSignal): AsyncGenerator<SegmentFooter | Damage | Failed> {
    const { readAheadBudget: budget, segments } = this.#modules;
    const read = (entry: CatalogEntry, context: JobContext): Promise<SegmentFooter | Damage | Failed> => orFailed(entry, plan, () => segments.footer(entry, context), context.signal);
    for await (const footers of readAhead(plan.entries.map((entry) => [entry]), read, { budget, signal })) yield* footers;
  }

  /** Rows in memory of the tenants and windows of which the plan has no object. */
  async #scanMemoryBetween(
    base: { readonly spec: ScanSpec; readonly tenants: readonly TenantId[]; readonly generations: readonly Generation[] },
    scope: Scope,
    floorOf: (tenant: TenantId) => number,
    windows: readonly (readonly CatalogEntry[])[],
    gathered: Gathered,
    signal: AbortSignal,
  ): Promise<void> {
    if (base.generations.length === 0) return;
    for (const tenant of scope.tenants) {
      const covered = windowsCovered(windows, tenant);
      const floorMs = floorOf(tenant);
      const spec = specAbove(floorMs, base.spec);
      let first = windowStartOf(Math.max(scope.startMs, floorMs));
      const last = windowStartOf(scope.endMs);
      for (const window of [...covered, last + WINDOW_MS]) {
        if (window > first) {
          signal.throwIfAborted();
          const task = { ...base, spec, tenants: [tenant], firstWindowMs: first, lastWindowMs: Math.min(window - 1, last), parts: [] };
          await gathered.add(await this.#modules.compute.scan(task, signal));
        }
        first = Math.max(first, window + WINDOW_MS);
      }
    }
  }

  /** Refuses what the answer would lack, or names it where partial answers are allowed. */
  #miss(lost: Damage | Failed, scope: Scope, missing: string[]): void {
    const { text, cause } = "failure" in lost ? lost.failure : { text: lost.reason, cause: undefined };
    if (!scope.allowPartial) throw unreadable(text, cause, "failure" in lost ? undefined : this.#modules.unreadable.retryAfterSeconds(lost));
    missing.push(text);
  }

  /** What every answer over this range lacks, in words. Throws it where the caller allows no partial answers. */
  #gapsOf(scope: Scope): string[] {
    const unknown = this.#modules.incompleteBecause();
    if (unknown !== undefined && !scope.allowPartial) throw incomplete(unknown);
    const missing = this.#modules.gapsWithin(scope.tenants, scope.startMs, scope.endMs);
    if (missing.length > 0 && !scope.allowPartial) throw segmentsMissing(missing);
    const gaps = [...(unknown === undefined ? [] : [unknown]), ...missing.map((gap) => `segments missing from the bucket: ${gap}`)];
    // In a cluster a store with a quarantine counts as one that failed, and others may make up for it.
    const spans = this.#modules.heads === undefined ? quarantinesWithin(this.#modules.quarantine(), scope.startMs, scope.endMs) : [];
    if (spans.length === 0) return gaps;
    const named = spans.map(({ id, reason }) => `quarantine ${id}: ${reason}`);
    if (scope.allowPartial) return [...gaps, ...named];
    throw quarantined(named);
  }
}

function receiptOf(partials: readonly ScanPartial[], counts: Pick<Receipt, "objectCount" | "storeCount" | "nodes">): Receipt {
  let recordCount = 0;
  let identitySum = "0".repeat(32);
  for (const partial of partials) {
    recordCount += partial.recordCount;
    identitySum = addIdentitySums(identitySum, partial.identitySum);
  }
  return { recordCount, identitySum, ...counts };
}

/**
 * Turns a failed read of one object into an outcome, since `readAhead` would end the query: whether it is refused is decided when its window is
 * scanned. An object that is gone ends the plan instead, unless it is the last.
 */
async function orFailed<T>(entry: CatalogEntry, { isLast, onNowhere }: Plan, read: () => Promise<T>, signal: AbortSignal): Promise<T | Failed> {
  try {
    return await read();
  } catch (error) {
    if (signal.aborted || (isVanished(error) && !isLast && entry.place === "bucket")) throw error;
    // Its store has uploaded it meanwhile, or is gone: the next plan reads it elsewhere, or does without the store where that is allowed.
    const isElsewhere = storeOf(entry.place) !== undefined;
    if (isElsewhere && isVanished(error)) onNowhere(entry.key);
    if (isElsewhere && !isLast) throw planAgain(`${entry.key} cannot be read from its store (${messageOf(error)})`, error);
    return { failure: { text: namedReason(entry.key, error), cause: error } };
  }
}
