/**
 * The write path: the steps of a push between HTTP and its answer.
 *
 *   1. announce the label sets             where the tenant's limit has no room for all new ones, none of the new ones is worked on
 *   2. decode, check, normalise, split     compute.encode, in a worker, which also pre-interns the rows. A push without a time of its
 *                                          own gets one before (arrival-times.ts). One below the tenant's floor is refused: no answer
 *                                          would hold it
 *   3. count the series                    a record with a new series past the tenant's limit is refused, the others go on
 *   4. keep                                replicator.keep sends each record to the stores that its place on the ring names, this node's head
 *                                          among them or not, and resolves when enough have synced it; one of the same identity is kept once
 *   5. insert the rows                     compute.insert, called by the commit hook of the head that has rank 0 before its append resolves
 *   6. answer, if in contact               a node that a majority may have fenced by now answers 200 to nothing (design 5.8). Where contact was lost a moment ago it is
 *                                          waited for: the client would have to do the same, and agents drop what was refused
 *
 * Step 5 comes after the sync: a row that queries count before it is durable could be counted and then lost. It comes before the append resolves, so that
 * the next query counts every acknowledged profile. A crash in between loses nothing: the replay inserts what the head holds.
 */
import { CodedError, messageOf, Turns, unavailable } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import type { ArrivedProfile, Caller, ProfileSink, PushOutcome } from "@pyromesh/api";
import { labelSetKey, RECORD_VERSION, refusal } from "@pyromesh/profile";
import type { EncodedRecord } from "@pyromesh/profile";
import type { Cluster } from "../cluster/ports.ts";
import type { WrittenVersions } from "../cluster/version-gate.ts";
import { NO_GENERATION } from "../compute/compute.ts";
import type { Compute, EncodeSettings, Generation } from "../compute/compute.ts";
import type { ActiveSeries, Announced } from "./active-series.ts";
import type { ArrivalAgreement } from "./arrival-agreement.ts";
import { arrivalName, takesTime } from "./arrival-times.ts";
import type { ArrivalTimes } from "./arrival-times.ts";
import type { Keeping } from "./replicator.ts";
import type { SeriesLimits } from "./series-limit.ts";
import { foldSessions } from "./session-label.ts";

/** What the writer needs of the head, and of the senders to other members. */
export interface AnnouncedAppends {
  /** Says that an append is being prepared, which a commit or a request may wait for. One `arrived` must follow: when the append was made, or when it will not come. */
  announce(): void;
  arrived(): void;
}

export interface WriterModules {
  readonly cluster: Cluster;
  readonly versions: WrittenVersions;
  readonly compute: Compute;
  readonly head: AnnouncedAppends;
  readonly replicator: { keep(record: EncodedRecord, caller: Caller): Keeping };
  readonly clock: Clock;
  readonly activeSeries: ActiveSeries;
  readonly arrivalTimes: ArrivalTimes;
  readonly arrivalAgreement: Pick<ArrivalAgreement, "agree">;
  readonly limitsFor: (tenant: TenantId) => WriterLimits;
  /** The tenant's records below it are in no answer: they were deleted, or are about to be. */
  readonly floorOf: (tenant: TenantId) => number;
  /** The generation that a record kept now will be inserted into. */
  readonly openGeneration: () => Generation;
  /** Why no writes are taken; undefined while they are. */
  readonly refusesBecause: () => string | undefined;
}

/** A tenant's limits. The same object as long as they do not change, so that workers are sent them once. */
export interface WriterLimits extends EncodeSettings, SeriesLimits {
  /** `limits.max_sessions_per_series`. 0: session ids are dropped; else they are counted modulo this. */
  readonly sessionsPerSeriesMax: number;
  /** `limits.push_max_concurrency`: profiles of one push that are worked on at once; 0: `PROFILES_AT_ONCE_MAX`. */
  readonly pushProfilesAtOnceMax: number;
}

/** Profiles of one push that are worked on at once, whatever the tenant's limit. Agents send some dozens. */
const PROFILES_AT_ONCE_MAX = 256;

