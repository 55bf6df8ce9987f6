/**
 * Faults of a cluster that are composed of several, in an order that chance alone seldom brings about: each makes one rule of the cluster the only one that keeps a
 * promise. Nothing in them is beyond what happens to machines, networks, disks and buckets. Clients push and ask more while such a fault lasts than they do otherwise, since
 * the moment that counts may be short.
 */
import type { Chance } from "../world/chance.ts";
import type { ComposedFault } from "../world/faults.ts";
import type { Machine } from "../world/machine.ts";
import { at } from "../world/machine.ts";
import { NoAnswer } from "../world/sim-network.ts";
import type { World } from "../world/world.ts";
import { askToLeave } from "./leave-request.ts";
import { drawPush, sendOnce, sendUntilAnswered } from "./pusher.ts";
import { ask, drawQuestion } from "./querier.ts";
import { segmentKeys } from "./segment-keys.ts";
import { between, cut, cutFor, heal } from "./ways.ts";

/** Shorter than the lease: both are in contact with the others still. */
const TAKEN_BY_TWO_MS_MAX = 5_000;
const FLUSHED_WITHIN_MS = 10_000;
const READY_WITHIN_MS = 20_000;
const CLEARED_WITHIN_MS = 30_000;
const LEFT_WITHIN_MS = 40_000;
/** A store tells the others how far it has got once a second, once there is a link: a dial that began while the way was cut ends after 5 s, and the next one begins up to 3 s later. */
const HEARD_WITHIN_MS = 10_000;

export interface Parties {
  /** The one that the fault happens to. */
  readonly machine: Machine;
  readonly other: Machine;
  readonly lengthMs: number;
}

/** Resolves when it is over. */
export async function runComposedFault(world: World, fault: ComposedFault, parties: Parties, chance: Chance): Promise<void> {
  const composed = new Composed(world, chance, parties);
  await composed.run(fault);
  await composed.ended();
}

class Composed {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #machine: Machine;
  readonly #other: Machine;
  readonly #lengthMs: number;
  /** What clients began. */
  readonly #begun: Promise<unknown>[] = [];
  #pushCount = 0;

  constructor(world: World, chance: Chance, { lengthMs, machine, other }: Parties) {
    this.#world = world;
    this.#chance = chance;
    this.#machine = machine;
    this.#other = other;
    this.#lengthMs = lengthMs;
  }

  run(fault: ComposedFault): Promise<void> {
    switch (fault) {
      case "a store is lost and the other copies do not answer":
        return this.#loseCopies();
      case "all others restart while a member is cut off":
        return this.#restartOthers();
      case "two members are cut apart, and then the third is silent":
        return this.#keepDifferentHalves();
      case "pushes come again while the bucket is slow":
        return this.#pushAgain();
      case "a loss is cleared, and then who flushed is silent":
        return this.#silenceFlusher();
      case "a node joins while a member is cut off":
        return this.#joinUnseen();
      case "a member is slow while segments are flushed":
        return this.#slowAnswers();
      case "a machine is replaced, and then another one is silent":
        return this.#replaceMachine();
      case "a disk is replaced while its machine is cut off":
        return this.#startAlone();
      case "a member is cut off, and then another one":
        return this.#fenceTwo();
      case "a disk is put back, and then another copy is silent":
        return this.#rollBack();
      case "a new segment vanishes, and those who read it start anew":
        return this.#vanish();
      case "a node starts again while its machine is cut off":
        return this.#restartAlone();
      case "a disk is lost while a sealed segment waits on it":
        return this.#loseSealed();
    }
  }

