/**
 * One profile of a push on its way to records. Where it may have no time of its own, it gets one before it is encoded, so that copies that are under way at the same time get the same one.
 *
 *   it has no name, or the client says its time ──► encoded
 *   named ──► the time that it got when it came first (arrival-times.ts) ──► encoded ──has its own time──► done
 *                                        none of the head's records ──► the time before that, at last the present
 *                                        takes the time ──► the cluster is asked under which time it came first (arrival-agreement.ts); if another, it is encoded again
 */
import type { ArrivedProfile } from "@pyromesh/api";
import type { CodedError, TenantId } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import type { Cluster } from "../cluster/ports.ts";
import { NO_GENERATION } from "../compute/compute.ts";
import type { Compute, EncodeSettings, Generation } from "../compute/compute.ts";
import type { ArrivalAgreement } from "./arrival-agreement.ts";
import { arrivalName, takesTime } from "./arrival-times.ts";
import type { Arrival, ArrivalTimes } from "./arrival-times.ts";
import { foldSessions } from "./session-label.ts";

export interface ProfileEncodingModules {
  readonly cluster: Cluster;
  readonly compute: Compute;
  readonly arrivalTimes: ArrivalTimes;
  readonly arrivalAgreement: Pick<ArrivalAgreement, "agree">;
  /** The same object for the same limits, so that workers are sent it once. */
  readonly settingsOf: (limits: EncodingLimits) => EncodeSettings;
  /** The generation that a record kept now will be inserted into. */
  readonly openGeneration: () => Generation;
}

export interface EncodingLimits extends EncodeSettings {
  readonly sessionsPerSeriesMax: number;
}

/** What all profiles of a push have in common. */
export interface EncodedPushOf {
  readonly tenant: TenantId;
  readonly limits: EncodingLimits;
  /** When the push came. */
  readonly nowMs: number;
}

const NONE: readonly CodedError[] = [];

export class ProfileEncoding {
  readonly #profile: ArrivedProfile;
  readonly #push: EncodedPushOf;
  readonly #modules: ProfileEncodingModules;
  /** Profiles in the body that were refused, while `records` are those of the others. */
  refused: readonly CodedError[] = NONE;

  constructor(profile: ArrivedProfile, push: EncodedPushOf, modules: ProfileEncodingModules) {
    this.#profile = profile;
    this.#push = push;
    this.#modules = modules;
  }

  /** To be called once. Rejects where all of the profile is refused. */
  records(): Promise<readonly EncodedRecord[]> {
    const { nowMs, tenant } = this.#push;
    const name = arrivalName(tenant, this.#profile);
    return name === undefined ? this.#encodeAt(this.#profile.fallbackTimeMs ?? nowMs) : this.#encodeNamed(name);
  }

  async #encodeNamed(name: string): Promise<readonly EncodedRecord[]> {
    const { arrivalAgreement, arrivalTimes, cluster, compute } = this.#modules;
    const { limits, nowMs, tenant } = this.#push;
    let refuted: Arrival | undefined;
    // One round, and one for each time under which the head held a push of the same name at the start that turns out to be another one.
    for (;;) {
      const arrival = arrivalTimes.take(name, this.#profile, nowMs, limits, refuted);
      const { timeMs } = arrival;
      let records: readonly EncodedRecord[];
      try {
        records = await this.#encodeAt(timeMs);
      } catch (error) {
        arrivalTimes.keep(arrival);
        throw error;
      }
      if (!arrivalTimes.settle(arrival, records)) {
        compute.release(records);
        refuted = arrival;
        continue;
      }
      if (!takesTime(records, timeMs) || arrival.isAgreed || cluster.view.members.length === 1) return records;
      try {
        const agreedMs = await arrivalAgreement.agree(tenant, arrivalTimes.keyOf(name, arrival), timeMs);
        arrivalTimes.noteAgreed(arrival, agreedMs);
        if (agreedMs === timeMs) return records;
      } catch (error) {
        compute.release(records);
        throw error;
      }
      compute.release(records);
      return this.#encodeAt(arrival.timeMs);
    }
  }

  #encodeAt(fallbackTimeMs: number): Promise<readonly EncodedRecord[]> {
    const { cluster, compute, openGeneration, settingsOf } = this.#modules;
    const { limits, nowMs, tenant } = this.#push;
    const profile = this.#profile;
    this.refused = NONE;
    return compute.encode({
      tenant,
      labels: foldSessions(profile.labels, limits.sessionsPerSeriesMax),
      pprof: profile.pprof,
      format: profile.format,
      profileId: profile.profileId,
      fallbackTimeNs: BigInt(fallbackTimeMs) * 1_000_000n,
      idempotencyKey: profile.idempotencyKey,
      nowMs,
      ingest: profile.ingest,
      settings: settingsOf(limits),
      onRefused: (refused) => (this.refused = refused),
      // Among several members most records have their rank 0 elsewhere, and rows that are pre-interned in vain cost more than to decode the others once more.
      generation: cluster.view.members.length === 1 ? openGeneration() : NO_GENERATION,
    });
  }
}
