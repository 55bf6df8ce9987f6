/**
 * The write path: what a push goes through between HTTP and its answer.
 *
 *   1. decode, check, normalise, split      compute.encode, in a lane
 *   2. count the series                     a new one past the tenant's limit is refused, the others go on
 *   3. keep                                 head.append resolves after the sync; the same identity is kept once
 *   4. intern                               compute.insert, from the head's commit hook, before any append resolves
 *   5. answer
 *
 * The order of 3 and 4: a row that is counted before it is durable could be counted and then lost. Interning after the
 * sync and before the answer is what makes an acked profile part of the next query.
 * A crash between 3 and 4 loses nothing: replay interns what the head holds.
 */
import { CodedError, messageOf, unavailable } from "@pyromesh/base";
import type { Clock, Random, TenantId } from "@pyromesh/base";
import type { ArrivedProfile, ProfileSink, PushOutcome } from "@pyromesh/api";
import type { AcceptanceWindow, EncodedRecord, ProfileLimits } from "@pyromesh/profile";
import type { Compute } from "../compute/compute.ts";
import type { ActiveSeries } from "./active-series.ts";
import type { Placement } from "./placement.ts";
import type { SeriesLimits } from "./series-limit.ts";
import { foldSessions } from "./session-label.ts";

/** What the writer asks of the head. */
export interface RecordStore {
  append(record: EncodedRecord): Promise<{ readonly isDuplicate: boolean }>;
}

export interface WriterModules {
  readonly compute: Compute;
  readonly head: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly activeSeries: ActiveSeries;
  readonly limitsFor: (tenant: TenantId) => WriterLimits;
  readonly placement: Placement;
  /** Undefined while writes are taken, else why not. */
  readonly refusesBecause: () => string | undefined;
}

export interface WriterLimits {
  readonly profile: ProfileLimits;
  readonly window: AcceptanceWindow;
  readonly series: SeriesLimits;
  readonly sessionsPerSeriesMax: number;
}

export class Writer implements ProfileSink {
  readonly #modules: WriterModules;
  readonly #inFlight = new Set<Promise<unknown>>();

  constructor(modules: WriterModules) {
    this.#modules = modules;
  }

  async push(tenant: TenantId, profiles: readonly ArrivedProfile[], signal: AbortSignal): Promise<PushOutcome> {
    const reason = this.#modules.refusesBecause();
    if (reason !== undefined) throw unavailable("NOT_TAKING_WRITES", `this node takes no writes now: ${reason}; try again`);
    const work = Promise.all(profiles.map((profile) => this.#pushOne(tenant, profile, signal)));
    this.#inFlight.add(work);
    try {
      const refused = (await work).filter((error) => error !== undefined);
      const hopeless = refused.find((error) => error.kind === "unavailable" || error.kind === "internal");
      if (hopeless !== undefined) throw hopeless;
      return { acceptedCount: profiles.length - refused.length, refused };
    } finally {
      this.#inFlight.delete(work);
    }
  }

  /** Resolves when every push now in flight has ended. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#inFlight]);
  }

  /** The refusal, or undefined when all of it is kept. */
  async #pushOne(tenant: TenantId, profile: ArrivedProfile, signal: AbortSignal): Promise<CodedError | undefined> {
    const { activeSeries, clock, compute, head, limitsFor, placement, random } = this.#modules;
    try {
      const limits = limitsFor(tenant);
      const nowMs = clock.nowMs();
      const records = await compute.encode({
        tenant,
        labels: foldSessions(profile.labels, limits.sessionsPerSeriesMax),
        pprof: profile.pprof,
        profileId: profile.profileId,
        fallbackTimeNs: BigInt(profile.fallbackTimeMs ?? nowMs) * 1_000_000n,
        idempotencyKey: profile.idempotencyKey,
        nonce: random.bytes(16),
        nowMs,
        ingest: profile.ingest,
        limits: limits.profile,
        window: limits.window,
        storeIds: placement.replicaSet(tenant, profile.labels),
      });
      signal.throwIfAborted();
      const admitted = activeSeries.admit(tenant, records, limits.series);
      await Promise.all(admitted.records.map((record) => head.append(record)));
      if (admitted.refusal !== undefined) throw admitted.refusal;
      return undefined;
    } catch (error) {
      const known = error instanceof CodedError ? error : undefined;
      // The API tells refusals of one push apart by the name each begins with.
      return new CodedError({
        code: known?.code ?? "PUSH_FAILED",
        kind: known?.kind ?? "internal",
        message: `${profile.describe}: ${messageOf(error)}`,
        details: known?.details ?? {},
        cause: error,
      });
    }
  }
}
