/** One simulated world: its time, its chance, its faults, its one node and what is known of it. */
import { Ledger } from "../check/ledger.ts";
import type { Fate } from "../check/ledger.ts";
import type { CheckContext } from "../check/check-answer.ts";
import { Violation } from "../check/violation.ts";
import { drawSettings } from "../history/settings.ts";
import type { Question } from "../history/querier.ts";
import type { Settings } from "../history/settings.ts";
import { Chance } from "./chance.ts";
import { Faults } from "./faults.ts";
import { Journal } from "./journal.ts";
import { Machine } from "./machine.ts";
import { Scheduler, WORLD } from "./scheduler.ts";
import { SimBucket } from "./sim-bucket.ts";
import { simClock } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";

export interface WorldOptions {
  readonly seed: number;
  /** Of the history with faults. */
  readonly lengthMs: number;
  readonly print?: ((line: string) => void) | undefined;
}

export class World {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly journal: Journal;
  readonly settings: Settings;
  readonly faults: Faults;
  readonly disk: SimDisk;
  readonly bucket: SimBucket;
  readonly network: SimNetwork;
  readonly machine: Machine;
  readonly ledger: Ledger = new Ledger();
  readonly #lengthMs: number;
  #checkedCount = 0;
  #ackCount = 0;
  #flushCount = 0;
  #failure: unknown;
  readonly #ackWaiters: (() => void)[] = [];
  /** How often the node had died when a part was acked. */
  readonly #deathsAtAck = new Map<Fate, number>();
  /** What had happened to the node when a part without a clock was last sent. */
  readonly #memoryAtSend = new Map<Fate, string>();

  constructor({ seed, lengthMs, print }: WorldOptions) {
    this.#lengthMs = lengthMs;
    this.chance = new Chance(seed, "world");
    const { chance } = this;
    this.scheduler = new Scheduler(chance.stream("scheduler"));
    const { scheduler } = this;
    this.journal = new Journal({ nowMs: () => scheduler.nowMs, print });
    const { journal } = this;
    this.settings = drawSettings(chance.stream("settings"), lengthMs);
    this.faults = new Faults(chance.stream("faults"), { lengthMs }, { journal, nowMs: () => scheduler.nowMs });
    const { faults } = this;
    const clock = simClock(scheduler, WORLD, this.settings.epochMs);
    this.disk = new SimDisk(chance.stream("disk"), { scheduler, faults, journal });
    this.bucket = new SimBucket(chance.stream("bucket"), { scheduler, faults, journal, clock, speed: this.settings.bucketSpeed, fail: (error) => this.fail(error) });
    this.network = new SimNetwork(chance.stream("network"), { scheduler });
    this.machine = new Machine(this);
  }

  /** What the wall clock shows. */
  get wallMs(): number {
    return this.settings.epochMs + this.scheduler.nowMs;
  }

  /** Clients begin nothing new any more. */
  get isEnding(): boolean {
    return this.scheduler.nowMs >= this.#lengthMs;
  }

  get isHealed(): boolean {
    return this.faults.isOver;
  }

  // --- what clients tell -----------------------------------------------------------------------------------------------

  noteAcked(fates: readonly Fate[]): void {
    this.#ackCount++;
    // Nobody has asked yet which bucket this is: what is acked could not be brought anywhere.
    if (!this.bucket.hasIdentity) throw new Violation("progress", "a push was acked before the bucket had an identity");
    for (const fate of fates) this.#deathsAtAck.set(fate, this.machine.deathCount);
    for (const wake of this.#ackWaiters.splice(0)) wake();
  }

  nextAck(): Promise<void> {
    return new Promise((resolve) => this.#ackWaiters.push(resolve));
  }

  /** What was asked last, by anyone: others ask the same at the same time. */
  lastQuestion: Question | undefined;

  noteChecked(): void {
    this.#checkedCount++;
  }

  noteFlushed(): void {
    this.#flushCount++;
  }

  /**
   * The name under which a part without a clock goes may be forgotten since the try before: the names are in memory, and a start reads them from
   * the records that no segment has yet.
   */
  mayHaveForgotten(fate: Fate): boolean {
    if (!fate.isOnce || fate.part.timeMs !== undefined) return false;
    const before = this.#memoryAtSend.get(fate);
    const { deathCount } = this.machine;
    const now = `${deathCount}`;
    this.#memoryAtSend.set(fate, now);
    return before !== undefined && before !== now && this.disk.sealCount > 0;
  }

  checkContext(): CheckContext {
    return { ledger: this.ledger, nowMs: this.wallMs, hasDiedSince: (fate) => this.#deathsAtAck.get(fate) !== this.machine.deathCount };
  }

  /** Refusals of the client's own request that faults may cause: a call that was at work when workers died is refused for a while. */
  mayRefuse(body: string): boolean {
    return this.machine.mayRefuse(body);
  }

  // --- how it ends ------------------------------------------------------------------------------------------------------

  /** A failure of it is the world's. */
  watch(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.fail(error));
  }

  fail(error: unknown): void {
    this.#failure ??= error;
  }

  get failure(): unknown {
    return this.#failure;
  }

  /** Runs until `work` is done, or something failed. */
  async run(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    this.watch(work.then(() => (isDone = true)));
    await this.scheduler.run(() => isDone || this.#failure !== undefined);
    if (this.#failure !== undefined) throw this.#failure as Error;
    if (!isDone) throw new Error("nothing is left that could happen, and the history is not over");
  }

  get counts(): { readonly acks: number; readonly checked: number; readonly flushes: number } {
    return { acks: this.#ackCount, checked: this.#checkedCount, flushes: this.#flushCount };
  }
}
