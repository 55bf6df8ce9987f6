/**
 * Brings sealed segments to the bucket. `upload-plan.ts` (pure) decides which queue is tried when; this file makes the tries.
 *
 *   check       the local file is read and compared with what was sealed; a file that differs is never uploaded
 *   rename      only a segment of a former store id: it takes an ordinal of the id in force, with a new footer and a new file, in one batch
 *   upload      the file is put under the segment's key; a retry writes the same bytes
 *   verify      footer and identities are read back from the bucket
 *   unseal      the head forgets the local file, and the catalog reads from the bucket
 *   delete      the local file is deleted when no query reads it any more
 *
 * A sealed file may be the only copy of its records. A corrupt one is quarantined: queries over its time are refused until an operator
 * acknowledges the loss, and the file is set aside, neither uploaded nor deleted. When its turn in the queue comes, the bucket gets a `lost`
 * mark under its ordinal, so that every node knows of the loss. Files are checked before each upload, and once after a start, in the
 * background: while the bucket is down, the upload may be days away.
 *
 * Where the bucket holds another segment under the key (the data dir was copied, or rolled back), the store takes a new id, and the segments
 * that wait are renamed.
 *
 * The head's disk budget counts the files that wait. At the bound the head takes no more pushes; nothing that waits is dropped.
 */
import { assert, CodedError, crc32, encodeUtf8, messageOf, toHex } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, Timer } from "@pyromesh/base";
import type { Bucket, Catalog, HeardObject, LocalFiles, RangeSource, SegmentKey } from "@pyromesh/block";
import { bytesSource, markKey, parseObjectKey, readFooter, readIdentities, segmentKey, withSegmentMeta } from "@pyromesh/block";
import type { Head, RenamedSegment, SealedSegment } from "@pyromesh/head";
import { crashPoint } from "../process/crash-point.ts";
import type { OrdinalLock } from "./ordinal-lock.ts";
import { flushRetryMs } from "./flush-retry.ts";
import { decodeSealedEntry, encodeSealedEntry, corruptionOf, sealedEntryOf } from "./sealed-entry.ts";
import type { SealedEntry } from "./sealed-entry.ts";
import { writeAndRead } from "./sealer.ts";
import type { SegmentListener } from "./segment-listener.ts";
import { toldSegment } from "./told-segment.ts";
import { isOutage, isRefusalOfOneTenant, planUploads } from "./upload-plan.ts";
import type { UploadQueueView } from "./upload-plan.ts";

export interface UploaderModules {
  readonly head: Head;
  readonly bucket: Bucket;
  readonly local: LocalFiles;
  readonly catalog: Catalog;
  readonly ordinalLock: OrdinalLock;
  readonly listener: SegmentListener;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly countFailure: (step: "upload" | "check") => void;
}

/** A sealed segment that is not in the bucket yet. */
export interface WaitingSegment {
  readonly key: string;
  readonly meta: SegmentKey;
  readonly entry: SealedEntry;
  /** None of its records has a smaller seq. */
  readonly firstSeq: number;
}

interface Waiting extends WaitingSegment {
  key: string;
  meta: SegmentKey;
  entry: SealedEntry;
  /** An earlier process sealed it, and this one has not checked its file yet. */
  isUnchecked: boolean;
  /** Its file is being checked or uploaded. */
  isHeld: boolean;
  /** The bucket holds it (or its `lost` mark); the head has not forgotten it yet. */
  isStored: boolean;
  /** Its time is quarantined; its entry does not say `lost` yet. */
  isQuarantined: boolean;
  /** The bucket holds another segment of this size under its key. */
  takenSizeBytes: number | undefined;
}

interface Queue {
  readonly id: string;
  readonly tenant: string;
  /** In the order of their ordinals. */
  readonly waiting: Waiting[];
  busySinceMs: number | undefined;
  failureCount: number;
  retryAtMs: number;
  triedAtMs: number;
  isAsked: boolean;
  isFailing: boolean;
  reason: string;
}

/** How many files are checked after a start before uploads are planned again. An upload whose file was being checked waits for at most so many checks. */
const CHECKS_PER_PLAN = 50;

