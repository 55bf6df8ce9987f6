/** One simulated world: virtual time, random numbers, faults, a bucket, the machines with their nodes, and the ledger of what clients know. */
import { AdHocLedger } from "../check/adhoc-ledger.ts";
import { Ledger } from "../check/ledger.ts";
import type { Fate } from "../check/ledger.ts";
import type { CheckContext } from "../check/check-answer.ts";
import { Violation } from "../check/violation.ts";
import { drawSettings } from "../history/settings.ts";
import type { Push } from "../history/pusher.ts";
import type { Question } from "../history/querier.ts";
import type { Settings } from "../history/settings.ts";
import { adHocLimits, drawAdHoc } from "./adhoc-settings.ts";
import { Chance } from "./chance.ts";
import { FaultTurns } from "./fault-turns.ts";
import { Faults } from "./faults.ts";
import { Journal } from "./journal.ts";
import { CLUSTER_PORT, Machine } from "./machine.ts";
import { Scheduler, WORLD } from "./scheduler.ts";
import { drawPrograms, Programs, scrapeConfigs } from "./programs.ts";
import { LEAP_MS_MAX, SKEW_MS_MAX } from "./skew.ts";
import { SimBucket } from "./sim-bucket.ts";
import { simClock } from "./sim-clock.ts";
import { SimPeerNetwork } from "./sim-peer-network.ts";

export interface WorldOptions {
  readonly seed: number;
  /** How long the part of the history with faults is. */
  readonly lengthMs: number;
  /** 1: a node without a cluster. */
  readonly nodeCount: number;
  readonly print?: ((line: string) => void) | undefined;
}

const LAST_PUSHES_MAX = 30;
/** The share of clusters whose members begin as an earlier build, to be upgraded one by one. A node that joins is of the newer one. */
const EARLIER_SHARE = 0.25;

export class World {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  readonly settings: Settings;
  readonly faults: Faults;
  /** Of faults of members. */
  readonly faultTurns: FaultTurns;
  readonly bucket: SimBucket;
  readonly peers: SimPeerNetwork;
  /** Undefined: the members scrape nothing. */
  readonly programs: Programs | undefined;
  /** Undefined: nobody keeps ad hoc profiles. */
  readonly adHoc: AdHocLedger | undefined;
  /** The configuration file of each node: YAML, of which JSON is a part. Undefined: there is none. */
  readonly configText: string | undefined;
  /** Some machine's wall clock is wrong by minutes: one at a time, since two that agree are believed. */
  isLeaping = false;
  readonly machines: Machine[];
  /** Members that an operator told to leave, and that have not left yet. */
  readonly leaving: Set<Machine> = new Set();
  /**
   * A machine's disk was replaced by an empty one or put back, a store took a new id or may take one, or a member was told to leave: one of these, once a history. With two lost stores, what both
   * acknowledged may be gone, and only an operator's word clears them; and the one that is left of two members is no majority, so that nobody joins without one.
   */
  isFewer = false;
  /** The members begin as an earlier build. */
  beganEarlier = false;
  /** A store has taken a new id: under the former one it is lost. */
  hasNewId = false;
  readonly ledger: Ledger;
  /** Which machine a request goes to. */
  readonly #route: Chance;
  readonly #lengthMs: number;
  /** Machines that were ever there. */
  #machineCount: number;
  /** Deaths of machines that are no more. */
  #removedDeathCount = 0;
  #checkedCount = 0;
  #ackCount = 0;
  #flushCount = 0;
  #failure: unknown;
  readonly #ackWaiters: (() => void)[] = [];
  /** `deathCount` at the time a part was acked. */
  readonly #deathsAtAck = new Map<Fate, number>();
  /** `deathCount` at the time a part without a time was last sent. */
  readonly #deathsAtSend = new Map<Fate, number>();

