/**
 * The flush: head -> segment -> bucket. Each step has a name, and a crash after any of them loses and doubles nothing.
 *
 *   cut         the head fixes which records, under which ordinals      durable in LevelDB before anything is written
 *   build       lanes encode the datasets of each window                the same rows give the same bytes
 *   local file  written, synced, read back: every identity of the cut must be in it
 *   seal        one synced batch: the segments are remembered with size and checksum, the records dropped
 *   check       the local file is read again: what is not what was sealed is never uploaded
 *   upload      put under the segment's own key; a retry writes the same bytes
 *   verify      read back from the bucket: footer and identities
 *   unseal      the head forgets the local copy, the catalog reads from the bucket
 *   delete      the local file goes when no query reads it
 *
 * A restart before `seal` finds the cut and builds it again from the same records under the same ordinals. A restart after
 * it finds the sealed file and uploads it. While the bucket is down, sealed files wait on disk and are read from there:
 * memory does not grow with the outage. The head's disk budget bounds them: past it pushes get 503.
 *
 * A sealed file may be the only copy of its records. One that rotted is quarantined: queries over its time are refused
 * until an operator acknowledges the loss, and the file is set aside, neither uploaded nor deleted. It is looked for before each
 * upload, and once after a start, in the background, since with the bucket down the upload may be days away.
 */
import { assert, CodedError, crc32, messageOf, toHex, unavailable } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId, Timer } from "@pyromesh/base";
import type { Bucket, Catalog, LocalFiles, ObjectKey, RangeSource, SegmentMeta } from "@pyromesh/block";
import { buildSegment, bytesSource, parseObjectKey, readIdentities, segmentKey } from "@pyromesh/block";
import { WINDOW_MS } from "@pyromesh/profile";
import type { Head, Cut } from "@pyromesh/head";
import type { Compute, Generation } from "../compute/compute.ts";
import { crashPoint } from "../crash-point.ts";
import { planFlush } from "./flush-plan.ts";
import type { FlushLimits } from "./flush-plan.ts";
import type { Generations } from "./generations.ts";
import { encodeSealedEntry, rotOf, sealedEntryOf } from "./sealed-entry.ts";
import type { SealedEntry } from "./sealed-entry.ts";

