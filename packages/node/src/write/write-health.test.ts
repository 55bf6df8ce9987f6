import { silentLogger, unavailable } from "@pyromesh/base";
import type { CodedError } from "@pyromesh/base";
import { StillClock } from "@pyromesh/head/testing";
import { expect } from "chai";
import { nextWriteState, WriteHealth } from "./write-health.ts";
import type { WriteState, WrittenHead } from "./write-health.ts";

const MIB = 2 ** 20;

/** A head whose disk is as the test says. */
class FakeHead implements WrittenHead {
  readonly cutBytesMax = 4 * MIB;
  readonly diskNeeds = { commitBytes: MIB, reopenBytes: 8 * MIB };
  failure: CodedError | undefined;
  /** Of the disk budget. */
  roomBytes = 100 * MIB;
  isStoreSound = true;
  tryCount = 0;

  refusalOf(entryBytes: number): CodedError | undefined {
    return this.failure ?? (entryBytes > this.roomBytes ? unavailable("HEAD_FULL", "the budget is used up") : undefined);
  }
  refuseWrite(): void {
    this.isStoreSound = false;
    this.failure = unavailable("HEAD_WRITE_FAILED", "the disk refused a write");
  }
  async tryWrite(): Promise<void> {
    this.tryCount++;
    if (!this.isStoreSound) throw unavailable("HEAD_WRITE_FAILED", "the disk refused a write");
    this.failure = undefined;
  }
}

describe("write health", () => {
  let clock: StillClock;
  let head: FakeHead;
  let freeBytes: number | undefined;
  let health: WriteHealth;

  beforeEach(async () => {
    clock = new StillClock();
    head = new FakeHead();
    freeBytes = 100 * MIB;
    const measureDisk = () => Promise.resolve(freeBytes === undefined ? undefined : { freeBytes, sizeBytes: 1000 * MIB });
    health = new WriteHealth({ head, clock, logger: silentLogger, measureDisk });
    await health.start();
  });
  afterEach(() => health.stop());

  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1000);
      await clock.settle();
    }
  };

  it("says so in the moment in which a write was refused, without waiting for the next look", () => {
    expect(health.refusesBecause).to.equal(undefined);
    head.refuseWrite();
    expect(health.refusesBecause).to.equal("the disk refused a write");
  });

  it("takes writes again by itself once the store does and 3 s have passed, although no push comes any more", async () => {
    head.refuseWrite();
    await pass(3);
    expect(health.refusesBecause).to.equal("the disk refused a write");
    head.isStoreSound = true;
    await pass(2);
    expect(head.failure, "a trial write reopened the store").to.equal(undefined);
    expect(health.refusesBecause).to.equal("the disk refused a write");
    await pass(3);
    expect(health.refusesBecause).to.equal(undefined);
  });

  it("does not change back and forth on a disk that takes one write and refuses the next", async () => {
    const seen = new Set<string | undefined>();
    head.refuseWrite();
    expect(health.refusesBecause).not.to.equal(undefined);
    for (let round = 0; round < 20; round++) {
      head.isStoreSound = true;
      await pass(2);
      seen.add(health.refusesBecause);
      head.refuseWrite();
    }
    expect([...seen]).to.deep.equal(["the disk refused a write"]);
  });

  it("tries no write without room to open the store again, and each failed try makes the next pause longer, up to 10 s", async () => {
    head.refuseWrite();
    freeBytes = MIB;
    await pass(60);
    expect(head.tryCount).to.equal(0);
    freeBytes = 8 * MIB;
    await pass(60);
    expect(head.tryCount).to.be.within(6, 10);
  });

  it("a disk with less free than a commit may take is told before a push is refused, and is ready again with the store's room", async () => {
    freeBytes = MIB - 1;
    await pass(1);
    expect(health.refusesBecause).to.equal("its disk has 1.0 MB free, and one commit may take 1.0 MB");
    freeBytes = 7 * MIB;
    await pass(10);
    expect(health.refusesBecause).to.equal("its disk has 7.0 MB free, and is ready again with 8.0 MB");
    freeBytes = 8 * MIB;
    await pass(1);
    expect(health.refusesBecause).to.equal(undefined);
  });

  it("a disk that was never full may have less free than the store needs to be opened again", async () => {
    freeBytes = 2 * MIB;
    await pass(5);
    expect(health.refusesBecause).to.equal(undefined);
  });

  it("looks at a disk with plenty of room every 5 s, and each second again once there is less, or a write was refused", async () => {
    const looks: number[] = [];
    let bytes = 2000 * MIB;
    const measureDisk = () => {
      looks.push(clock.monotonicMs());
      return Promise.resolve({ freeBytes: bytes, sizeBytes: 3000 * MIB });
    };
    const roomy = new WriteHealth({ head, clock, logger: silentLogger, measureDisk });
    const since = clock.monotonicMs();
    const secondsOf = (): number[] => looks.splice(0).map((ms) => (ms - since) / 1000);
    await roomy.start();
    await pass(10);
    expect(secondsOf()).to.deep.equal([0, 5, 10]);
    await pass(1);
    head.refuseWrite();
    expect(roomy.refusesBecause).to.equal("the disk refused a write");
    await pass(2);
    expect(secondsOf()).to.deep.equal([12, 13]);
    head.isStoreSound = true;
    bytes = 500 * MIB;
    await pass(10);
    expect(secondsOf()).to.have.length(10);
    expect(roomy.refusesBecause).to.equal(undefined);
    await roomy.stop();
  });

  it("a used up disk budget is told, until there is room for a cut", async () => {
    head.roomBytes = 1000;
    expect(health.refusesBecause).to.equal("the budget is used up");
    head.roomBytes = MIB;
    await pass(10);
    expect(health.refusesBecause).to.equal("the budget is used up");
    head.roomBytes = 4 * MIB;
    await pass(3);
    expect(health.refusesBecause).to.equal(undefined);
  });

  it("a file system that does not tell its free space is not a reason to refuse", async () => {
    freeBytes = undefined;
    await pass(5);
    expect(health.refusesBecause).to.equal(undefined);
    head.refuseWrite();
    head.isStoreSound = true;
    expect(health.refusesBecause).not.to.equal(undefined);
    await pass(6);
    expect(health.refusesBecause).to.equal(undefined);
  });

  it("measures nothing any more after it was stopped", async () => {
    await health.stop();
    head.refuseWrite();
    await pass(30);
    expect(head.tryCount).to.equal(0);
  });

  it("pure: a refusal begins the 3 s anew; room that is lacking only keeps the state", () => {
    const taking: WriteState = { kind: "taking" };
    expect(nextWriteState(taking, { nowMs: 5, refusal: undefined, lacks: "room" })).to.equal(taking);
    const first = nextWriteState(taking, { nowMs: 5, refusal: "a", lacks: undefined });
    expect(first).to.deep.equal({ kind: "refusing", reason: "a", sinceMs: 5, refusedAtMs: 5 });
    expect(nextWriteState(first, { nowMs: 9, refusal: "b", lacks: undefined })).to.deep.equal({ kind: "refusing", reason: "b", sinceMs: 5, refusedAtMs: 9 });
    expect(nextWriteState(first, { nowMs: 10_000, refusal: undefined, lacks: "room" })).to.deep.equal({ kind: "refusing", reason: "room", sinceMs: 5, refusedAtMs: 5 });
    expect(nextWriteState(first, { nowMs: 3_004, refusal: undefined, lacks: undefined })).to.equal(first);
    expect(nextWriteState(first, { nowMs: 3_005, refusal: undefined, lacks: undefined })).to.deep.equal(taking);
  });
});
