import type { Clock } from "@pyromesh/base";
import { expect } from "chai";
import { Timeouts } from "./timeouts.ts";

/** A clock that the test moves. A timer may fire early, as real ones do. */
class World {
  nowMs = 0;
  timers: { atMs: number; run: () => void }[] = [];
  readonly expired: string[] = [];
  readonly timeouts: Timeouts;

  constructor() {
    const after: Clock["after"] = (delayMs, run) => {
      const timer = { atMs: this.nowMs + delayMs, run };
      this.timers.push(timer);
      return { cancel: () => void (this.timers = this.timers.filter((other) => other !== timer)) };
    };
    const clock: Pick<Clock, "monotonicMs" | "after"> = { monotonicMs: () => this.nowMs, after };
    this.timeouts = new Timeouts({ lengthMs: 100 }, { clock: clock as Clock }); // the only methods of the clock that it calls
  }

  wait(name: string): { readonly onTimeout: () => void } {
    const waiting = { onTimeout: (): void => void this.expired.push(name) };
    this.timeouts.add(waiting);
    return waiting;
  }

  advanceTo(nowMs: number, earlyMs = 0): void {
    this.nowMs = nowMs;
    for (const timer of this.timers.filter(({ atMs }) => atMs - earlyMs <= nowMs)) {
      this.timers = this.timers.filter((other) => other !== timer);
      timer.run();
    }
  }
}

describe("timeouts", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });

  it("each fires when its own time is up, all of them on one timer", () => {
    world.wait("a");
    world.advanceTo(30);
    world.wait("b");
    world.wait("c");
    expect(world.timers.map(({ atMs }) => atMs)).to.deep.equal([100]);
    world.advanceTo(100);
    expect(world.expired).to.deep.equal(["a"]);
    expect(world.timers.map(({ atMs }) => atMs)).to.deep.equal([130]);
    world.advanceTo(130);
    expect(world.expired).to.deep.equal(["a", "b", "c"]);
    expect(world.timers).to.deep.equal([]);
  });

  it("a timeout that was removed never fires, and the others do", () => {
    const first = world.wait("a");
    world.advanceTo(50);
    world.wait("b");
    world.timeouts.delete(first);
    world.advanceTo(100);
    expect(world.expired).to.deep.equal([]);
    world.advanceTo(150);
    expect(world.expired).to.deep.equal(["b"]);
    world.wait("c");
    world.advanceTo(250);
    expect(world.expired, "a timer once more after there was none").to.deep.equal(["b", "c"]);
  });

  it("a timer that fires early ends no timeout early", () => {
    world.wait("a");
    world.advanceTo(99.6, 1);
    expect(world.expired).to.deep.equal([]);
    world.advanceTo(100.6);
    expect(world.expired).to.deep.equal(["a"]);
  });

  it("after a stop no timeout fires, and no timer is left", () => {
    world.wait("a");
    world.timeouts.stop();
    expect(world.timers).to.deep.equal([]);
    world.advanceTo(200);
    expect(world.expired).to.deep.equal([]);
  });

  it("tells how old each one is, the oldest first, and lets it be deleted meanwhile", () => {
    const first = world.wait("first");
    world.advanceTo(30);
    world.wait("second");
    world.advanceTo(40);
    const ages: number[] = [];
    world.timeouts.forEach((waiting, ageMs) => {
      ages.push(ageMs);
      if (waiting === first) world.timeouts.delete(waiting);
    });
    expect(ages).to.deep.equal([40, 10]);
    world.advanceTo(140);
    expect(world.expired).to.deep.equal(["second"]);
  });
});
