/**
 * The model's world over the real member tables: N nodes with stores, a bucket, links that are cut, processes that stop, disks that are lost. Records,
 * segments and queries are as simple as the rules allow; who is a member, who votes, who is lost and what is cleared comes from `MemberTable`.
 *
 * A history is a list of actions; `apply` is deterministic, and an action that is not possible does nothing, so any history may be shortened by leaving
 * actions out. Each rule is a switch (`off`), so that a test can show the history that breaks without it.
 */
import { acksOf } from "../replication.ts";
import { ModelFaults } from "./model-faults.ts";
import { ModelFlush } from "./model-flush.ts";
import { ModelMembers } from "./model-members.ts";
import { ModelQueries } from "./model-queries.ts";
import { type Action, LAST_RECORDS, ModelState, nameOf, NO_SUSPECTS, type Push, type Query, type Violation, type WorldNode, type WorldOptions } from "./model-state.ts";
import { ModelWrites } from "./model-writes.ts";

export class ModelWorld {
  readonly #state: ModelState;
  readonly #members: ModelMembers;
  readonly #writes: ModelWrites;
  readonly #flush: ModelFlush;
  readonly #queries: ModelQueries;
  readonly #faults: ModelFaults;

  constructor(options: WorldOptions, off: readonly string[] = []) {
    const state = new ModelState(options, off);
    const members = new ModelMembers(state);
    const flush = new ModelFlush(state);
    this.#state = state;
    this.#members = members;
    this.#writes = new ModelWrites(state);
    this.#flush = flush;
    this.#queries = new ModelQueries(state, { members, flush });
    this.#faults = new ModelFaults(state);
    const count = options.isGrowing === true ? 1 : options.n;
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < count; i++) {
        this.#state.save(this.#state.nodes[i]!, true);
        for (let j = 0; j < count; j++) this.#members.gossip(i, j);
      }
    }
    for (let i = 0; i < count; i++) this.#state.save(this.#state.nodes[i]!, true);
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) if (i !== j) this.#state.nodes[i]!.table.onHeard(nameOf(j), this.#state.nodes[j]!.storeId, this.#state.nowMs(this.#state.nodes[i]!));
  }

  get nodes(): readonly WorldNode[] {
    return this.#state.nodes;
  }

  get pushes(): ReadonlyMap<number, Push> {
    return this.#state.pushes;
  }

  get queries(): ReadonlyMap<number, Query> {
    return this.#state.queries;
  }

  get killed(): ReadonlySet<number> {
    return this.#state.killed;
  }

  get left(): ReadonlySet<number> {
    return this.#state.left;
  }

  get violation(): Violation | undefined {
    return this.#state.violation;
  }

  get counts(): { readonly acks: number; readonly complete: number; readonly refused: number } {
    return this.#state.counts;
  }

  isOn(d: WorldNode): boolean {
    return this.#state.isOn(d);
  }

  /** Everyone who can probes everyone, tells its table, judges. */
  #beat(): void {
    const all = this.#state.nodes.map((_, i) => i);
    for (const d of this.#state.nodes) if (this.#state.isOn(d)) this.#state.save(d, true);
    for (const i of all) for (const j of all) if (this.#members.probe1(i, j) && this.#members.probe2(i, j)) this.#members.probe3(i, j);
    for (const i of all) for (const j of all) this.#members.gossip(i, j);
    for (const i of all) for (const j of all) this.#members.declare(i, j);
    for (const i of all) this.#members.facts(i);
  }

  #time(ticks: number): boolean {
    for (let t = 0; t < ticks; t++) {
      this.#state.tick++;
      this.#beat();
    }
    return true;
  }

  #flushAll(): boolean {
    for (let i = 0; i < this.#state.options.slots; i++) this.#flush.flush(i);
    for (let i = 0; i < this.#state.options.slots; i++) {
      if (!this.#state.isOn(this.#state.nodes[i]!)) continue;
      this.#flush.list1(i, 0);
      this.#flush.list2(i);
      this.#flush.release(i);
    }
    return true;
  }

  /** Returns whether anything happened. */
  apply([kind, x = 0, y = 0, z = 0, v = 0]: Action): boolean {
    this.#state.step++;
    if (this.#state.lateNews.length > 0 && this.#state.news!.float() < 0.5) {
      const news = this.#state.lateNews[Math.floor(this.#state.news!.float() * this.#state.lateNews.length)]!;
      this.#state.hearNews(this.#state.nodes[Math.floor(this.#state.news!.float() * this.#state.nodes.length)]!, news);
    }
    const has = (mask: number, at: number): boolean => (mask & (1 << at)) !== 0;
    const anyOf = (make: (j: number) => boolean): boolean => this.#state.nodes.map((_, j) => make(j)).some(Boolean);
    switch (kind) {
      case "time": return this.#time(x);
      case "tick": this.#state.tick++; return true;
      case "beat": this.#beat(); return true;
      case "isolate": return this.#faults.cutWhere((i, j) => (i === x || j === x ? true : undefined));
      case "cut": return this.#faults.cutWhere((i, j) => ((i === x && j === y) || (i === y && j === x) ? true : undefined));
      case "cut1": return this.#faults.cutWhere((i, j) => (i === x && j === y ? true : undefined));
      case "mend": return this.#faults.cutWhere((i, j) => ((i === x && j === y) || (i === y && j === x) ? false : undefined));
      case "heal": return this.#faults.cutWhere(() => false);
      case "split": return this.#faults.cutWhere((i, j) => has(x, i) !== has(x, j));
      case "pause": return this.#faults.pause(x);
      case "freeze": return this.#faults.freeze(x);
      case "resume": return this.#faults.resume(x);
      case "crash": return this.#faults.crash(x);
      case "restart": return this.#faults.restart(x);
      case "wipe": return this.#faults.wipe(x);
      case "kill": return this.#faults.kill(x);
      case "join": return this.#faults.join(x);
      case "leave": return this.#faults.leave(x);
      case "left": return this.#faults.leftStep(x);
      case "bucketDown": this.#state.isBucketUp = false; return true;
      case "bucketUp": this.#state.isBucketUp = true; return true;
      case "PUSH": return this.#writes.pushAll(x, y, z, v);
      case "SEND": return this.#writes.send(x, y, z, v);
      case "SETTLE": return this.#writes.settle(x);
      case "PROBE": return anyOf((j) => has(y, j) && this.#members.probe1(x, j) && this.#members.probe2(x, j));
      case "HEAR": return anyOf((j) => this.#members.probe3(x, j));
      case "ASK": return anyOf((j) => has(y, j) && this.#queries.ask(x, j));
      case "push": return this.#writes.push(x, y, z, v);
      case "append": return this.#writes.append(x, y);
      case "ack": return this.#writes.ack(x, y);
      case "receive": return this.#writes.receive(x, y);
      case "reply": return this.#writes.reply(x);
      case "deliver": return this.#writes.deliver(x);
      case "FLUSH": return this.#flushAll();
      case "flush": return this.#flush.flush(x);
      case "seal": return this.#flush.seal(x);
      case "put": return this.#flush.put(x, true);
      case "putLast": return this.#flush.put(x, true, true);
      case "putUnsure": return this.#flush.put(x, false);
      case "list1": return this.#flush.list1(x, y);
      case "list2": return this.#flush.list2(x);
      case "release": return this.#flush.release(x);
      case "drop": return this.#flush.drop(x);
      case "takeover": return this.#flush.takeover(x);
      case "probe1": return this.#members.probe1(x, y);
      case "probe2": return this.#members.probe2(x, y);
      case "probe3": return this.#members.probe3(x, y);
      case "gossip": return this.#members.gossip(x, y);
      case "declare": return this.#members.declare(x, y);
      case "facts": return this.#members.facts(x);
      case "QUERY": return this.#queries.query(x, y) !== false;
      case "qStart": return this.#queries.startQuery(x, y);
      case "qAsk": return this.#queries.ask(x, y);
      case "qEnd": return this.#queries.endQuery(x) !== false;
      default: throw new Error(`no action ${kind}`);
    }
  }

  // ---- after the history

  /** Heals everything, runs on, and asks every node. `mustAnswer`: an answer is asked for even where more was broken than allowed. */
  finish(mustAnswer = false): void {
    for (const d of this.#state.nodes) if (this.#state.isOn(d)) this.#queries.query(d.i, -1 - d.i);
    if (this.#state.violation !== undefined) return;
    this.#faults.cutWhere(() => false);
    this.#state.isBucketUp = true;
    for (const d of this.#state.nodes) {
      this.#faults.resume(d.i);
      if (d.exists && !d.isUp) this.#faults.restart(d.i);
    }
    const isLive = mustAnswer || (!this.#state.isTooMuch && this.#canLive());
    for (let t = 0; t < 40 && this.#state.violation === undefined; t++) {
      if (t >= 14 && this.#isQuiet()) break;
      this.#state.step++;
      this.#time(1);
      if (t % 2 === 0) this.#flushAll();
      for (const d of this.#state.nodes) {
        this.#flush.drop(d.i);
        if (d.exists && d.isUp && (d.table.own.status === "leaving" || d.table.own.status === "left")) this.#faults.leftStep(d.i);
      }
    }
    this.#askEveryone(isLive);
  }

  #askEveryone(isLive: boolean): void {
    for (const d of this.#state.nodes) if (this.#state.isOn(d)) this.#state.save(d, true);
    const up = this.#state.nodes.filter((d) => d.exists && d.isUp && d.table.own.status === "alive");
    for (const d of up) {
      this.#state.step++;
      const op = -101 - d.i;
      if (this.#queries.query(d.i, op) !== "complete" && isLive) this.#state.fail("refusedForEver", `node ${d.i} still refuses: ${this.#state.queries.get(op)?.why}`);
    }
    if (isLive) for (const d of up) if (!this.#writes.pushAll(d.i, LAST_RECORDS + d.i, -101 - d.i, 0)) this.#state.fail("pushRefusedForEver", `node ${d.i} takes no push: ${d.table.view(NO_SUSPECTS).writesRefusedBecause}`);
    for (const d of up) for (const [record, rec] of d.recs) if (record < LAST_RECORDS && rec.releasedAt < 0) this.#state.fail("unflushed", `record ${record} on node ${d.i} is never flushed`);
    if (this.#state.isTooMuch) return;
    for (const record of this.#state.acked) {
      if (record >= LAST_RECORDS) continue;
      const isInBucket = [...this.#state.objects.values()].some((ids) => ids.includes(record));
      if (!isInBucket && up.filter((d) => d.recs.has(record)).length < acksOf(this.#state.options.rf)) this.#state.fail("notKept", `record ${record} is neither in the bucket nor in enough heads`);
    }
  }

  #isQuiet(): boolean {
    return this.#state.nodes.every((d) => {
      if (!d.exists || !d.isUp) return true;
      return d.table.own.status === "alive" && d.table.isFull && this.#state.heldAcks(d) === Infinity && [...d.table.losses].every((loss) => loss.isCleared || !loss.wasFull);
    });
  }

  /** A majority of what each node may count can come up again. */
  #canLive(): boolean {
    const isLeaving = (d: WorldNode): boolean => ["leaving", "left"].includes(d.table.own.status);
    if (this.#state.options.rf < 2 && this.#state.lossCount > 0) return false;
    if (this.#state.options.isGrowing === true && this.#state.nodes.some((d) => d.exists && isLeaving(d))) return false;
    if (this.#state.lossCount > 0 && this.#state.nodes.some((d) => d.exists && (this.#state.left.has(d.i) || isLeaving(d)))) return false;
    const alive = this.#state.nodes.filter((d) => d.exists && !this.#state.killed.has(d.i) && !this.#state.left.has(d.i) && !isLeaving(d)).length;
    return alive >= Math.max(2, acksOf(this.#state.options.rf)) && this.#state.killed.size <= 1;
  }
}

/** Runs a history to its end. Returns the first violation. */
export function runHistory(options: WorldOptions, off: readonly string[], history: readonly Action[], mustAnswer = false): Violation | undefined {
  const world = new ModelWorld(options, off);
  for (const action of history) {
    world.apply(action);
    if (world.violation !== undefined) return world.violation;
  }
  world.finish(mustAnswer);
  return world.violation;
}
