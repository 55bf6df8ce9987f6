import { expect } from "chai";
import { WorkerQueue } from "./worker-queue.ts";
import type { CallKind, QueuedCall } from "./worker-queue.ts";

interface Call extends QueuedCall {
  readonly name: string;
}

/** A queue and what is away from it. */
class Rig {
  readonly queue = new WorkerQueue<Call>();
  readonly #away = new Map<string, CallKind>();
  #order = 0;

  add(kind: CallKind, ...names: string[]): void {
    for (const name of names) this.queue.push({ kind, order: this.#order++, name });
  }

  /** Sends all that may travel now; the batches, by their names. */
  send(): string[] {
    const batches: string[] = [];
    for (;;) {
      const kinds = [...this.#away.values()];
      const is = (...any: CallKind[]): boolean => kinds.some((kind) => any.includes(kind));
      const batch = this.queue.next({ short: is("short", "apart"), listing: is("listing"), scan: is("scan"), alone: is("alone") });
      if (batch === undefined) return batches;
      const name = batch.map((call) => call.name).join("+");
      this.#away.set(name, batch[0]!.kind);
      batches.push(name);
    }
  }

  /** A batch is done: what travels then. */
  done(batch: string): string[] {
    expect(this.#away.delete(batch), `${batch} is away`).to.equal(true);
    return this.send();
  }
}

describe("the queue of a worker", () => {
  it("pushes travel while a scan is at work, and so does a listing", () => {
    const rig = new Rig();
    rig.add("scan", "s1", "s2");
    expect(rig.send()).to.deep.equal(["s1"]);
    rig.add("short", "p1", "p2");
    rig.add("listing", "l1", "l2");
    expect(rig.send()).to.deep.equal(["p1+p2", "l1"]);
    rig.add("short", "p3");
    expect(rig.send(), "one batch of pushes at a time").to.deep.equal([]);
    expect(rig.done("p1+p2")).to.deep.equal(["p3"]);
    expect(rig.done("l1"), "one listing at a time").to.deep.equal(["l2"]);
    expect(rig.done("l2")).to.deep.equal([]);
    expect(rig.done("s1"), "one scan at a time").to.deep.equal(["s2"]);
  });

  it("a scan does not go on top of a listing, and listings without end do not keep it back", () => {
    const rig = new Rig();
    rig.add("listing", "l1", "l2");
    expect(rig.send()).to.deep.equal(["l1"]);
    rig.add("scan", "s1", "s2");
    rig.add("listing", "l3");
    expect(rig.send()).to.deep.equal([]);
    expect(rig.done("l1")).to.deep.equal(["l2"]);
    expect(rig.done("l2"), "l3 goes on top of it").to.deep.equal(["s1", "l3"]);
  });

  it("a query travels after the short calls that came before it, and before those that came later", () => {
    const rig = new Rig();
    rig.add("short", "p1", "p2", "p3", "p4", "p5");
    rig.add("scan", "s1");
    rig.add("short", "p6");
    expect(rig.send()).to.deep.equal(["p1+p2+p3+p4"]);
    expect(rig.done("p1+p2+p3+p4")).to.deep.equal(["p5+p6", "s1"]);
  });

  it("pushes without end do not keep a query back", () => {
    const rig = new Rig();
    rig.add("short", "p1");
    rig.send();
    rig.add("short", "p2");
    rig.add("scan", "s1");
    rig.add("short", "p3", "p4", "p5", "p6");
    expect(rig.done("p1")).to.deep.equal(["p2+p3+p4+p5", "s1"]);
  });

  it("a step of a build, or a large push, has a batch of its own, in its place among the short calls, and does not wait for a scan", () => {
    const rig = new Rig();
    rig.add("scan", "s1");
    rig.send();
    rig.add("short", "p1");
    rig.add("apart", "b1");
    rig.add("short", "p2");
    expect(rig.send()).to.deep.equal(["p1"]);
    expect(rig.done("p1")).to.deep.equal(["b1"]);
    expect(rig.done("b1")).to.deep.equal(["p2"]);
  });

  it("nothing travels beside a call that must be alone; its turn comes when the queries that are away have ended", () => {
    const rig = new Rig();
    rig.add("scan", "s1");
    rig.send();
    rig.add("alone", "a1");
    rig.add("scan", "s2");
    rig.add("listing", "l1");
    rig.add("short", "p1");
    expect(rig.send(), "pushes go on meanwhile").to.deep.equal(["p1"]);
    expect(rig.done("s1"), "no query begins").to.deep.equal([]);
    rig.add("short", "p2");
    expect(rig.done("p1")).to.deep.equal(["a1"]);
    expect(rig.send()).to.deep.equal([]);
    expect(rig.done("a1")).to.deep.equal(["p2", "s2", "l1"]);
  });

  it("a call that must be alone travels after the short calls that came before it: they may say what it needs", () => {
    const rig = new Rig();
    rig.add("short", "settings");
    rig.add("alone", "a1");
    expect(rig.send()).to.deep.equal(["settings"]);
    expect(rig.done("settings")).to.deep.equal(["a1"]);
  });

  it("what is taken out does not travel, and what is drained comes in order", () => {
    const rig = new Rig();
    rig.add("scan", "s1");
    rig.add("short", "p1");
    rig.add("alone", "a1");
    rig.add("listing", "l1");
    const all = rig.queue.drain();
    expect(all.map(({ name }) => name)).to.deep.equal(["s1", "p1", "a1", "l1"]);
    expect(rig.send()).to.deep.equal([]);
    for (const call of all) rig.queue.push(call);
    for (const call of [all[0]!, all[2]!]) rig.queue.remove(call);
    expect(rig.send()).to.deep.equal(["p1", "l1"]);
  });
});
