/**
 * A bucket on a simulated network. A call takes some time and takes effect at a moment within it; it may fail before that moment or after
 * it. The bucket outlives the runs of a node: what a dead node requested may still take effect.
 */
import { setMaxListeners } from "node:events";
import { BucketError, MemoryBucket, pagedList } from "@pyromesh/block";
import type { Bucket, BucketObject, ListOptions, Page, PageRequest, PutOptions } from "@pyromesh/block";
import type { Clock } from "@pyromesh/base";
import { Violation } from "../check/violation.ts";
import type { Chance } from "./chance.ts";
import type { CallFault, Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { WORLD } from "./scheduler.ts";

export interface SimBucketModules {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly journal: Journal;
  readonly clock: Clock;
  /** How many times as often the node tries uploads as in a real world. */
  readonly speed: number;
  readonly fail: (error: Error) => void;
  /** It says what time it is, as S3 does; a folder does not. */
  readonly hasDate: boolean;
}

/** Is told what became of objects, in the moment in which it did. */
export interface BucketListener {
  put(key: string, bytes: Uint8Array): void;
  /** `run`: who asked for it. */
  deleted(key: string, run: BucketUser): void;
}

/** One run of a node. */
export interface BucketUser {
  readonly life: Life;
  readonly host: string;
}

const IDENTITY_KEY = "pyromesh-bucket.json";

/** How far back a stale LIST looks, at most. */
export const STALE_MS_MAX = 20_000;

export class SimBucket {
  readonly #objects: MemoryBucket;
  /** When each key was first put. */
  readonly #putMs = new Map<string, number>();
  readonly #chance: Chance;
  readonly #modules: SimBucketModules;
  availability: "up" | "unreachable" | "503" = "up";
  /** Hosts of machines that cannot reach it. */
  readonly unreachableFrom: Set<string> = new Set();
  /** Each call takes up to so much longer. */
  moreMsMax = 0;
  /** Keys that cannot be read or listed: as if someone had deleted them, and will restore them. */
  readonly hidden: Set<string> = new Set();
  /** Key -> the key whose bytes are read in its place. */
  readonly mixedUp: Map<string, string> = new Map();
  /** All keys that have been in `mixedUp`. */
  readonly everMixedUp: Set<string> = new Set();
  /** Puts under this prefix are refused with BUCKET_FORBIDDEN. */
  forbiddenPrefix: string | undefined;
  listener: BucketListener | undefined;
  /** What was put before is in every LIST that begins later. */
  #shownBeforeMs = -Infinity;
  /** By key: how many puts in a row failed, and when the first of them did. */
  readonly failedPuts: Map<string, { count: number; readonly sinceMs: number }> = new Map();

  constructor(chance: Chance, modules: SimBucketModules) {
    this.#chance = chance;
    this.#modules = modules;
    this.#objects = new MemoryBucket(modules);
  }

  /** For the checkers: without delays and faults. */
  get contents(): MemoryBucket {
    return this.#objects;
  }

  get hasIdentity(): boolean {
    return this.#putMs.has(IDENTITY_KEY);
  }

  /**
   * A store starts that does not know into which objects its records went, or one has left or is cleared. For these objects a reader may have its own LIST alone, so from now on no LIST
   * lacks what was put before (decision 0021: there a LIST must not be late).
   */
  showWhatWasPut(): void {
    this.#shownBeforeMs = this.#modules.scheduler.nowMs;
  }

  mixUp(key: string, other: string): void {
    this.mixedUp.set(key, other);
    this.everMixedUp.add(key);
  }

  /** The bucket as one run of the node sees it. */
  openFor(run: BucketUser): Bucket {
    const call = <T>(name: string, signal: AbortSignal, faults: CallFaults, effect: () => Promise<T>): Promise<T> => this.#call(run, name, signal, faults, effect);
    const objects = this.#objects;
    return {
      name: "sim:",
      create: (signal) => call("create", signal, {}, () => objects.create(signal)),
      check: (signal) => call("check", signal, {}, () => objects.check(signal)),
      get: (key, signal) => call(`get ${key}`, signal, GET, () => objects.get(this.#foundAs(key), signal)),
      getRange: (key, offset, lengthBytes, signal) => (lengthBytes === 0 ? Promise.resolve(new Uint8Array(0)) : call(`get ${key} ${offset}+${lengthBytes}`, signal, GET, () => objects.getRange(this.#foundAs(key), offset, lengthBytes, signal))),
      head: (key, signal) => call(`head ${key}`, signal, GET, () => objects.head(this.#foundAs(key), signal)),
      put: (key, bytes, options, signal) => this.#put(run, key, bytes, options, signal),
      list: (prefix, options, signal) => this.#list(run, prefix, options, signal),
      delete: (key, signal) =>
        call(`delete ${key}`, signal, DELETE, async () => {
          await objects.delete(key, signal);
          this.listener?.deleted(key, run);
        }),
      ...(this.#modules.hasDate && { dateMs: (signal: AbortSignal) => call("date", signal, {}, async () => Math.floor(this.#modules.clock.nowMs() / 1000) * 1000) }),
      close: () => Promise.resolve(),
    };
  }

  /** The key whose bytes a read of `key` returns now. */
  #foundAs(key: string): string {
    return this.hidden.has(key) ? `${key}.hidden` : (this.mixedUp.get(key) ?? key);
  }

  async #put(run: BucketUser, key: string, bytes: Uint8Array, options: PutOptions, signal: AbortSignal): Promise<{ readonly isCreated: boolean }> {
    const copy = Uint8Array.from(bytes);
    const isForbidden = this.forbiddenPrefix !== undefined && key.startsWith(this.forbiddenPrefix);
    const put = this.#call(run, `put ${key}`, signal, PUT, async () => {
      if (isForbidden) throw new BucketError("BUCKET_FORBIDDEN", key, `the bucket does not let us put ${key}`);
      // A caller that gives up does not stop a put that was sent.
      const outcome = await this.#objects.put(key, copy, options, NEVER);
      if (!this.#putMs.has(key)) this.#putMs.set(key, this.#modules.scheduler.nowMs);
      this.listener?.put(key, copy);
      return outcome;
    });
    put.then(
      () => this.failedPuts.delete(key),
      () => this.#noteFailedPut(key),
    );
    return put;
  }

  /** Fails the seed when an upload is tried too often: the node must pause between tries, longer each time, up to 15 s divided by `speed`. */
  #noteFailedPut(key: string): void {
    const { fail, scheduler, speed } = this.#modules;
    const failed = this.failedPuts.get(key) ?? { count: 0, sinceMs: scheduler.nowMs };
    this.failedPuts.set(key, failed);
    failed.count++;
    const elapsedMs = scheduler.nowMs - failed.sinceMs;
    // 12 for the first tries, whose pauses are short; three for each longest pause, for some tolerance; one for each 2 s, since each POST /flush tries once.
    const countMax = 12 + (3 * elapsedMs * speed) / 15_000 + elapsedMs / 2_000;
    if (failed.count > countMax) fail(new Violation("bounded", `${key} was put ${failed.count} times in ${Math.round(elapsedMs)} ms of failures`));
  }

  /**
   * The pages are followed by the product's own code, as those of S3 are. Fails the seed when a LIST ends well and lacks what was there when
   * it began.
   */
  async *#list(run: BucketUser, prefix: string, options: ListOptions, signal: AbortSignal): AsyncIterable<readonly BucketObject[]> {
    const { faults, scheduler } = this.#modules;
    const asOfMs = faults.comes("bucket list is stale") ? Math.max(this.#shownBeforeMs, scheduler.nowMs - this.#chance.between(0, STALE_MS_MAX)) : Infinity;
    // Pages are short, so that other events happen between two of them.
    const pageLength = this.#chance.int(1, 40);
    let pageCount = 0;
    const missing = new Set<string>();
    for await (const page of this.#objects.list(prefix, { ...options, limit: Infinity }, signal)) for (const { key } of page) missing.add(key);
    const fetchPage = ({ startAfter, token, lengthMax }: PageRequest): Promise<Page> => {
      // A token is the number of its page, which makes it unlike the others of this LIST, and the key after which to go on.
      const from = token === undefined ? startAfter : token.slice(token.indexOf(" ") + 1);
      const tokenAfter = (key: string): string => `${++pageCount} ${key}`;
      return this.#call(run, `list ${prefix} after ${from}`, signal, LIST, async () => {
        // No token, or the one that was sent: neither leads on.
        if (faults.comes("bucket list loses its place")) return { objects: [], isTruncated: true, nextToken: token };
        if (faults.comes("bucket list page is empty")) return { objects: [], isTruncated: true, nextToken: tokenAfter(from) };
        const length = Math.min(pageLength, lengthMax);
        const found: BucketObject[] = [];
        for await (const page of this.#objects.list(prefix, { startAfter: from, limit: length + 1 }, signal)) found.push(...page);
        const passed = found.slice(0, length);
        // A page may be empty, and not the last, where all of its keys are hidden or too new for a stale LIST.
        const objects = passed.filter(({ key }) => !this.hidden.has(key) && (this.#putMs.get(key) ?? 0) <= asOfMs);
        for (const { key } of passed) missing.delete(key); // also those that this page does not show: the store says that they are not there
        return { objects, isTruncated: found.length > length, nextToken: tokenAfter(passed.at(-1)?.key ?? from) };
      });
    };
    yield* pagedList(fetchPage, { ...options, bucket: "sim:", prefix });
    if (options.limit !== undefined || missing.size === 0) return;
    const left = new Set<string>();
    for await (const page of this.#objects.list(prefix, {}, signal)) for (const { key } of page) if (missing.has(key)) left.add(key); // the others were deleted meanwhile
    if (left.size > 0) this.#modules.fail(new Violation("lists-are-whole", `a LIST of ${prefix} ended without an error and without ${[...left][0]} and ${left.size - 1} other keys`));
  }

  /** The effect happens in the middle of the call, even if the caller gives up or dies meanwhile; the reply may be lost. */
  #call<T>({ host, life }: BucketUser, name: string, signal: AbortSignal, kinds: CallFaults, effect: () => Promise<T>): Promise<T> {
    const { scheduler, faults, journal } = this.#modules;
    const chance = this.#chance;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      let isSettled = false;
      const settle = (how: string, run: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        signal.removeEventListener("abort", onAbort);
        journal.note("bucket", `${name}: ${how}`);
        run();
      };
      const onAbort = (): void => settle("given up", () => reject(signal.reason as Error));
      setMaxListeners(0, signal); // a query reads many ranges under one signal; each takes its listener away again
      signal.addEventListener("abort", onAbort, { once: true });
      const fail = (why: string): void => settle(why, () => reject(new BucketError("BUCKET_UNAVAILABLE", name, `the bucket could not ${name}: ${why}; it may work again later`)));

      if (this.availability === "503") return void scheduler.after(chance.delay(3), life, () => fail("503"));
      if (this.availability === "unreachable" || this.unreachableFrom.has(host)) {
        // Some calls hang until a timeout, some fail at once.
        if (chance.isTrue(0.5)) scheduler.after(chance.between(100, 10_000), life, () => fail("timeout"));
        else scheduler.after(chance.delay(3), life, () => fail("connection refused"));
        return;
      }
      if (kinds.fails !== undefined && faults.comes(kinds.fails)) return void scheduler.after(chance.delay(5), life, () => fail("500"));
      const isLost = kinds.isKeptAndFails !== undefined && faults.comes(kinds.isKeptAndFails);
      const slowMs = (kinds.isSlow !== undefined && faults.comes(kinds.isSlow) ? faults.slowMs() : 0) + (this.moreMsMax > 0 ? chance.between(0, this.moreMsMax) : 0);
      const wayMs = chance.delay(4) + slowMs;
      scheduler.after(wayMs, WORLD, () => {
        effect().then(
          (outcome) => {
            if (isLost) scheduler.after(chance.delay(4), life, () => fail("done, and the reply was lost"));
            else scheduler.after(chance.delay(4), life, () => settle("done", () => resolve(outcome)));
          },
          (error: unknown) => scheduler.after(chance.delay(4), life, () => settle(error instanceof BucketError ? error.code : "failed", () => reject(error as Error))),
        );
      });
    });
  }
}

interface CallFaults {
  readonly fails?: CallFault;
  readonly isKeptAndFails?: CallFault;
  readonly isSlow?: CallFault;
}

const GET: CallFaults = { fails: "bucket get fails", isSlow: "bucket get is slow" };
const PUT: CallFaults = { fails: "bucket put fails", isKeptAndFails: "bucket put is kept and fails", isSlow: "bucket put is slow" };
const DELETE: CallFaults = { fails: "bucket delete fails" };
const LIST: CallFaults = { fails: "bucket list fails", isSlow: "bucket list is slow" };

const NEVER: AbortSignal = new AbortController().signal;
