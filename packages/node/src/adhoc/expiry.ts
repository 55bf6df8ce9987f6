/**
 * Deletes ad hoc profiles for their age (`limits.max_adhoc_profile_age`). Every node looks now and then, whether it is a member of a cluster or
 * not: two that delete the same one do no harm, and none that looks only delays it.
 *
 *   LIST of adhoc/, a part of it at a time --plan--> too old by its id and by the bucket --clock believed?--> delete
 *
 * What must stay true: nothing is deleted by one clock alone. The time in the id is of the node that took the upload, that in the LIST of the
 * bucket; both must be older than the age by this node's clock, and the very reading of it must agree with others (clock-check.ts).
 */
import { messageOf } from "@pyromesh/base";
import type { Clock, Counter, Logger, Metrics, TenantId, Timer } from "@pyromesh/base";
import type { Bucket, BucketObject } from "@pyromesh/block";
import { openHealth } from "../cluster/health-message.ts";
import type { Cluster } from "../cluster/ports.ts";
import { ADHOC_PREFIX, parseAdHocKey } from "./adhoc-id.ts";
import { clockProblem } from "./clock-check.ts";
import type { ClockReadings } from "./clock-check.ts";

export interface AdHocExpiryModules {
  readonly bucket: Bucket;
  readonly clock: Clock;
  /** Times the pauses between two looks. */
  readonly lookClock: Pick<Clock, "after">;
  readonly cluster: Pick<Cluster, "peers" | "view">;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** 0: for ever. */
  readonly ageMsOf: (tenant: TenantId) => number;
  /** Rejects where it is not known to be the right bucket. */
  readonly ensureOurs: (signal: AbortSignal) => Promise<void>;
}

/** After the start, and after each look. It is not drawn: nodes start at different times. */
const FIRST_LOOK_MS = 15 * 60_000;
const INTERVAL_MS = 3_600_000;
/** Where a look has not seen everything, or its deletions were many. */
const SOON_MS = 60_000;
/** Objects that one look lists, and such that it deletes. The next look goes on behind the last one. */
const LISTED_MAX = 10_000;
const DELETED_MAX = 1_000;
/** Members that are asked for their clocks. */
const MEMBERS_ASKED_MAX = 20;
const MEMBER_TIMEOUT_MS = 2_000;

export class AdHocExpiry {
  readonly #modules: AdHocExpiryModules;
  readonly #stopped = new AbortController();
  /** What the wall clock was ahead of the monotonic one at the start. */
  readonly #startedMs: number;
  readonly #deleted: Counter;
  readonly #disagreed: Counter;
  #after = "";
  #timer: Timer | undefined;
  #look: Promise<unknown> = Promise.resolve();

  constructor(modules: AdHocExpiryModules) {
    const { clock, metrics } = modules;
    this.#modules = modules;
    this.#startedMs = clock.nowMs() - clock.monotonicMs();
    this.#deleted = metrics.counter("pyromesh_adhoc_profiles_deleted_total", "Ad hoc profiles that this node deleted for their age.");
    this.#disagreed = metrics.counter("pyromesh_deletions_stopped_total", "Times that nothing was deleted, since this node's clock was not believed.");
    this.#deleted.add({}, 0);
    this.#disagreed.add({}, 0);
  }

  start(): void {
    this.#schedule(FIRST_LOOK_MS);
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopped.abort();
    await this.#look;
  }

  /** Looks at a part of the bucket. Resolves with whether there is more to do. */
  async look(): Promise<boolean> {
    const { ageMsOf, bucket, ensureOurs, logger } = this.#modules;
    const { signal } = this.#stopped;
    await ensureOurs(signal);
    const { expired, isWhole, last } = await this.#list(signal);
    if (expired.length > 0) {
      const { nowMs, readings } = await this.#readClocks(signal);
      const problem = clockProblem(readings);
      if (problem !== undefined) {
        this.#disagreed.add({});
        logger.error("ad hoc profiles are not deleted for their age: this node's clock is not believed; set it right, or let this node reach its members", { because: problem, nowMs, profiles: expired.length });
        return false;
      }
      // By the reading that was compared: the clock may have been set right since the LIST.
      const old = expired.filter((object) => isExpired(object, nowMs, ageMsOf));
      for (const { key } of old) {
        // Each time, since a thousand deletions take minutes: the bucket is asked again where its last answer is some seconds old.
        await ensureOurs(signal);
        // Where this one cannot be deleted the next look begins behind it, so that it keeps no other from being deleted.
        this.#after = key;
        await bucket.delete(key, signal);
        this.#deleted.add({});
      }
      if (old.length > 0) logger.info("ad hoc profiles were deleted for their age", { profiles: old.length });
    }
    this.#after = isWhole ? "" : last;
    return !isWhole;
  }

