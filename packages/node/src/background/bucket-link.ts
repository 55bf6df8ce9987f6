/**
 * The node's link to its bucket: whether it is the right bucket, which objects it holds, and which segments are missing from it.
 *
 *   identity    read before every LIST and before an upload: whether it is the right bucket (bucket-trust.ts)
 *   LIST        the newest windows and the windows with gaps every minute, everything every ten minutes. A window in which a segment
 *               seems to be missing is listed again at once
 *   gaps        missing segments. Queries over their windows are refused until the segments are restored or their loss is accepted
 *
 * What must stay true: the identity is read before a LIST is believed and before anything is uploaded, and a LIST that is not old. A fresh data dir
 * takes no push before it has a bucket. While the bucket is the wrong one, or its folder is gone, queries are refused with the reason. All of this
 * ends by itself when the right bucket is back.
 */
import { CodedError, messageOf, retryDelayMs, toHex, Turns, unavailable, untilAborted, within } from "@pyromesh/base";
import type { Clock, Logger, Metrics, Random, TenantId, Timer } from "@pyromesh/base";
import { BucketError, describeGap, markKey } from "@pyromesh/block";
import type { Bucket, Catalog, ListScope, OwnOrdinals, WindowRef } from "@pyromesh/block";
import { windowStartOf } from "@pyromesh/profile";
import { BucketTrust, NotOurs } from "./bucket-trust.ts";
import type { AdoptingHead, BucketTrustOptions } from "./bucket-trust.ts";
import { forgottenText } from "./forgotten-text.ts";
import { GuardedBucket } from "./guarded-bucket.ts";

/** What the link needs of the head. */
export interface LinkedHead extends AdoptingHead {
  quarantine(): readonly unknown[];
}

export interface BucketLinkOptions extends BucketTrustOptions {
  /** The text of the `--bucket` setting, for errors. */
  readonly setting: string;
}

export interface BucketLinkModules {
  readonly bucket: Bucket;
  readonly catalog: Catalog;
  readonly head: LinkedHead;
  /** Times the pauses between two LISTs and the age of the identity. */
  readonly clock: Clock;
  /** Times how long a start or an operator's request waits for the bucket. Absent: `clock`. */
  readonly answerClock?: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Takes a new store id: another data dir writes under this one. */
  readonly renumber: (reason: string) => Promise<void>;
  /** Drops what is cached of an object. Called when a LIST shows that the object was replaced by one of another size. */
  readonly forgetObject: (key: string) => void;
  /** Called after each LIST that was taken in. */
  readonly onListed?: () => void;
}

/** The pause between two LISTs of the newest windows. */
const LIST_INTERVAL_MS = 60_000;
/**
 * The pause between two LISTs of everything. It bounds how late an object shows up that another node uploads into an older window. An object
 * that vanished is noticed sooner, by the query that reads it.
 */
const WHOLE_LIST_INTERVAL_MS = 600_000;
/** How far back the newest windows begin. A pushed profile is at most an hour old (`reject_older_than`) and is flushed within minutes. */
const NEWEST_MS = 3 * 3_600_000;
/** The pause between two tries while the bucket was not listed yet, or is not the right one. */
const RETRY_MS = 2_000;
/** The pause before the next try where a LIST failed and an earlier one succeeded. */
const RETRY_MS_MAX = 10_000;
/** The first pause of a fresh data dir, doubled up to `RETRY_MS_MAX`. It is short since the node takes no push before the bucket has answered. */
const FRESH_RETRY_FIRST_MS = 500;
/** How long the start of a data dir that holds data, or an operator's request, waits for the bucket before it goes on without it. */
const ANSWER_TIMEOUT_MS = 2_000;
/** An upload reads the identity again where it was last read longer ago than this. */
const IDENTITY_AGE_MS_MAX = 5_000;
/**
 * Nothing is uploaded while the last LIST ended longer ago than this: the process stood still, its machine was suspended, or the bucket was out of reach. What was compacted
 * or expired meanwhile must not come back. Three of the newest windows' LISTs, so that one which fails holds up no upload.
 */