  /** Resolves when all that clients began has an answer or was given up. */
  async ended(): Promise<void> {
    await Promise.all(this.#begun);
  }

  /**
   * Two stores take what no other one gets. Then the one has an empty disk, and the other one can neither flush nor answer: no query may do without both, whoever answers it.
   */
  async #loseCopies(): Promise<void> {
    const world = this.#world;
    const lost = this.#machine;
    const keeper = this.#other;
    if (world.isFewer) return;
    world.isFewer = true;
    const rest = this.#allBut(lost, keeper);
    keeper.disk.isSealedFolderShut = true;
    await cutFor(world, between([lost, keeper], rest), Math.min(this.#lengthMs, TAKEN_BY_TWO_MS_MAX));
    lost.wipe();
    if (this.#chance.isTrue(0.3)) await cutFor(world, [...between([lost, keeper], rest), ...between([lost], [keeper])], 5_000);
    // The keeper lets the lost one's successor join, and hands nothing on to the others.
    const ways = between([keeper], rest);
    cut(world, ways);
    await lost.ready(READY_WITHIN_MS);
    await cutFor(world, [...ways, ...between([keeper], [lost])], this.#lengthMs);
    keeper.disk.isSealedFolderShut = false;
  }

  /** A member learns of none of the segments into which the others' records go, and they remember none: only a LIST of the bucket shows them. */
  async #restartOthers(): Promise<void> {
    const world = this.#world;
    const { bucket, scheduler } = world;
    const alone = this.#machine;
    const others = this.#allBut(alone);
    const ways = between([alone], others);
    cut(world, ways);
    // Often it cannot list the bucket either.
    if (this.#chance.isTrue(0.6)) bucket.unreachableFrom.add(alone.host);
    await this.#push(this.#chance.between(0, this.#lengthMs / 2));
    await this.#flush(this.#chance.pick(others));
    await scheduler.wait(this.#chance.between(0, 2_000));
    for (const one of others) if (this.#chance.isTrue(0.8)) one.crash("kill");
    await Promise.all(others.map((one) => one.ready(READY_WITHIN_MS)));
    bucket.unreachableFrom.delete(alone.host);
    heal(world, ways);
    await this.#askAt([alone], 5_000);
  }

  /** Two members, cut apart, take equally many records of a series, each with the third one: which then is silent. */
  async #keepDifferentHalves(): Promise<void> {
    const world = this.#world;
    const third = this.#chance.pick(this.#allBut(this.#machine, this.#other));
    const ways = between([this.#machine], [this.#other]);
    cut(world, ways);
    await this.#push(this.#chance.between(3_000, 10_000));
    heal(world, ways);
    const silent = third.pause(this.#chance.between(2_000, 6_000), { isClockStopped: false });
    await Promise.all([silent, this.#askAt([this.#machine, this.#other], 4_000)]);
  }

  /** Clients send again what was acknowledged and flushed, while stores compare their heads with segments that they read slowly. */
  async #pushAgain(): Promise<void> {
    const world = this.#world;
    world.bucket.moreMsMax = this.#chance.between(50, 1_500);
    await Promise.all([this.#askAt(world.machines, this.#lengthMs), this.#pushesAgain(this.#lengthMs), this.#flushes(this.#lengthMs)]);
    world.bucket.moreMsMax = 0;
  }

  /**
   * One of two stores that took what no other one gets is lost, and the other one flushes it, unheard by the successor. Once the loss is cleared nobody has to answer who knows of
   * that segment: only a LIST that begins after the clearing shows it.
   */
  async #silenceFlusher(): Promise<void> {
    const world = this.#world;
    const { bucket, scheduler } = world;
    const lost = this.#machine;
    const keeper = this.#other;
    if (world.isFewer) return;
    world.isFewer = true;
    const rest = this.#allBut(lost, keeper);
    await this.#flush(keeper);
    await Promise.all([cutFor(world, between([lost, keeper], rest), TAKEN_BY_TWO_MS_MAX), this.#push(TAKEN_BY_TWO_MS_MAX - 500)]);
    // What waited on its way to the rest is gone.
    for (const one of rest) for (const two of [lost, keeper]) world.peers.reset(one.host, two.host);
    lost.wipe();
    const ways = between([lost], [keeper]);
    cut(world, ways);
    // It has listed the bucket when it can no more.
    await scheduler.wait(this.#chance.between(3_200, 4_500));
    if (this.#chance.isTrue(0.7)) bucket.unreachableFrom.add(lost.host);
    await this.#untilCleared(rest[0]!);
    await lost.ready(READY_WITHIN_MS);
    bucket.unreachableFrom.delete(lost.host);
    await Promise.all([cutFor(world, between([keeper], [lost, ...rest]), 6_000), this.#askAt([lost], 5_000)]);
  }

  /**
   * A member that was cut off hears again of one that does not know it: a store that joined meanwhile may hold what no other one has that answers. It is cut off so shortly that its
   * links still stand; a new link would bring what the other one knows of members before any answer.
   */
  async #joinUnseen(): Promise<void> {
    const world = this.#world;
    const { scheduler } = world;
    const reader = this.#machine;
    const holder = this.#other;
    const rest = this.#allBut(reader, holder);
    const joined = world.addMachine();
    const waysOfReader = between([reader], [holder, joined]);
    cut(world, waysOfReader);
    cut(world, between([reader], rest));
    const endMs = scheduler.nowMs + READY_WITHIN_MS;
    while (!joined.isReady && scheduler.nowMs < endMs) await scheduler.wait(50);
    const ways = between(rest, [holder, joined]);
    cut(world, ways);
    await this.#push(this.#chance.between(100, 1_000), 100);
    const asking = this.#askAt([reader], 2_000, 60);
    await scheduler.wait(this.#chance.between(0, 200));
    heal(world, between([reader], rest));
    await asking;
    heal(world, [...ways, ...waysOfReader]);
  }

  /**
   * Answers of a member come late, when what they say is no longer so; often one member has many questions under way. In half of the histories the slow one cannot read what the others
   * flush, for as long as a question takes: it still holds those records, and one that took its answer to an earlier question would count them twice.
   */
  async #slowAnswers(): Promise<void> {
    const world = this.#world;
    const { peers } = world;
    const ways = between([this.#machine], this.#allBut(this.#machine));
    const isBlind = this.#chance.isTrue(0.5);
    // One that is suspected is not waited for.
    const moreMs = isBlind ? this.#chance.between(60, 240) : this.#chance.between(20, 1_000);
    const asked = isBlind || this.#chance.isTrue(0.5) ? [this.#other] : world.machines;
    for (const [from, to] of ways) peers.slow(from, to, moreMs);
    await Promise.all([this.#askAt(asked, this.#lengthMs, 200), this.#push(this.#lengthMs), isBlind ? this.#flushesUnread(this.#lengthMs, 2 * moreMs) : this.#flushes(this.#lengthMs)]);
    for (const [from, to] of ways) peers.slow(from, to, 0);
  }

  /** A node joins; another one, which took records with one more store and no other, leaves and is thrown away; then that store is silent. */
  async #replaceMachine(): Promise<void> {
    const world = this.#world;
    const { scheduler } = world;
    const leaver = this.#machine;
    const keeper = this.#other;
    if (world.isFewer) return;
    world.isFewer = true;
    await world.addMachine().ready(READY_WITHIN_MS);
    const rest = this.#allBut(leaver, keeper);
    await Promise.all([cutFor(world, between([leaver, keeper], rest), TAKEN_BY_TWO_MS_MAX), this.#push(TAKEN_BY_TWO_MS_MAX - 500)]);
    leaver.isToGo = true;
    world.leaving.add(leaver);
    const endMs = scheduler.nowMs + LEFT_WITHIN_MS;
    while (world.leaving.has(leaver) && scheduler.nowMs < endMs) {
      await askToLeave(world, leaver);
      await scheduler.wait(3_000);
    }
    await Promise.all([cutFor(world, between([keeper], rest), this.#lengthMs), this.#askAt(rest, Math.min(5_000, this.#lengthMs))]);
  }

  /** A machine with an empty disk starts, and can reach no other one: it knows of no member. */
  async #startAlone(): Promise<void> {
    const world = this.#world;
    if (world.isFewer) return;
    world.isFewer = true;
    const others = this.#allBut(this.#machine);
    this.#machine.wipe();
    await Promise.all([cutFor(world, between([this.#machine], others), this.#lengthMs), this.#push(this.#lengthMs), this.#askAt(others, this.#lengthMs)]);
  }

  /**
   * In a cluster of five or more: the others clear and forget a member that is cut off, and then another one. At the end the two can reach each other, and are no majority; or also
   * one of the rest, which the others cannot reach: the three were a majority before the two were forgotten.
   */
  async #fenceTwo(): Promise<void> {
    const world = this.#world;
    if (world.isFewer || world.machines.length < 5) return;
    world.isFewer = true;
    const two = [this.#machine, this.#other];
    const rest = this.#allBut(...two);
    const apart = between([two[0]!], [two[1]!]);
    cut(world, apart);
    for (const one of two) {
      cut(world, between([one], rest));
      await this.#untilLost(rest[1]!);
      await this.#untilCleared(rest[1]!);
    }
    const joinedBy = this.#chance.isTrue(0.5) ? [rest[0]!] : [];
    const others = rest.filter((one) => !joinedBy.includes(one));
    cut(world, between(joinedBy, others));
    heal(world, apart);
    heal(world, between(two, joinedBy));
    await Promise.all([this.#push(10_000), this.#askAt(others, 11_000)]);
    heal(world, between(joinedBy, others));
    heal(world, between(two, others));
  }

  /**
   * Two stores take what no other one gets. Then the disk of the one is as it was before, and the other one is silent. Between the last commit and the rollback is time enough for a
   * member to hear of that commit: what was committed within a second before is not noticed (decision 0023).
   */
  async #rollBack(): Promise<void> {
    const world = this.#world;
    const { scheduler } = world;
    const back = this.#machine;
    const keeper = this.#other;
    if (world.isFewer) return;
    world.isFewer = true;
    const rest = this.#allBut(back, keeper);
    const snapshot = back.disk.snapshot();
    const { deathCount } = world;
    keeper.disk.isSealedFolderShut = true;
    await Promise.all([cutFor(world, between([back, keeper], rest), TAKEN_BY_TWO_MS_MAX), this.#push(TAKEN_BY_TWO_MS_MAX - 500)]);
    for (const one of rest) for (const two of [back, keeper]) world.peers.reset(one.host, two.host);
    back.disk.isFull = true;
    await scheduler.wait(HEARD_WITHIN_MS);
    // Who started anew meanwhile may not have heard.
    if (world.deathCount === deathCount) back.rollBack(snapshot);
    back.disk.isFull = false;
    const ways = between([keeper], [back, ...rest]);
    if (this.#chance.isTrue(0.5)) await scheduler.wait(this.#chance.between(0, 3_000));
    await Promise.all([cutFor(world, ways, 8_000), this.#askAt([back, ...rest], 7_000)]);
    keeper.disk.isSealedFolderShut = false;
  }

  /**
   * A segment vanishes from the bucket that others have released records into, and no LIST shows a hole, since it is the last one of its store. The others start anew, and the store
   * itself is cut off: what the others wrote down when they released is all that tells of the segment. So no store is lost beside it, which may be the one that wrote it down.
   */
  async #vanish(): Promise<void> {
    const world = this.#world;
    if (world.isFewer) return;
    world.isFewer = true;
    await this.#hideLast();
    // A store may have taken a new id meanwhile.
    if (!world.hasNewId) world.isFewer = false;
  }

  async #hideLast(): Promise<void> {
    const world = this.#world;
    const { bucket, scheduler } = world;
    const flusher = this.#machine;
    const others = this.#allBut(flusher);
    // An earlier build does not write down where records went.
    if (world.beganEarlier) return;
    await this.#push(this.#chance.between(1_000, 4_000));
    const before = new Set(await segmentKeys(world));
    await this.#flush(flusher);
    // The others read it, and release.
    await scheduler.wait(this.#chance.between(1_000, 8_000));
    const fresh = (await segmentKeys(world)).filter((key) => !before.has(key));
    if (fresh.length === 0) return;
    const key = this.#chance.pick(fresh);
    bucket.hidden.add(key);
    const ways = between([flusher], others);
    cut(world, ways);
    for (const one of others) one.crash("kill");
    await Promise.all(others.map((one) => one.ready(READY_WITHIN_MS)));
    await this.#askAt(others, 4_000);
    heal(world, ways);
    await scheduler.wait(this.#chance.between(0, this.#lengthMs));
    bucket.hidden.delete(key);
  }

  /** A node starts with its data, reaches none of the others that it remembers, and takes them for dead after a while. */
  async #restartAlone(): Promise<void> {
    const world = this.#world;
    const others = this.#allBut(this.#machine);
    this.#machine.crash("kill");
    await Promise.all([cutFor(world, between([this.#machine], others), this.#lengthMs), this.#push(this.#lengthMs), this.#askAt(others, this.#lengthMs)]);
  }

  /** A node seals what it cannot upload, tells the others of the segment, and is lost with it: the others hold the only copies of those records. */
  async #loseSealed(): Promise<void> {
    const world = this.#world;
    const { bucket, scheduler } = world;
    const lost = this.#machine;
    if (world.isFewer) return;
    world.isFewer = true;
    await this.#push(this.#chance.between(1_000, 4_000));
    bucket.unreachableFrom.add(lost.host);
    const flushing = this.#flush(lost);
    // The others hear of the segment, and may read it there.
    await Promise.all([scheduler.wait(this.#chance.between(500, 5_000)), this.#askAt(this.#allBut(lost), 500)]);
    lost.wipe();
    bucket.unreachableFrom.delete(lost.host);
    await flushing;
    await this.#askAt(this.#allBut(lost), 5_000);
  }

  // --- what clients and the operator do meanwhile ---------------------------------------------------------------------------

  #allBut(...some: readonly Machine[]): Machine[] {
    return this.#world.machines.filter((one) => !some.includes(one));
  }

  /** Resolves after `lengthMs`; the pushes may be under way longer. */
  async #push(lengthMs: number, pauseMsMax = 800): Promise<void> {
    await this.#repeat(lengthMs, pauseMsMax, () => {
      const push = drawPush(this.#world, this.#chance, `composed/${this.#machine.name}/${++this.#pushCount}`);
      this.#world.notePush(push);
      return sendUntilAnswered(this.#world, this.#chance, push);
    });
  }

  async #pushesAgain(lengthMs: number): Promise<void> {
    const { lastPushes } = this.#world;
    await this.#repeat(lengthMs, 150, async () => {
      if (lastPushes.length > 0) await sendOnce(this.#world, this.#chance.pick(lastPushes), Infinity);
    });
  }

  async #askAt(machines: readonly Machine[], lengthMs: number, pauseMsMax = 400): Promise<void> {
    await this.#repeat(lengthMs, pauseMsMax, () => ask(this.#world, "composed", drawQuestion(this.#world, this.#chance), Infinity, this.#chance.pick(machines)));
  }

  async #flushes(lengthMs: number): Promise<void> {
    await this.#repeat(lengthMs, 8_000, () => this.#flush(this.#chance.pick(this.#world.machines)));
  }

  /** The others flush, and the machine does not reach the bucket until `unreadMs` and some more have passed: it reads then what it missed. */
  async #flushesUnread(lengthMs: number, unreadMs: number): Promise<void> {
    const { bucket, scheduler } = this.#world;
    const endMs = scheduler.nowMs + lengthMs;
    while (scheduler.nowMs < endMs) {
      await scheduler.wait(this.#chance.between(500, 2_500));
      bucket.unreachableFrom.add(this.#machine.host);
      this.#begun.push(this.#flush(this.#chance.pick(this.#allBut(this.#machine))));
      await scheduler.wait(unreadMs + this.#chance.between(200, 500));
      bucket.unreachableFrom.delete(this.#machine.host);
    }
  }

  /** Begins something again and again for a while, whether or not what it began before is over. */
  async #repeat(lengthMs: number, pauseMsMax: number, begin: () => Promise<unknown>): Promise<void> {
    const { scheduler } = this.#world;
    const endMs = scheduler.nowMs + lengthMs;
    while (scheduler.nowMs < endMs) {
      await scheduler.wait(Math.min(this.#chance.between(0, pauseMsMax), endMs - scheduler.nowMs));
      const work = begin();
      this.#world.watch(work);
      this.#begun.push(work);
    }
  }

  /** Resolves when the member has answered, or after a while. */
  async #flush(machine: Machine): Promise<void> {
    const { journal } = this.#world;
    try {
      const { body, status } = await machine.network.request({ method: "POST", path: "/flush", headers: {}, body: new Uint8Array(0) }, { timeoutMs: FLUSHED_WITHIN_MS });
      journal.note("operator", `flush${at(machine)}: ${status} ${body.slice(0, 200)}`);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      journal.note("operator", `flush${at(machine)}: ${error.message}`);
    }
  }

  /** Resolves when this member knows of a lost store, or after a while. */
  async #untilLost(machine: Machine): Promise<void> {
    await this.#untilLostStores(machine, /^pyromesh_lost_stores [1-9]/m);
  }

  /** Resolves when this member knows of no lost store that is not cleared, or after a while. */
  async #untilCleared(machine: Machine): Promise<void> {
    await this.#untilLostStores(machine, /^pyromesh_lost_stores 0/m);
  }

  async #untilLostStores(machine: Machine, pattern: RegExp): Promise<void> {
    const { scheduler } = this.#world;
    const endMs = scheduler.nowMs + CLEARED_WITHIN_MS;
    while (scheduler.nowMs < endMs && !pattern.test((await machine.metricsText((name) => name === "pyromesh_lost_stores")) ?? "")) await scheduler.wait(200);
  }
}