  #schedule(delayMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer = this.#modules.lookClock.after(delayMs, () => {
      this.#look = this.look().then(
        (hasMore) => this.#schedule(hasMore ? SOON_MS : INTERVAL_MS),
        (error: unknown) => {
          if (!this.#stopped.signal.aborted) this.#modules.logger.warn("ad hoc profiles could not be looked through for old ones; it is tried again", { reason: messageOf(error), afterMs: INTERVAL_MS });
          this.#schedule(INTERVAL_MS);
        },
      );
    });
  }

  async #list(signal: AbortSignal): Promise<{ readonly expired: readonly BucketObject[]; readonly isWhole: boolean; readonly last: string }> {
    const { ageMsOf, bucket, clock } = this.#modules;
    const expired: BucketObject[] = [];
    let [listedCount, last] = [0, this.#after];
    for await (const page of bucket.list(ADHOC_PREFIX, { limit: LISTED_MAX, ...(this.#after !== "" && { startAfter: this.#after }) }, signal)) {
      for (const object of page) {
        listedCount++;
        last = object.key;
        if (isExpired(object, clock.nowMs(), ageMsOf)) expired.push(object);
        if (expired.length === DELETED_MAX) return { expired, isWhole: false, last };
      }
    }
    return { expired, isWhole: listedCount < LISTED_MAX, last };
  }

  /** `nowMs`: the wall clock's one reading that is compared with the others. */
  async #readClocks(signal: AbortSignal): Promise<{ readonly nowMs: number; readonly readings: ClockReadings }> {
    const { bucket, clock, cluster, logger } = this.#modules;
    const { members, self } = cluster.view;
    const bucketMs = await bucket.dateMs?.(signal);
    // What the others say is kept against the monotonic clock: the wall clock may jump before all have answered.
    const bucketAgainstMs = bucketMs === undefined ? undefined : bucketMs - clock.monotonicMs();
    const membersAgainstMs: number[] = [];
    const others = members.filter(({ name }) => name !== self.name);
    const asked = others.filter(({ state }) => state !== "dead").slice(0, MEMBERS_ASKED_MAX);
    await Promise.all(
      asked.map(async ({ name }) => {
        try {
          const { wallMs } = openHealth(await cluster.peers.request(name, "health", NOTHING, { timeoutMs: MEMBER_TIMEOUT_MS, signal }));
          if (wallMs !== undefined) membersAgainstMs.push(wallMs - clock.monotonicMs());
        } catch (error) {
          logger.debug("a member did not say what time it is", { peer: name, reason: messageOf(error) });
        }
      }),
    );
    const nowMs = clock.nowMs();
    const againstMs = nowMs - clock.monotonicMs();
    return {
      nowMs,
      readings: {
        bucketAheadMs: bucketAgainstMs === undefined ? undefined : bucketAgainstMs - againstMs,
        memberCount: others.length,
        membersAheadMs: membersAgainstMs.map((saidMs) => saidMs - againstMs),
        jumpedMs: againstMs - this.#startedMs,
      },
    };
  }
}

/** What was not made by an upload is left alone, and so is an object of which the bucket says no time (0). */
export function isExpired({ key, lastModifiedMs }: BucketObject, nowMs: number, ageMsOf: (tenant: TenantId) => number): boolean {
  const parsed = parseAdHocKey(key);
  if (parsed === undefined) return false;
  const ageMs = ageMsOf(parsed.tenant);
  return ageMs > 0 && lastModifiedMs > 0 && nowMs - parsed.uploadedAtMs > ageMs && nowMs - lastModifiedMs > ageMs;
}

const NOTHING = new Uint8Array(0);