const UPLOAD_LIST_AGE_MS_MAX = 3 * LIST_INTERVAL_MS;
/**
 * LISTs of a window in doubt, one after the other. A vanished segment takes three: the first misses it, the second misses it again and it leaves the
 * catalog, the third finds a hole at its ordinal. The fourth covers what was uploaded meanwhile. A window that is still in doubt is listed
 * again after `RETRY_MS`.
 */
const SETTLING_ROUNDS_MAX = 4;
/**
 * Windows that are listed one by one after a LIST of the newest ones: those in doubt, and older ones with gaps, which take turns. With doubts in
 * more windows than this everything is listed, which costs less.
 */
const SETTLING_WINDOWS_MAX = 20;
/** How many gaps one refusal or log line names. */
const NAMED_GAPS_MAX = 5;

export class BucketLink {
  /** The bucket for uploads: each put first checks that it is the right bucket. */
  readonly guarded: Bucket;
  readonly #options: BucketLinkOptions;
  readonly #modules: BucketLinkModules;
  readonly #stopped = new AbortController();
  /** Why answers may lack objects: the bucket was not listed, or is not the right one. Undefined while neither is so. */
  #incomplete: string | undefined = "the bucket was not listed yet";
  readonly #trust: BucketTrust;
  #wholeListMs = -Infinity;
  /** When the last LIST ended well, by both clocks: the monotonic one stands still with a suspended machine. Not when it began, or a bucket that is listed slowly would take no upload. */
  #listed = { monotonicMs: -Infinity, wallMs: -Infinity };
  /** When the last LIST of the newest windows began that ended well, and with which window: by the clock of the answers. */
  #newestList = { beganMs: -Infinity, fromWindowMs: Infinity };
  /** The same of the last LIST of everything. */
  #wholeListBeganMs = -Infinity;
  #isListed = false;
  /** The last LIST failed. */
  #isFailing = false;
  /** The last LIST left a doubt, because uploads went on meanwhile. */
  #isInDoubt = false;
  /** Index of the older window with gaps at which the next LIST begins. */
  #gapOffset = 0;
  /** The LIST under way, and the one that begins when it has ended. */
  #listing: Promise<void> | undefined;
  #nextListing: Promise<void> | undefined;
  #isNextWhole = false;
  #timer: Timer | undefined;
  #toldGaps = "";

