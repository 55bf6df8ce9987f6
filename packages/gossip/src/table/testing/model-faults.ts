/** What happens to nodes in the model's world: crashes, lost disks, pauses, cut links; and who joins or leaves. */
import { decodeClusterState, encodeClusterState } from "../../items/cluster-state.ts";
import { acksOf } from "../replication.ts";
import { type ModelState, nameOf, NO_SUSPECTS } from "./model-state.ts";

export class ModelFaults {
  readonly #state: ModelState;

  constructor(state: ModelState) {
    this.#state = state;
  }

  crash(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!d.exists || !d.isUp) return false;
    this.resume(i);
    if (this.#state.disk === undefined) d.disk = encodeClusterState(d.table.state);
    d.isUp = false;
    d.boot++;
    d.listing = undefined;
    d.matched.clear();
    d.probes.fill(undefined);
    d.gaps.clear();
    d.listEnd = -1;
    for (const [record, rec] of d.recs) if (!rec.isSynced) d.recs.delete(record);
    for (const push of this.#state.pushes.values()) push.names.forEach((m, k) => (m === i && push.states[k] === 1 && !d.recs.has(push.record) ? (push.states[k] = 9) : 0));
    return true;
  }

  restart(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!d.exists || d.isUp || this.#state.killed.has(i) || this.#state.left.has(i)) return false;
    d.isUp = true;
    d.seen.fill(this.#state.ticksOf(d));
    if (!this.#state.keeps("fenceKept")) {
      const state = decodeClusterState(d.disk);
      d.disk = encodeClusterState({ ...state, entries: state.entries.map((entry) => (entry.status === "dead" || entry.status === "forgotten" ? { ...entry, status: "alive" as const, goneJoins: 0 } : entry)), losses: [] });
    }
    this.#state.openTable(d, false);
    d.lossSeqs.clear();
    for (const loss of d.table.losses) d.lossSeqs.set(`${loss.storeId}/${loss.incarnation}`, d.seq);
    d.listNeededAt = this.#state.step;
    return true;
  }

  #noteLoss(i: number): void {
    this.#state.lossCount++;
    const open = this.#openLossCount();
    const well = this.#state.nodes.filter((d) => d.i !== i && this.#state.isOn(d) && d.table.isFull && d.table.own.status === "alive" && d.table.isInContact(this.#state.nowMs(d)));
    const others = this.#state.nodes.filter((d) => d.i !== i && d.exists && !this.#state.left.has(d.i)).length;
    const isStuck = well.some((d) => 2 * well.length <= d.table.view(NO_SUSPECTS).members.filter((member) => member.name !== nameOf(i)).length + d.table.electorate.silentCount);
    if (2 * well.length <= others || isStuck || open >= acksOf(this.#state.options.rf) || this.#state.options.isGrowing === true) this.#state.isTooMuch = true;
  }

  /** Stores that are gone, and that some running node does not hold as cleared. */
  #openLossCount(): number {
    const up = this.#state.nodes.filter((d) => d.exists && d.isUp);
    let count = 0;
    for (const store of this.#state.gone) if (up.length === 0 || up.some((d) => ![...d.table.losses].some((loss) => loss.storeId === store && loss.isCleared))) count++;
    return count;
  }

  wipe(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!d.exists || this.#state.killed.has(i) || this.#state.left.has(i) || this.#state.nextStore > 28) return false;
    if (d.isUp) this.crash(i);
    this.#state.gone.add(d.storeId);
    this.#noteLoss(i);
    const fresh = this.#state.makeNode(i, false);
    fresh.exists = true;
    fresh.isUp = true;
    fresh.boot = d.boot + 1;
    fresh.stood = d.stood;
    this.#state.nodes[i] = fresh;
    fresh.disk = new Uint8Array(0);
    this.#state.openTable(fresh, false);
    return true;
  }

  kill(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!d.exists || this.#state.killed.has(i)) return false;
    if (d.isUp) this.crash(i);
    this.#state.killed.add(i);
    this.#state.gone.add(d.storeId);
    this.#noteLoss(i);
    return true;
  }

  join(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (d.exists) return false;
    d.exists = true;
    d.isUp = true;
    d.disk = new Uint8Array(0);
    this.#state.openTable(d, false);
    return true;
  }

  leave(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || d.table.own.status !== "alive") return false;
    try {
      this.#state.took(d, d.table.leave(this.#state.nowMs(d)));
      return true;
    } catch {
      return false; // it refuses
    }
  }

  leftStep(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    const { status } = d.table.own;
    if (status === "leaving") {
      if (this.#state.keeps("leaveFlushed") && this.#state.heldAcks(d) !== Infinity) return false;
      try {
        this.#state.took(d, d.table.left(this.#state.nowMs(d)));
        return true;
      } catch {
        return false;
      }
    }
    if (status !== "left") return false;
    const full = this.#state.nodes.filter((e) => e !== d && d.table.isMemberFull(nameOf(e.i)) && ["alive", "leaving", "dead"].includes(d.table.entry(nameOf(e.i))!.status));
    const know = full.filter((e) => this.#state.isOn(e) && e.table.entry(nameOf(i))?.storeId === d.storeId && e.table.entry(nameOf(i))!.status === "left");
    if (know.length < Math.max(1, Math.min(2, full.length))) return false;
    this.crash(i);
    this.#state.left.add(i);
    return true;
  }

  pause(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    d.isPaused = true;
    return true;
  }

  freeze(i: number): boolean {
    if (!this.pause(i)) return false;
    this.#state.nodes[i]!.frozenAt = this.#state.tick;
    return true;
  }

  resume(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!d.isPaused) return false;
    d.isPaused = false;
    if (d.frozenAt >= 0) d.stood += this.#state.tick - d.frozenAt;
    d.frozenAt = -1;
    return true;
  }

  cutWhere(isCut: (i: number, j: number) => boolean | undefined): boolean {
    let isChanged = false;
    this.#state.cuts.forEach((row, i) =>
      row.forEach((was, j) => {
        const is = i === j ? was : (isCut(i, j) ?? was);
        if (is !== was) isChanged = true;
        row[j] = is;
      }),
    );
    return isChanged;
  }
}
