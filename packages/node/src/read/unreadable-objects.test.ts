import { CorruptionError, Metrics, silentLogger } from "@pyromesh/base";
import { ManualClock } from "@pyromesh/block/testing";
import { expect } from "chai";
import { UnreadableObjects } from "./unreadable-objects.ts";

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

class World {
  readonly clock = new ManualClock();
  readonly checks: string[] = [];
  readonly forgotten: string[] = [];
  atOnceMax = 0;
  #atOnce = 0;
  isDamaged = true;
  readonly unreadable = new UnreadableObjects({
    clock: this.clock,
    logger: silentLogger,
    metrics: new Metrics(),
    forget: (key) => void this.forgotten.push(key),
    check: async ({ key, service }) => {
      this.checks.push(service === undefined ? key : `${key} ${service}`);
      this.atOnceMax = Math.max(this.atOnceMax, ++this.#atOnce);
      await turn();
      this.#atOnce--;
      if (this.isDamaged) throw new CorruptionError({ object: key, offset: 0, expected: "what was written", found: "else" });
    },
  });

  async pass(byMs: number): Promise<void> {
    this.clock.advance(byMs);
    for (let i = 0; i < 300; i++) await turn();
  }
}

describe("unreadable objects", () => {
  it("are read again after 1, 2, 4 ... 30 seconds, until they are whole", async () => {
    const world = new World();
    world.unreadable.report({ key: "k", service: undefined, reason: "torn" });
    const at: number[] = [];
    for (let second = 1; second <= 100; second++) {
      await world.pass(1000);
      if (world.checks.length > at.length) at.push(second);
    }
    expect(at).to.deep.equal([1, 3, 7, 15, 31, 61, 91]);
    world.isDamaged = false;
    await world.pass(30_000);
    expect([world.unreadable.objectCount, world.unreadable.find("k")]).to.deep.equal([0, undefined]);
    await world.pass(100_000);
    expect(world.checks.length).to.equal(8);
  });

  it("where the system's time jumps back by a day they are still read after the second that was told", async () => {
    const world = new World();
    world.unreadable.report({ key: "k", service: undefined, reason: "torn" });
    world.clock.jumpWall(-86_400_000);
    expect(world.unreadable.retryAfterSeconds({ key: "k", service: undefined })).to.equal(1);
    await world.pass(1000);
    expect(world.checks).to.deep.equal(["k"]);
  });

  it("damage of a dataset concerns no other dataset of the object; each object counts once", () => {
    const { unreadable } = new World();
    unreadable.report({ key: "k", service: "ab", reason: "flipped" });
    unreadable.report({ key: "k", service: "b", reason: "flipped" });
    expect(["a", "ab", "b", undefined].map((service) => unreadable.find("k", service)?.service)).to.deep.equal([undefined, "ab", "b", undefined]);
    expect(unreadable.objectCount).to.equal(1);
  });

  it("damage that several queries find at once does not lengthen the pause; what is cached is forgotten each time", () => {
    const world = new World();
    for (let i = 0; i < 5; i++) world.unreadable.report({ key: "k", service: undefined, reason: "torn" });
    expect(world.unreadable.retryAfterSeconds({ key: "k", service: undefined })).to.equal(1);
    expect(world.forgotten.length).to.equal(5);
  });

  it("at most a thousand are remembered, and eight are read at once", async () => {
    const world = new World();
    for (let i = 0; i < 1100; i++) world.unreadable.report({ key: `k${i}`, service: undefined, reason: "torn" });
    expect(world.unreadable.objectCount).to.equal(1000);
    expect(world.unreadable.find("k0"), "let go").to.equal(undefined);
    await world.pass(1000);
    expect([world.checks.length, world.atOnceMax]).to.deep.equal([1000, 8]);
  });

  it("nothing is read once it has stopped", async () => {
    const world = new World();
    world.unreadable.report({ key: "k", service: undefined, reason: "torn" });
    world.unreadable.stop();
    await world.pass(100_000);
    expect(world.checks).to.deep.equal([]);
  });
});
