/**
 * The flush: records go from the head to a segment, and the segment to the bucket. A crash after any step loses no record and doubles none.
 *
 *   cut         the head fixes which records leave together, durably, before anything else is written
 *   build       workers encode the datasets of each window; the same rows give the same bytes
 *   local file  the segment is written, synced and read back; every identity of the cut must be in it
 *   seal        one synced batch: the segments take their ordinals, the head remembers them with size and checksum, and drops the records
 *   check, rename, upload, verify, unseal, delete: see uploader.ts
 *
 * `flush-plan.ts` decides which step comes next; `sealer.ts` builds and seals, `uploader.ts` does the rest. What a cut or a seal changes outside of the
 * head (generation, catalog, backlog) changes in the turn of the event loop in which the head applies it (`noteCut`, `noteSealed`). The
 * head calls these also when a write that the store refused turns out to be in the store.
 *
 * A restart before `seal` finds the cut and builds it again from the same records. A restart after it finds the sealed file and uploads
 * it. While the bucket is down, sealed files wait on disk and are read from there, so memory does not grow with the outage. The head's disk
 * budget bounds them; past it pushes get 503.
 */
import { CodedError, messageOf, within } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics } from "@pyromesh/base";
import type { Bucket, Catalog, HeardObject, LocalFiles } from "@pyromesh/block";
import type { Cut, EntryFilter, Head, RenamedSegment, SealedCut, SealedSegment } from "@pyromesh/head";
import type { WrittenVersions } from "../cluster/version-gate.ts";
import type { Compute } from "../compute/compute.ts";
import { crashPoint } from "../process/crash-point.ts";
import { planFlush, UNSEALED_COUNT_MAX } from "./flush-plan.ts";
import type { FlushLimits, FlushStep } from "./flush-plan.ts";
import { flushRetryMs } from "./flush-retry.ts";
import type { Generations } from "./generations.ts";
import { OrdinalLock } from "./ordinal-lock.ts";
import { Sealer } from "./sealer.ts";
import { NO_LISTENER } from "./segment-listener.ts";
import type { SegmentListener } from "./segment-listener.ts";
import { Uploader } from "./uploader.ts";
import type { WaitingSegment } from "./uploader.ts";

export interface FlusherModules {
  readonly head: Head;
  readonly compute: Compute;
  readonly bucket: Bucket;
  readonly local: LocalFiles;
  readonly catalog: Catalog;
  readonly generations: Generations;
  readonly versions: WrittenVersions;
  /** Absent: nobody asks for this store's segments. */
  readonly listener?: SegmentListener;
  readonly clock: Clock;
  /** Times the pauses between tries of an upload. */
  readonly uploadClock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A step whose last try failed. */
interface Failure {
  readonly count: number;
  readonly retryAtMs: number;
  readonly reason: string;
}

/** What a `POST /flush` waits for. A cut leaves its set when it is sealed, a segment when it is in the bucket. */
interface FlushWait {
  needsCut: boolean;
  readonly cutIds: Set<number>;
  readonly segments: Set<WaitingSegment>;
  segmentCount: number;
  bytes: number;
  readonly resolve: () => void;
}

export class Flusher {
  readonly #limits: FlushLimits;
  readonly #modules: FlusherModules;
  readonly #sealer: Sealer;
  readonly #uploader: Uploader;
  readonly #stopped = new AbortController();
  readonly #waits = new Set<FlushWait>();
  readonly #onProgress: (() => void)[] = [];
  #running: Promise<void> = Promise.resolve();
  /** Ends the sleep between two steps. */
  #wake: () => void = () => {};
  #cutFailure: Failure | undefined;
  /** By cut id. */
  readonly #sealFailures = new Map<number, Failure>();
  /** The smallest seq of each cut whose seal was begun. */
  readonly #firstSeqs = new Map<number, number>();
  /** What is open is cut without waiting for its age or size. */
  #isHurried = false;
  readonly #failed: Counter;

