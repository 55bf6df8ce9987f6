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
  it("are a majority of the shortest list in the head, Infinity where it holds nothing; told at the start, and when they change", () => {
    const world = new World({});
    for (const count of [undefined, 3, 2, 3, 5, 4, undefined, 1, 0]) world.holding(count);
    expect(world.cluster.held).deep.equal([Infinity, 2, 3, Infinity, 1]);
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
    expect(world.cluster.held).deep.equal([Infinity, 1]);
    world.sealed.delete("y");
    world.holding(3);
    expect(world.cluster.held).deep.equal([Infinity, 1, 2]);
  });

  it("of segments that an earlier process sealed are those that it said of itself", () => {
    const world = new World({ sealed: ["old"], acksHeld: 1 });
    world.holding(3);
    expect(world.cluster.held).deep.equal([1]);
    world.sealed.clear();
    world.holding(3);
    expect(world.cluster.held).deep.equal([1, 2]);
  });
});
