/**
 * The write path: the steps of a push between HTTP and its answer.
 *
 *   1. announce the label sets             where the tenant's limit has no room for all new ones, none of the new ones is worked on
 *   2. decode, check, normalise, split     profile-encoding.ts, in a worker, which also pre-interns the rows. A profile without a time of its
 *                                          own gets that of its first arrival before. One below the tenant's floor is refused: no answer
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
import type { EncodeSettings } from "../compute/compute.ts";
import type { ActiveSeries, Announced } from "./active-series.ts";
import { ProfileEncoding } from "./profile-encoding.ts";
import type { EncodingLimits, ProfileEncodingModules } from "./profile-encoding.ts";
import { PushReceipt } from "./push-receipt.ts";
import type { Keeping } from "./replicator.ts";
import type { SeriesLimits } from "./series-limit.ts";
import { foldSessions } from "./session-label.ts";

/** What the writer needs of the head, and of the senders to other members. */
export interface AnnouncedAppends {
  /** Says that an append is being prepared, which a commit or a request may wait for. One `arrived` must follow: when the append was made, or when it will not come. */
  announce(): void;
  arrived(): void;
}

export interface WriterModules extends Omit<ProfileEncodingModules, "settingsOf"> {
  readonly versions: WrittenVersions;
  readonly cluster: Cluster;
  readonly head: AnnouncedAppends;
  readonly replicator: { keep(record: EncodedRecord, caller: Caller): Keeping };
  readonly clock: Clock;
  readonly activeSeries: ActiveSeries;
  readonly limitsFor: (tenant: TenantId) => WriterLimits;
  /** The tenant's records below it are in no answer: they were deleted, or are about to be. */
  readonly floorOf: (tenant: TenantId) => number;
  /** Why no writes are taken; undefined while they are. */
  readonly refusesBecause: () => string | undefined;
}

/** A tenant's limits. The same object as long as they do not change, so that workers are sent them once. */
export interface WriterLimits extends EncodingLimits, SeriesLimits {
  /** `limits.max_sessions_per_series`. 0: session ids are dropped; else they are counted modulo this. */
  readonly sessionsPerSeriesMax: number;
  /** `limits.push_max_concurrency`: profiles of one push that are worked on at once; 0: `PROFILES_AT_ONCE_MAX`. */
  readonly pushProfilesAtOnceMax: number;
}

/** Profiles of one push that are worked on at once, whatever the tenant's limit. Agents send some dozens. */
const PROFILES_AT_ONCE_MAX = 256;

export class Writer implements ProfileSink {
  readonly #modules: WriterModules;
  readonly #encodingModules: ProfileEncodingModules;
  /** Settings for records of another version than the newest: while members of two versions work together. */
  readonly #olderSettings = new WeakMap<EncodingLimits, EncodeSettings>();
  #inFlightCount = 0;
  readonly #settled: (() => void)[] = [];

