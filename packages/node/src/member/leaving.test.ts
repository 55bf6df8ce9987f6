import { CodedError, silentLogger, unavailable } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/fake-cluster.ts";
import { settle } from "../testing/settle.ts";
import { Leaving, leaveRefusedBecause } from "./leaving.ts";

const never = new AbortController().signal;

describe("leaving", () => {
  let clock: ManualClock;
  let world: FakeClusterWorld;
  let steps: string[];
  let flush: () => Promise<void>;
  let finish: () => Promise<void>;
  let heldCount: number;
  let leaving: Leaving;

  beforeEach(() => {
    clock = new ManualClock(0);
    world = new FakeClusterWorld(["a", "b", "c"], { clock });
    steps = [];
    heldCount = 0;
    flush = async () => {};
    finish = async () => void steps.push("left");
    leaving = new Leaving({
      membership: {
        get view() {
          return world.of("a").view;
        },
        startLeaving: async () => void steps.push("leaving"),
        cancelLeaving: async () => void steps.push("active"),
        finishLeaving: () => finish(),
      },
      flush: {
        flush: async () => {
          steps.push("flush");
          await flush();
          return { segmentCount: 0, bytes: 0 };
        },
      },
      isEmpty: () => heldCount === 0,
      clock,
      logger: silentLogger,
    });
  });

  it("takes no more, flushes, and has left", async () => {
    await leaving.leave(never);
    expect(steps).deep.equal(["leaving", "flush", "left"]);
  });

  it("has not left while it holds what came in before the others knew that it leaves", async () => {
    heldCount = 2;
    flush = async () => void heldCount--;
    await leaving.leave(never);
    expect(steps).deep.equal(["leaving", "flush", "flush", "left"]);
  });

  it("a flush that does not come to its end is tried again, and it has not left meanwhile", async () => {
    heldCount = 1;
    flush = () => Promise.reject(unavailable("FLUSH_TIMEOUT", "the bucket is down"));
    const left = leaving.leave(never);
    for (let count = 0; count < 3; count++) {
      await settle();
      clock.advance(1000);
    }
    await settle();
    expect(steps.slice(0, 4)).deep.equal(["leaving", "flush", "flush", "flush"]);
    expect(steps).not.include("left");
    flush = async () => void (heldCount = 0);
    clock.advance(1000);
    await left;
    expect(steps.at(-1)).equal("left");
  });

  it("what is left to others is not waited for: it has left once it holds nothing itself", async () => {
    flush = () => Promise.reject(unavailable("FLUSH_TIMEOUT", "b does not answer"));
    await leaving.leave(never);
    expect(steps).deep.equal(["leaving", "flush", "left"]);
  });

  it("drained, it stays, and may be used again", async () => {
    await leaving.drain(never);
    await leaving.resume();
    expect(steps).deep.equal(["leaving", "flush", "active"]);
  });

  it("is active again where all others began to leave meanwhile: a cluster of which all leave would take no push any more", async () => {
    finish = () => Promise.reject(new CodedError({ code: "LEAVE_REFUSED", kind: "failed_precondition", message: "it is the last full member" }));
    expect(await leaving.leave(never).catch((error: CodedError) => error.code)).equal("LEAVE_REFUSED");
    expect(steps).deep.equal(["leaving", "flush", "active"]);
  });

  it("is refused while another is dead or joining, and to the last full member", async () => {
    for (const [state, words] of [["dead", /^c is dead: start it again/], ["joining", /^c is joining/]] as const) {
      world.updateMember("c", { state });
      expect(leaveRefusedBecause(world.of("a").view)).match(words);
    }
    expect(await leaving.leave(never).catch((error: CodedError) => error.code)).equal("LEAVE_REFUSED");
    expect(steps).deep.equal([]);
    for (const name of ["b", "c"]) world.updateMember(name, { state: "leaving" });
    expect(leaveRefusedBecause(world.of("a").view)).match(/^it is the last full member/);
  });
});
