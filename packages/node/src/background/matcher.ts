/**
 * Matching: objects of the bucket are read for their identities, and the records of the head that are among them are released. It is the only way in which a
 * record leaves the head, but for the seal of its own cut.
 *
 *   the catalog learns of an object ──▶ read ──▶ release ──▶ noted in `ReleasedInto`
 *   a record comes later            ──▶ compared with what was read, when a query or a takeover asks
 *
 * What must stay true: a record is released only after this node has itself read its identity in an object that is in the bucket. What another member says, and an
 * object that waits on a disk, release nothing.
 *
 * `match-plan.ts` decides what the background reads next. Bounds: `READS_MAX` objects are read at a time in the background and `ASKED_READS_MAX` for those who ask, who
 * wait in turn; what was read is remembered within the bound of `KnownIdentities`, and read again beyond it.
 */
import { messageOf, retryDelayMs, SharedLoads } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId, Timer } from "@pyromesh/base";
import { checkMeta, readIdentityBytes } from "@pyromesh/block";
import type { Catalog, CatalogEntry, HeardObject, ObjectSource } from "@pyromesh/block";
import type { Head, HeadEntry } from "@pyromesh/head";
import { WINDOW_MS } from "@pyromesh/profile";
import type { KnownIdentities } from "./known-identities.ts";
import { planMatches } from "./match-plan.ts";
import { ObjectIdentities } from "./object-identities.ts";
import type { ReleasedInto } from "./released-into.ts";

export interface MatcherModules {
  readonly head: Pick<Head, "has" | "nextSeq" | "pin" | "release" | "select" | "windows">;
  readonly catalog: Pick<Catalog, "get" | "plan">;
  readonly source: ObjectSource;
  readonly known: KnownIdentities;
  readonly releasedInto: ReleasedInto;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Objects that are read at a time for queries and takeovers. */
const ASKED_READS_MAX = 4;
/** Waits between two tries to read an object in the background. There is no last try: its records stay in the head meanwhile. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 };
/** How many objects are known to be matched. At the bound those matched first are forgotten, and read again where the head holds records of their windows. */
const MATCHED_COUNT_MAX = 100_000;
/** Entries of the head that are looked at in one turn. */
const PAGE_COUNT = 1_000;

interface Failure {
  readonly count: number;
  readonly retryAtMs: number;
}

export class Matcher {
  readonly #modules: MatcherModules;
  readonly #stopped = new AbortController();
  /** By key: records with a smaller seq were compared with the object. */
  readonly #matchedSeq = new Map<string, number>();
  readonly #loads = new SharedLoads<ObjectIdentities>();
  /** Keys that the background reads. */
  readonly #reading = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, Failure>();
  #askedCount = 0;
  readonly #askedWaiting: (() => void)[] = [];
  #isLookDue = false;
  #timer: Timer | undefined;
  readonly #released: Counter;