export class Writer implements ProfileSink {
  readonly #modules: WriterModules;
  /** Settings for records of another version than the newest: while members of two versions work together. */
  readonly #olderSettings = new WeakMap<WriterLimits, EncodeSettings>();
  #inFlightCount = 0;
  readonly #settled: (() => void)[] = [];

  constructor(modules: WriterModules) {
    this.#modules = modules;
  }

  async push(tenant: TenantId, profiles: readonly ArrivedProfile[], caller: Caller): Promise<PushOutcome> {
    const reason = this.#modules.refusesBecause() ?? this.#modules.cluster.view.writesRefusedBecause;
    if (reason !== undefined) throw unavailable("NOT_TAKING_WRITES", `this node takes no writes now: ${reason}; try again`);
    this.#inFlightCount++;
    let announced: Announced | undefined;
    try {
      const limits = this.#modules.limitsFor(tenant);
      const { sessionsPerSeriesMax } = limits;
      const labelSets = profiles.length === 1 ? [labelSetOf(profiles[0]!, sessionsPerSeriesMax)] : await this.#labelSetsOf(profiles, sessionsPerSeriesMax);
      announced = this.#modules.activeSeries.announce(tenant, labelSets, limits);
      const refused: Refused[] = [];
      const parts: Refused[] = [];
      if (profiles.length === 1) {
        const error = announced.refusal === undefined ? await this.#pushOne(tenant, profiles[0]!, labelSets[0]!, caller, { index: 0, parts }) : named(profiles[0]!, announced.refusal);
        if (error !== undefined) refused.push({ index: 0, error });
      } else {
        await this.#pushAll(tenant, profiles, { labelSets, announced }, caller, refused, parts);
      }
      if (refused.length < profiles.length && !this.#modules.cluster.isInContact) await this.#modules.cluster.contact();
      if (refused.length < profiles.length && !this.#modules.cluster.isInContact) throw unavailable("OUT_OF_CONTACT", "this node is out of contact with a majority of the members, which may have given it up: send it again, it counts once");
      if (refused.length === 0) return parts.length === 0 ? { acceptedCount: profiles.length, refused } : { acceptedCount: profiles.length, refused, parts };
      // One that this node could not take is an error of the whole push: the client sends it again, and what was kept counts once.
      const notTaken = refused.find(({ error }) => error.kind === "unavailable" || error.kind === "internal");
      if (notTaken !== undefined) throw notTaken.error;
      return { acceptedCount: profiles.length - refused.length, refused, ...(parts.length === 0 ? {} : { parts }) };
    } finally {
      announced?.end();
      if (--this.#inFlightCount === 0) for (const resolve of this.#settled.splice(0)) resolve();
    }
  }

  /** The label set of each profile. Each takes some microseconds, so others get their turn in between where there are thousands. */
  async #labelSetsOf(profiles: readonly ArrivedProfile[], sessionsPerSeriesMax: number): Promise<number[]> {
    const labelSets: number[] = [];
    const turns = new Turns(this.#modules);
    for (const [index, profile] of profiles.entries()) {
      if ((index & 0xff) === 0xff && turns.areDue) await turns.give();
      labelSets.push(labelSetOf(profile, sessionsPerSeriesMax));
    }
    return labelSets;
  }

  /**
   * Works on so many profiles at once as the limit says: all of thousands would fill the workers' queues, be refused for that, and be sent
   * again for ever. Once a new series was refused, profiles with new label sets are not worked on any more: they would be refused as well.
   */
  async #pushAll(tenant: TenantId, profiles: readonly ArrivedProfile[], { labelSets, announced }: PushedLabelSets, caller: Caller, refused: Refused[], parts: Refused[]): Promise<void> {
    const { pushProfilesAtOnceMax: profilesAtOnceMax } = this.#modules.limitsFor(tenant);
    const turnCount = Math.min(profilesAtOnceMax || PROFILES_AT_ONCE_MAX, PROFILES_AT_ONCE_MAX);
    let newRefusal: CodedError | undefined = announced.refusal;
    const todo: number[] = [];
    for (let at = 0; at < profiles.length; ) {
      todo.length = 0;
      for (; at < profiles.length && todo.length < turnCount; at++) {
        if (newRefusal !== undefined && announced.isNew(labelSets[at]!)) refused.push({ index: at, error: newRefusal });
        else todo.push(at);
      }
      const refusals = await Promise.all(todo.map((index) => this.#pushOne(tenant, profiles[index]!, labelSets[index]!, caller, { index, parts })));
      for (const [inTurn, error] of refusals.entries()) {
        if (error === undefined) continue;
        refused.push({ index: todo[inTurn]!, error });
        if (error.code === "SERIES_LIMIT" && error.cause instanceof CodedError) newRefusal ??= error.cause;
      }
    }
    refused.sort((a, b) => a.index - b.index);
  }

  /** Resolves when every push that is under way now has ended. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#inFlightCount === 0) resolve();
      else this.#settled.push(resolve);
    });
  }

  /** Why the profile, or a part of it, was refused; undefined where all of it is kept. */
  async #pushOne(tenant: TenantId, profile: ArrivedProfile, labelSet: number, caller: Caller, { index, parts }: PartsOf): Promise<CodedError | undefined> {
    const { activeSeries, floorOf, head, limitsFor, replicator } = this.#modules;
    let hasArrived = false;
    head.announce();
    try {
      caller.throwIfAborted(); // the caller may have left while earlier profiles of the push were worked on
      const limits = limitsFor(tenant);
      let refusedParts: readonly CodedError[] = NO_PARTS;
      const records = await this.#encode(tenant, profile, limits, (errors) => (refusedParts = errors));
      let keepings: readonly Keeping[] = NOTHING_KEPT;
      try {
        caller.throwIfAborted();
        const kept = aboveFloor(records, floorOf(tenant));
        if (kept.refusal !== undefined && kept.records.length === 0) throw kept.refusal;
        const admitted = activeSeries.admit(tenant, kept.records, limits, labelSet);
        keepings = admitted.records.map((record) => replicator.keep(record, caller));
        hasArrived = true;
        head.arrived();
        await (keepings.length === 1 ? keepings[0]!.kept : allOf(keepings));
        if (admitted.refusal !== undefined) throw admitted.refusal;
        for (const error of kept.refusal === undefined ? refusedParts : [...refusedParts, kept.refusal]) parts.push({ index, error });
      } finally {
        this.#giveBack(records, keepings);
      }
      return undefined;
    } catch (error) {
      if (!hasArrived) head.arrived();
      return named(profile, error);
    }
  }

  /** Gives the workers their memory back, as soon as nobody reads the records in it. */
  #giveBack(records: readonly EncodedRecord[], keepings: readonly Keeping[]): void {
    const { compute } = this.#modules;
    const reading: Promise<unknown>[] = [];
    for (const { unread } of keepings) if (unread !== undefined) reading.push(unread);
    if (reading.length === 0) compute.release(records);
    else void Promise.all(reading).then(() => compute.release(records));
  }

  #encode(tenant: TenantId, profile: ArrivedProfile, limits: WriterLimits, onRefused: OnRefused): Promise<readonly EncodedRecord[]> {
    const nowMs = this.#modules.clock.nowMs();
    const name = arrivalName(tenant, profile);
    if (name !== undefined) return this.#encodeNamed(name, nowMs, tenant, profile, limits, onRefused);
    return this.#encodeAt(profile.fallbackTimeMs ?? nowMs, nowMs, tenant, profile, limits, onRefused);
  }

  /**
   * Encodes a push that may have no time of its own. It gets one before it is encoded, so that copies that are under way at the same time get the same one.
   * Where it turns out to have none, the cluster is asked which one it has; if another, it is encoded again.
   */
  async #encodeNamed(name: string, nowMs: number, tenant: TenantId, profile: ArrivedProfile, limits: WriterLimits, onRefused: OnRefused): Promise<readonly EncodedRecord[]> {
    const { arrivalAgreement, arrivalTimes, cluster, compute } = this.#modules;
    // One round; two where a record that the head held at the start has the same name and turns out to be another profile.
    for (;;) {
      const arrival = arrivalTimes.take(name, profile, nowMs, limits);
      const { timeMs } = arrival;
      let records: readonly EncodedRecord[];
      try {
        records = await this.#encodeAt(timeMs, nowMs, tenant, profile, limits, onRefused);
      } catch (error) {
        arrivalTimes.keep(arrival);
        throw error;
      }
      if (!arrivalTimes.settle(arrival, profile, records)) {
        compute.release(records);
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
      return this.#encodeAt(arrival.timeMs, nowMs, tenant, profile, limits, onRefused);
    }
  }

  /** The same object for the same limits and version, so that workers are sent it once. */
  #settingsOf(limits: WriterLimits): EncodeSettings {
    const recordVersion = this.#modules.versions.versionOf("record");
    if (recordVersion === RECORD_VERSION) return limits;
    let settings = this.#olderSettings.get(limits);
    if (settings?.recordVersion !== recordVersion) this.#olderSettings.set(limits, (settings = { ...limits, recordVersion }));
    return settings;
  }

