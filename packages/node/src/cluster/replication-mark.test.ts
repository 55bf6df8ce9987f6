import { silentLogger } from "@pyromesh/base";
import type { ClusterView } from "@pyromesh/ring";
import { ManualClock } from "@pyromesh/base/testing";
import { lowerReplication, MemoryBucket, putReplication, readReplication } from "@pyromesh/block";
import { FaultyBucket } from "@pyromesh/block/testing";
import { expect } from "chai";
import { pass, settle } from "../testing/index.ts";
import { ReplicationMark } from "./replication-mark.ts";

const signal = new AbortController().signal;

class World {
  readonly clock: ManualClock = new ManualClock();
  readonly bucket: FaultyBucket = new FaultyBucket(new MemoryBucket({ clock: this.clock }), { clock: this.clock });
  readonly noted: number[] = [];
  readonly warnings: unknown[] = [];
  /** What membership would take pushes under. */
  target = 1;
  readonly #listeners = new Set<(view: Pick<ClusterView, "members">) => void>();
  readonly mark: ReplicationMark;

  constructor() {
    const { noted } = this;
    const target = (): number => this.target;
    this.mark = new ReplicationMark({
      bucket: this.bucket,
      clock: this.clock,
      logger: { ...silentLogger, warn: (_text, fields) => void this.warnings.push(fields) },
      membership: {
        get wantedReplication() {
          const last = noted[noted.length - 1];
          return last !== undefined && target() > last ? target() : undefined;
        },
        get bucketReplication() {
          return noted[noted.length - 1];
        },
        replicationSetting: 3,
        noteBucketReplication: (replication) => void noted.push(replication),
        onChange: (listener) => {
          this.#listeners.add(listener);
          return () => this.#listeners.delete(listener);
        },
      },
    });
  }

  change(target: number, acksHeld = 1): void {
    this.target = target;
    const view = { members: [{ acksHeld }] } as unknown as ClusterView; // nothing else of a member is looked at
    for (const listener of this.#listeners) listener(view);
  }
}

describe("the mark of the replication", () => {
  it("a LIST that is late lowers nothing", async () => {
    const world = new World();
    await putReplication(world.bucket, 3, 0, signal);
    world.mark.start();
    await settle();
    const list = world.bucket.list.bind(world.bucket);
    world.bucket.list = async function* () {
      yield [];
    };
    await pass(world.clock, 61_000);
    world.bucket.list = list;
    await pass(world.clock, 31_000);
    expect(world.noted.every((replication) => replication === 3)).equal(true);
    world.mark.stop();
  });

  it("is read at the start and put where membership wants more, which it hears only once the bucket has it", async () => {
    const world = new World();
    world.target = 3;
    world.mark.start();
    await settle();
    expect(world.noted).deep.equal([0, 3]);
    expect(await readReplication(world.bucket, signal)).equal(3);
    world.change(5);
    await settle();
    expect(world.noted.slice(-1)).deep.equal([5]);
    world.mark.stop();
  });

  it("that another node raised is known within a minute, and one that an operator lowered within two", async () => {
    const world = new World();
    world.mark.start();
    await settle();
    await putReplication(world.bucket, 3, 0, signal);
    await pass(world.clock, 61_000);
    expect(world.noted.slice(-1)).deep.equal([3]);
    await lowerReplication(world.bucket, 1, 0, signal);
    await pass(world.clock, 61_000);
    expect(world.noted.slice(-1), "one LIST may be late").deep.equal([3]);
    await pass(world.clock, 31_000);
    expect(world.noted.slice(-1)).deep.equal([1]);
    world.mark.stop();
  });

  it("is read at once, and once, where a member holds records under more acks than the last read explains", async () => {
    const world = new World();
    world.target = 3;
    world.mark.start();
    await settle();
    world.change(3, 2);
    await settle();
    expect(world.noted, "three stores, two acks").deep.equal([0, 3]);
    await putReplication(world.bucket, 4, 0, signal);
    for (let i = 0; i < 3; i++) world.change(3, 3);
    await settle();
    expect(world.noted).deep.equal([0, 3, 4]);
    expect(world.warnings).deep.equal([{ replication: 4, setting: 3 }]);
    world.mark.stop();
  });

  it("is tried again every two seconds while the bucket does not answer, and nothing is noted until it does", async () => {
    const world = new World();
    world.bucket.goDown();
    world.mark.start();
    await pass(world.clock, 10_000);
    expect(world.noted).deep.equal([]);
    world.bucket.heal();
    await pass(world.clock, 2_000);
    await settle();
    expect(world.noted).deep.equal([0, 1]);
    world.mark.stop();
    expect(world.clock.timerCount).equal(0);
  });
});