export class Uploader {
  readonly #modules: UploaderModules;
  readonly #signal: AbortSignal;
  readonly #queues = new Map<string, Queue>();
  readonly #byKey = new Map<string, Waiting>();
  readonly #working = new Set<Promise<void>>();
  readonly #uploaded: Counter;
  #onDone: (segment: WaitingSegment) => void = () => {};
  #isStarted = false;
  /** A plan will be made at the end of this turn of the event loop. */
  #isPumping = false;
  #timer: Timer | undefined;
  #outageFailureCount = 0;
  #outageRetryAtMs = 0;
  #backlogBytes = 0;

  /** When `signal` aborts, no try begins any more, and those under way end. */
  constructor(modules: UploaderModules, signal: AbortSignal) {
    this.#modules = modules;
    this.#signal = signal;
    this.#uploaded = modules.metrics.counter("pyromesh_flushed_bytes_total", "Bytes of segments that are in the bucket, read back and verified.");
  }

  /** Bytes of the sealed files that wait. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  get backlogCount(): number {
    return this.#byKey.size;
  }

  /** All that wait; those of one queue in the order of their ordinals. */
  waiting(): readonly WaitingSegment[] {
    return [...this.#queues.values()].flatMap((queue) => queue.waiting);
  }

  /** The same as other members are told of them, but for those whose file is corrupt. */
  toldWaiting(): readonly HeardObject[] {
    return this.waiting().flatMap((waiting) => (waiting.entry.isLost ? [] : [toldOf(waiting, false)]));
  }

  /** Why segments wait: the distinct errors of the last try of each queue. */
  reasons(): readonly string[] {
    return [...new Set([...this.#queues.values()].map(({ reason }) => reason).filter((reason) => reason !== ""))];
  }

  /** The listener is called in the turn of the event loop in which the head forgets a segment that is in the bucket. */
  onDone(listener: (segment: WaitingSegment) => void): void {
    this.#onDone = listener;
  }

  /** Puts a sealed segment into its queue. One that is added before `start` was sealed by an earlier process: its file is checked after the start. */
  add({ key, bytes }: SealedSegment, firstSeq: number): WaitingSegment {
    const meta = parseObjectKey(key);
    assert(meta?.kind === "segment", "a segment key made here is read back");
    const waiting: Waiting = { key, meta, entry: decodeSealedEntry(bytes), firstSeq, isUnchecked: !this.#isStarted, isHeld: false, isStored: false, isQuarantined: false, takenSizeBytes: undefined };
    this.#catalogue(waiting);
    this.#enqueue(waiting);
    if (!waiting.entry.isLost) this.#modules.listener.sealed(toldOf(waiting, false));
    return waiting;
  }

  start(): void {
    this.#isStarted = true;
    this.#work(this.#checkAll());
    this.#pump();
  }

  /** Call it after the signal aborted. Resolves when nothing is under way any more. */
  async settle(): Promise<void> {
    this.#timer?.cancel();
    await Promise.all(this.#working);
  }

  /** Tries each queue once, now; in an outage only one of them. No pause changes by it. */
  ask(): void {
    for (const queue of this.#queues.values()) queue.isAsked = true;
    this.#pump();
  }

  /** Takes a new store id. Segments that wait under a former one are renamed before they are uploaded. */
  async renumber(reason: string): Promise<void> {
    await this.#modules.ordinalLock.run(() => this.#modules.head.takeNewStoreId(reason));
    this.#pump();
  }

  /** Call it in the turn in which the head applies a rename, so that the catalog has the segment at every moment. */
  renamed({ fromKey, segment }: RenamedSegment): void {
    const { catalog, local } = this.#modules;
    const waiting = this.#byKey.get(fromKey);
    if (waiting === undefined) return;
    const { takenSizeBytes, meta: formerMeta, entry } = waiting;
    this.#dequeue(waiting);
    const meta = parseObjectKey(segment.key);
    assert(meta?.kind === "segment", "a segment key made here is read back");
    Object.assign(waiting, { key: segment.key, meta, entry: decodeSealedEntry(segment.bytes), takenSizeBytes: undefined });
    this.#catalogue(waiting);
    this.#enqueue(waiting);
    catalog.remove(fromKey);
    // The object under the former key is a segment of another data dir: queries read it too.
    if (takenSizeBytes !== undefined) catalog.add({ key: fromKey, meta: formerMeta, sizeBytes: takenSizeBytes, place: "bucket" });
    if (entry.isLost) return;
    this.#modules.listener.renamed(fromKey, toldOf(waiting, false));
    catalog.whenUnused(() => local.delete(fromKey));
  }

  // --- queues -------------------------------------------------------------------------------------------------------

  #catalogue({ key, meta, entry }: Waiting): void {
    const { catalog, local } = this.#modules;
    if (!entry.isLost) catalog.add({ key, meta, sizeBytes: entry.sizeBytes, place: "local", path: local.pathOf(key) });
  }

  #enqueue(waiting: Waiting): void {
    const { tenant, windowStartMs, storeId, ordinal } = waiting.meta;
    const id = queueIdOf(waiting.meta);
    let queue = this.#queues.get(id);
    if (queue === undefined) {
      queue = { id, tenant, waiting: [], busySinceMs: undefined, failureCount: 0, retryAtMs: 0, triedAtMs: -1, isAsked: false, isFailing: false, reason: "" };
      this.#queues.set(id, queue);
    }
    assert(!this.#byKey.has(waiting.key), `${storeId} seals ordinal ${ordinal} of ${tenant} and ${windowStartMs} once`);
    const after = queue.waiting.findIndex(({ meta }) => meta.ordinal > ordinal);
    queue.waiting.splice(after === -1 ? queue.waiting.length : after, 0, waiting);
    this.#byKey.set(waiting.key, waiting);
    this.#backlogBytes += fileBytesOf(waiting);
    this.#modules.head.setSealedBytes(this.#backlogBytes);
    this.#pump();
  }

  #dequeue(waiting: Waiting): void {
    const queue = this.#queues.get(queueIdOf(waiting.meta));
    const at = queue?.waiting.indexOf(waiting) ?? -1;
    if (queue === undefined || at === -1) return;
    queue.waiting.splice(at, 1);
    if (queue.waiting.length === 0) this.#queues.delete(queue.id);
    this.#byKey.delete(waiting.key);
    this.#backlogBytes -= fileBytesOf(waiting);
    this.#modules.head.setSealedBytes(this.#backlogBytes);
  }

  #done(waiting: Waiting): void {
    this.#dequeue(waiting);
    this.#onDone(waiting);
  }

  #views(): UploadQueueView[] {
    const nowMs = this.#modules.clock.monotonicMs();
    return [...this.#queues.values()].map(({ id, tenant, waiting, busySinceMs, retryAtMs, isAsked, triedAtMs, isFailing }) => ({
      id,
      tenant,
      busyForMs: busySinceMs === undefined ? (waiting[0]?.isHeld === true ? 0 : undefined) : nowMs - busySinceMs,
      retryAtMs,
      isAsked,
      triedAtMs,
      isFailing,
    }));
  }

  /**
   * Begins the tries that are due, at the end of this turn of the event loop. Call it after each change that may make a try due: all changes of a
   * turn are planned for once, since a plan looks at every queue and a cut may add hundreds of segments to a backlog of thousands.
   */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      this.#pumpNow();
    });
  }

  #pumpNow(): void {
    if (!this.#isStarted || this.#signal.aborted) return;
    const { clock } = this.#modules;
    const nowMs = clock.monotonicMs();
    this.#timer?.cancel();
    const queues = this.#views();
    const { startIds, wakeAtMs } = planUploads({ nowMs, queues, outageRetryAtMs: this.#outageRetryAtMs });
    // In an outage one try answers for every queue that was asked.
    if (startIds.length > 0 && isOutage(queues)) for (const queue of this.#queues.values()) queue.isAsked = false;
    for (const id of startIds) {
      const queue = this.#queues.get(id)!; // the plan names queues it was shown
      queue.busySinceMs = nowMs;
      queue.triedAtMs = nowMs;
      this.#work(this.#tryFirst(queue));
    }
    this.#timer = wakeAtMs === undefined ? undefined : clock.after(Math.max(0, wakeAtMs - nowMs), () => this.#pump());
  }

  #work(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => this.#modules.logger.error("a step of the upload failed unexpectedly and is tried again", { error }))
      .finally(() => {
        this.#working.delete(tracked);
        this.#pump();
      });
    this.#working.add(tracked);
  }

  async #tryFirst(queue: Queue): Promise<void> {
    const { clock, countFailure, logger } = this.#modules;
    const waiting = queue.waiting[0]!; // an empty queue is removed
    const { key } = waiting;
    queue.isAsked = false;
    waiting.isHeld = true;
    try {
      if (await this.#advance(waiting)) this.#noteSuccess(queue);
    } catch (error) {
      if (this.#signal.aborted) return;
      countFailure("upload");
      queue.reason = messageOf(error);
      this.#noteFailure(queue, error instanceof CodedError && error.code.startsWith("BUCKET_"));
      logger.warn("a segment could not be uploaded and waits on disk", { key, reason: queue.reason, retryMs: Math.max(0, Math.round(queue.retryAtMs - clock.monotonicMs())) });
    } finally {
      waiting.isHeld = false;
      queue.busySinceMs = undefined;
    }
  }

  /** An upload succeeded: if there was an outage, it is over, and every queue is tried now, but for those of a tenant whose prefix alone is refused. */
  #noteSuccess(queue: Queue): void {
    const isOutageOver = this.#outageFailureCount > 0 && !isRefusalOfOneTenant([...this.#queues.values()], queue);
    this.#outageFailureCount = 0;
    this.#outageRetryAtMs = 0;
    queue.failureCount = 0;
    queue.retryAtMs = 0;
    queue.reason = "";
    for (const other of this.#queues.values()) {
      other.isFailing = false;
      if (isOutageOver) other.retryAtMs = 0;
    }
  }

  /** Sets the next pause. Pauses that have not ended are not lengthened: neither by a try that was asked for, nor by tries that were under way when an outage began. */
  #noteFailure(queue: Queue, isOfBucket: boolean): void {
    const nowMs = this.#modules.clock.monotonicMs();
    if (isOfBucket) queue.isFailing = true;
    if (queue.retryAtMs <= nowMs) {
      queue.failureCount++;
      queue.retryAtMs = nowMs + flushRetryMs(queue.failureCount);
    }
    if (!isOutage(this.#views()) || this.#outageRetryAtMs > nowMs) return;
    this.#outageFailureCount++;
    this.#outageRetryAtMs = nowMs + flushRetryMs(this.#outageFailureCount);
  }

  // --- one segment --------------------------------------------------------------------------------------------------

  /** Makes one step for the first segment of a queue: unseal, rename, mark as lost, or upload. True where the bucket took an object. */
  async #advance(waiting: Waiting): Promise<boolean> {
    if (waiting.isStored) {
      await this.#unseal(waiting);
      return false;
    }
    const { isLost } = waiting.entry;
    const bytes = isLost ? undefined : await this.#sound(waiting);
    if (bytes === undefined && !isLost) return false;
    if (waiting.meta.storeId !== toHex(this.#modules.head.storeId)) {
      await this.#rename(waiting, bytes);
      return false;
    }
    if (bytes === undefined) await this.#mark(waiting);
    else await this.#upload(waiting, bytes);
    return true;
  }

  async #upload(waiting: Waiting, bytes: Uint8Array): Promise<void> {
    const { bucket, logger } = this.#modules;
    const signal = this.#signal;
    const { key, meta } = waiting;
    const { isCreated } = await bucket.put(key, bytes, { ifAbsent: true }, signal);
    crashPoint("flush-after-upload");
    const wanted = await readIdentities(bytesSource(bytes), key, signal);
    const storedSizeBytes = isCreated ? bytes.length : (await bucket.head(key, signal)).sizeBytes;
    const stored = new Set(await readIdentities(bucketSource(bucket, key, storedSizeBytes), key, signal));
    if (storedSizeBytes !== bytes.length || stored.size !== new Set(wanted).size || !wanted.every((identity) => stored.has(identity))) {
      logger.error("the bucket holds another segment under the key of one that waits here: this data directory was probably copied or rolled back", { key, bucket: bucket.name });
      waiting.takenSizeBytes = storedSizeBytes;
      return this.#renumberFrom(meta.storeId, `the bucket holds another segment under ${key}`);
    }
    crashPoint("flush-after-verify");
    this.#modules.listener.read(toldOf(waiting, true), wanted);
    this.#stored(waiting);
    waiting.isStored = true;
    logger.info("uploaded", { key, bytes: bytes.length, records: wanted.length });
    return this.#unseal(waiting);
  }

  /** The bucket has it. */
  #stored(waiting: Waiting): void {
    const { catalog, listener } = this.#modules;
    const { key, meta, entry } = waiting;
    catalog.replace({ key, meta, sizeBytes: entry.sizeBytes, place: "bucket" });
    listener.uploaded(toldOf(waiting, true));
  }

  async #unseal(waiting: Waiting): Promise<void> {
    const { catalog, head, listener, local } = this.#modules;
    const { key, entry } = waiting;
    await head.unseal(key, entry.isLost ? undefined : listener.noteOf(toldOf(waiting, true)));
    crashPoint("flush-after-unseal");
    this.#done(waiting);
    if (entry.isLost) return;
    this.#uploaded.add({}, entry.sizeBytes);
    catalog.whenUnused(async () => {
      await local.delete(key);
      crashPoint("flush-after-local-delete");
    });
  }

  /** Takes a new store id, unless another queue has had it taken already. */
  #renumberFrom(storeId: string, reason: string): Promise<void> {
    const { head, ordinalLock } = this.#modules;
    return ordinalLock.run(async () => {
      if (toHex(head.storeId) === storeId) await head.takeNewStoreId(reason);
    });
  }

  /** `bytes` is undefined for a lost segment, which has no file. After a crash before the head's rename, the next start removes the new file, which no entry names. */
  #rename(waiting: Waiting, bytes: Uint8Array | undefined): Promise<void> {
    const { head, local, logger, ordinalLock } = this.#modules;
    const { key, meta } = waiting;
    return ordinalLock.run(async () => {
      const name = await head.nextOrdinal(meta.tenant, meta.windowStartMs);
      if (!head.isSealed(key)) return; // the store refused an earlier rename and kept it: `renamed` was called for that one
      const newMeta = { ...meta, storeId: name.storeId, ordinal: name.ordinal };
      const newKey = segmentKey(newMeta);
      let entry = waiting.entry;
      if (bytes !== undefined) {
        const footer = await readFooter(bytesSource(bytes), key, this.#signal);
        const sources = [{ storeId: name.storeId, firstOrdinal: name.ordinal, lastOrdinal: name.ordinal }];
        const renamed = await withSegmentMeta(bytes, { ...footer.meta, storeId: name.storeId, ordinal: name.ordinal, sources }, key);
        if (!head.isSealed(newKey)) await local.delete(newKey); // left by a try that failed
        await writeAndRead(local, newKey, renamed, this.#signal);
        entry = sealedEntryOf(renamed);
        crashPoint("flush-after-rename-file");
      }
      await head.rename({ key, ...meta }, { ...name, key: newKey, bytes: encodeSealedEntry(entry) });
      crashPoint("flush-after-rename");
      logger.info("a sealed segment was renamed to the new store id", { key: newKey, formerKey: key });
    });
  }

  // --- corruption ----------------------------------------------------------------------------------------------

  /** Checks the files that an earlier process sealed, one at a time, so that corruption is reported now and not only when the bucket is back. */
  async #checkAll(): Promise<void> {
    const { logger } = this.#modules;
    let checkedCount = 0;
    for (const waiting of [...this.#byKey.values()]) {
      if (this.#signal.aborted) return;
      // No check where the upload has begun, which checks the file too, and none of a lost segment, which has no file.
      if (!waiting.isUnchecked || waiting.isHeld || waiting.entry.isLost || this.#byKey.get(waiting.key) !== waiting) continue;
      waiting.isHeld = true;
      try {
        await this.#sound(waiting);
      } catch (error) {
        if (!this.#signal.aborted) logger.warn("a sealed segment could not be checked now; its upload checks it again", { key: waiting.key, reason: messageOf(error) });
      } finally {
        waiting.isHeld = false;
        // Plans made during the check skipped this queue. Not after each file: each plan looks at every queue, and there may be thousands.
        if (++checkedCount % CHECKS_PER_PLAN === 0) this.#pump();
      }
    }
  }

  /** The bytes of a sealed file. Undefined where they are not what was sealed; the loss is then recorded (`#lose`). */
  async #sound(waiting: Waiting): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array | undefined;
    try {
      const file = await this.#modules.local.source(waiting.key);
      bytes = await file.read(0, file.sizeBytes, this.#signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "LOCAL_FILE_MISSING") throw error;
    }
    waiting.isUnchecked = false;
    const corruption = corruptionOf(bytes === undefined ? undefined : sealedEntryOf(bytes), waiting.entry);
    if (corruption === undefined) return bytes;
    await this.#lose(waiting, corruption);
    return undefined;
  }

  /**
   * Records that a sealed file is corrupt, or only removes it where the bucket has the segment whole. The entry is marked `lost` last: after a
   * crash before that, the next start finds the file corrupt again and quarantines its time a second time, rather than never.
   */
  async #lose(waiting: Waiting, corruption: string): Promise<void> {
    const { catalog, countFailure, head, listener, logger } = this.#modules;
    const { key, meta, entry } = waiting;
    countFailure("check");
    if (await this.#isInBucket(key, entry)) {
      logger.warn("a sealed segment is corrupt on disk; the bucket has it whole", { key, corruption });
      this.#stored(waiting);
      await this.#setAside(key);
      await head.unseal(key, listener.noteOf(toldOf(waiting, true)));
      this.#done(waiting);
      return;
    }
    if (!waiting.isQuarantined) await head.addQuarantine(`sealed segment ${key} ${corruption}`, meta.minTimeMs, meta.maxTimeMs);
    waiting.isQuarantined = true;
    catalog.remove(key);
    listener.lost(toldOf(waiting, false));
    await this.#setAside(key);
    const lost = { ...entry, isLost: true };
    await head.reseal({ key, bytes: encodeSealedEntry(lost) });
    this.#backlogBytes -= fileBytesOf(waiting);
    waiting.entry = lost;
    head.setSealedBytes(this.#backlogBytes);
  }

  async #setAside(key: string): Promise<void> {
    const { local, logger } = this.#modules;
    const path = await local.setAside(key);
    if (path !== undefined) logger.error("a corrupt sealed segment was set aside; it stays on disk until you remove it", { key, path });
  }

  /** Puts a `lost` mark under the ordinal of a segment that can never be uploaded. */
  async #mark(waiting: Waiting): Promise<void> {
    const { bucket, logger } = this.#modules;
    const { meta, entry } = waiting;
    const key = markKey({ ...meta, mark: "lost" });
    const words = {
      mark: "lost",
      reason: "the sealed file of this segment was no longer what was written, and it was the only copy of its records",
      tenant: meta.tenant,
      storeId: meta.storeId,
      ordinal: meta.ordinal,
      sizeBytes: entry.sizeBytes,
    };
    await bucket.put(key, encodeUtf8(`${JSON.stringify(words)}\n`), { ifAbsent: true }, this.#signal);
    logger.warn("a mark was put into the bucket in the place of a lost segment", { key });
    waiting.isStored = true;
    return this.#unseal(waiting);
  }

  /** True where the bucket has the segment whole: a crash came between its upload and its unseal. A bucket that does not answer counts as not having it. */
  async #isInBucket(key: string, { sizeBytes, crc }: SealedEntry): Promise<boolean> {
    try {
      return crc32(await this.#modules.bucket.getRange(key, 0, sizeBytes, this.#signal)) === crc;
    } catch {
      return false;
    }
  }
}

function toldOf({ meta, entry }: WaitingSegment, isUploaded: boolean): HeardObject {
  return toldSegment(meta, { sizeBytes: entry.sizeBytes, isUploaded });
}

function queueIdOf({ storeId, tenant, windowStartMs }: SegmentKey): string {
  return `${storeId}/${tenant}/${windowStartMs}`;
}

function fileBytesOf({ entry }: WaitingSegment): number {
  return entry.isLost ? 0 : entry.sizeBytes;
}

function bucketSource(bucket: Bucket, key: string, sizeBytes: number): RangeSource {
  return { sizeBytes, read: (offset, lengthBytes, signal) => bucket.getRange(key, offset, lengthBytes, signal) };
}