  constructor({ seed, lengthMs, nodeCount, print }: WorldOptions) {
    this.#lengthMs = lengthMs;
    this.chance = new Chance(seed, "world");
    const { chance } = this;
    this.scheduler = new Scheduler(chance.stream("scheduler"));
    const { scheduler } = this;
    this.journal = new Journal({ nowUs: () => scheduler.nowUs, print });
    const { journal } = this;
    this.settings = drawSettings(chance.stream("settings"), lengthMs);
    const isCluster = nodeCount > 1;
    const programs = drawPrograms(chance.stream("programs"), { isCluster });
    const adHoc = drawAdHoc(chance.stream("ad hoc profiles"));
    this.faults = new Faults(chance.stream("faults"), { lengthMs, isCluster, isScraping: programs !== undefined, isAdHoc: adHoc !== undefined }, { journal, nowMs: () => scheduler.nowMs });
    const { faults } = this;
    this.faultTurns = new FaultTurns(scheduler);
    const clock = simClock(scheduler, WORLD, { epochMs: this.settings.epochMs, suspendedMs: 0 });
    this.bucket = new SimBucket(chance.stream("bucket"), { scheduler, faults, journal, clock, speed: this.settings.bucketSpeed, fail: (error) => this.fail(error), hasDate: adHoc?.hasDate ?? false });
    this.peers = new SimPeerNetwork(chance.stream("peers"), { scheduler, faults, journal });
    this.programs = programs && new Programs(programs, chance.stream("answers of programs"), { scheduler, faults, journal });
    this.adHoc = adHoc && new AdHocLedger(adHoc, this.settings.epochMs, { nowMs: () => scheduler.nowMs, fail: (error) => this.fail(error) });
    this.bucket.listener = this.adHoc;
    this.configText = programs || adHoc ? JSON.stringify({ ...(programs && { scrape_configs: scrapeConfigs(programs) }), ...(adHoc && { limits: adHocLimits(adHoc) }) }) : undefined;
    const leapMsMax = faults.scheduled.some(({ fault }) => fault === "wall clock leaps") ? LEAP_MS_MAX : 0;
    this.ledger = new Ledger(nodeCount > 1 ? { skewMsMax: SKEW_MS_MAX + leapMsMax, isSeenKept: false } : { skewMsMax: leapMsMax, isSeenKept: true });
    this.#route = chance.stream("route");
    this.#machineCount = nodeCount;
    this.machines = nodeCount > 1 ? this.#members(nodeCount) : [new Machine(this)];
  }

  #members(count: number): Machine[] {
    const join = Array.from({ length: count }, (_, at) => `${hostOf(at + 1)}:${CLUSTER_PORT}`);
    // An upgrade restarts every member, which a history without faults has none of.
    this.beganEarlier = !this.faults.isQuiet && this.chance.stream("builds").isTrue(EARLIER_SHARE);
    return join.map((_, at) => this.#member(at + 1, join, this.beganEarlier));
  }

