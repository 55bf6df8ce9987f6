/**
 * The catalog: this node's set of readable segments and blocks, in the bucket and on local disk.
 *
 * It lists the bucket. The rules are in `catalog-view.ts`, and which query still reads what in `snapshots.ts`. What must stay true: a
 * query works on a snapshot, which nothing changes and whose local files stay until it is released. (An object that is deleted from the
 * bucket meanwhile is noticed by the query that reads it, which then plans again.)
 */
import type { Logger, TenantId, Turns } from "@pyromesh/base";
import type { Bucket, BucketObject } from "../bucket/bucket.ts";
import type { ListScope } from "../listing/list-pass.ts";
import type { MarkKey } from "../listing/object-path.ts";
import { OBJECT_PREFIX, printWindow, windowPrefix } from "../listing/object-path.ts";
import type { OwnOrdinals } from "../listing/own-ordinals.ts";
import { NO_OWN_ORDINALS } from "../listing/own-ordinals.ts";
import type { SegmentGap } from "../listing/segment-gaps.ts";
import { readAllSources } from "./block-sources.ts";
import type { CatalogEntry } from "./catalog-entry.ts";
import type { RefreshOutcome } from "./catalog-view.ts";
import { CatalogView } from "./catalog-view.ts";
import type { HeardObject, HeardOutcome, Origin } from "./heard-object.ts";
import { Snapshots } from "./snapshots.ts";

export interface CatalogOptions {
  /** At the bound new objects are refused with CATALOG_FULL, and a refresh rejects with it. */
  readonly entryCountMax?: number;
}

export interface CatalogModules {
  readonly bucket: Bucket;
  readonly logger: Logger;
}

/** About 500 MB of entries. */
const ENTRY_COUNT_MAX = 1_000_000;

export interface RefreshOptions {
  /** Absent: everything. */
  readonly scope?: ListScope;
  /** What this node's own stores gave and hold; called when all pages are in. Absent: nothing is expected. */
  readonly own?: () => OwnOrdinals;
  /** Gives the event loop its turns while pages are taken in. Absent: there are no pauses. */
  readonly turns?: Turns;
}

export interface CatalogSnapshot {
  readonly entries: readonly CatalogEntry[];
  /** The floor of each tenant that was asked for: the reader must leave out the tenant's records below it. */
  readonly floors: ReadonlyMap<TenantId, number>;
  /** Call it when the last read has ended, in a `finally`. */
  release(): void;
}

export class Catalog {
  readonly #bucket: Bucket;
  readonly #logger: Logger;
  readonly #view: CatalogView;
  readonly #snapshots = new Snapshots();

  constructor(options: CatalogOptions, modules: CatalogModules) {
    this.#bucket = modules.bucket;
    this.#logger = modules.logger;
    this.#view = new CatalogView(options.entryCountMax ?? ENTRY_COUNT_MAX);
  }

  /** Hidden ones too. */
  get entryCount(): number {
    return this.#view.entryCount;
  }

  get(key: string): CatalogEntry | undefined {
    return this.#view.get(key);
  }

  /** Hidden ones too. */
  entries(): Iterable<CatalogEntry> {
    return this.#view.entries();
  }

  /** False where the key is there already. */
  add(entry: CatalogEntry): boolean {
    return this.#view.add(entry);
  }

  /** An object that another member told of, before a LIST showed it. `heard-object.ts` has the rules. */
  addByMeta(heard: HeardObject, origin: Origin): HeardOutcome {
    return this.#view.addByMeta(heard, origin);
  }

  /** This node has itself read the object in the bucket: as if a LIST had shown it. */
  confirm(key: string): void {
    this.#view.confirm(key);
  }

  /** Drops what this member told of and no LIST has shown. Returns how many. */
  forgetHeardFrom(origin: Origin): number {
    return this.#view.forgetHeardFrom(origin);
  }

  /** Drops a segment that another member said waits at it, and that is neither there nor in the bucket: it was named anew, for instance. False where nothing of the kind is known of the key. */
  forgetHeard(key: string): boolean {
    return this.#view.forgetHeard(key);
  }

  /** After an upload: the same key, now in the bucket. Delete the local file through `whenUnused`. */
  replace(entry: CatalogEntry): void {
    this.#view.replace(entry);
  }

  /** The object has another size than the catalog knows: it was torn, or repaired, after it was listed. */
  resize(key: string, sizeBytes: number): void {
    this.#view.resize(key, sizeBytes);
  }

  remove(key: string): boolean {
    return this.#view.remove(key);
  }

  /** Visible entries that may hold a record of these tenants in [startMs, endMs]. To read them, `acquire` instead. */
  plan(tenants: readonly TenantId[], startMs: number, endMs: number): readonly CatalogEntry[] {
    return this.#view.plan(tenants, startMs, endMs);
  }