/** How often the plan is asked. */
const TICK_MS = 500;
/** Between tries of one upload: doubled from the first to the second, for ever; there is nothing better to do. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;

export interface FlusherModules {
  readonly head: Head;
  readonly compute: Compute;
  readonly bucket: Bucket;
  readonly local: LocalFiles;
  readonly catalog: Catalog;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export class Flusher {
  readonly #limits: FlushLimits;
  readonly #modules: FlusherModules;
  /** Cuts not yet sealed, by cut id. */
  readonly #unsealed = new Map<number, Generation>();
  /** Sealed segments not yet in the bucket, by key. */
  readonly #backlog = new Map<string, SealedEntry>();
  /** Of those, what an earlier process sealed and this one has not looked at yet. */
  readonly #unchecked = new Set<string>();
  readonly #stopped = new AbortController();
  #sealing: Promise<void> = Promise.resolve();
  #uploading: Promise<void> | undefined;
  #checking: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #retryMs = RETRY_FIRST_MS;
  #isForced = false;
  readonly #flushed: Counter;
  readonly #failed: Counter;

  constructor(limits: FlushLimits, modules: FlusherModules) {
    this.#limits = limits;
    this.#modules = modules;
    const { metrics } = modules;
    metrics.gauge("pyromesh_flush_backlog_bytes", "Sealed segments on disk that wait for the bucket, in bytes.", [], (gauge) => gauge.set({}, this.backlogBytes));
    metrics.gauge("pyromesh_flush_backlog_segments", "Sealed segments on disk that wait for the bucket.", [], (gauge) => gauge.set({}, this.#backlog.size));
    this.#flushed = metrics.counter("pyromesh_flushed_bytes_total", "Bytes of segments that are in the bucket, read back and verified.");
    this.#failed = metrics.counter("pyromesh_flush_failures_total", "Tries of a flush step that failed and were tried again.", ["step"]);
  }

  get backlogBytes(): number {
    let sum = 0;
    for (const { sizeBytes } of this.#backlog.values()) sum += sizeBytes;
    return sum;
  }

  /** A cut found at replay: its rows are in `generation` already. */
  resumeCut(cutId: number, generation: Generation): void {
    this.#unsealed.set(cutId, generation);
  }

  /** A sealed segment found at start: it is on local disk and in the catalog. */
  resumeSealed(key: string, entry: SealedEntry): void {
    this.#backlog.set(key, entry);
    this.#unchecked.add(key);
  }

  /** Where the rows of a cut lie that is not sealed. */
  generationOf(cutId: number): Generation | undefined {
    return this.#unsealed.get(cutId);
  }

  start(): void {
    this.#schedule(0);
    this.#checking = this.#checkAll();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    await this.#sealing.catch(() => undefined);
    await this.#uploading?.catch(() => undefined);
    await this.#checking;
  }

  /**
   * Cuts and uploads now. Resolves when all that was accepted before is readable in the bucket.
   * Rejects FLUSH_TIMEOUT (503) after `timeoutMs`, naming what stays; the flush goes on.
   */
  async flush(timeoutMs: number, signal: AbortSignal): Promise<{ readonly segmentCount: number; readonly bytes: number }> {
    const { clock } = this.#modules;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    let segmentCount = 0;
    let bytes = 0;
    const work = (async (): Promise<void> => {
      const sealed = await this.#seal();
      segmentCount = sealed.length;
      for (const { sizeBytes } of sealed) bytes += sizeBytes;
      this.#isForced = true;
      this.#retryMs = RETRY_FIRST_MS;
      while (this.#backlog.size > 0) {
        await this.#drain();
        if (this.#backlog.size > 0) await clock.sleep(RETRY_FIRST_MS, AbortSignal.any([signal, this.#stopped.signal]));
      }
    })();
    work.catch(() => undefined); // whoever waits hears it below; past the deadline nobody does
    const ended = new AbortController(); // else the timer, and its listener on the caller's signal, would outlive the answer
    const late = clock.sleep(Math.max(0, deadlineMs - clock.monotonicMs()), AbortSignal.any([signal, ended.signal])).then(() => {
      const waiting = [...this.#backlog.keys()];
      throw unavailable(
        "FLUSH_TIMEOUT",
        `not all is in the bucket after ${timeoutMs} ms; on local disk wait ${waiting.length} segments (${waiting.slice(0, 5).join(", ")}); it goes on in the background`,
      );
    });
    late.catch(() => undefined);
    try {
      await Promise.race([work, late]);
    } finally {
      ended.abort();
    }
    return { segmentCount, bytes };
  }

  #schedule(delayMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = this.#modules.clock.after(delayMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const { head, logger } = this.#modules;
    let delayMs = TICK_MS;
    try {
      const view = {
        openBytes: head.stats.openBytes,
        openCount: head.stats.openCount,
        oldestAgeMs: head.stats.openAgeMs ?? 0,
        unsealedCount: 0,
      };
      if (this.#unsealed.size > 0 || planFlush(view, this.#limits) !== undefined) await this.#seal();
    } catch (error) {
      this.#failed.add({ step: "seal" });
      logger.error("a cut could not be sealed and is tried again", { error });
      delayMs = 5000;
    }
    if (this.#backlog.size > 0) this.#drain().catch((error: unknown) => logger.error("uploading stopped short and is tried again", { error }));
    this.#schedule(delayMs);
  }

  /** One at a time: seals every cut that waits, and one made now. */
  #seal(): Promise<{ key: string; sizeBytes: number }[]> {
    const run = async (): Promise<{ key: string; sizeBytes: number }[]> => {
      const { generations, head } = this.#modules;
      const sealed: { key: string; sizeBytes: number }[] = [];
      crashPoint("flush-before-cut");
      // Rows committed between the cut's boundary and the turn of the generation are in both: counted once, flushed again.
      const cut = await head.cut();
      if (cut !== undefined) this.#unsealed.set(cut.cutId, generations.turn());
      crashPoint("flush-after-cut");
      for (const open of head.cuts()) {
        const generation = this.#unsealed.get(open.cutId);
        if (generation === undefined) continue;
        sealed.push(...(await this.#sealOne(open, generation)));
        this.#unsealed.delete(open.cutId);
      }
      return sealed;
    };
    const sealing = this.#sealing.then(run, run);
    this.#sealing = sealing.then(
      () => undefined,
      () => undefined,
    );
    return sealing;
  }

  async #sealOne(cut: Cut, generation: Generation): Promise<{ key: string; sizeBytes: number }[]> {
    const { catalog, compute, generations, head, local, logger } = this.#modules;
    const sealed: { key: string; sizeBytes: number; entry: SealedEntry }[] = [];
    const found = new Set<string>();
    const storeId = toHex(head.storeId);
    for (const group of cut.groups) {
      const datasets = await compute.build(generation, group.tenant, group.windowStartMs);
      crashPoint("flush-after-build");
      if (datasets.length === 0) continue; // all of it was lost and quarantined, or the check of identities below says so
      const meta: SegmentMeta = {
        tenant: group.tenant as TenantId, // the API parsed it before the head took the record
        windowStartMs: group.windowStartMs,
        windowMs: WINDOW_MS,
        level: 0,
        storeId,
        ordinal: group.ordinal,
        minTimeMs: datasets.reduce((least, { minTimeMs }) => Math.min(least, minTimeMs), Infinity),
        maxTimeMs: datasets.reduce((most, { maxTimeMs }) => Math.max(most, maxTimeMs), -Infinity),
        recordCount: datasets.reduce((sum, { recordCount }) => sum + recordCount, 0),
        sources: [{ storeId, firstOrdinal: group.ordinal, lastOrdinal: group.ordinal }],
      };
      const bytes = buildSegment(meta, datasets);
      const key = segmentKey(meta);
      await local.write(key, bytes);
      const entry = sealedEntryOf(bytes);
      const written = await this.#readLocal(key);
      const rot = rotOf(sealedEntryOf(written), entry);
      if (rot !== undefined) {
        await local.delete(key); // the head still has its records: it is written again
        throw new CodedError({ code: "LOCAL_FILE_DIFFERS", kind: "data_loss", message: `${local.pathOf(key)}, just written, ${rot}: check this node's disk` });
      }
      for (const identity of await readIdentities(bytesSource(written), key, this.#stopped.signal)) found.add(identity);
      crashPoint("flush-after-local-file");
      sealed.push({ key, sizeBytes: bytes.length, entry });
    }
    for (const identity of head.cutIdentities(cut.cutId)) {
      if (!found.has(identity)) throw new Error(`record ${toHex(Buffer.from(identity, "latin1"))} of cut ${cut.cutId} is in no segment of it`);
    }
    for (const { key, sizeBytes, entry } of sealed) {
      catalog.add({ key, meta: keyMeta(key), sizeBytes, place: "local", path: local.pathOf(key) });
      this.#backlog.set(key, entry);
    }
    await head.seal(
      cut.cutId,
      sealed.map(({ key, entry }) => ({ key, bytes: encodeSealedEntry(entry) })),
    );
    crashPoint("flush-after-seal");
    generations.leave(generation);
    head.setSealedBytes(this.backlogBytes);
    logger.info("sealed", { cut: cut.cutId, segments: sealed.length, bytes: sealed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) });
    return sealed;
  }

  /** One at a time: two uploads of one segment would delete its file under each other. */
  #drain(): Promise<void> {
    this.#uploading ??= this.#drainAll().finally(() => (this.#uploading = undefined));
    return this.#uploading;
  }

  /** Uploads what waits, oldest first; stops at the first failure, to be tried again. */
  async #drainAll(): Promise<void> {
    const { clock, logger } = this.#modules;
    for (const key of [...this.#backlog.keys()]) {
      if (this.#stopped.signal.aborted || !this.#backlog.has(key)) continue;
      try {
        await this.#upload(key);
        this.#retryMs = RETRY_FIRST_MS;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        this.#failed.add({ step: "upload" });
        logger.warn("a segment could not be uploaded and waits on disk", { key, reason: messageOf(error), retryMs: this.#retryMs });
        if (!this.#isForced) await clock.sleep(this.#retryMs, this.#stopped.signal).catch(() => undefined);
        this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
        return;
      }
    }
    this.#isForced = false;
  }

  async #upload(key: string): Promise<void> {
    const { bucket, catalog, head, local, logger } = this.#modules;
    const signal = this.#stopped.signal;
    const entry = this.#backlog.get(key)!; // one upload at a time, and only it and #lose take a key out
    const bytes = await this.#sound(key, entry);
    if (bytes === undefined) return;
    await bucket.put(key, bytes, { ifAbsent: true }, signal);
    crashPoint("flush-after-upload");
    const wanted = await readIdentities(bytesSource(bytes), key, signal);
    const stored = new Set(await readIdentities(bucketSource(bucket, key, bytes.length), key, signal));
    if (!wanted.every((identity) => stored.has(identity))) {
      throw new CodedError({ code: "UPLOAD_DIFFERS", kind: "data_loss", message: `${key} in the bucket lacks identities of the local segment` });
    }
    crashPoint("flush-after-verify");
    catalog.replace({ key, meta: keyMeta(key), sizeBytes: bytes.length, place: "bucket" });
    await head.unseal(key);
    crashPoint("flush-after-unseal");
    this.#backlog.delete(key);
    head.setSealedBytes(this.backlogBytes);
    this.#flushed.add({}, bytes.length);
    catalog.whenUnused(async () => {
      await local.delete(key);
      crashPoint("flush-after-local-delete");
    });
    logger.info("uploaded", { key, bytes: bytes.length, records: wanted.length });
  }

  /** Looks at what an earlier process sealed, a file at a time, so that rot is told today and not when the bucket is back. */
  async #checkAll(): Promise<void> {
    for (const key of [...this.#unchecked]) {
      if (this.#stopped.signal.aborted) return;
      const entry = this.#backlog.get(key);
      if (entry === undefined || !this.#unchecked.has(key)) continue; // an upload came first
      try {
        await this.#sound(key, entry);
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#modules.logger.warn("a sealed segment could not be checked; its upload will", { key, reason: messageOf(error) });
      }
    }
  }

  /** The bytes of a sealed file that is what was sealed; undefined, after it was dealt with, where it is not. */
  async #sound(key: string, entry: SealedEntry): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await this.#readLocal(key);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "LOCAL_FILE_MISSING") throw error;
    }
    this.#unchecked.delete(key);
    if (!this.#backlog.has(key)) return undefined; // the other of check and upload was quicker
    const rot = rotOf(bytes === undefined ? undefined : sealedEntryOf(bytes), entry);
    if (rot === undefined) return bytes;
    await this.#lose(key, entry, rot);
    return undefined;
  }

  /**
   * The order matters: a crash before the last step finds the sealed entry again, and raises the quarantine a second time
   * rather than never.
   */
  async #lose(key: string, entry: SealedEntry, rot: string): Promise<void> {
    const { catalog, head, local, logger } = this.#modules;
    this.#backlog.delete(key);
    this.#failed.add({ step: "check" });
    const meta = keyMeta(key);
    if (await this.#isInBucket(key, entry)) {
      logger.warn("a sealed segment rotted on disk after it had come to the bucket whole", { key, rot });
      catalog.replace({ key, meta, sizeBytes: entry.sizeBytes, place: "bucket" });
    } else {
      await head.addQuarantine(`sealed segment ${key} ${rot}`, meta.minTimeMs, meta.maxTimeMs);
      catalog.remove(key);
    }
    const aside = await local.setAside(key);
    if (aside !== undefined) logger.error("a rotten sealed segment was set aside; it stays on disk until you remove it", { key, path: aside });
    await head.unseal(key);
    head.setSealedBytes(this.backlogBytes);
  }

  /** A crash between upload and unseal leaves both. A bucket that does not answer counts as one that has it not. */
  async #isInBucket(key: string, { sizeBytes, crc }: SealedEntry): Promise<boolean> {
    try {
      return crc32(await this.#modules.bucket.getRange(key, 0, sizeBytes, this.#stopped.signal)) === crc;
    } catch {
      return false;
    }
  }

  async #readLocal(key: string): Promise<Uint8Array> {
    const file = await this.#modules.local.source(key);
    return file.read(0, file.sizeBytes, this.#stopped.signal);
  }
}

function bucketSource(bucket: Bucket, key: string, sizeBytes: number): RangeSource {
  return { sizeBytes, read: (offset, lengthBytes, signal) => bucket.getRange(key, offset, lengthBytes, signal) };
}

function keyMeta(key: string): ObjectKey {
  const meta = parseObjectKey(key);
  assert(meta !== undefined, "a segment key made here is read back");
  return meta;
}
