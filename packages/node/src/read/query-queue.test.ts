import { expect } from "chai";
import { QueryQueue } from "./query-queue.ts";
import type { Decision, QueryQueueOptions, Ticket } from "./query-queue.ts";

/** A queue, and a clock of its own. */
class Rig {
  readonly queue: QueryQueue;
  readonly names = new Map<Ticket, string>();
  nowMs = 0;

  constructor(options: Partial<QueryQueueOptions> = {}) {
    this.queue = new QueryQueue({ runningMax: { scan: 1, listing: 1 }, waitingMax: 100, waitMaxMs: 60_000, ...options });
  }

  ask(tenant: string, name: string, queryClass: "scan" | "listing" = "scan"): Decision {
    const decision = this.queue.ask(tenant, queryClass, this.nowMs);
    if (decision.kind !== "refuse") this.names.set(decision.ticket, name);
    return decision;
  }

  run(tenant: string, name: string, queryClass: "scan" | "listing" = "scan"): Ticket {
    const decision = this.ask(tenant, name, queryClass);
    if (decision.kind !== "run") throw new Error(`${name} does not run`);
    return decision.ticket;
  }

  wait(tenant: string, name: string, queryClass: "scan" | "listing" = "scan"): Ticket {
    const decision = this.ask(tenant, name, queryClass);
    if (decision.kind !== "wait") throw new Error(`${name} does not wait`);
    return decision.ticket;
  }

  /** Ends what runs, one after the other: in which order the others had their turn. */
  drain(running: Ticket): string[] {
    const order: string[] = [];
    for (let next = this.queue.end(running, this.nowMs); next !== undefined; next = this.queue.end(next, this.nowMs)) order.push(this.names.get(next)!);
    return order;
  }
}

describe("the queue of queries", () => {
  it("a tenant with fifty waiting queries does not hold up another tenant's first one", () => {
    const rig = new Rig();
    const running = rig.run("a", "a0");
    for (let i = 1; i < 50; i++) rig.wait("a", `a${i}`);
    rig.wait("b", "b1");
    expect(rig.drain(running).slice(0, 3)).to.deep.equal(["a1", "b1", "a2"]);
  });

  it("tenants take turns, and the queries of one tenant run in the order in which they came", () => {
    const rig = new Rig();
    const running = rig.run("a", "a0");
    for (const name of ["a1", "a2", "b1", "c1", "b2", "a3"]) rig.wait(name[0]!, name);
    expect(rig.drain(running)).to.deep.equal(["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  it("at most `runningMax` run at once; each that ends lets one in", () => {
    const rig = new Rig({ runningMax: { scan: 2, listing: 1 } });
    const first = rig.run("a", "1");
    rig.run("a", "2");
    const third = rig.wait("a", "3");
    expect(rig.queue.runningCount("scan")).to.equal(2);
    expect(rig.queue.end(first, 0)).to.equal(third);
    expect([rig.queue.runningCount("scan"), rig.queue.waitingCount("scan")]).to.deep.equal([2, 0]);
    expect(rig.queue.end(third, 0)).to.equal(undefined);
    expect(rig.queue.runningCount("scan")).to.equal(1);
  });

  it("a listing does not wait for scans", () => {
    const rig = new Rig();
    rig.run("a", "scan");
    rig.wait("a", "scan");
    rig.run("a", "listing", "listing");
    rig.wait("a", "listing", "listing");
  });

  it("a full queue refuses the newest query of the tenant that has most in it, and takes another tenant's first query in its place", () => {
    const rig = new Rig({ waitingMax: 3 });
    const running = rig.run("a", "a0");
    for (const name of ["a1", "a2", "a3"]) rig.wait("a", name);
    expect(rig.ask("a", "a4")).to.deep.equal({ kind: "refuse" });
    const asked = rig.ask("b", "b1");
    expect(asked.kind === "wait" && rig.names.get(asked.evicted!)).to.equal("a3");
    // Two of a, one of b: a second one of b would be as many.
    expect(rig.ask("b", "b2")).to.deep.equal({ kind: "refuse" });
    expect(rig.queue.waitingCount("scan")).to.equal(3);
    expect(rig.drain(running)).to.deep.equal(["a1", "b1", "a2"]);
  });

  it("with a `waitingMax` of 0 a query that cannot run at once is refused", () => {
    const rig = new Rig({ waitingMax: 0 });
    rig.run("a", "1");
    expect(rig.ask("b", "2")).to.deep.equal({ kind: "refuse" });
  });

  it("a caller that leaves gives its place back, and the turn goes to the next", () => {
    const rig = new Rig();
    const running = rig.run("a", "a0");
    const left = rig.wait("a", "a1");
    rig.wait("a", "a2");
    const only = rig.wait("b", "b1");
    rig.queue.leave(left);
    rig.queue.leave(only);
    rig.queue.leave(only); // again: nothing
    expect(rig.queue.waitingCount("scan")).to.equal(1);
    expect(rig.drain(running)).to.deep.equal(["a2"]);
  });

  it("a query that has waited too long is taken out, and the queue knows when the next one will have", () => {
    const rig = new Rig({ waitMaxMs: 1_000 });
    const running = rig.run("a", "a0");
    expect(rig.queue.nextExpiryMs).to.equal(undefined);
    const early = rig.wait("a", "a1");
    rig.nowMs = 400;
    rig.wait("b", "b1");
    expect(rig.queue.nextExpiryMs).to.equal(1_000);
    expect(rig.queue.expire(999)).to.deep.equal([]);
    expect(rig.queue.expire(1_000)).to.deep.equal([early]);
    expect(rig.queue.nextExpiryMs).to.equal(1_400);
    expect(rig.drain(running)).to.deep.equal(["b1"]);
  });

  it("the time to come again follows from the rate at which queries end", () => {
    const rig = new Rig();
    let running = rig.run("a", "0");
    for (let i = 1; i <= 20; i++) rig.wait("a", String(i));
    for (let i = 0; i < 10; i++) {
      rig.nowMs += 2_000;
      running = rig.queue.end(running, rig.nowMs)!;
    }
    // Ten wait, and one more: eleven times two seconds.
    expect(rig.queue.retryAfterSeconds("scan", rig.nowMs)).to.equal(22);
    // Nothing has ended for ten seconds: eleven times ten.
    expect(rig.queue.retryAfterSeconds("scan", rig.nowMs + 10_000)).to.equal(110);
    // Another class has a rate of its own.
    expect(rig.queue.retryAfterSeconds("listing", rig.nowMs)).to.be.at.least(1);
  });

  it("time in which no query waited does not count as time between two ends", () => {
    const rig = new Rig();
    rig.queue.end(rig.run("a", "0"), (rig.nowMs = 1_000));
    rig.nowMs = 3_600_000;
    const running = rig.run("a", "1");
    rig.wait("a", "2");
    rig.nowMs += 1_000;
    rig.queue.end(running, rig.nowMs);
    expect(rig.queue.retryAfterSeconds("scan", rig.nowMs)).to.equal(1);
  });
});
