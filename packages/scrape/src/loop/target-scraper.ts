/**
 * Scrapes one target for as long as this node owns it: waits for its time, asks, stores, and begins again.
 *
 *   due ──hold?──► turn among all targets ──► ask, within the timeout ──hold unbroken?──► store ──► next time
 *             no: it is looked at again a moment later             no: the answer is dropped, and the next one is a first
 *
 * What must stay true: of a cumulative profile, what is stored is the difference between two answers that were read under one unbroken hold; so no time is counted
 * by two members. An answer that could not be stored is sent again as it is, which counts once by its identity, for as long as an interval; then it is given up.
 * Where it is certain that nothing of it was stored (a rate limit, an overload), the next answer is compared with the one before it, for up to BEFORE_AGE_MS_MAX, and
 * the difference covers both. Else the next answer is compared with the one that was given up: a part of that may be stored, and would be counted twice.
 */
import { CodedError, messageOf, retryDelayMs, unavailable } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import type { HttpFetch } from "../http/http-get.ts";
import type { ScrapeTarget } from "../target.ts";
import { scrapeAnswer } from "./scrape-answer.ts";
import type { AnswerMemory } from "./scrape-answer.ts";
import type { ScrapeMetrics, ScrapeOutcome } from "./scrape-metrics.ts";
import { NothingStored } from "./nothing-stored.ts";
import { firstDelayMs, nextDueMs } from "./scrape-times.ts";
import type { HoldWatch, TargetHold, TargetHolds } from "./target-holds.ts";
import type { Turnstile } from "./turnstile.ts";

export interface ScrapedAnswer {
  readonly target: ScrapeTarget;
  /** A pprof, gzipped or not. */
  readonly body: Uint8Array;
  /** Set where the profile is cumulative: the answer before. */
  readonly counters: { readonly before: Uint8Array | undefined } | undefined;
  /** The wall clock when it was asked for. */
  readonly timeNs: bigint;
}

/** Resolves when the answer is stored. Rejects with NothingStored where it certainly was not; the error, or its reason, has the kind `unavailable` where it may be sent again. */
export type StoreAnswer = (answer: ScrapedAnswer, signal: AbortSignal) => Promise<void>;

export interface ScraperState {
  readonly health: "up" | "down" | "unknown";
  /** In words; "": the last scrape was stored. */
  readonly lastError: string;
  /** The wall clock when it began. Undefined: it was not scraped yet. */
  readonly lastScrapeMs: number | undefined;
  readonly lastDurationMs: number;
  /** By the wall clock. Undefined: a scrape is under way. */
  readonly nextScrapeMs: number | undefined;
  /** The target is another member's until that one's hold has ended. */
  readonly isWaiting: boolean;
}

/**
 * Where a scrape waits for its turn. One that measures holds its place for an interval, and one that is not answered until its time is over: neither may keep the
 * others waiting.
 */
export type Lane = "quick" | "measuring" | "silent";

export interface ScraperModules {
  readonly clock: Clock;
  readonly fetch: HttpFetch;
  readonly holds: TargetHolds;
  readonly memory: AnswerMemory;
  readonly turns: Readonly<Record<Lane, Turnstile>>;
  readonly store: StoreAnswer;
  readonly metrics: ScrapeMetrics;
}

/** How long until a target whose hold is another member's is looked at again. */
const HOLD_LOOK_MS = 500;
const STORE_RETRY = { firstMs: 500, maxMs: 5_000 } as const;
/** How old the answer may be to which a difference is made again. Beyond it, and two intervals, what was counted since is lost: it would be shown as of one moment. */
const BEFORE_AGE_MS_MAX = 600_000;

interface KeptAnswer {
  readonly body: Uint8Array;
  readonly hold: TargetHold;
  /** Since before it was asked for. */
  readonly watch: HoldWatch;
  /** By the monotonic clock. */
  readonly readMs: number;
  /** It was stored, so it is a profile. */
  readonly isStored: boolean;
}

/** How a scrape ended, and what is shown of it: "", or an error in words. */
interface ScrapeEnd {
  readonly outcome: ScrapeOutcome;
  readonly lastError: string;
}

