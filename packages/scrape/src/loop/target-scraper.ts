/**
 * Scrapes one target for as long as this node owns it: waits for its time, asks, stores, and begins again.
 *
 *   due ──hold?──► turn among all targets ──► ask, within the timeout ──hold still the same?──► store ──► next time
 *             no: it is looked at again a moment later             no: the answer is dropped, and the next one is a first
 *
 * What must stay true: of a target that counts from its start, what is stored is the difference between two answers that were read under one unbroken hold;
 * so no time is counted by two members. What could not be stored is sent again as it is, which counts once by its identity, for as long as an interval;
 * then it is given up, and the next difference begins behind it: added to it, it could count twice.
 */
import { CodedError, messageOf, retryDelayMs, unavailable } from "@pyromesh/base";
import type { Clock, Timer } from "@pyromesh/base";
import type { HttpFetch } from "../http/http-get.ts";
import type { ScrapeTarget } from "../target.ts";
import { scrapeAnswer } from "./scrape-answer.ts";
import type { AnswerMemory } from "./scrape-answer.ts";
import type { ScrapeMetrics } from "./scrape-metrics.ts";
import { firstDelayMs, nextDueMs } from "./scrape-times.ts";
import type { TargetHold, TargetHolds } from "./target-holds.ts";
import type { Turnstile } from "./turnstile.ts";

export interface ScrapedAnswer {
  readonly target: ScrapeTarget;
  /** A pprof, gzipped or not. */
  readonly body: Uint8Array;
  /** Set where the profile counts from the program's start: the answer before. */
  readonly counters: { readonly before: Uint8Array | undefined } | undefined;
  /** The wall clock when it was asked for. */
  readonly timeNs: bigint;
}

/** Resolves when the answer is stored. Rejects with kind `unavailable` where it may be sent again. */
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

export interface ScraperModules {
  readonly clock: Clock;
  readonly fetch: HttpFetch;
  readonly holds: TargetHolds;
  readonly memory: AnswerMemory;
  readonly turns: Turnstile;
  readonly store: StoreAnswer;
  readonly metrics: ScrapeMetrics;
}

/** How long until a target whose hold is another member's is looked at again. */
const HOLD_LOOK_MS = 500;
const STORE_RETRY = { firstMs: 500, maxMs: 5_000 } as const;

export class TargetScraper {
  readonly target: ScrapeTarget;
  readonly #modules: ScraperModules;
  readonly #stopped = new AbortController();
  #timer: Timer | undefined;
  /** By the monotonic clock. */
  #dueMs: number;
  #before: { readonly body: Uint8Array; readonly hold: TargetHold } | undefined;
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
    this.#before = undefined;
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
      this.#before = undefined;
      this.#state = { ...this.#state, isWaiting: true };
      this.#dueMs = clock.monotonicMs() + Math.min(HOLD_LOOK_MS, intervalMs);
      return this.#wait();
    }
    if (this.#state.isWaiting) {
      // Back to its place in the interval; what counts is asked for at once besides, so that the first difference begins now.
      this.#state = { ...this.#state, isWaiting: false };
      this.#dueMs = clock.monotonicMs() + firstDelayMs(this.target.key, intervalMs, clock.nowMs());
      if (!profile.isCumulative) return this.#wait();
      this.#dueMs -= intervalMs;
    }
    const startedMs = clock.monotonicMs();
    const startedWallMs = clock.nowMs();
    this.#state = { ...this.#state, nextScrapeMs: undefined };
    let lastError = "";
    try {
      await this.#scrape(hold);
    } catch (error) {
      lastError = messageOf(error);
    }
    if (this.#stopped.signal.aborted) return;
    const lastDurationMs = clock.monotonicMs() - startedMs;
    this.#modules.metrics.scraped(this.target.job.jobName, lastError === "" ? "stored" : "failed", lastDurationMs);
    this.#state = { ...this.#state, health: lastError === "" ? "up" : "down", lastError, lastScrapeMs: startedWallMs, lastDurationMs };
    this.#dueMs = nextDueMs(this.#dueMs, clock.monotonicMs(), { intervalMs, isContinuous: profile.delta });
    this.#wait();
  }

  async #scrape(hold: TargetHold): Promise<void> {
    const { clock, metrics, turns } = this.#modules;
    const { job, profile } = this.target;
    let timeNs = 0n;
    const body = await turns.run(this.#stopped.signal, () => {
      timeNs = clock.nowNs();
      return this.#ask();
    });
    metrics.read(job.jobName, body.length);
    if (!this.#holds(hold)) throw new CodedError({ code: "SCRAPE_HOLD_LOST", kind: "unavailable", message: "this node's hold on the target ended while it was scraped: the answer is dropped, since another member may have asked meanwhile" });
    const before = this.#before?.hold === hold ? this.#before.body : undefined;
    if (profile.isCumulative) this.#keep(body, hold);
    await this.#store({ target: this.target, body, counters: profile.isCumulative ? { before } : undefined, timeNs });
  }

  /** What the next answer is compared with. Throws SCRAPE_NO_MEMORY. */
  #keep(body: Uint8Array, hold: TargetHold): void {
    const addedBytes = body.length - this.keptBytes;
    if (!this.#modules.memory.mayKeep(addedBytes)) {
      this.#before = undefined;
      throw unavailable("SCRAPE_NO_MEMORY", "the last answers of other targets take all memory that scraping has: scrape fewer targets on this node, or start more nodes");
    }
    this.#before = { body, hold };
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
    }
  }

  /** The same bytes each time, so they have the same identity. */
  async #store(answer: ScrapedAnswer): Promise<void> {
    const { clock, store } = this.#modules;
    const untilMs = clock.monotonicMs() + this.target.intervalMs;
    for (let failureCount = 1; ; failureCount++) {
      try {
        return await store(answer, this.#stopped.signal);
      } catch (error) {
        const mayRetry = error instanceof CodedError && error.kind === "unavailable";
        const delayMs = retryDelayMs(failureCount, STORE_RETRY);
        if (!mayRetry || clock.monotonicMs() + delayMs >= untilMs) throw error;
        await clock.sleep(delayMs, this.#stopped.signal);
      }
    }
  }
}