  #encodeAt(fallbackTimeMs: number, nowMs: number, tenant: TenantId, profile: ArrivedProfile, limits: WriterLimits, onRefused: OnRefused): Promise<readonly EncodedRecord[]> {
    const { cluster, compute, openGeneration } = this.#modules;
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
      settings: this.#settingsOf(limits),
      onRefused,
      // Among several members most records have their rank 0 elsewhere, and rows that are pre-interned in vain cost more than to decode the others once more.
      generation: cluster.view.members.length === 1 ? openGeneration() : NO_GENERATION,
    });
  }
}

interface Refused {
  readonly index: number;
  readonly error: CodedError;
}

/** Where the refusals go of profiles in one body of the push. */
interface PartsOf {
  readonly index: number;
  readonly parts: Refused[];
}

type OnRefused = (refused: readonly CodedError[]) => void;

/** The label sets of a push: one for each of its profiles. */
interface PushedLabelSets {
  readonly labelSets: readonly number[];
  readonly announced: Announced;
}

function labelSetOf({ labels }: ArrivedProfile, sessionsPerSeriesMax: number): number {
  return labelSetKey(foldSessions(labels, sessionsPerSeriesMax));
}

/** The records that queries would show. All records of a profile have its time, but a body of several may hold some that are older. */
function aboveFloor(records: readonly EncodedRecord[], floorMs: number): { readonly records: readonly EncodedRecord[]; readonly refusal?: CodedError } {
  const below = records.find(({ timeMs }) => timeMs < floorMs);
  if (below === undefined) return { records };
  return {
    records: records.filter(({ timeMs }) => timeMs >= floorMs),
    refusal: refusal("not_in_ingestion_window", `the profile's time, ${below.timeMs} ms after 1970, lies below the tenant's floor, ${floorMs}: what is older was deleted, and no query would show it`),
  };
}

function named(profile: ArrivedProfile, error: unknown): CodedError {
  const known = error instanceof CodedError ? error : undefined;
  return new CodedError({
    code: known?.code ?? "PUSH_FAILED",
    kind: known?.kind ?? "internal",
    message: `${profile.describe}: ${messageOf(error)}`,
    details: known?.details ?? {},
    cause: error,
  });
}

/** Waits for all, also where one fails: the head may read their bytes until then. */
async function allOf(keepings: readonly Keeping[]): Promise<void> {
  for (const outcome of await Promise.allSettled(keepings.map(({ kept }) => kept))) if (outcome.status === "rejected") throw outcome.reason;
}

const NO_PARTS: readonly CodedError[] = [];
const NOTHING_KEPT: readonly Keeping[] = [];