export class TargetScraper {
  readonly target: ScrapeTarget;
  readonly #modules: ScraperModules;
  readonly #stopped = new AbortController();
  #timer: Timer | undefined;
  /** By the monotonic clock. */
  #dueMs: number;
  #before: KeptAnswer | undefined;
  /** It was not answered in time when it was asked last. */
  #isSilent = false;
  #state: ScraperState = { health: "unknown", lastError: "", lastScrapeMs: undefined, lastDurationMs: 0, nextScrapeMs: undefined, isWaiting: false };

  constructor(target: ScrapeTarget, modules: ScraperModules) {
    const { clock } = modules;
    this.target = target;
    this.#modules = modules;
    this.#dueMs = clock.monotonicMs() + firstDelayMs(target.key, target.intervalMs, clock.nowMs());
    this.#wait();
  }

  get state(): ScraperState {
    return this.#state;
  }

  /** Bytes that it keeps of the last answer. */
  get keptBytes(): number {
    return this.#before?.body.length ?? 0;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#compareWith(undefined);
    this.#stopped.abort(new CodedError({ code: "SCRAPE_STOPPED", kind: "canceled", message: "the target is not scraped here any more" }));
  }

  #wait(): void {
    if (this.#stopped.signal.aborted) return;
    const { clock } = this.#modules;
    const delayMs = Math.max(0, this.#dueMs - clock.monotonicMs());
    this.#state = { ...this.#state, nextScrapeMs: clock.nowMs() + delayMs };
    this.#timer = clock.after(delayMs, () => void this.#turn());
  }

  async #turn(): Promise<void> {
    const { clock, holds } = this.#modules;
    const { intervalMs, profile } = this.target;
    const hold = holds.holdOf(this.target.key);
    if (hold === undefined) {
      this.#compareWith(undefined);
      this.#state = { ...this.#state, isWaiting: true };
      this.#dueMs = clock.monotonicMs() + Math.min(HOLD_LOOK_MS, intervalMs);
      return this.#wait();
    }
    if (this.#state.isWaiting) {
      // The hold has come. From now on the target is scraped at its place in the interval; of a cumulative profile the baseline is read at once.
      this.#state = { ...this.#state, isWaiting: false };
      this.#dueMs = clock.monotonicMs() + firstDelayMs(this.target.key, intervalMs, clock.nowMs());
      if (!profile.isCumulative) return this.#wait();
      this.#dueMs -= intervalMs;
    }
    const startedMs = clock.monotonicMs();
    const startedWallMs = clock.nowMs();
    this.#state = { ...this.#state, nextScrapeMs: undefined };
    const { outcome, lastError } = await this.#scrape(hold).catch((error: unknown): ScrapeEnd => ({ outcome: "failed", lastError: messageOf(error) }));
    if (this.#stopped.signal.aborted) return;
    const lastDurationMs = clock.monotonicMs() - startedMs;
    this.#modules.metrics.scraped(this.target.job.jobName, outcome, lastDurationMs);
    this.#state = { ...this.#state, health: outcome === "stored" ? "up" : "down", lastError, lastScrapeMs: startedWallMs, lastDurationMs };
    this.#dueMs = nextDueMs(this.#dueMs, clock.monotonicMs(), { intervalMs, isContinuous: profile.delta });
    this.#wait();
  }

  /** Rejects where there is no answer. */
  async #scrape(hold: TargetHold): Promise<ScrapeEnd> {
    const { clock, holds, metrics, turns } = this.#modules;
    const { job, key, profile } = this.target;
    const { body, timeNs, watch } = await turns[this.#lane].run(this.#stopped.signal, async () => {
      const timeNs = clock.nowNs();
      const watch = this.#holds(hold) ? holds.watch(key) : undefined;
      // Without a hold nobody is asked: a profile of what happened since the last request (godeltaprof) would be lost to the member that has the hold.
      if (watch === undefined) throw unavailable("SCRAPE_HOLD_ENDED", "this node's hold on the target ended while the scrape waited for its turn: the program was not asked");
      return { timeNs, watch, body: await this.#ask() };
    });
    metrics.read(job.jobName, body.length);
    const before = this.#before?.hold === hold ? this.#before : undefined;
    // Of a cumulative profile the difference covers the time since the answer before, so the hold must be unbroken since then.
    const isUnbroken = this.#holds(hold) && (await (before?.watch ?? watch).wasUnbroken(this.#stopped.signal));
    this.#stopped.signal.throwIfAborted(); // `stop` has given back what is kept, and nobody would give back more
    if (!isUnbroken) return { outcome: "lost", lastError: "this node's hold on the target ended while it was scraped: the answer is dropped, since another member may have asked meanwhile" };
    if (profile.isCumulative && !this.#compareWith({ body, hold, watch, readMs: clock.monotonicMs(), isStored: false })) {
      throw unavailable("SCRAPE_NO_MEMORY", "the last answers of other targets take all memory that scraping has: scrape fewer targets on this node, or start more nodes");
    }
    try {
      await this.#store({ target: this.target, body, counters: profile.isCumulative ? { before: before?.body } : undefined, timeNs });
      if (this.#before !== undefined) this.#before = { ...this.#before, isStored: true };
      return { outcome: "stored", lastError: "" };
    } catch (error) {
      return this.#notStored(error, before);
    }
  }

  /** What becomes of an answer that was not stored: the next one of a cumulative profile may cover it. */
  #notStored(error: unknown, before: KeptAnswer | undefined): ScrapeEnd {
    const { clock } = this.#modules;
    const { intervalMs, profile } = this.target;
    const reason = messageOf(error instanceof NothingStored ? error.reason : error);
    if (this.#stopped.signal.aborted) return { outcome: "failed", lastError: reason };
    if (profile.isCumulative && error instanceof NothingStored) {
      const isYoung = before !== undefined && clock.monotonicMs() - before.readMs <= Math.max(BEFORE_AGE_MS_MAX, 2 * intervalMs);
      if (error.isAnswerAtFault) {
        // The answer before may be at fault as well, if it was never stored, or if a limit was lowered since. Then every difference to it would be refused: it is dropped.
        this.#compareWith(isYoung && before.isStored ? before : undefined);
        return { outcome: "failed", lastError: reason };
      }
      if (before === undefined) return { outcome: "failed", lastError: reason }; // of a first answer no difference is lost
      if (isYoung && this.#compareWith(before)) return { outcome: "postponed", lastError: `${reason} (its cumulative values are not lost: the next scrape covers them)` };
    }
    return { outcome: "lost", lastError: `${reason} (what the program answered is lost)` };
  }

  /** Keeps the answer that the next one is compared with, in place of the one before. False: there is no memory for it, and the next one is a first one. */
  #compareWith(next: KeptAnswer | undefined): boolean {
    const { memory } = this.#modules;
    const isKept = memory.keep((next?.body.length ?? 0) - this.keptBytes);
    if (!isKept) memory.keep(-this.keptBytes);
    this.#before = isKept ? next : undefined;
    return isKept;
  }

  get #lane(): Lane {
    if (this.#isSilent) return "silent";
    return this.target.profile.delta ? "measuring" : "quick";
  }

  #holds(hold: TargetHold): boolean {
    return this.#modules.holds.holdOf(this.target.key) === hold;
  }

