/** From a head to the bucket in the model's world: seals, uploads, LISTs, releases, takeovers. */
import type { StoreId } from "@pyromesh/ring";
import { DUE, gapsOf, GRACE, indexOf, keyOf, type ModelState, ordinalOf, type Rec, type WorldNode } from "./model-state.ts";

export class ModelFlush {
  readonly #state: ModelState;

  constructor(state: ModelState) {
    this.#state = state;
  }

  seal(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    const ids: number[] = [];
    for (const [record, rec] of d.recs) if (rec.releasedAt < 0 && rec.sealed === 0 && (rec.list[0] === d.storeId || rec.isTaken)) ids.push(record);
    if (ids.length === 0) return false;
    const ordinal = d.nextOrdinal++;
    d.segments.push({ ordinal, ids, isDone: false });
    for (const record of ids) {
      const rec = d.recs.get(record)!;
      rec.sealed = ordinal;
      rec.isSynced = true;
    }
    return true;
  }

  put(i: number, isTold: boolean, isLast = false): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || !this.#state.isBucketUp || d.listStart < 0) return false;
    const waiting = d.segments.filter((segment) => !segment.isDone);
    if (waiting.length === 0) return false;
    const segment = !this.#state.keeps("orderedUpload") && isLast ? waiting.at(-1)! : waiting[0]!;
    const key = keyOf(d.storeId, segment.ordinal);
    this.#state.objects.set(key, segment.ids);
    if (isTold) {
      segment.isDone = true;
      d.catalog.add(key);
    }
    return true;
  }

  list1(i: number, split: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || !this.#state.isBucketUp) return false;
    d.listing = { start: this.#state.step, split, keys: [...this.#state.objects.keys()].filter((key) => ordinalOf(key) <= split) };
    return true;
  }

  list2(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || !this.#state.isBucketUp || d.listing === undefined) return false;
    const { start, split } = d.listing;
    const keys = new Set([...d.listing.keys, ...[...this.#state.objects.keys()].filter((key) => ordinalOf(key) > split)]);
    const gaps = new Map<string, number>();
    for (const gap of gapsOf(keys)) gaps.set(gap, (d.gaps.has(gap) && start >= d.listEnd ? d.gaps.get(gap)! : 0) + 1);
    d.gaps = gaps;
    for (const key of keys) d.catalog.add(key);
    d.listStart = Math.max(d.listStart, start);
    d.listEnd = this.#state.step;
    d.listing = undefined;
    this.#state.took(d, d.table.noteBucketReplication(this.#state.bucketReplication, this.#state.nowMs(d)));
    this.#state.step++;
    return true;
  }

  /** Reads one segment and releases what it holds. */
  match(d: WorldNode, key: string): void {
    const ids = this.#state.objects.get(key);
    if (ids === undefined || (!this.#state.keeps("matchLate") && d.matched.has(key))) return;
    d.matched.add(key);
    for (const record of ids) {
      const rec = d.recs.get(record);
      if (rec === undefined) continue;
      rec.inSegments.add(key);
      d.releasedInto.add(key);
      if (rec.releasedAt < 0) rec.releasedAt = this.#state.ticksOf(d);
    }
  }

  release(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || !this.#state.isBucketUp) return false;
    for (const key of d.catalog) this.match(d, key);
    this.#state.noteHeld(d);
    return true;
  }

  drop(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    let isDropped = false;
    for (const [record, rec] of d.recs) {
      if (rec.releasedAt < 0 || this.#state.ticksOf(d) - rec.releasedAt < GRACE) continue;
      d.recs.delete(record);
      isDropped = true;
    }
    return isDropped;
  }

  takeover(i: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d)) return false;
    let isDone = false;
    for (const [record, rec] of d.recs) {
      const age = this.#state.ticksOf(d) - rec.at;
      if (rec.releasedAt >= 0 || rec.sealed > 0 || rec.isTaken || rec.list[0] === d.storeId || age < DUE) continue;
      const own = rec.list.indexOf(d.storeId);
      const rank = own < 0 ? rec.list.length : own;
      const first = this.#holderOf(d, rec.list[0]!);
      let isWaiting = false;
      if (first >= 0) {
        const verdict = this.#askRank0(d, this.#state.nodes[first]!, record, rec);
        if (verdict === "released") {
          isDone = true;
          continue;
        }
        isWaiting = verdict === "wait";
      }
      for (let k = 1; k < rank && !isWaiting; k++) if (this.#holderOf(d, rec.list[k]!) >= 0) isWaiting = true;
      if (isWaiting && !(this.#state.keeps("threeDue") && age >= 3 * DUE)) continue;
      if (this.#state.isBucketUp) {
        this.list1(i, 0);
        this.list2(i);
        for (const key of d.catalog) this.match(d, key);
      }
      if (rec.releasedAt < 0) rec.isTaken = true;
      isDone = true;
    }
    return isDone;
  }

  #holderOf(d: WorldNode, store: StoreId): number {
    for (const entry of d.table.entries) if (entry.storeId === store && (entry.status === "alive" || entry.status === "leaving")) return indexOf(entry.name);
    return -1;
  }

  #askRank0(d: WorldNode, e: WorldNode, record: number, rec: Rec): "wait" | "released" | "take" {
    if (!this.#state.isOn(e) || !this.#state.isLinked(d.i, e.i) || !this.#state.isLinked(e.i, d.i) || e.storeId !== rec.list[0]) return "wait";
    const held = e.recs.get(record);
    if (!this.#state.keeps("releaseAfterRead") && held !== undefined && (held.sealed > 0 || held.releasedAt >= 0)) {
      rec.releasedAt = this.#state.ticksOf(d);
      return "released";
    }
    const segments = [...e.releasedInto].filter((key) => this.#state.objects.get(key)?.includes(record) === true);
    if (segments.length > 0) {
      for (const key of segments) d.catalog.add(key);
      return "released";
    }
    const isBuffered = held !== undefined && (held.list[0] === e.storeId || held.isTaken || held.sealed > 0 || !this.#state.keeps("bufferedRank0"));
    return isBuffered ? "wait" : "take";
  }

  flush(i: number): boolean {
    this.takeover(i);
    this.seal(i);
    while (this.put(i, true));
    this.list1(i, 0);
    this.list2(i);
    this.release(i);
    return this.#state.isOn(this.#state.nodes[i]!);
  }
}
