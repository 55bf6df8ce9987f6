/** The disk budget: decided without a disk, and held by a real LevelDB whose folders are measured all the time. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError, Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import { expect } from "chai";
import { DiskBudget } from "./disk-budget.ts";
import { planDisk, planOpening, usableBudget } from "./disk-plan.ts";
import { measureFolder } from "./disk-use.ts";
import type { Head } from "../head.ts";
import { openHead } from "../open-head.ts";
import { makeRecord, sealUnder } from "../testing/fixtures.ts";

const MB = 1 << 20;

describe("disk budget", () => {
  const codeOf = (error: CodedError | undefined): string | undefined => error?.code;
  const empty = { recordBytes: 0, sealedBytes: 0 };

  it("the default budget leaves LevelDB as it is fastest; a small one shares itself out", () => {
    expect(planDisk(10 * 1024 * MB)).to.include({ writeBufferBytes: 96 * MB, compactBytes: 32 * MB, commitBytesMax: 4 * MB });
    expect(planDisk(1536 * MB)).to.include({ writeBufferBytes: 96 * MB, compactBytes: 32 * MB });
    for (const budgetBytes of [8, 16, 64, 100, 1000, 10_000].map((size) => size * MB)) {
      const { writeBufferBytes, overheadBytes, cutBytesMax, copyCount } = planDisk(budgetBytes);
      // Two cuts at least, the one that is sealed and the one that fills meanwhile, with their copies.
      expect(overheadBytes + writeBufferBytes + (copyCount + 1) * 2 * cutBytesMax, `${budgetBytes}`).to.be.lessThan(budgetBytes);
    }
  });

  it("an empty head takes what leaves room for its own copies, and says of a larger record that it never fits", () => {
    const disk = new DiskBudget({ budgetBytes: 64 * MB }, planDisk(64 * MB));
    expect(codeOf(disk.refusal(15 * MB, empty))).to.equal(undefined);
    expect(disk.refusal(16 * MB, empty)).to.include({ code: "RECORD_OVER_DISK_BUDGET", kind: "invalid_argument" });
  });

  it("what is measured counts where it is more than what is known, with what was written since", () => {
    const disk = new DiskBudget({ budgetBytes: 64 * MB }, planDisk(64 * MB));
    const begun = disk.beginMeasuring();
    disk.wrote(3 * MB);
    disk.measured({ storeBytes: 30 * MB, otherBytes: 20 * MB }, begun);
    expect(disk.measuredBytes).to.equal(50 * MB);
    // 50 found, 3 written since, 4 for a table of the write buffer, 3 times the record.
    expect(codeOf(disk.refusal(2 * MB, empty))).to.equal(undefined);
    expect(codeOf(disk.refusal(3 * MB, empty))).to.equal("HEAD_FULL");
    disk.measured({ storeBytes: 30 * MB, otherBytes: 20 * MB }, disk.beginMeasuring());
    expect(codeOf(disk.refusal(3 * MB, empty)), "measured again, and it was in it").to.equal(undefined);
  });

  it("room is kept for the second copy of a sealed segment while it is renamed, as large as a cut at most", () => {
    const plan = planDisk(64 * MB);
    const disk = new DiskBudget({ budgetBytes: 64 * MB }, plan);
    const freeBytes = (sealedBytes: number): number => 64 * MB - plan.overheadBytes - plan.writeBufferBytes - sealedBytes;
    for (const sealedBytes of [MB, 20 * MB]) {
      const roomBytes = freeBytes(sealedBytes) - Math.min(sealedBytes, plan.cutBytesMax);
      const largest = Math.floor(roomBytes / (plan.copyCount + 1));
      expect(codeOf(disk.refusal(largest, { recordBytes: 0, sealedBytes })), `${sealedBytes}`).to.equal(undefined);
      expect(codeOf(disk.refusal(largest + 1, { recordBytes: 0, sealedBytes })), `${sealedBytes}`).to.equal("HEAD_FULL");
    }
  });

  it("a measurement that fails refuses nothing: then only records and sealed segments count", () => {
    const disk = new DiskBudget({ budgetBytes: 64 * MB }, planDisk(64 * MB));
    disk.measured({ storeBytes: 60 * MB, otherBytes: 0 }, disk.beginMeasuring());
    expect(codeOf(disk.refusal(1000, empty))).to.equal("HEAD_FULL");
    disk.forgetMeasured();
    disk.wrote(100 * MB);
    expect(codeOf(disk.refusal(1000, empty))).to.equal(undefined);
  });

  it("a merge is asked for where more is dead than LevelDB needs, not again while it does not help, and again as early as the first time", () => {
    const plan = planDisk(64 * MB);
    const disk = new DiskBudget({ budgetBytes: 64 * MB }, plan);
    const asks = (deadBytes: number): boolean => {
      disk.measured({ storeBytes: 5 * MB + deadBytes, otherBytes: 0 }, disk.beginMeasuring());
      return disk.askForMerge(5 * MB);
    };
    expect(disk.askForMerge(0), "not measured yet").to.equal(false);
    expect(asks(plan.overheadBytes)).to.equal(false);
    expect(asks(plan.overheadBytes + 1)).to.equal(true);
    expect(asks(plan.overheadBytes + 1), "it did not help").to.equal(false);
    expect(asks(plan.overheadBytes + 2 + plan.compactBytes)).to.equal(true);
    expect(asks(0)).to.equal(false);
    expect(asks(plan.overheadBytes + 1), "it had helped").to.equal(true);
  });

  describe("on a disk that has less than the budget", () => {
    const GB = 1024 * MB;
    const budgetBytes = 10 * GB;
    const shortDisk = (inForceBytes: number): DiskBudget => new DiskBudget({ budgetBytes, inForceBytes }, planOpening({ budgetBytes, inForceBytes }));

    it("pure: a fifth of what is free or held is left to others, however much of it the head holds; never less than what it holds", () => {
      const usable = (heldBytes: number, freeBytes: number | undefined): number => usableBudget({ budgetBytes, heldBytes, freeBytes });
      expect([usable(0, 5 * GB), usable(2 * GB, 3 * GB), usable(4 * GB, GB)]).to.deep.equal([4 * GB, 4 * GB, 4 * GB]);
      expect(usable(6867, 0)).to.equal(6867);
      expect([usable(0, 100 * GB), usable(MB, undefined)]).to.deep.equal([budgetBytes, budgetBytes]);
    });

    it("a node that starts on a full disk refuses with HEAD_FULL, which clients send again, and says that the disk has no room", () => {
      const refusal = shortDisk(6867).refusal(50_000, empty);
      expect(refusal).to.include({ code: "HEAD_FULL", kind: "unavailable" });
      expect(refusal?.message).to.contain("the disk has no room").and.to.contain("of --head-disk-budget 10GB it may use 6867 bytes");
    });

    it("a record is refused for good only where the configured budget of an empty head is too small for it", () => {
      const disk = new DiskBudget({ budgetBytes: 64 * MB, inForceBytes: 10 * MB }, planDisk(10 * MB));
      expect(codeOf(disk.refusal(15 * MB, empty))).to.equal("HEAD_FULL");
      expect(codeOf(disk.refusal(16 * MB, empty))).to.equal("RECORD_OVER_DISK_BUDGET");
    });

    it("the disk is not named where the configured budget is used up too", () => {
      const disk = new DiskBudget({ budgetBytes: 64 * MB, inForceBytes: 60 * MB }, planDisk(60 * MB));
      disk.measured({ storeBytes: 0, otherBytes: 64 * MB }, disk.beginMeasuring());
      expect(disk.refusal(1000, empty)?.message).to.contain("it empties when the bucket takes its segments");
    });

    it("the budget in force rises as space comes back, up to the configured one, and never falls", () => {
      const disk = shortDisk(6867);
      disk.raise(GB);
      expect([disk.inForceBytes, disk.isShort, codeOf(disk.refusal(50_000, empty))]).to.deep.equal([GB, true, undefined]);
      disk.raise(MB);
      expect(disk.inForceBytes).to.equal(GB);
      disk.raise(20 * GB);
      expect([disk.inForceBytes, disk.isShort]).to.deep.equal([budgetBytes, false]);
    });

    it("with the budget in force the cut, a merge and the room for a rename grow; the open store's buffer and commits stay", () => {
      const disk = shortDisk(0);
      const first = disk.plan;
      expect(first, "usable cuts and buffers, although nothing fits yet").to.deep.equal(planDisk(8 * MB));
      disk.raise(10 * GB);
      const { cutBytesMax, renamedBytesMax, compactBytes } = planDisk(10 * GB);
      const { writeBufferBytes, commitBytesMax } = first;
      expect(disk.plan).to.include({ cutBytesMax, renamedBytesMax, compactBytes, writeBufferBytes, commitBytesMax });
      expect(disk.plan.overheadBytes).to.equal(2 * (writeBufferBytes + commitBytesMax) + compactBytes);
    });
  });

  describe("of a real LevelDB", function () {
    this.timeout(120_000);
    let dir: string;
    let head: Head;
    let stopWatching: () => Promise<number>;
    const random = seededRandom(11);

    const sealedDir = (): string => join(dir, "sealed");
    const open = async (budgetBytes: number): Promise<void> => {
      head = await openHead(
        { dir: join(dir, "head"), sealedDir: sealedDir(), diskBudgetBytes: budgetBytes },
        { clock: systemClock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics() },
      );
      await head.replay(async () => {});
    };

    /** Measures the folders again and again, on its own; ends with the most that they held. */
    function watch(): () => Promise<number> {
      let isWatching = true;
      const most = (async () => {
        let max = 0;
        while (isWatching) {
          max = Math.max(max, await measureFolder(dir));
          await systemClock.sleep(10);
        }
        return max;
      })();
      return () => {
        isWatching = false;
        return most;
      };
    }

    beforeEach(() => {
      sizes.clear();
      dir = mkdtempSync(join(tmpdir(), "pyromesh-disk-budget-"));
      mkdirSync(sealedDir());
      stopWatching = watch();
    });
    afterEach(async () => {
      await stopWatching();
      await head.close();
      rmSync(dir, { recursive: true, force: true });
    });

    let count = 0;
    /** `true`: taken; `false`: HEAD_FULL. */
    const append = (recordBytes: number): Promise<boolean> =>
      head.append(makeRecord(count++, { bytes: random.bytes(recordBytes) })).then(
        () => true,
        (error: unknown) => {
          if (error instanceof CodedError && error.code === "HEAD_FULL") return false;
          throw error;
        },
      );
    /** Until one is refused. Returns how many were taken. */
    const fill = async (recordBytes: number): Promise<number> => {
      let takenCount = 0;
      for (;;) {
        const outcomes = await Promise.all(Array.from({ length: 32 }, () => append(recordBytes)));
        takenCount += outcomes.filter((isTaken) => isTaken).length;
        if (outcomes.includes(false)) return takenCount;
      }
    };
    /** A segment as large as its records, which is the worst it may be. */
    const seal = async (): Promise<string | undefined> => {
      const cut = await head.cut();
      if (cut === undefined) return undefined;
      const sizeBytes = cut.groups.reduce((sum, group) => sum + group.bytes, 0);
      const name = `segment-${cut.cutId}`;
      writeFileSync(join(sealedDir(), name), random.bytes(sizeBytes));
      await sealUnder(head, cut.cutId, [name]);
      sizes.set(name, sizeBytes);
      head.setSealedBytes(sealedBytes());
      return name;
    };
    const upload = async (name: string): Promise<void> => {
      await head.unseal(name);
      sizes.delete(name);
      head.setSealedBytes(sealedBytes());
      rmSync(join(sealedDir(), name));
    };
    const sizes = new Map<string, number>();
    const sealedBytes = (): number => [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    const untilTaken = async (recordBytes: number): Promise<number> => {
      const startMs = systemClock.monotonicMs();
      while (!(await append(recordBytes))) await systemClock.sleep(10);
      return systemClock.monotonicMs() - startMs;
    };

    for (const budgetMb of [8, 24]) {
      it(`never holds more than its ${budgetMb} MB over cycles of filling, sealing and flushing, and takes pushes again after each`, async () => {
        await open(budgetMb * MB);
        let takenBytes = 0;
        for (let cycle = 0; cycle < 6; cycle++) {
          const recordBytes = ([2_000, 25_000][cycle % 2]! * budgetMb) / 8;
          takenBytes += (await fill(recordBytes)) * recordBytes;
          const name = await seal();
          if (name !== undefined) await upload(name);
          // A measurement that is due, and a merge: everything is flushed, so it may not be long.
          expect(await untilTaken(recordBytes)).to.be.lessThan(10_000);
        }
        expect(takenBytes, "that the budget was there to be used").to.be.greaterThan((budgetMb * MB) / 2);
        expect(await stopWatching()).to.be.lessThan(budgetMb * MB);
      });

      it(`never holds more than its ${budgetMb} MB while sealed segments wait for days, and is cut and sealed at the budget, too`, async () => {
        await open(budgetMb * MB);
        const names: string[] = [];
        // As the flusher does: cut early, seal. At the budget, too: that makes room for a little more, until a push is refused while
        // there is nothing to seal. Refused with less than half of the budget in segments, LevelDB is about to merge deleted records away.
        for (const fewBytes = (budgetMb * MB) / 2; ; ) {
          for (let isTaken = true; isTaken && head.stats.openBytes < head.cutBytesMax; ) isTaken = await append(20_000);
          const name = await seal();
          if (name !== undefined) names.push(name);
          else if (sealedBytes() > fewBytes) break;
          else await systemClock.sleep(10);
        }
        for (const name of names) await upload(name);
        expect(await untilTaken(20_000)).to.be.lessThan(10_000);
        expect(await stopWatching()).to.be.lessThan(budgetMb * MB);
      });
    }

    it("deleted records of an earlier process are merged away, and refuse nothing for long", async () => {
      await open(16 * MB);
      await fill(20_000);
      await seal();
      await head.close();
      for (const name of sizes.keys()) rmSync(join(sealedDir(), name));
      sizes.clear();
      await open(8 * MB);
      for (const { key } of head.sealed()) await head.unseal(key);
      expect(await untilTaken(20_000)).to.be.lessThan(10_000);
    });
  });
});