  constructor(limits: FlushLimits, modules: FlusherModules) {
    this.#limits = limits;
    this.#modules = modules;
    const { head, metrics } = modules;
    this.#failed = metrics.counter("pyromesh_flush_failures_total", "Tries of a flush step that failed and were tried again.", ["step"]);
    const parts = { ...modules, listener: modules.listener ?? NO_LISTENER, ordinalLock: new OrdinalLock(), countFailure: (step: string) => this.#failed.add({ step }) };
    this.#sealer = new Sealer(parts, this.#stopped.signal);
    this.#uploader = new Uploader({ ...parts, clock: modules.uploadClock }, this.#stopped.signal);
    this.#uploader.onDone((segment) => {
      this.#settle((wait) => void wait.segments.delete(segment));
      this.#progressed();
    });
    metrics.gauge("pyromesh_flush_backlog_bytes", "Sealed segments on disk that wait for the bucket, in bytes.", [], (gauge) => gauge.set({}, this.backlogBytes));
    metrics.gauge("pyromesh_flush_backlog_segments", "Sealed segments on disk that wait for the bucket.", [], (gauge) => gauge.set({}, this.#uploader.backlogCount));
    metrics.gauge("pyromesh_flush_unsealed_cuts", "Cuts of the head that are not sealed yet; at 4 the head is not cut and grows.", [], (gauge) => gauge.set({}, head.cuts().length));
  }

  get backlogBytes(): number {
    return this.#uploader.backlogBytes;
  }

  /** Takes up a sealed segment that the start found in the head. */
  resumeSealed(segment: SealedSegment): void {
    this.#uploader.add(segment, 0);
  }

  start(): void {
    this.#uploader.start();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
    this.#wake();
    await this.#running;
    await this.#uploader.settle();
  }

  // --- called by the head, in the turn in which it applies the change ---------------------------------------------------

  noteCut({ cutId, isTakeover }: Pick<Cut, "cutId" | "isTakeover">): void {
    // None of a takeover's rows is in memory: the sealer reads them from the head.
    if (!isTakeover) {
      this.#modules.generations.turn(cutId);
      this.#isHurried = false;
    }
    this.#settle((wait) => {
      if (isTakeover || !wait.needsCut) return;
      wait.needsCut = false;
      wait.cutIds.add(cutId);
    });
    this.#wake();
  }

