/** Queries in the model's world: plans, what each store answers, and whether the answer is complete. */
import type { StoreId } from "@pyromesh/ring";
import type { ModelFlush } from "./model-flush.ts";
import type { ModelMembers } from "./model-members.ts";
import { gapsOf, type ModelState, nameOf, NO_SUSPECTS, ordinalOf, type Query, storeOf, type WorldNode } from "./model-state.ts";

export class ModelQueries {
  readonly #state: ModelState;
  readonly #members: ModelMembers;
  readonly #flush: ModelFlush;

  constructor(state: ModelState, { members, flush }: { readonly members: ModelMembers; readonly flush: ModelFlush }) {
    this.#state = state;
    this.#members = members;
    this.#flush = flush;
  }

  startQuery(i: number, op: number): boolean {
    const d = this.#state.nodes[i]!;
    if (!this.#state.isOn(d) || this.#state.queries.has(op)) return false;
    this.#state.queries.set(op, { from: i, boot: d.boot, must: new Set(this.#state.acked), plan: new Set(d.catalog), listStart: d.listStart, answers: new Map(), round: 0, end: undefined, why: "" });
    return true;
  }

  ask(op: number, j: number): boolean {
    const query = this.#state.queries.get(op);
    if (query === undefined || query.end !== undefined || query.answers.has(j)) return false;
    const c = this.#state.nodes[query.from]!;
    const d = this.#state.nodes[j]!;
    if (!this.#state.isOnDisk(d)) return false;
    if (!this.#state.isOn(c) || c.boot !== query.boot || !this.#state.isOn(d) || !this.#state.isLinked(c.i, j) || !this.#state.isLinked(j, c.i) || !this.#state.isBucketUp) return false;
    for (const key of query.plan) this.#flush.match(d, key);
    const ids: number[] = [];
    for (const [record, rec] of d.recs) {
      const isPlanned = this.#state.keeps("headMatches") && [...rec.inSegments].some((key) => query.plan.has(key));
      const isDropped = rec.releasedAt >= 0 && !this.#state.keeps("releaseAfterRead") && rec.inSegments.size === 0;
      if (!isPlanned && !isDropped) ids.push(record);
    }
    query.answers.set(j, { storeId: d.storeId, ids, extra: [...d.releasedInto].filter((key) => !query.plan.has(key)) });
    this.#state.noteHeld(d);
    if (this.#state.keeps("learnHolders") && j !== query.from) this.#members.learn(c, d);
    return true;
  }

  endQuery(op: number): "again" | "list" | "complete" | "refused" | false {
    const query = this.#state.queries.get(op);
    if (query === undefined || query.end !== undefined) return false;
    const d = this.#state.nodes[query.from]!;
    if (!this.#state.isOn(d) || d.boot !== query.boot) return false;
    const done = (end: "complete" | "refused", why: string): "complete" | "refused" => {
      query.end = end;
      query.why = why;
      this.#state.counts[end]++;
      return end;
    };
    const again = <T extends "again" | "list">(how: T): T | "refused" => {
      query.round++;
      query.answers.clear();
      for (const key of d.catalog) query.plan.add(key);
      query.listStart = d.listStart;
      return query.round > 4 ? (done("refused", "plans") as "refused") : how;
    };
    if (!this.#state.isBucketUp) return done("refused", "bucket");
    if (this.#state.keeps("readFull") && d.table.view(NO_SUSPECTS).queriesRefusedBecause !== undefined) return done("refused", "not joined");
    if (this.#state.keeps("tellReleased")) {
      let isMore = false;
      for (const answer of query.answers.values()) {
        for (const key of answer.extra) {
          if (query.plan.has(key)) continue;
          query.plan.add(key);
          d.catalog.add(key);
          isMore = true;
        }
      }
      if (isMore) return again("again");
    }
    if (query.listStart < d.listNeededAt || query.listStart < 0) return again("list");
    const gaps = gapsOf(query.plan);
    if (gaps.length > 0) {
      const sure = gaps.filter((gap) => (d.gaps.get(gap) ?? 0) >= (this.#state.keeps("secondList") ? 2 : 1));
      for (const gap of sure) if (this.#isThere(gap)) this.#state.fail("falseHole", `node ${d.i} names ${gap} as a hole, and it is there or still queued`);
      return sure.length > 0 ? done("refused", "hole") : again("list");
    }
    return this.#judge(d, query, done);
  }

  #isThere(key: string): boolean {
    return this.#state.objects.has(key) || this.#state.nodes.some((e) => e.storeId === storeOf(key) && e.segments.some((segment) => segment.ordinal === ordinalOf(key) && !segment.isDone));
  }

  #judge(d: WorldNode, query: Query, done: (end: "complete" | "refused", why: string) => "complete" | "refused"): "complete" | "refused" {
    const view = d.table.view(NO_SUSPECTS);
    const answered = new Set([...query.answers.values()].map((answer) => answer.storeId));
    const failed = new Set<StoreId>();
    const cleared = new Set(view.lostStores.filter((loss) => loss.isCleared).map((loss) => loss.storeId));
    for (const member of view.members) {
      if (answered.has(member.storeId)) continue;
      if (member.state === "dead" && (cleared.has(member.storeId) || !this.#state.keeps("lostFails"))) continue;
      failed.add(member.storeId);
    }
    if (this.#state.keeps("lostFails")) for (const loss of view.lostStores) if (!loss.isCleared && !answered.has(loss.storeId)) failed.add(loss.storeId);
    if (failed.size >= view.acksMin) return done("refused", `stores ${[...failed].join(" ")}`);
    if (this.#state.keeps("readMajority") && !d.table.isMajority(answered)) return done("refused", "no majority");
    const planned = new Set<number>();
    for (const key of query.plan) {
      const ids = this.#state.objects.get(key);
      if (ids === undefined) return done("refused", "object");
      for (const record of ids) planned.add(record);
    }
    const heads = new Set<number>();
    for (const answer of query.answers.values()) for (const record of answer.ids) heads.add(record);
    for (const record of heads) if (planned.has(record)) this.#state.fail("double", `node ${d.i} counts record ${record} twice`);
    for (const record of query.must) {
      if (!planned.has(record) && !heads.has(record)) this.#state.fail("missing", `node ${d.i} answers complete without acked record ${record} (failed stores: ${[...failed].join(" ")})`);
    }
    return done("complete", "");
  }

  query(i: number, op: number): "complete" | "refused" | false {
    if (!this.startQuery(i, op)) return false;
    for (let turn = 0; turn < 8; turn++) {
      for (let pass = 0; pass < 2; pass++) for (let j = 0; j < this.#state.options.slots; j++) if (this.#state.nodes[i]!.table.entry(nameOf(j)) !== undefined) this.ask(op, j);
      const end = this.endQuery(op);
      if (end === "list") {
        this.#flush.list1(i, 0);
        this.#flush.list2(i);
        const query = this.#state.queries.get(op)!;
        for (const key of this.#state.nodes[i]!.catalog) query.plan.add(key);
        query.listStart = this.#state.nodes[i]!.listStart;
      } else if (end !== "again") return end;
    }
    return "refused";
  }
}