  constructor(modules: WriterModules) {
    this.#modules = modules;
    this.#encodingModules = { ...modules, settingsOf: (limits) => this.#settingsOf(limits) };
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
      const receipt = new PushReceipt(profiles.length);
      const push: PushUnderWay = { tenant, profiles, labelSets, announced, receipt, nowMs: this.#modules.clock.nowMs(), caller };
      if (profiles.length !== 1) await this.#pushAll(push);
      else if (announced.refusal === undefined) await this.#pushOne(push, 0);
      else receipt.refuse(0, named(profiles[0]!, announced.refusal));
      if (receipt.acceptedCount > 0 && !this.#modules.cluster.isInContact) await this.#modules.cluster.contact();
      if (receipt.acceptedCount > 0 && !this.#modules.cluster.isInContact) throw unavailable("OUT_OF_CONTACT", "this node is out of contact with a majority of the members, which may have given it up: send it again, it counts once");
      return receipt.outcome();
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
  async #pushAll(push: PushUnderWay): Promise<void> {
    const { announced, labelSets, profiles, receipt, tenant } = push;
    const { pushProfilesAtOnceMax: profilesAtOnceMax } = this.#modules.limitsFor(tenant);
    const turnCount = Math.min(profilesAtOnceMax || PROFILES_AT_ONCE_MAX, PROFILES_AT_ONCE_MAX);
    let newRefusal: CodedError | undefined = announced.refusal;
    const todo: number[] = [];
    for (let at = 0; at < profiles.length; ) {
      todo.length = 0;
      for (; at < profiles.length && todo.length < turnCount; at++) {
        if (newRefusal !== undefined && announced.isNew(labelSets[at]!)) receipt.refuse(at, newRefusal);
        else todo.push(at);
      }
      for (const error of await Promise.all(todo.map((index) => this.#pushOne(push, index)))) {
        if (error?.code === "SERIES_LIMIT" && error.cause instanceof CodedError) newRefusal ??= error.cause;
      }
    }
  }

  /** Resolves when every push that is under way now has ended. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#inFlightCount === 0) resolve();
      else this.#settled.push(resolve);
    });
  }

  /** Notes in the receipt what was refused of the profile at this place. Why it was, or a part of it; undefined where all of it is kept. */
  async #pushOne({ caller, labelSets, nowMs, profiles, receipt, tenant }: PushUnderWay, index: number): Promise<CodedError | undefined> {
    const { activeSeries, floorOf, head, limitsFor, replicator } = this.#modules;
    let hasArrived = false;
    head.announce();
    try {
      caller.throwIfAborted(); // the caller may have left while earlier profiles of the push were worked on
      const limits = limitsFor(tenant);
      const encoding = new ProfileEncoding(profiles[index]!, { tenant, limits, nowMs }, this.#encodingModules);
      const records = await encoding.records();
      let keepings: readonly Keeping[] = NOTHING_KEPT;
      try {
        caller.throwIfAborted();
        const kept = aboveFloor(records, floorOf(tenant));
        if (kept.refusal !== undefined && kept.records.length === 0) throw kept.refusal;
        const admitted = activeSeries.admit(tenant, kept.records, limits, labelSets[index]!);
        keepings = admitted.records.map((record) => replicator.keep(record, caller));
        hasArrived = true;
        head.arrived();
        await (keepings.length === 1 ? keepings[0]!.kept : allOf(keepings));
        if (admitted.refusal !== undefined) throw admitted.refusal;
        receipt.refuseParts(index, kept.refusal === undefined ? encoding.refused : [...encoding.refused, kept.refusal]);
      } finally {
        this.#giveBack(records, keepings);
      }
      return undefined;
    } catch (error) {
      if (!hasArrived) head.arrived();
      const refusal = named(profiles[index]!, error);
      receipt.refuse(index, refusal);
      return refusal;
    }
  }

  #settingsOf(limits: EncodingLimits): EncodeSettings {
    const recordVersion = this.#modules.versions.versionOf("record");
    if (recordVersion === RECORD_VERSION) return limits;
    let settings = this.#olderSettings.get(limits);
    if (settings?.recordVersion !== recordVersion) this.#olderSettings.set(limits, (settings = { ...limits, recordVersion }));
    return settings;
  }

  /** Gives the workers their memory back, as soon as nobody reads the records in it. */
  #giveBack(records: readonly EncodedRecord[], keepings: readonly Keeping[]): void {
    const { compute } = this.#modules;
    const reading: Promise<unknown>[] = [];
    for (const { unread } of keepings) if (unread !== undefined) reading.push(unread);
    if (reading.length === 0) compute.release(records);
    else void Promise.all(reading).then(() => compute.release(records));
  }
}

interface PushUnderWay {
  readonly tenant: TenantId;
  readonly profiles: readonly ArrivedProfile[];
  /** One for each of the profiles. */
  readonly labelSets: readonly number[];
  readonly announced: Announced;
  readonly receipt: PushReceipt;
  /** When it came: one time for all of it, which profiles without a time of their own get. */
  readonly nowMs: number;
  readonly caller: Caller;
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

const NOTHING_KEPT: readonly Keeping[] = [];
