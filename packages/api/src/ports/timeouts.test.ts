import type { Clock, Timer } from "@pyromesh/base";
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

  wait(name: string): Timer {
    return this.timeouts.add({ onTimeout: () => void this.expired.push(name) });
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
    first.cancel();
    first.cancel();
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

  it("tells how old each one is, the oldest first, but for those that are cancelled meanwhile", () => {
    const timers: Timer[] = [];
    for (const name of ["first", "second", "third", "fourth"]) {
      timers.push(world.wait(name));
      world.advanceTo(world.nowMs + 10);
    }
    const ages: number[] = [];
    world.timeouts.forEach((_waiting, ageMs) => {
      ages.push(ageMs);
      if (ageMs === 40) for (const at of [0, 1, 3]) timers[at]!.cancel();
    });
    expect(ages).to.deep.equal([40, 20]);
    world.advanceTo(200);
    expect(world.expired).to.deep.equal(["third"]);
  });
});