  async #ask(): Promise<Uint8Array> {
    const { clock } = this.#modules;
    const { timeoutMs } = this.target;
    const ended = new AbortController();
    const late = clock.after(timeoutMs, () => ended.abort(new CodedError({ code: "SCRAPE_TIMEOUT", kind: "deadline_exceeded", message: `the program has not answered within ${timeoutMs / 1000} s (scrape_timeout)` })));
    try {
      return await scrapeAnswer(this.target, AbortSignal.any([ended.signal, this.#stopped.signal]), this.#modules);
    } catch (error) {
      // Of a request that was ended, the reason says more than what the connection says.
      throw ended.signal.aborted ? ended.signal.reason : error;
    } finally {
      late.cancel();
      this.#isSilent = ended.signal.aborted;
    }
  }

  /** The same bytes each time, so they have the same identity. Rejects with NothingStored where no try may have stored anything. */
  async #store(answer: ScrapedAnswer): Promise<void> {
    const { clock, store } = this.#modules;
    const untilMs = clock.monotonicMs() + this.target.intervalMs;
    let mayBeStored = false;
    for (let failureCount = 1; ; failureCount++) {
      try {
        return await store(answer, this.#stopped.signal);
      } catch (error) {
        mayBeStored ||= !(error instanceof NothingStored);
        const reason = error instanceof NothingStored ? error.reason : error;
        const mayRetry = reason instanceof CodedError && reason.kind === "unavailable";
        const delayMs = retryDelayMs(failureCount, STORE_RETRY);
        if (!mayRetry || clock.monotonicMs() + delayMs >= untilMs) throw mayBeStored ? reason : error;
        await clock.sleep(delayMs, this.#stopped.signal);
      }
    }
  }
}
