import { ManualClock } from "@pyromesh/base/testing";
import { expect } from "chai";
import { FakeClusterWorld } from "../testing/index.ts";
import type { FakeCluster } from "../testing/index.ts";
import { HeldAcks } from "./held-acks.ts";

class World {
  readonly cluster: FakeCluster;
  storeCountMin: number | undefined;
  readonly sealed: Set<string>;
  readonly held: HeldAcks;

  constructor({ replication = 3, sealed = [] as readonly string[], acksHeld = 2 }) {
    this.cluster = new FakeClusterWorld(["a", "b", "c", "d", "e"], { clock: new ManualClock(), replication }).of("a");
    this.cluster.updateMember("a", { acksHeld });
    this.sealed = new Set(sealed);
    const count = (): number | undefined => this.storeCountMin;
    this.held = new HeldAcks(sealed, {
      cluster: this.cluster,
      head: {
        get storeCountMin() {
          return count();
        },
        isSealed: (key) => this.sealed.has(key),
      },
    });
  }

  holding(storeCountMin: number | undefined): this {
    this.storeCountMin = storeCountMin;
    this.held.refresh();
    return this;
  }
}

describe("the acks under which this store holds something", () => {
  it("are a majority of the shortest list in the head, and the acks in force where it holds nothing or longer lists; told when they change", () => {
    const world = new World({});
    for (const count of [3, 2, undefined, 3]) world.holding(count);
    expect(world.cluster.held, "nothing has changed").deep.equal([]);
    world.holding(1).holding(0).holding(3).holding(undefined);
    expect(world.cluster.held).deep.equal([1, 2]);
    world.cluster.update({ replication: 5, acks: 3 });
    world.holding(undefined).holding(5).holding(3);
    expect(world.cluster.held).deep.equal([1, 2, 3, 2]);
  });

  it("stay as small while a segment waits for the bucket that was sealed while they were", () => {
    const world = new World({});
    world.holding(1);
    world.sealed.add("x");
    world.storeCountMin = undefined;
    world.held.noteSealed(["x"]);
    world.holding(3);
    world.sealed.delete("x");
    world.sealed.add("y");
    world.held.noteRenamed("x", "y");
    world.holding(3);
    expect(world.cluster.held).deep.equal([1]);
    world.sealed.delete("y");
    world.holding(3);
    expect(world.cluster.held).deep.equal([1, 2]);
  });

  it("of segments that an earlier process sealed are those that it said of itself", () => {
    const world = new World({ sealed: ["old"], acksHeld: 1 });
    world.holding(3);
    expect(world.cluster.held).deep.equal([]);
    world.sealed.clear();
    world.holding(3);
    expect(world.cluster.held).deep.equal([2]);
  });
});
