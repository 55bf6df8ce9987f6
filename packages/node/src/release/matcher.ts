/**
 * Matching: objects of the bucket are read for their identities, and the records of the head that are among them are released. It is the only way in which a
 * record leaves the head, but for the seal of its own cut.
 *
 *   the catalog learns of an object ──▶ read ──▶ release ──▶ noted in `ReleasedInto`
 *   a record comes later            ──▶ looked up in what was read (`WindowMatches`), when a query or a takeover asks
 *
 * What must stay true: a record is released only after this node has itself read its identity in an object that is in the bucket. What another member says, and an
 * object that waits on a disk, release nothing.
 *
 * Bounds: `READS_MAX` objects are read at a time in the background and `ASKED_READS_MAX` for those who ask, who wait in turn; what waits to be read is of the catalog, which is
 * bounded; what was read is remembered within the bound of `MatchMemory`, and read again beyond it.
 */
import { messageOf, retryDelayMs, SharedLoads, Turns } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId, Timer } from "@pyromesh/base";
import { checkMeta, isBucketError, readIdentityBytes, storeOf } from "@pyromesh/block";
import type { Catalog, CatalogEntry, HeardObject, ObjectSource } from "@pyromesh/block";
import { RecordColumns } from "@pyromesh/head";
import type { Head } from "@pyromesh/head";
import { WINDOW_MS } from "@pyromesh/profile";
import { IdentityLookup } from "./identity-lookup.ts";
import type { MatchMemory } from "./match-memory.ts";
import type { ReleasedInto } from "./released-into.ts";
import type { MatchedObject, WindowMatches } from "./window-matches.ts";

export interface MatcherModules {
  readonly head: Pick<Head, "collect" | "has" | "nextSeq" | "release" | "windows">;
  readonly catalog: Pick<Catalog, "confirm" | "get" | "plan">;
  readonly source: ObjectSource;
  readonly memory: MatchMemory;
  readonly releasedInto: ReleasedInto;
  /** Records that are released into an object, just before the head forgets them: identities of 16 bytes. */
  readonly onRelease: (object: HeardObject, identities: readonly Uint8Array[]) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Objects that the background reads at a time: each is a few requests, and its identities in memory. */
const READS_MAX = 4;
/** Objects that are read at a time for queries and takeovers: somebody waits, and most of a read is the bucket's delay. One of up to a megabyte is in memory as a whole meanwhile. */
const ASKED_READS_MAX = 16;
/** Waits between two tries to read an object in the background. There is no last try: its records stay in the head meanwhile. */
const RETRY = { firstMs: 1_000, maxMs: 60_000 };
const IDENTITY_BYTES = 16;

interface Failure {
  readonly count: number;
  timer: Timer | undefined;
}

export interface Matched {
  /** Identities (16 characters of latin1 each) of records that the head holds on although one of the objects has them: it waits for its upload. */
  readonly kept: ReadonlySet<string>;
  /** Segments that were to wait at another store, and are neither there nor in the bucket. Nothing was compared with them. */
  readonly nowhere: readonly CatalogEntry[];
}

/** What the steps of one match find out, of all windows. */
interface Found {
  readonly kept: Set<string>;
  /** By key. */
  readonly nowhere: Map<string, CatalogEntry>;
}

interface ReadObject {
  readonly object: HeardObject;
  /** 16 bytes each. */
  readonly identities: Uint8Array;
}

export class Matcher {
  readonly #modules: MatcherModules;
  readonly #stopped = new AbortController();
  readonly #loads = new SharedLoads<ReadObject>();
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

