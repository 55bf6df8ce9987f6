/**
 * The audit: what this store released must be in the bucket still. It repairs nothing; a difference is a log line and a metric to alert on.
 *
 *   after a LIST    each object into which records went is in the catalog, or in a block of it, or below its tenant's floor, or its loss was accepted
 *   one object      is read again, and compared with some of the records that were released into it
 *
 * An object that is missing counts only when the next look misses it as well: what a member told of may be forgotten before a LIST shows it.
 */
import { messageOf, toHex } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics } from "@pyromesh/base";
import { isBucketError, markKey, parseObjectKey, readIdentityBytes } from "@pyromesh/block";
import type { Catalog, CatalogEntry, HeardObject, ObjectSource } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import { IdentityLookup } from "./identity-lookup.ts";
import type { ReleasedInto } from "./released-into.ts";

export interface AuditModules {
  readonly catalog: Pick<Catalog, "floorOf" | "get" | "marks" | "plan">;
  readonly source: ObjectSource;
  readonly releasedInto: Pick<ReleasedInto, "objects">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The pause between two looks, each of which reads one object. */
const PAUSE_MS = 600_000;
/** Of how many objects records are remembered, and how many of each: 4 MB. At the bound those of the object that was released into longest ago are forgotten. */
const SAMPLES_MAX = 256;
const SAMPLE_RECORDS_MAX = 1_024;
/** How many objects, and identities, one log line names. */
const NAMED_MAX = 5;
const IDENTITY_BYTES = 16;

export class Audit {
  readonly #modules: AuditModules;
  #nextMs: number;
  /** Keys that the last look missed. */
  #missed: ReadonlySet<string> = new Set();
  #missingCount = 0;
  /** By key: identities, 16 bytes each, of records that were released into the object. */
  readonly #samples = new Map<string, Uint8Array>();
  /** The key that was read last. */
  #lastRead: string | undefined;
  #running: Promise<void> | undefined;
  readonly #stopped = new AbortController();
  readonly #missingRecords: Counter;

  constructor(modules: AuditModules) {
    this.#modules = modules;
    this.#nextMs = modules.clock.monotonicMs() + PAUSE_MS;
    modules.metrics.gauge("pyromesh_audit_missing_objects", "Objects into which this store released records and that the bucket does not show any more: alert on more than 0.", [], (gauge) => gauge.set({}, this.#missingCount));
    this.#missingRecords = modules.metrics.counter("pyromesh_audit_missing_records_total", "Records that this store released into an object which, read again, does not hold them: alert on a rise.");
    this.#missingRecords.add({}, 0);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** Records are released into the object. */
  noteReleased({ key }: HeardObject, identities: readonly Uint8Array[]): void {
    const before = this.#samples.get(key) ?? new Uint8Array(0);
    this.#samples.delete(key);
    this.#samples.set(key, Uint8Array.from(Buffer.concat([before, ...identities.slice(0, SAMPLE_RECORDS_MAX - before.length / IDENTITY_BYTES)])));
    for (const oldest of this.#samples.keys()) {
      if (this.#samples.size <= SAMPLES_MAX) return;
      this.#samples.delete(oldest);
    }
  }

  /** Call it after each LIST; it does its work once in a while. */
  onListed(): void {
    const nowMs = this.#modules.clock.monotonicMs();
    if (nowMs < this.#nextMs || this.#running !== undefined) return;
    this.#nextMs = nowMs + PAUSE_MS;
    this.#running = this.look(this.#stopped.signal).finally(() => (this.#running = undefined));
  }

  /** One look, for tests. Does not reject. */
  async look(signal: AbortSignal): Promise<void> {
    const { logger, releasedInto } = this.#modules;
    const stored = [...releasedInto.objects()].filter(({ isUploaded }) => isUploaded);
    const missed = stored.filter((object) => !this.#isThere(object)).map(({ key }) => key);
    const missing = missed.filter((key) => this.#missed.has(key));
    this.#missed = new Set(missed);
    if (missing.length > this.#missingCount) logger.error("objects into which this store released records are not in the bucket any more", { count: missing.length, keys: missing.slice(0, NAMED_MAX) });
    this.#missingCount = missing.length;
    const object = this.#next();
    if (object === undefined) return;
    try {
      await this.#compare(object, signal);
    } catch (error) {
      if (!signal.aborted && !isBucketError(error, "BUCKET_NOT_FOUND")) logger.warn("an object could not be read for the audit", { key: object.key, reason: messageOf(error) });
    }
  }

  #isThere({ key, meta: { tenant, windowStartMs, storeId, ordinal, maxTimeMs, level } }: HeardObject): boolean {
    const { catalog } = this.#modules;
    if (catalog.get(key) !== undefined || maxTimeMs < catalog.floorOf(tenant)) return true;
    if (level > 0) return catalog.plan([tenant], windowStartMs, windowStartMs + WINDOW_MS - 1).some(({ meta }) => meta.level > level); // it was compacted on
    if (catalog.plan([tenant], windowStartMs, windowStartMs + WINDOW_MS - 1).some(({ sources }) => sources?.has(storeId, ordinal) === true)) return true;
    const named = parseObjectKey(key);
    if (named?.kind !== "segment") return false;
    const accepted = markKey({ ...named, mark: "forgotten" });
    for (const mark of catalog.marks()) if (markKey(mark) === accepted) return true;
    return false;
  }

  /** The one behind the last, of those of which records are remembered. */
  #next(): CatalogEntry | undefined {
    const { catalog } = this.#modules;
    const keys = [...this.#samples.keys()];
    const from = keys.indexOf(this.#lastRead ?? "") + 1;
    for (const key of [...keys.slice(from), ...keys.slice(0, from)]) {
      const entry = catalog.get(key);
      if (entry?.place !== "bucket") continue;
      this.#lastRead = key;
      return entry;
    }
    return undefined;
  }

  async #compare(object: CatalogEntry, signal: AbortSignal): Promise<void> {
    const { logger, source } = this.#modules;
    const { key, sizeBytes } = object;
    const sample = this.#samples.get(key)!; // the caller took the key from there
    const { identities } = await readIdentityBytes({ sizeBytes, read: (offset, lengthBytes, reading) => source.read(object, offset, lengthBytes, reading) }, key, signal);
    const now = new IdentityLookup(identities);
    const missing: Uint8Array[] = [];
    for (let at = 0; at < sample.length; at += IDENTITY_BYTES) if (!now.has(sample, at)) missing.push(sample.subarray(at, at + IDENTITY_BYTES));
    if (missing.length === 0) return;
    this.#missingRecords.add({}, missing.length);
    const named = missing.slice(0, NAMED_MAX).map(toHex);
    logger.error("an object does not hold records any more that this store released into it", { key, count: missing.length, identities: named });
  }
}