  constructor(options: BucketLinkOptions, modules: BucketLinkModules) {
    this.#options = options;
    this.#modules = modules;
    this.guarded = new GuardedBucket(modules.bucket, (signal) => this.#ensureOursLately(signal));
    this.#trust = new BucketTrust(options, { ...modules, onDistrusted: (reason) => this.#onDistrusted(reason) });
    const { catalog, metrics } = modules;
    metrics.gauge("pyromesh_missing_segments", "Segments that are missing from the bucket: queries over their windows are refused.", [], (gauge) =>
      gauge.set({}, catalog.gaps.reduce((sum, { gaps }) => [...gaps.holes, ...gaps.suspected].reduce((count, { first, last }) => count + last - first + 1, sum), 0)),
    );
  }

  /** Why no push may be taken; undefined while pushes may be. */
  get waitsBecause(): string | undefined {
    return this.#trust.waitsBecause;
  }

  /** Why the catalog may lack objects; undefined while it knows all of them. */
  get incompleteBecause(): string | undefined {
    return this.#incomplete;
  }

  /** The id of the bucket that this data dir writes to; undefined: none yet. */
  get bucketId(): string | undefined {
    return this.#modules.head.bucketMark?.bucketId;
  }

  /** Who made the bucket's identity: this node's store, another one, or (before there were clusters) nobody that is named. Undefined: it was not read yet. */
  get founder(): "self" | "other" | "unnamed" | undefined {
    return this.#trust.founder;
  }

  /** Names the segments that are missing from the windows of a range, at most `NAMED_GAPS_MAX` gaps of them. */
  gapsWithin(tenants: readonly TenantId[], startMs: number, endMs: number): readonly string[] {
    const gaps = this.#modules.catalog.gapsWithin(tenants, startMs, endMs);
    const named = gaps.slice(0, NAMED_GAPS_MAX).map(describeGap);
    return gaps.length > NAMED_GAPS_MAX ? [...named, `and ${gaps.length - NAMED_GAPS_MAX} more`] : named;
  }

  /**
   * Resolves once the node may be ready: when the bucket was listed, or, where the data dir holds data, after `ANSWER_TIMEOUT_MS` without an answer.
   * Rejects where the bucket is the wrong one. `tell` is called with what is waited for, each time it changes.
   */
  async start(tell: (words: string) => void, caller: AbortSignal): Promise<void> {
    const { bucket, clock, logger } = this.#modules;
    const signal = AbortSignal.any([caller, this.#stopped.signal]);
    if (this.#options.isInit) logger.warn("--bucket-init is meant for one start: remove it, or a disk that is not mounted may be taken for a new bucket");
    tell("waiting for the bucket: it was asked for what it holds and has not answered yet");
    const { isFresh } = this.#trust;
    for (let failureCount = 1; ; failureCount++) {
      try {
        if (isFresh) await this.refresh(signal);
        else await this.#withinAnswerTime(this.refresh(signal), signal);
        break;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof NotOurs) throw this.#refusal(error);
        const reason = messageOf(error);
        const waitMs = retryDelayMs(failureCount, { firstMs: FRESH_RETRY_FIRST_MS, maxMs: RETRY_MS_MAX });
        if (!this.#isListed) this.#incomplete = `the bucket could not be listed: ${reason}`;
        logger.warn("the bucket does not answer as it should", { bucket: bucket.name, reason, retryMs: isFresh ? waitMs : RETRY_MS });
        // A data dir that holds data is ready without its bucket: pushes are taken, and a query that needs an object is refused with the reason.
        if (!isFresh) break;
        this.#trust.noteUnanswered(reason);
        tell(`waiting for the bucket: ${reason}`);
        await clock.sleep(waitMs, signal);
      }
    }
    this.#listLater();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#stopped.abort(new CodedError({ code: "STOPPING", kind: "canceled", message: "the node is stopping" }));
  }

  /** When the last LIST began, by the monotonic clock, that showed every window from the one of `fromMs` on; -Infinity: there was none. */
  listBeganMs(fromMs: number): number {
    const { beganMs, fromWindowMs } = this.#newestList;
    return fromMs >= fromWindowMs ? Math.max(beganMs, this.#wholeListBeganMs) : this.#wholeListBeganMs;
  }

  /** Lists everything, by a LIST that begins after this call. Callers at the same time share one. */
  async refresh(caller: AbortSignal): Promise<void> {
    return untilAborted(this.#list({ isWhole: true }), caller);
  }

  /**
   * `refresh` for a query of times from `fromMs` on: a LIST of the newest windows where all of its windows are among them, else of everything. It does not reject
   * where the bucket is the wrong one: `incompleteBecause` says so afterwards, and the query is refused for that.
   */
  async refreshForReader(caller: AbortSignal, fromMs: number = -Infinity): Promise<void> {
    // One window more than the LIST has: the hour may end before it begins.
    const isNewest = windowStartOf(Math.max(0, fromMs)) > this.#newestFromMs;
    await untilAborted(this.#list({ isWhole: !isNewest }), caller).catch((error: unknown) => {
      if (!(error instanceof NotOurs)) throw error;
    });
  }

  /** Lists these windows, by LISTs that begin after this call; everything, where there are many. Rejects where the bucket is not the right one, or does not answer. */
  async listWindows(windows: readonly WindowRef[], caller: AbortSignal): Promise<void> {
    if (windows.length > SETTLING_WINDOWS_MAX) return this.refresh(caller);
    await untilAborted(this.#trust.ensure(this.#stopped.signal), caller);
    const signal = AbortSignal.any([caller, this.#stopped.signal]);
    // A doubt that one leaves is settled by the next LIST of the newest windows.
    for (const { tenant, windowStartMs } of windows) await this.#modules.catalog.refresh(signal, { own: () => this.#ownOrdinals(), scope: { kind: "window", tenant, windowStartMs } });
  }

  /** The first of the newest windows. */
  get #newestFromMs(): number {
    return Math.max(0, windowStartOf(this.#modules.clock.nowMs() - NEWEST_MS));
  }

  /** One LIST at a time. Callers that ask while one runs share the next, which lists everything where one of them asked for that. */
  #list({ isWhole }: { readonly isWhole: boolean }): Promise<void> {
    this.#isNextWhole ||= isWhole;
    const begin = (): Promise<void> => {
      this.#nextListing = undefined;
      const what = { isWhole: this.#isNextWhole };
      this.#isNextWhole = false;
      const listing = this.#listOnce(what).finally(() => {
        if (this.#listing === listing) this.#listing = undefined;
      });
      this.#listing = listing;
      return listing;
    };
    if (this.#listing === undefined) return begin();
    return (this.#nextListing ??= this.#listing.then(begin, begin));
  }

  async #listOnce({ isWhole }: { readonly isWhole: boolean }): Promise<void> {
    const { clock } = this.#modules;
    const { signal } = this.#stopped;
    try {
      await this.#trust.ensure(signal);
      const isWholeDue = isWhole || !this.#isListed || this.#isListOld || clock.monotonicMs() - this.#wholeListMs >= WHOLE_LIST_INTERVAL_MS;
      const scope: ListScope = isWholeDue ? { kind: "all" } : { kind: "since", windowStartMs: this.#newestFromMs };
      const beganMs = clock.monotonicMs();
      const answersBeganMs = (this.#modules.answerClock ?? clock).monotonicMs();
      this.#isInDoubt = await this.#listAndSettle(scope, signal);
      if (scope.kind === "since") this.#newestList = { beganMs: answersBeganMs, fromWindowMs: scope.windowStartMs };
      else this.#wholeListBeganMs = answersBeganMs;
      if (isWholeDue) this.#wholeListMs = beganMs;
      this.#listed = { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
      this.#isListed = true;
      this.#isFailing = false;
      this.#incomplete = undefined;
    } catch (error) {
      this.#isFailing = true;
      // Objects are unknown: all of them where the bucket was never listed, and those for which the catalog had no room.
      if (!signal.aborted && (!this.#isListed || (error instanceof CodedError && error.code === "CATALOG_FULL"))) this.#incomplete = `the bucket could not be listed: ${messageOf(error)}`;
      throw error;
    }
    this.#modules.onListed?.();
    this.#tellGaps();
    await this.#forgetAcknowledged(signal);
  }

  /** Lists, and lists each window in doubt again until none is left, at most `SETTLING_ROUNDS_MAX` times. True where a doubt is left. */
  async #listAndSettle(scope: ListScope, signal: AbortSignal): Promise<boolean> {
    const { catalog, clock, forgetObject, logger, renumber } = this.#modules;
    const options = { own: () => this.#ownOrdinals(), turns: new Turns({ clock }) };
    const first = await catalog.refresh(signal, { ...options, scope });
    let { doubts, storeConflicts } = first;
    for (const key of first.changedKeys) forgetObject(key);
    if (scope.kind === "since") doubts = [...doubts, ...this.#windowsWithGaps(scope.windowStartMs, SETTLING_WINDOWS_MAX - doubts.length)];
    for (let round = 1; doubts.length > 0 && round <= SETTLING_ROUNDS_MAX; round++) {
      const left = new Map<string, WindowRef>();
      const scopes: ListScope[] = doubts.length > SETTLING_WINDOWS_MAX ? [{ kind: "all" }] : doubts.map((window) => ({ kind: "window", ...window }));
      for (const window of scopes) {
        const outcome = await catalog.refresh(signal, { ...options, scope: window });
        for (const doubt of outcome.doubts) left.set(`${doubt.windowStartMs}/${doubt.tenant}`, doubt);
        storeConflicts = [...storeConflicts, ...outcome.storeConflicts];
        for (const key of outcome.changedKeys) forgetObject(key);
      }
      doubts = [...left.values()];
    }
    if (storeConflicts.length > 0) {
      try {
        await renumber(storeConflicts[0]!);
      } catch (error) {
        signal.throwIfAborted();
        logger.error("another data directory uses this one's store id, and a new id could not be taken; it is tried again at the next LIST", { reason: storeConflicts[0]!, error });
      }
    }
    return doubts.length > 0;
  }

  /** Windows before `beforeMs` with gaps, whose segments may have been restored or forgotten: first those in doubt, then the others in turn. */
  #windowsWithGaps(beforeMs: number, countMax: number): readonly WindowRef[] {
    const [suspected, holes] = [new Map<string, WindowRef>(), new Map<string, WindowRef>()];
    for (const { tenant, windowStartMs, gaps } of this.#modules.catalog.gaps) {
      if (windowStartMs < beforeMs) (gaps.suspected.length > 0 ? suspected : holes).set(`${windowStartMs}/${tenant}`, { tenant, windowStartMs });
    }
    const inTurn = [...holes.values()];
    const from = inTurn.length === 0 ? 0 : this.#gapOffset % inTurn.length;
    const chosen = [...suspected.values(), ...inTurn.slice(from), ...inTurn.slice(0, from)].slice(0, Math.max(0, countMax));
    this.#gapOffset = from + Math.max(0, chosen.length - suspected.size);
    return chosen;
  }

  #ownOrdinals(): OwnOrdinals {
    const { head } = this.#modules;
    return {
      stores: head.ordinals(),
      // In the first format ordinals had holes, so they say nothing of what is missing.
      currentStoreId: head.isFirstFormat ? undefined : toHex(head.storeId),
      pendingKeys: head.sealed().map(({ key }) => key),
      exemptStoreIds: new Set(this.#trust.identity?.firstFormatStores ?? []),
    };
  }

  /** A wall clock that was set forward makes it old as well, which costs a LIST; one that was set back changes nothing. */
  get #isListOld(): boolean {
    const { clock } = this.#modules;
    const { monotonicMs, wallMs } = this.#listed;
    return Math.max(clock.monotonicMs() - monotonicMs, clock.nowMs() - wallMs) > UPLOAD_LIST_AGE_MS_MAX;
  }

  /** Sets the next LIST anew. Called when an upload found that the bucket is the wrong one: the LIST then comes after `RETRY_MS` instead of a minute. */
  #listSooner(): void {
    if (this.#timer === undefined) return; // a LIST is under way and sets the next one, or the node has not started
    this.#timer.cancel();
    this.#listLater();
  }

  #listLater(): void {
    const { clock } = this.#modules;
    if (this.#stopped.signal.aborted) return;
    const delayMs = this.#incomplete !== undefined || (this.#isInDoubt && !this.#isFailing) ? RETRY_MS : this.#isFailing ? RETRY_MS_MAX : LIST_INTERVAL_MS;
    this.#timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#listAndContinue();
    });
  }

  #listAndContinue(): void {
    this.#list({ isWhole: false })
      .catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) this.#modules.logger.warn("the bucket could not be listed", { reason: messageOf(error) });
      })
      .finally(() => this.#listLater());
  }

  /** Checks the identity before an upload, unless it was read less than `IDENTITY_AGE_MS_MAX` ago. Rejects BUCKET_UNAVAILABLE, after which the uploader tries again. */
  async #ensureOursLately(signal: AbortSignal): Promise<void> {
    // Only a LIST shows that this data directory was copied or rolled back. Until then it might upload a segment under an ordinal that is taken.
    if (!this.#isListed) throw new BucketError("BUCKET_UNAVAILABLE", "", "nothing is uploaded before the bucket was listed once since the start");
    // A LIST that ended well calls this too, and finds itself new.
    if (this.#isListOld) {
      await untilAborted(this.#list({ isWhole: true }), signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw new BucketError("BUCKET_UNAVAILABLE", "", `nothing is uploaded before the bucket was listed again, since this node stood still or the bucket was out of reach: ${messageOf(error)}`, error);
      });
    }
    // The uploader tries again later: the right bucket may be back then.
    await this.#identifyLately("nothing is uploaded", signal);
  }

  /** Rejects BUCKET_UNAVAILABLE where it is not known that this is the right bucket. For objects that no LIST of segments shows: one that is missing from another bucket is not gone. */
  ensureOurs(signal: AbortSignal): Promise<void> {
    return this.#identifyLately("the bucket is not read", signal);
  }

  async #identifyLately(otherwise: string, signal: AbortSignal): Promise<void> {
    if (this.#modules.clock.monotonicMs() - this.#trust.identifiedMs < IDENTITY_AGE_MS_MAX) return;
    try {
      await untilAborted(this.#trust.ensure(this.#stopped.signal), signal);
    } catch (error) {
      if (error instanceof NotOurs) throw new BucketError("BUCKET_UNAVAILABLE", "", `${otherwise}: ${error.message}`, error);
      throw error;
    }
  }

  /** Until the bucket was found to be the right one again, no LIST is believed. */
  #onDistrusted(reason: string): void {
    this.#incomplete = reason;
    this.#listSooner();
  }

  #refusal(error: NotOurs): CodedError {
    return new CodedError({
      code: error.code,
      kind: "failed_precondition",
      message: `--bucket ${this.#options.setting === "" ? "(default)" : this.#options.setting}: ${error.message}`,
      cause: error,
    });
  }

  // --- missing segments -------------------------------------------------------------------------------------------

  #tellGaps(): void {
    const { catalog, logger } = this.#modules;
    const { gaps } = catalog;
    const told = gaps.map(describeGap).join("; ");
    if (told === this.#toldGaps) return;
    this.#toldGaps = told;
    if (gaps.length === 0) logger.info("no segment is missing from the bucket any more");
    else logger.error("segments are missing from the bucket: queries over their windows are refused until they are restored or their loss is accepted (pyromesh bucket forget)", { windows: gaps.length, missing: gaps.slice(0, NAMED_GAPS_MAX).map((gap) => `tenant ${gap.tenant}, ${describeGap(gap)}`) });
  }

  /**
   * Puts a `forgotten` mark beside each `lost` mark of this data dir, once an operator has acknowledged all quarantines: each such loss was
   * quarantined, and is accepted with it. Marks that cannot be put now are put after the next LIST.
   */
  async #forgetAcknowledged(signal: AbortSignal): Promise<void> {
    const { catalog, clock, head, logger } = this.#modules;
    if (head.quarantine().length > 0) return;
    const own = this.#trust.ownStoreIds();
    const marks = [...catalog.marks()].filter(({ storeId }) => own.has(storeId));
    const idOf = ({ tenant, windowStartMs, storeId, ordinal }: (typeof marks)[number]): string => `${tenant}/${windowStartMs}/${storeId}/${ordinal}`;
    const forgotten = new Set(marks.filter(({ mark }) => mark === "forgotten").map(idOf));
    const lost = marks.filter((meta) => meta.mark === "lost" && !forgotten.has(idOf(meta)));
    if (lost.length === 0) return;
    try {
      const windows = new Map<string, WindowRef>();
      for (const meta of lost) {
        await this.guarded.put(markKey({ ...meta, mark: "forgotten" }), forgottenText("the quarantine of its loss was acknowledged", clock.nowMs()), {}, signal);
        windows.set(`${meta.windowStartMs}/${meta.tenant}`, meta);
      }
      for (const { tenant, windowStartMs } of windows.values()) await catalog.refresh(signal, { own: () => this.#ownOrdinals(), scope: { kind: "window", tenant, windowStartMs } });
      logger.info("lost segments are marked as forgotten, since their quarantine was acknowledged", { segments: lost.length });
    } catch (error) {
      if (!signal.aborted) logger.warn("lost segments could not be marked as forgotten; it is tried again after the next LIST", { reason: messageOf(error) });
    }
  }

  /** Call it after an operator acknowledged the quarantine. Waits for the bucket at most `ANSWER_TIMEOUT_MS` and does not reject: the next LIST tries again. */
  async onQuarantineAcknowledged(): Promise<void> {
    const { signal } = this.#stopped;
    await this.#withinAnswerTime(this.#forgetAcknowledged(signal), signal).catch(() => undefined);
    this.#tellGaps();
  }

  #withinAnswerTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const lateError = (): CodedError => unavailable("BUCKET_SLOW", `it did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`);
    const { answerClock, clock } = this.#modules;
    return within(work, { timeoutMs: ANSWER_TIMEOUT_MS, lateError }, { clock: answerClock ?? clock, signal });
  }
}