  #member(number: number, join: readonly string[], isEarlier: boolean): Machine {
    const skewMs = Math.round(this.chance.stream(`skew of n${number}`).between(-SKEW_MS_MAX / 4, SKEW_MS_MAX / 4));
    return new Machine(this, { name: `n${number}`, host: hostOf(number), join, skewMs, isEarlier });
  }

  /** Starts one more node, which joins. */
  addMachine(): Machine {
    const number = ++this.#machineCount;
    const machine = this.#member(number, this.machines.map(({ host }) => `${host}:${CLUSTER_PORT}`), false);
    this.machines.push(machine);
    machine.start();
    return machine;
  }

  /** Nobody asks it any more. */
  removeMachine(machine: Machine): void {
    this.machines.splice(this.machines.indexOf(machine), 1);
    machine.remove();
    this.#removedDeathCount += machine.deathCount;
  }

  get isCluster(): boolean {
    return this.machines.length > 1;
  }

  /** The machine that a client asks next: any of them, also one that is down. */
  nextMachine(): Machine {
    return this.isCluster ? this.#route.pick(this.machines) : this.machines[0]!;
  }

  /** Runs of all nodes that have ended. */
  get deathCount(): number {
    return this.machines.reduce((sum, { deathCount }) => sum + deathCount, this.#removedDeathCount);
  }

  /** Segments wait on some machine for their upload. */
  get hasSealed(): boolean {
    return this.machines.some(({ disk }) => disk.files.size > 0);
  }

  /** The wall clock's time. */
  get wallMs(): number {
    return this.settings.epochMs + this.scheduler.nowMs;
  }

  /** True when clients must begin nothing new. */
  get isEnding(): boolean {
    return this.scheduler.nowMs >= this.#lengthMs;
  }

  get isHealed(): boolean {
    return this.faults.isOver;
  }

  // --- what clients tell -----------------------------------------------------------------------------------------------

  noteAcked(fates: readonly Fate[]): void {
    this.#ackCount++;
    // A node with a fresh data directory must accept no push before it knows its bucket. Here the node creates the bucket's identity itself.
    if (!this.bucket.hasIdentity) throw new Violation("progress", "a push was acked before the bucket had an identity");
    for (const fate of fates) this.#deathsAtAck.set(fate, this.deathCount);
    for (const wake of this.#ackWaiters.splice(0)) wake();
  }

  nextAck(): Promise<void> {
    return new Promise((resolve) => this.#ackWaiters.push(resolve));
  }

  /** The last pushes of any client of which a node recognises each part by its own time: a client may send them again. */
  readonly lastPushes: Push[] = [];

  notePush(push: Push): void {
    if (!push.fates.every(({ isOnce, part }) => isOnce && part.timeMs !== undefined)) return;
    this.lastPushes.push(push);
    if (this.lastPushes.length > LAST_PUSHES_MAX) this.lastPushes.shift();
  }

  /** The last query of any client. Others repeat it, so that equal queries are in flight at once. */
  lastQuestion: Question | undefined;

  noteChecked(): void {
    this.#checkedCount++;
  }

  noteFlushed(): void {
    this.#flushCount++;
  }

  /**
   * True if the node may have forgotten the idempotency key of the part since the try before, so that it counts once more. The node keeps keys in
   * memory, and after a restart knows only those of records that are not in a segment yet.
   */
  mayHaveForgotten(fate: Fate): boolean {
    if (!fate.isOnce || fate.part.timeMs !== undefined) return false;
    // The members that a key is placed on keep it in memory, and other ones when the ring has changed: any fault may do that (COMPAT.md).
    if (this.isCluster && !this.faults.isQuiet) return true;
    const { deathCount } = this;
    const before = this.#deathsAtSend.get(fate);
    this.#deathsAtSend.set(fate, deathCount);
    return before !== undefined && before !== deathCount && this.machines.some(({ disk }) => disk.sealCount > 0);
  }

  checkContext(): CheckContext {
    return { ledger: this.ledger, nowMs: this.wallMs, hasDiedSince: (fate) => this.#deathsAtAck.get(fate) !== this.deathCount };
  }

  /** See `Machine.isExpectedRefusal`. */
  isExpectedRefusal(body: string): boolean {
    return this.machines.some((machine) => machine.isExpectedRefusal(body));
  }

  // --- how it ends ------------------------------------------------------------------------------------------------------

  /** If `work` rejects, the history fails. */
  watch(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.fail(error));
  }

  fail(error: unknown): void {
    this.#failure ??= error;
  }

  get failure(): unknown {
    return this.#failure;
  }

  /** Runs until `work` is done or the history fails. */
  async run(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    this.watch(work.then(() => (isDone = true)));
    await this.scheduler.run(() => isDone || this.#failure !== undefined);
    if (this.#failure !== undefined) throw this.#failure as Error;
    if (!isDone) throw new Error("no event is left, and the history is not over");
  }

  get counts(): { readonly acks: number; readonly checked: number; readonly flushes: number } {
    return { acks: this.#ackCount, checked: this.#checkedCount, flushes: this.#flushCount };
  }
}

function hostOf(number: number): string {
  return `127.0.0.${number}`;
}