  noteSealed({ cutId, segments }: SealedCut): void {
    const firstSeq = this.#firstSeqs.get(cutId) ?? 0;
    this.#firstSeqs.delete(cutId);
    const sealed = segments.map((segment) => this.#uploader.add(segment, firstSeq));
    this.#modules.generations.leave(cutId);
    this.#sealer.forget(cutId);
    this.#sealFailures.delete(cutId);
    this.#settle((wait) => {
      if (!wait.cutIds.delete(cutId)) return;
      for (const segment of sealed) {
        wait.segments.add(segment);
        wait.segmentCount++;
        wait.bytes += segment.entry.sizeBytes;
      }
    });
    this.#progressed();
    this.#wake();
  }

  /** Records were released: others have flushed them. */
  noteReleased(): void {
    if (this.#modules.head.stats.ownOpenCount > 0) return;
    // There is nothing to cut any more.
    this.#isHurried = false;
    this.#settle((wait) => void (wait.needsCut = false));
  }

  noteRenamed(renamed: RenamedSegment): void {
    this.#uploader.renamed(renamed);
  }

  // --- called by others ----------------------------------------------------------------------------------------------------------

  /**
   * Takes a new store id and renames the segments that wait for the bucket. Call it where the bucket holds another data dir's segments under
   * the store id in force. What is in the bucket stays as it is.
   */
  renumber(reason: string): Promise<void> {
    return this.#uploader.renumber(reason);
  }

  /**
   * Cuts and uploads now. Resolves when all that was accepted before is readable in the bucket. Rejects FLUSH_TIMEOUT (503) after `timeoutMs`, naming
   * what is not there yet; the flush goes on in the background, with the pauses that it would have made anyway.
   */
  async flush(timeoutMs: number, signal: AbortSignal): Promise<{ readonly segmentCount: number; readonly bytes: number }> {
    const { clock, head } = this.#modules;
    let resolve!: () => void; // set before the constructor returns
    const done = new Promise<void>((resolveIt) => (resolve = resolveIt));
    const wait: FlushWait = {
      needsCut: head.stats.ownOpenCount > 0,
      cutIds: new Set(head.cuts().map(({ cutId }) => cutId)),
      segments: new Set(this.#uploader.waiting()),
      segmentCount: 0,
      bytes: 0,
      resolve,
    };
    this.#waits.add(wait);
    this.#settle(() => {});
    // Everything that waits after a failure is tried once, now.
    this.#cutFailure = withoutPause(this.#cutFailure);
    for (const [cutId, failure] of this.#sealFailures) this.#sealFailures.set(cutId, withoutPause(failure));
    this.#wake();
    this.#uploader.ask();

    try {
      await within(done, { timeoutMs, lateError: () => this.#timeoutError(timeoutMs, wait) }, { clock, signal: AbortSignal.any([signal, this.#stopped.signal]) });
    } finally {
      this.#waits.delete(wait);
    }
    return { segmentCount: wait.segmentCount, bytes: wait.bytes };
  }

  /** Cuts what is open now, and tries everything that waits once. */
  hurry(): void {
    this.#isHurried = this.#modules.head.stats.ownOpenCount > 0;
    this.#uploader.ask();
    this.#wake();
  }

  /**
   * Cuts these records, which other stores should have flushed, in a cut of their own. Undefined where none of them is open any more, where the cut of an earlier takeover is
   * not sealed yet, or where as many cuts are unsealed as may be: call it again later.
   */
  async takeOver(identities: readonly Uint8Array[]): Promise<Cut | undefined> {
    const { head } = this.#modules;
    const cuts = head.cuts();
    // One at a time, so that takeovers that cannot be sealed hold up no cut of this store's own.
    return cuts.length < UNSEALED_COUNT_MAX && !cuts.some(({ isTakeover }) => isTakeover) ? head.cutReplicas(identities) : undefined;
  }

  /** What came before this seq is in the bucket: the head does not hold it, and no segment with it waits. */
  isFlushedBefore(seq: number): boolean {
    const { head } = this.#modules;
    return (head.oldestSeq ?? Infinity) >= seq && this.#uploader.waiting().every(({ firstSeq }) => firstSeq >= seq);
  }

  /** Each listener is called when a cut was sealed, and when a segment is in the bucket and the head has forgotten it. */
  onProgress(listener: () => void): void {
    this.#onProgress.push(listener);
  }

  #progressed(): void {
    for (const listener of this.#onProgress) listener();
  }

  /** What others are told of the segments that wait here for the bucket. */
  sealedHere(): readonly HeardObject[] {
    return this.#uploader.toldWaiting();
  }

  /** Segments that wait for the bucket, and why. */
  get backlog(): { readonly count: number; readonly bytes: number; readonly reasons: readonly string[] } {
    return { count: this.#uploader.backlogCount, bytes: this.#uploader.backlogBytes, reasons: this.#uploader.reasons() };
  }

  #timeoutError(timeoutMs: number, { needsCut, cutIds, segments }: FlushWait): CodedError {
    const parts: string[] = [];
    if (needsCut) parts.push(`the head could not be cut (${this.#cutFailure?.reason ?? "too many cuts are not sealed"})`);
    if (cutIds.size > 0) {
      const cuts = [...cutIds].slice(0, NAMED_COUNT_MAX).map((cutId) => `cut ${cutId}: ${this.#sealFailures.get(cutId)?.reason ?? "it is being built"}`);
      parts.push(`${cutIds.size} cuts could not be sealed (${cuts.join("; ")})`);
    }
    if (segments.size > 0) {
      const keys = [...segments].slice(0, NAMED_COUNT_MAX).map(({ key }) => key);
      const reasons = this.#uploader.reasons().slice(0, 1).map((reason) => `; ${reason}`);
      parts.push(`on local disk wait ${segments.size} segments (${keys.join(", ")}${reasons.join("")})`);
    }
    const message = `not all is in the bucket after ${timeoutMs} ms: ${parts.join("; ")}; the flush goes on in the background`;
    return new CodedError({ code: "FLUSH_TIMEOUT", kind: "unavailable", message, details: { timeoutMs, cutCount: cutIds.size, segmentCount: segments.size } });
  }

  #settle(change: (wait: FlushWait) => void): void {
    for (const wait of this.#waits) {
      change(wait);
      if (!wait.needsCut && wait.cutIds.size === 0 && wait.segments.size === 0) wait.resolve();
    }
  }

  // --- from the head to sealed segments ---------------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const step = this.#plan();
      switch (step.kind) {
        case "cut":
          await this.#cut();
          break;
        case "seal":
          await this.#seal(step.cutId);
          break;
        case "wait":
          await this.#sleepUntil(step.untilMs);
          break;
      }
    }
  }

  #plan(): FlushStep {
    const { clock, head } = this.#modules;
    const { ownOpenBytes, ownOpenCount, ownOpenAgeMs = 0 } = head.stats;
    return planFlush(
      {
        nowMs: clock.monotonicMs(),
        openBytes: ownOpenBytes,
        openCount: ownOpenCount,
        oldestAgeMs: ownOpenAgeMs,
        isCutAsked: this.#isHurried || [...this.#waits].some(({ needsCut }) => needsCut),
        cutRetryAtMs: this.#cutFailure?.retryAtMs ?? 0,
        unsealed: head.cuts().map(({ cutId }) => ({ cutId, retryAtMs: this.#sealFailures.get(cutId)?.retryAtMs ?? 0 })),
      },
      this.#limits,
    );
  }

  async #cut(): Promise<void> {
    const { head, logger } = this.#modules;
    try {
      crashPoint("flush-before-cut");
      await head.cut(OWN);
      crashPoint("flush-after-cut");
      this.#cutFailure = undefined;
    } catch (error) {
      this.#cutFailure = this.#failureAfter(this.#cutFailure, error, "cut");
      if (!this.#stopped.signal.aborted) logger.error("the head could not be cut; it is tried again", { error });
    }
  }

  async #seal(cutId: number): Promise<void> {
    const { head, logger } = this.#modules;
    const cut = head.cuts().find((one) => one.cutId === cutId);
    if (cut === undefined) return;
    this.#firstSeqs.set(cutId, cut.firstSeq);
    try {
      await this.#sealer.seal(cut);
      this.#sealFailures.delete(cutId);
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      const failure = this.#failureAfter(this.#sealFailures.get(cutId), error, "seal");
      this.#sealFailures.set(cutId, failure);
      logger.error("a cut could not be sealed and is tried again", { cut: cutId, retryMs: flushRetryMs(failure.count), error });
    }
  }

  #failureAfter(before: Failure | undefined, error: unknown, step: "cut" | "seal"): Failure {
    this.#failed.add({ step });
    const count = (before?.count ?? 0) + 1;
    return { count, retryAtMs: this.#modules.clock.monotonicMs() + flushRetryMs(count), reason: messageOf(error) };
  }

  async #sleepUntil(untilMs: number): Promise<void> {
    const { clock } = this.#modules;
    await new Promise<void>((resolve) => {
      const timer = clock.after(Math.max(0, untilMs - clock.monotonicMs()), resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = () => {};
  }
}

/** Records of rank 0: this store's to flush. Their rows are the open generation's, all of them and no others (a takeover cuts the rest). */
const OWN: EntryFilter = { ranks: new Set([0]) };
/** How many cuts, and how many segments, an error names. */
const NAMED_COUNT_MAX = 5;

/** The failure with its pause over: the step is tried now. The count stays, so the next pause is as long as it would have been. */
function withoutPause<T extends Failure | undefined>(failure: T): T {
  return failure === undefined ? failure : { ...failure, retryAtMs: 0 };
}