  constructor(modules: MatcherModules) {
    this.#modules = modules;
    this.#released = modules.metrics.counter("pyromesh_released_records_total", "Records that left the head because their identities were read in the bucket, in an object that this store did not seal them into.");
    this.#released.add({}, 0);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#timer?.cancel();
    await Promise.all(this.#reading.values());
  }

  /** The catalog may know objects that are not matched: at the end of this turn the background begins to read them. */
  look(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    queueMicrotask(() => {
      this.#isLookDue = false;
      if (!this.#stopped.signal.aborted) this.#look();
    });
  }

  /**
   * Compares the head's records with these objects, of the bucket or on their way to it. Afterwards the head holds none that came before the call and is in
   * one of them in the bucket. Resolves with identities (16 characters of latin1 each) of records that it holds on although one of the objects has them: it waits
   * for its upload. Rejects where an object cannot be read.
   */
  async match(objects: readonly CatalogEntry[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { head } = this.#modules;
    const untilSeq = head.nextSeq;
    const byWindow = new Map<string, CatalogEntry[]>();
    for (const { tenant, windowStartMs } of head.windows()) byWindow.set(idOf(tenant, windowStartMs), []);
    for (const object of objects) byWindow.get(idOf(object.meta.tenant, object.meta.windowStartMs))?.push(object);
    const elsewhere: ObjectIdentities[] = [];
    const works: Promise<void>[] = [];
    for (const ofWindow of byWindow.values()) if (ofWindow.length > 0) works.push(this.#matchWindow(ofWindow, untilSeq, elsewhere, signal));
    await Promise.all(works);
    const kept = new Set<string>();
    for (const identities of elsewhere) {
      for (const identity of identities.each()) if (head.has(identity)) kept.add(Buffer.from(identity.buffer, identity.byteOffset, identity.length).toString("latin1"));
    }
    return kept;
  }

  /** `objects`: of one window. Adds to `elsewhere` the identities of those that are not in the bucket. */
  async #matchWindow(objects: readonly CatalogEntry[], untilSeq: number, elsewhere: ObjectIdentities[], signal: AbortSignal): Promise<void> {
    const { meta } = objects[0]!; // the caller leaves out windows without any
    const stored = objects.filter(({ key, place }) => place === "bucket" && (this.#matchedSeq.get(key) ?? 0) < untilSeq);
    // Of those matched before only what came since is compared, and where nothing did they are not read.
    const sinceSeq = stored.reduce((least, { key }) => Math.min(least, this.#matchedSeq.get(key) ?? Infinity), Infinity);
    const late = sinceSeq === Infinity ? [] : this.#entriesSince(meta.tenant, meta.windowStartMs, sinceSeq);
    const works = objects.map(async (object) => {
      if (object.place !== "bucket") {
        elsewhere.push(this.#modules.known.of(object.key) ?? (await this.#ask(object, signal)));
        return;
      }
      if (!stored.includes(object)) return;
      const fromSeq = this.#matchedSeq.get(object.key);
      const since = fromSeq === undefined ? undefined : late.filter(({ seq }) => seq >= fromSeq);
      if (since?.length === 0) this.#noteMatched(object.key, untilSeq);
      else await this.#release(this.#ofBucket(object.key) ?? (await this.#ask(object, signal)), since, untilSeq);
    });
    await Promise.all(works);
  }

  /** Releases the records that are among these identities: of `entries`, where they are given. */
  async #release(identities: ObjectIdentities, entries: readonly HeadEntry[] | undefined, untilSeq: number): Promise<void> {
    const { head, logger, releasedInto } = this.#modules;
    const { object } = identities;
    const found: Uint8Array[] = [];
    if (entries === undefined) for (const identity of identities.each()) if (head.has(identity)) found.push(identity);
    for (const { identity } of entries ?? []) if (identities.has(identity) && head.has(identity)) found.push(identity);
    if (found.length > 0) {
      // Before the head forgets them: a query in between is told of an object in which it finds nothing new, and no query finds a record nowhere.
      releasedInto.note(object);
      const count = await head.release(found);
      this.#released.add({}, count);
      logger.debug("released", { key: object.key, records: count });
    }
    this.#noteMatched(object.key, untilSeq);
  }

  #noteMatched(key: string, untilSeq: number): void {
    const before = this.#matchedSeq.get(key) ?? 0;
    this.#matchedSeq.delete(key);
    this.#matchedSeq.set(key, Math.max(before, untilSeq));
    for (const oldest of this.#matchedSeq.keys()) {
      if (this.#matchedSeq.size <= MATCHED_COUNT_MAX) return;
      this.#matchedSeq.delete(oldest);
    }
  }

  #entriesSince(tenant: string, windowStartMs: number, sinceSeq: number): HeadEntry[] {
    const { head } = this.#modules;
    const found: HeadEntry[] = [];
    const pin = head.pin(tenant);
    for (let fromSeq: number | undefined = sinceSeq; fromSeq !== undefined; ) {
      const { entries, nextSeq } = head.select({ tenant, windowStartMs }, pin, { fromSeq, countMax: PAGE_COUNT });
      found.push(...entries);
      fromSeq = nextSeq;
    }
    return found;
  }

  // --- reading -----------------------------------------------------------------------------------------------------

  #ofBucket(key: string): ObjectIdentities | undefined {
    const known = this.#modules.known.of(key);
    return known?.object.isUploaded === true ? known : undefined;
  }

  async #ask(object: CatalogEntry, signal: AbortSignal): Promise<ObjectIdentities> {
    if (this.#askedCount >= ASKED_READS_MAX) await new Promise<void>((resolve) => this.#askedWaiting.push(resolve));
    this.#askedCount++;
    try {
      signal.throwIfAborted();
      return await this.#load(object, signal);
    } finally {
      this.#askedCount--;
      this.#askedWaiting.shift()?.();
    }
  }

  #load(object: CatalogEntry, signal: AbortSignal): Promise<ObjectIdentities> {
    const { key, place, sizeBytes } = object;
    const { known, source } = this.#modules;
    return this.#loads.run(
      `${place}/${key}`,
      async (shared) => {
        const range = { sizeBytes, read: (offset: number, lengthBytes: number, reading: AbortSignal) => source.read(object, offset, lengthBytes, reading) };
        const { footer, identities: bytes } = await readIdentityBytes(range, key, shared);
        checkMeta(object, footer.meta);
        const heard: HeardObject = { key, sizeBytes, meta: footer.meta, isUploaded: place === "bucket" };
        const identities = new ObjectIdentities(heard, bytes);
        known.add(identities);
        return identities;
      },
      signal,
    );
  }

  // --- in the background -------------------------------------------------------------------------------------------

  #look(): void {
    const { clock } = this.#modules;
    const nowMs = clock.monotonicMs();
    const objects = this.#objectsOfHeldWindows();
    const { keys, wakeAtMs } = planMatches({
      nowMs,
      readingCount: this.#reading.size,
      objects: Array.from(objects.keys(), (key) => ({ key, isMatched: this.#matchedSeq.has(key), isBeingRead: this.#reading.has(key), retryAtMs: this.#failures.get(key)?.retryAtMs ?? 0 })),
    });
    for (const key of this.#failures.keys()) if (!objects.has(key)) this.#failures.delete(key);
    for (const key of keys) this.#reading.set(key, this.#readOne(objects.get(key)!)); // the plan names keys that it was shown
    this.#timer?.cancel();
    this.#timer = wakeAtMs === undefined ? undefined : clock.after(Math.max(0, wakeAtMs - nowMs), () => this.look());
  }

  #objectsOfHeldWindows(): Map<string, CatalogEntry> {
    const { catalog, head } = this.#modules;
    const objects = new Map<string, CatalogEntry>();
    for (const { tenant, windowStartMs } of head.windows()) {
      // The API parsed the tenant before the head took the record.
      for (const entry of catalog.plan([tenant as TenantId], windowStartMs, windowStartMs + WINDOW_MS - 1)) if (entry.place === "bucket") objects.set(entry.key, entry);
    }
    return objects;
  }

  async #readOne(object: CatalogEntry): Promise<void> {
    const { clock, head, logger } = this.#modules;
    const { key } = object;
    const { signal } = this.#stopped;
    try {
      const untilSeq = head.nextSeq;
      await this.#release(this.#ofBucket(key) ?? (await this.#load(object, signal)), undefined, untilSeq);
      this.#failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      const count = (this.#failures.get(key)?.count ?? 0) + 1;
      const waitMs = retryDelayMs(count, RETRY);
      this.#failures.set(key, { count, retryAtMs: clock.monotonicMs() + waitMs });
      logger.warn("an object could not be read for its identities; its records stay in the head until it can", { key, reason: messageOf(error), retryMs: waitMs });
    } finally {
      this.#reading.delete(key);
      this.look();
    }
  }
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
