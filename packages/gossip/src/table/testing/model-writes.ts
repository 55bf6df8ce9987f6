/** Pushes in the model's world: a record is sent to its stores, appended, synced, acknowledged, and the push answered. */
import { acksOf } from "../replication.ts";
import { type ModelState, nameOf, NO_SUSPECTS, type Push, type WorldNode } from "./model-state.ts";

export class ModelWrites {
  readonly #state: ModelState;

  constructor(state: ModelState) {
    this.#state = state;
  }

  push(i: number, record: number, op: number, turn: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || this.#state.pushes.has(op) || d.listStart < 0) return false;
    const view = d.table.view(NO_SUSPECTS);
    const refusal = view.writesRefusedBecause;
    const isIgnored = refusal !== undefined && ((!this.#state.keeps("joinMajority") && refusal.includes("not joined")) || (!this.#state.keeps("rfInBucket") && refusal.includes("bucket")));
    if (refusal !== undefined && !isIgnored) return false;
    // Ahead: under the target replication, as soon as so many members are full.
    const replication = this.#state.keeps("pushAhead") ? view.replication : d.table.state.replication;
    const names: number[] = [];
    for (let k = 0; k < this.#state.options.slots && names.length < replication; k++) {
      const m = (record + turn + k) % this.#state.options.slots;
      const member = view.members.find((each) => each.name === nameOf(m));
      if (member !== undefined && (member.state === "active" || (!this.#state.keeps("joinMajority") && member.state === "joining"))) names.push(m);
    }
    const acks = acksOf(replication);
    if (names.length < acks) return false;
    const list = names.map((m) => d.table.entry(nameOf(m))!.storeId);
    this.#state.pushes.set(op, { record, from: i, boot: d.boot, names, list, states: names.map(() => 0), acks, isReplied: false, isDone: false });
    return true;
  }

  append(op: number, k: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || k >= push.names.length || push.states[k] !== 0) return false;
    const d = this.#state.nodes[push.names[k]!]!;
    if (!this.#state.isOn(d) || !this.#state.isLinked(push.from, d.i)) return false;
    if (!this.#takes(d, push, k)) {
      push.states[k] = 9;
      return false;
    }
    const old = d.recs.get(push.record);
    if (old === undefined) {
      d.recs.set(push.record, { list: push.list, seq: d.seq++, at: this.#state.ticksOf(d), acks: push.acks, isSynced: false, sealed: 0, isTaken: false, releasedAt: -1, inSegments: new Set() });
    } else if (old.acks > push.acks) old.acks = push.acks;
    this.#state.noteHeld(d);
    push.states[k] = 1;
    return true;
  }

  #takes(d: WorldNode, push: Push, k: number): boolean {
    if (this.#state.keeps("storeIdChecked") && d.storeId !== push.list[k]) return false;
    if (this.#state.keeps("joinMajority") && !d.table.isFull) return false;
    if (this.#state.keeps("leaveNotWritable") && d.table.own.status !== "alive") return false;
    if (this.#state.keeps("refuseFewer") && push.acks < d.table.own.acksHeld) return false;
    return !(this.#state.keeps("refuseLost") && push.list.some((store) => d.table.isLost(store)));
  }

  ack(op: number, k: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || k >= push.names.length || push.states[k] !== 1) return false;
    const d = this.#state.nodes[push.names[k]!]!;
    if (!this.#state.isOn(d) || (this.#state.keeps("storeIdChecked") && d.storeId !== push.list[k])) return false;
    const rec = d.recs.get(push.record);
    if (rec !== undefined && this.#state.keeps("ackAfterSync")) rec.isSynced = true;
    const isAcked = rec !== undefined && (!this.#state.keeps("contactStore") || d.table.isInContact(this.#state.nowMs(d)));
    push.states[k] = isAcked ? 2 : 9;
    return isAcked;
  }

  receive(op: number, k: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || push.states[k] !== 2) return false;
    const c = this.#state.nodes[push.from]!;
    if (!this.#state.isOn(c) || c.boot !== push.boot || !this.#state.isLinked(push.names[k]!, push.from)) return false;
    push.states[k] = 3;
    return true;
  }

  reply(op: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || push.isReplied) return false;
    const c = this.#state.nodes[push.from]!;
    if (!this.#state.isOn(c) || c.boot !== push.boot) return false;
    const acks = push.list.filter((store, k) => push.states[k] === 3 && !(this.#state.keeps("ackLive") && c.table.isLost(store))).length;
    if (acks < push.acks) return false;
    if (this.#state.keeps("contactReply") && !c.table.isInContact(this.#state.nowMs(c))) return false;
    push.isReplied = true;
    return true;
  }

  deliver(op: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || !push.isReplied || push.isDone) return false;
    push.isDone = true;
    this.#state.acked.add(push.record);
    this.#state.counts.acks++;
    return true;
  }

  pushAll(i: number, record: number, op: number, turn: number): boolean {
    if (!this.push(i, record, op, turn)) return false;
    const push = this.#state.pushes.get(op)!;
    for (let k = 0; k < push.names.length; k++) if (this.append(op, k) && this.ack(op, k)) this.receive(op, k);
    return this.reply(op) && this.deliver(op);
  }

  /** The ranks in `mask` append and acknowledge; their acks stay on the way. */
  send(i: number, record: number, op: number, mask: number): boolean {
    if (!this.push(i, record, op, 0)) return false;
    const push = this.#state.pushes.get(op)!;
    for (let k = 0; k < push.names.length; k++) if ((mask & (1 << k)) !== 0 && this.append(op, k)) this.ack(op, k);
    return true;
  }

  /** The rest arrives, and the answer leaves if there are acks enough. */
  settle(op: number): boolean {
    const push = this.#state.pushes.get(op);
    if (push === undefined || push.isDone) return false;
    for (let k = 0; k < push.names.length; k++) {
      this.append(op, k);
      this.ack(op, k);
      this.receive(op, k);
    }
    return this.reply(op) && this.deliver(op);
  }
}
