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
 * Bounds: `READS_MAX` objects are read at a time in the background and `ASKED_READS_MAX` for those who ask, who wait in turn; what waits to be read is of the catalog, which is
 * bounded; what was read is remembered within the bound of `KnownIdentities`, and read again beyond it.
 */
import { messageOf, retryDelayMs, SharedLoads, Turns } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId, Timer } from "@pyromesh/base";
import { checkMeta, readIdentityBytes } from "@pyromesh/block";
import type { Catalog, CatalogEntry, HeardObject, ObjectSource } from "@pyromesh/block";
import type { Head, HeadEntry } from "@pyromesh/head";
import { WINDOW_MS } from "@pyromesh/profile";
import type { KnownIdentities } from "./known-identities.ts";
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

/** Objects that the background reads at a time: each is a few requests, and its identities in memory. */
const READS_MAX = 4;
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
  timer: Timer | undefined;
}

export class Matcher {
  readonly #modules: MatcherModules;
  readonly #stopped = new AbortController();
  /** By key: records with a smaller seq were compared with the object. */
  readonly #matchedSeq = new Map<string, number>();
  readonly #loads = new SharedLoads<ObjectIdentities>();
  /** What the background is to read, in order, by key. */
  readonly #waiting = new Map<string, CatalogEntry>();
  /** By key: what the background reads. */
  readonly #reading = new Map<string, Promise<void>>();
  /** By key: what it could not read, with the timer of the next try. */
  readonly #failures = new Map<string, Failure>();
  #askedCount = 0;
  readonly #askedWaiting: (() => void)[] = [];
  #isLooking = false;
  #isLookDue = false;
  readonly #released: Counter;

  constructor(modules: MatcherModules) {
    this.#modules = modules;
    this.#released = modules.metrics.counter("pyromesh_released_records_total", "Records that left the head because their identities were read in the bucket, in an object that this store did not seal them into.");
    this.#released.add({}, 0);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const { timer } of this.#failures.values()) timer?.cancel();
    await Promise.all(this.#reading.values());
  }

  /** Looks through the catalog for objects that are not matched, and has the background read them. Call it after a LIST. */
  look(): void {
    this.#isLookDue = true;
    if (!this.#isLooking) void this.#look();
  }

  /** The catalog has learned of these objects. */
  noteLearned(keys: Iterable<string>): void {
    const { catalog, head } = this.#modules;
    const held = new Set(head.windows().map(({ tenant, windowStartMs }) => idOf(tenant, windowStartMs)));
    for (const key of keys) {
      const object = catalog.get(key);
      if (object !== undefined && held.has(idOf(object.meta.tenant, object.meta.windowStartMs))) this.#enqueue(object);
    }
    this.#readOn();
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

  async #look(): Promise<void> {
    const { catalog, clock, head } = this.#modules;
    this.#isLooking = true;
    const turns = new Turns({ clock });
    while (this.#isLookDue && !this.#stopped.signal.aborted) {
      this.#isLookDue = false;
      for (const { tenant, windowStartMs } of head.windows()) {
        // The API parsed the tenant before the head took the record.
        for (const object of catalog.plan([tenant as TenantId], windowStartMs, windowStartMs + WINDOW_MS - 1)) this.#enqueue(object);
        if (turns.areDue) await turns.give();
      }
      this.#readOn();
    }
    this.#isLooking = false;
  }

  #enqueue(object: CatalogEntry): void {
    const { key, place } = object;
    if (place === "bucket" && !this.#matchedSeq.has(key) && !this.#reading.has(key) && this.#failures.get(key)?.timer === undefined) this.#waiting.set(key, object);
  }

  #readOn(): void {
    for (const [key, object] of this.#waiting) {
      if (this.#reading.size >= READS_MAX || this.#stopped.signal.aborted) return;
      this.#waiting.delete(key);
      this.#reading.set(key, this.#readOne(object));
    }
  }

  async #readOne(object: CatalogEntry): Promise<void> {
    const { catalog, clock, head, logger } = this.#modules;
    const { key } = object;
    const { signal } = this.#stopped;
    try {
      const untilSeq = head.nextSeq;
      await this.#release(this.#ofBucket(key) ?? (await this.#load(object, signal)), undefined, untilSeq);
      this.#failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      const failure = { count: (this.#failures.get(key)?.count ?? 0) + 1, timer: undefined as Timer | undefined };
      const waitMs = retryDelayMs(failure.count, RETRY);
      failure.timer = clock.after(waitMs, () => {
        failure.timer = undefined;
        const known = catalog.get(key);
        // A LIST has shown that it is not there.
        if (known === undefined) this.#failures.delete(key);
        else this.#enqueue(known);
        this.#readOn();
      });
      this.#failures.set(key, failure);
      logger.warn("an object could not be read for its identities; its records stay in the head until it can", { key, reason: messageOf(error), retryMs: waitMs });
    } finally {
      this.#reading.delete(key);
      this.#readOn();
    }
  }
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