  /** Tries again now what could not be read: somebody waits for it. The pauses between later tries are as they were. */
  retryNow(): void {
    for (const [key, failure] of this.#failures) {
      if (failure.timer === undefined) continue;
      failure.timer.cancel();
      this.#retry(key, failure);
    }
    this.#readOn();
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
   * one of them in the bucket. Rejects where an object cannot be read now. A segment that waits at no store any more and is not in the bucket is named in the outcome.
   */
  async match(objects: readonly CatalogEntry[], signal: AbortSignal): Promise<Matched> {
    const { head } = this.#modules;
    const untilSeq = head.nextSeq;
    const byWindow = new Map<string, CatalogEntry[]>();
    for (const { tenant, windowStartMs } of head.windows()) byWindow.set(idOf(tenant, windowStartMs), []);
    for (const object of objects) byWindow.get(idOf(object.meta.tenant, object.meta.windowStartMs))?.push(object);
    const found: Found = { kept: new Set(), nowhere: new Map() };
    const windows = [...byWindow.values()].filter((ofWindow) => ofWindow.length > 0);
    await Promise.all(windows.map((ofWindow) => this.#matchWindow(ofWindow, untilSeq, found, signal)));
    return { kept: found.kept, nowhere: [...found.nowhere.values()] };
  }

  /** `objects`: of one window. Adds to `found` what the head holds on, and what is nowhere. */
  async #matchWindow(objects: readonly CatalogEntry[], untilSeq: number, { kept, nowhere }: Found, signal: AbortSignal): Promise<void> {
    const { head, memory } = this.#modules;
    const window = memory.windowOf(objects[0]!.meta); // the caller leaves out windows without any
    for (let left = objects; left.length > 0; ) {
      // 1. What was not read yet is read, and compared with all that the head holds.
      const unread = left.filter((object) => !isMatched(window.of(object.key), object));
      await Promise.all(unread.map((object) => orNowhere(object, nowhere, async () => this.#match(window, await this.#ask(object, signal)))));
      // 2. What came later is compared with all that was read.
      await this.#matchLate(window, left, untilSeq, nowhere, signal);
      // 3. What was held on because of an object that was uploaded meanwhile is to be released now: it is compared anew. At most once, since that object is in the bucket then.
      const uploaded: CatalogEntry[] = [];
      for (const object of left) {
        if (object.place === "bucket") continue;
        const matched = window.of(object.key);
        if (matched?.object.isUploaded) uploaded.push({ ...object, place: "bucket" });
        else for (const identity of matched?.kept ?? []) if (head.has(Buffer.from(identity, "latin1"))) kept.add(identity);
      }
      left = uploaded;
    }
  }

  /** An object was read: its records are released, or noted where it is not in the bucket. */
  async #match(window: WindowMatches, { object, identities }: ReadObject): Promise<void> {
    const { head, memory } = this.#modules;
    const untilSeq = head.nextSeq;
    const held: Uint8Array[] = [];
    for (let at = 0; at < identities.length; at += IDENTITY_BYTES) {
      const identity = identities.subarray(at, at + IDENTITY_BYTES);
      if (head.has(identity)) held.push(identity);
    }
    // Where the head refuses the release, the object is not matched, and read again.
    if (object.isUploaded && held.length > 0) await this.#release(object, held);
    const matched = memory.add(object, identities);
    if (!object.isUploaded) for (const identity of held) matched.kept.add(textOf(identity));
    matched.comparedSeq = Math.max(matched.comparedSeq, untilSeq);
    if (window.of(object.key) === matched) return;
    // The memory has forgotten the window meanwhile, which is still in use here.
    const here = window.add(object, identities);
    here.comparedSeq = untilSeq;
    for (const identity of matched.kept) here.kept.add(identity);
  }

  async #release(object: HeardObject, identities: readonly Uint8Array[]): Promise<void> {
    const { head, logger, onRelease, releasedInto } = this.#modules;
    // Before the head forgets them: a query in between is told of an object in which it finds nothing new, and no query finds a record nowhere.
    releasedInto.note(object);
    onRelease(object, identities);
    const count = await head.release(identities, releasedInto.noteOf(object));
    this.#released.add({}, count);
    logger.debug("released", { key: object.key, records: count });
  }

  /** Compares the records that came since with the objects. */
  async #matchLate(window: WindowMatches, objects: readonly CatalogEntry[], untilSeq: number, nowhere: Map<string, CatalogEntry>, signal: AbortSignal): Promise<void> {
    const { clock, head } = this.#modules;
    const { tenant, windowStartMs } = objects[0]!.meta; // as above
    const turns = new Turns({ clock });
    const filter = { tenant, startMs: windowStartMs, endMs: windowStartMs + WINDOW_MS - 1, admits: () => true, untilSeq };
    const suspects = new Map<MatchedObject, Uint8Array[]>();
    const compared = new Map<MatchedObject, CatalogEntry>();
    const before = new Map<MatchedObject, HeardObject>();
    for (const object of objects) {
      const matched = window.of(object.key);
      if (matched === undefined) continue;
      compared.set(matched, object);
      before.set(matched, matched.object);
    }
    for (let fromSeq: number | undefined = [...compared.keys()].reduce((least, { comparedSeq }) => Math.min(least, comparedSeq), Infinity); fromSeq !== undefined && fromSeq < untilSeq; ) {
      const late = new RecordColumns();
      fromSeq = head.collect(filter, late, fromSeq);
      const { identities } = late;
      for (let at = 0; at < identities.length; at += IDENTITY_BYTES) {
        for (const matched of window.objectsWith(identities, at)) {
          if (!compared.has(matched)) continue;
          const identity = identities.slice(at, at + IDENTITY_BYTES);
          if (!matched.object.isUploaded && matched.kept.has(textOf(identity))) continue;
          const ofObject = suspects.get(matched);
          if (ofObject === undefined) suspects.set(matched, [identity]);
          else ofObject.push(identity);
        }
      }
      if (turns.areDue) await turns.give();
      signal.throwIfAborted();
    }
    for (const [matched, found] of suspects) {
      const entry = compared.get(matched)!; // it was asked for
      await orNowhere(entry, nowhere, () => this.#verify(matched, entry, found, signal));
    }
    // One that was uploaded meanwhile, or before by what the caller does not know yet, is to be compared anew, as an object of the bucket.
    for (const [matched, object] of before) {
      if (nowhere.has(object.key)) continue;
      const isAsItIs = matched.object === object && object.isUploaded === (compared.get(matched)!.place === "bucket"); // both maps have it
      if (isAsItIs) matched.comparedSeq = Math.max(matched.comparedSeq, untilSeq);
    }
  }

  /** The records are in the object by their fingerprints: it is read again. */
  async #verify(matched: MatchedObject, entry: CatalogEntry, found: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const { head } = this.#modules;
    const { object, identities } = await this.#ask(entry, signal);
    const read = new IdentityLookup(identities);
    const held = found.filter((identity) => read.has(identity) && head.has(identity));
    if (object.isUploaded) {
      if (held.length > 0) await this.#release(object, held);
    } else if (!matched.object.isUploaded) for (const identity of held) matched.kept.add(textOf(identity));
  }

  // --- reading -----------------------------------------------------------------------------------------------------

  async #ask(object: CatalogEntry, signal: AbortSignal): Promise<ReadObject> {
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

  #load(object: CatalogEntry, signal: AbortSignal): Promise<ReadObject> {
    const { key, place, sizeBytes } = object;
    const { source } = this.#modules;
    return this.#loads.run(
      `${place}/${key}`,
      async (shared) => {
        const range = { sizeBytes, read: (offset: number, lengthBytes: number, reading: AbortSignal) => source.read(object, offset, lengthBytes, reading) };
        const { footer, identities } = await readIdentityBytes(range, key, shared);
        checkMeta(object, footer.meta);
        if (place === "bucket") this.#modules.catalog.confirm(key);
        return { object: { key, sizeBytes, meta: footer.meta, isUploaded: place === "bucket" }, identities };
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
    if (place !== "bucket" || isMatched(this.#modules.memory.of(object), object) || this.#reading.has(key) || this.#failures.get(key)?.timer !== undefined) return;
    this.#waiting.set(key, object);
  }

  #readOn(): void {
    for (const [key, object] of this.#waiting) {
      if (this.#reading.size >= READS_MAX || this.#stopped.signal.aborted) return;
      this.#waiting.delete(key);
      this.#reading.set(key, this.#readOne(object));
    }
  }

  async #readOne(object: CatalogEntry): Promise<void> {
    const { clock, logger, memory } = this.#modules;
    const { key } = object;
    const { signal } = this.#stopped;
    try {
      await this.#match(memory.windowOf(object.meta), await this.#load(object, signal));
      this.#failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      const failure = { count: (this.#failures.get(key)?.count ?? 0) + 1, timer: undefined as Timer | undefined };
      const waitMs = retryDelayMs(failure.count, RETRY);
      failure.timer = clock.after(waitMs, () => {
        this.#retry(key, failure);
        this.#readOn();
      });
      this.#failures.set(key, failure);
      logger.warn("an object could not be read for its identities; its records stay in the head until it can", { key, reason: messageOf(error), retryMs: waitMs });
    } finally {
      this.#reading.delete(key);
      this.#readOn();
    }
  }

  #retry(key: string, failure: Failure): void {
    failure.timer = undefined;
    const known = this.#modules.catalog.get(key);
    // A LIST has shown that it is not there.
    if (known === undefined) this.#failures.delete(key);
    else this.#enqueue(known);
  }
}

/** Notes a segment that its store does not have any more, and that the bucket was then asked for in vain (`PlacedSource`). It is not taken for one without records: a put under its name may still land. */
async function orNowhere(object: CatalogEntry, nowhere: Map<string, CatalogEntry>, compare: () => Promise<void>): Promise<void> {
  try {
    await compare();
  } catch (error) {
    if (storeOf(object.place) === undefined || !isBucketError(error, "BUCKET_NOT_FOUND")) throw error;
    nowhere.set(object.key, object);
  }
}

/** It was read where it lies now, or in the bucket. */
function isMatched(matched: MatchedObject | undefined, { place }: CatalogEntry): boolean {
  return matched !== undefined && (matched.object.isUploaded || place !== "bucket");
}

function textOf(identity: Uint8Array): string {
  return Buffer.from(identity.buffer, identity.byteOffset, identity.length).toString("latin1");
}

function idOf(tenant: string, windowStartMs: number): string {
  return `${windowStartMs}/${tenant}`;
}