  /** Oldest and newest time that an entry of the tenant may hold; undefined: it has none. */
  spanOf(tenant: TenantId): { readonly oldestMs: number; readonly newestMs: number } | undefined {
    return this.#view.spanOf(tenant);
  }

  floorOf(tenant: TenantId): number {
    return this.#view.floorOf(tenant);
  }

  acquire(tenants: readonly TenantId[], startMs: number, endMs: number): CatalogSnapshot {
    const floors = new Map(tenants.map((tenant) => [tenant, this.#view.floorOf(tenant)]));
    return { entries: this.plan(tenants, startMs, endMs), floors, release: this.#snapshots.begin() };
  }

  /** Runs `destroy` once every snapshot taken until now is released. Its failure is logged; the next start finds what it left behind. */
  whenUnused(destroy: () => void | Promise<void>): void {
    this.#snapshots.whenUnused(() => {
      Promise.resolve()
        .then(destroy)
        .catch((error: unknown) => this.#logger.warn("could not remove what no query reads any more", { error }));
    });
  }

  /** Snapshots not yet released. A number that only grows is a leak. */
  get snapshotCount(): number {
    return this.#snapshots.liveCount;
  }

  /** All marks of the bucket. */
  marks(): Iterable<MarkKey> {
    return this.#view.marks();
  }

  /** Segments that are missing from the windows that a query would read. */
  gapsWithin(tenants: readonly TenantId[], startMs: number, endMs: number): readonly SegmentGap[] {
    return this.#view.gapsWithin(tenants, startMs, endMs);
  }

  get gaps(): readonly SegmentGap[] {
    return this.#view.gaps;
  }

  /**
   * LISTs the bucket and takes the difference in. Of a block that is new the footer is read, for its sources: one request each. Rejects,
   * forgetting nothing, when the bucket does not answer.
   */
  async refresh(signal: AbortSignal, options: RefreshOptions = {}): Promise<RefreshOutcome> {
    const { scope = { kind: "all" }, own, turns } = options;
    const list = this.#view.beginList(scope);
    try {
      for await (const page of this.#pages(scope, signal)) await pausing(this.#view.takePage(list, page), turns);
      // Before `own` is called: a store's own ordinals are never behind those of blocks that are known by then.
      await readAllSources(this.#view.unreadBlocks(), (key, sources) => this.#view.setSources(key, sources), { bucket: this.#bucket, logger: this.#logger }, signal);
      const outcome = await pausing(this.#view.endList(list, own?.() ?? NO_OWN_ORDINALS), turns);
      if (outcome.foreignCount > 0) this.#logger.warn("the bucket holds objects that are not ours; they are left alone", { bucket: this.#bucket.name, objectCount: outcome.foreignCount });
      if (outcome.malformedFloors.length > 0) this.#logger.error("the bucket holds floors whose names cannot be read: nobody obeys them; delete them, or put them right", { code: "FLOOR_MALFORMED", bucket: this.#bucket.name, keys: outcome.malformedFloors });
      return outcome;
    } catch (error) {
      this.#view.abandonList(list);
      throw error;
    }
  }

  /**
   * The pages of a scope. For the newest windows of every tenant the old ones are jumped over: after a page that ends in a tenant's
   * old window the next begins at its first new one. So it costs two or three requests per tenant with much, and never more than
   * the whole LIST.
   */
  async *#pages(scope: ListScope, signal: AbortSignal): AsyncGenerator<readonly BucketObject[]> {
    if (scope.kind !== "since") {
      yield* this.#bucket.list(scope.kind === "all" ? OBJECT_PREFIX : windowPrefix(scope.tenant, scope.windowStartMs), {}, signal);
      return;
    }
    const firstWindow = printWindow(scope.windowStartMs);
    let startAfter: string | undefined = "";
    while (startAfter !== undefined) {
      const from: string = startAfter;
      startAfter = undefined;
      for await (const page of this.#bucket.list(OBJECT_PREFIX, from === "" ? {} : { startAfter: from }, signal)) {
        yield page;
        startAfter = jumpAfter(page.at(-1)?.key ?? "", firstWindow);
        if (startAfter !== undefined) break;
      }
    }
  }
}

/** Where to go on after `key` so as to skip the windows of its tenant before `firstWindow`; undefined: right behind it. */
function jumpAfter(key: string, firstWindow: string): string | undefined {
  const match = /^(v1\/[^/]+\/)(\d{8}T\d{2})\//.exec(key);
  return match !== null && match[2]! < firstWindow ? `${match[1]!}${firstWindow}` : undefined;
}

async function pausing<T>(steps: Generator<void, T>, turns: Turns | undefined): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (turns?.areDue === true) await turns.give();
  }
}
