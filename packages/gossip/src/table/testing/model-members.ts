/** Membership in the model's world: probes, exchanges of tables, verdicts, and what a node says of itself. */
import { DEAD_AFTER, type ModelState, nameOf, type WorldNode } from "./model-state.ts";

export class ModelMembers {
  readonly #state: ModelState;

  constructor(state: ModelState) {
    this.#state = state;
  }

  probe1(i: number, j: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || !this.#state.isOnDisk(d) || i === j || !this.#state.isLinked(i, j) || !this.#state.nodes[j]!.exists) return false;
    d.probes[j] = { at: this.#state.nowMs(d), boot: d.boot, entry: d.table.own, answeredBy: undefined };
    return true;
  }

  probe2(i: number, j: number): boolean {
    const d = this.#state.nodes[i]!;
    const e = this.#state.nodes[j]!;
    const probe = d.probes[j];
    if (probe === undefined || probe.answeredBy !== undefined || !this.#state.isOn(e)) return false;
    const answer = e.table.onProbe(probe.entry, this.#state.nowMs(e));
    this.#state.took(e, answer.changes);
    if (!answer.isContact || answer.afterVersion > e.table.persistedVersion || !this.#state.isLinked(j, i)) return false;
    probe.answeredBy = e.storeId;
    return true;
  }

  probe3(i: number, j: number): boolean {
    const d = this.#state.nodes[i]!;
    const probe = d.probes[j];
    if (probe?.answeredBy === undefined || !this.#state.isOn(d) || probe.boot !== d.boot) return false;
    d.probes[j] = undefined;
    d.table.onHeard(nameOf(j), probe.answeredBy, this.#state.keeps("leaseFromSend") ? probe.at : this.#state.nowMs(d));
    d.seen[j] = this.#state.ticksOf(d);
    return true;
  }

  gossip(i: number, j: number): boolean {
    const a = this.#state.nodes[i]!;
    const b = this.#state.nodes[j]!;
    if (i === j || !this.#state.isOn(a) || !this.#state.isOnDisk(a) || !this.#state.isOn(b) || !this.#state.isLinked(i, j)) return false;
    this.learn(b, a);
    return true;
  }

  learn(b: WorldNode, a: WorldNode): void {
    if (a.table.digest === b.table.digest) return;
    this.#state.took(b, b.table.merge(a.table.lackedBy(b.table.bucketDigests), this.#state.nowMs(b)));
  }

  declare(i: number, j: number): boolean {
    const d = this.#state.nodes[i]!;
    const entry = d.table.entry(nameOf(j));
    if (!this.#state.isOn(d) || i === j || entry === undefined || (entry.status !== "alive" && entry.status !== "leaving")) return false;
    if (this.#state.ticksOf(d) - d.seen[j]! < DEAD_AFTER) return false;
    this.#state.took(d, d.table.declareDead(nameOf(j), this.#state.nowMs(d)));
    return true;
  }

  facts(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    for (const loss of [...d.table.losses]) {
      const seq = d.lossSeqs.get(`${loss.storeId}/${loss.incarnation}`)!;
      const isFlushed = [...d.recs.values()].every((rec) => rec.seq >= seq || rec.releasedAt >= 0);
      if (isFlushed) this.#state.took(d, d.table.noteFlushed(loss.storeId, loss.incarnation, this.#state.nowMs(d)));
    }
    this.#state.noteHeld(d);
    this.#state.took(d, d.table.tick(this.#state.nowMs(d)));
    const wanted = d.table.wantedReplication;
    if (wanted !== undefined && this.#state.isBucketUp) {
      this.#state.bucketReplication = Math.max(this.#state.bucketReplication, wanted);
      this.#state.took(d, d.table.noteBucketReplication(this.#state.bucketReplication, this.#state.nowMs(d)));
      this.#state.took(d, d.table.tick(this.#state.nowMs(d)));
    }
    return true;
  }
}
