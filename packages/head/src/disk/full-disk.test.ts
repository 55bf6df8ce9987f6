/** The head on a real LevelDB whose disk is really full. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { Clock } from "@pyromesh/base";
import { CodedError, Metrics, seededRandom, silentLogger } from "@pyromesh/base";
import { Head } from "../head.ts";
import { atomicFile } from "@pyromesh/base";
import { levelStoreOpener } from "../store/level-store.ts";
import { makeRecord, numberOf, replayHead, StillClock } from "../testing/fixtures.ts";
import type { Started } from "../testing/fixtures.ts";
import { mountSmallDisk } from "../testing/small-disk.ts";
import type { SmallDisk } from "../testing/small-disk.ts";
import { FileCheckpoint } from "../recovery/checkpoint.ts";

const DISK_BYTES = 24 << 20;
const RECORD_BYTES = 10_000;

describe("head on a full disk", function () {
  this.timeout(60_000);
  let disk: SmallDisk;
  let clock: StillClock;
  let head: Head | undefined;
  let acked: Set<number>;
  let next: number;

  before(async function () {
    const mounted = await mountSmallDisk(DISK_BYTES);
    if (typeof mounted === "string") {
      console.log(`  skipped: ${mounted}`);
      this.skip();
    }
    disk = mounted;
  });
  after(() => disk?.unmount());
  beforeEach(() => {
    clock = new StillClock();
    acked = new Set();
    next = 0;
  });
  afterEach(async () => {
    await head?.close();
    head = undefined;
    disk.free();
    await rm(dirOf(disk), { recursive: true, force: true });
  });

  const start = async (): Promise<Started> => {
    const started = await replayHead(await openSmall(disk, clock));
    head = started.head;
    return started;
  };
  /** Eight at once; resolves to the codes of those that were refused. */
  const appendSome = async (count: number): Promise<Set<string>> => {
    const codes = new Set<string>();
    const appendOn = async (): Promise<void> => {
      for (let sent = 0; sent < count; sent += 8) {
        const mine = next++;
        await head!.append(recordOf(mine)).then(
          () => acked.add(mine),
          (error: unknown) => codes.add(codeOf(error)),
        );
      }
    };
    await Promise.all(Array.from({ length: 8 }, appendOn));
    return codes;
  };
  const expectExact = (replayed: Started): void => {
    const held = replayed.replayed.map(numberOf);
    expect(held.length, "no record twice").equal(new Set(held).size);
    const present = new Set(held);
    expect([...acked].filter((number) => !present.has(number)), "acked and gone").deep.equal([]);
    expect(replayed.quarantinedCount).equal(0);
  };

  it("refuses with HEAD_WRITE_FAILED, loses nothing acked, goes on by itself once there is space; a restart finds each once", async () => {
    await start();
    expect(await appendSome(80)).deep.equal(new Set());
    disk.fill(300_000);
    expect(await appendSome(160)).deep.equal(new Set(["HEAD_WRITE_FAILED"]));
    const ackedCount = acked.size;
    for (let second = 0; second < 3; second++) {
      clock.ms += 1000;
      expect(await appendSome(16), "still full").deep.equal(new Set(["HEAD_WRITE_FAILED"]));
    }
    expect(acked.size).equal(ackedCount);
    disk.free();
    clock.ms += 1000;
    expect(await appendSome(80)).deep.equal(new Set());
    expect(acked.size).equal(ackedCount + 80);
    await head!.close();
    expectExact(await start());
  });

  for (const leaveBytes of [0, 700_000, 1_500_000, 2_500_000]) {
    it(`whatever LevelDB was writing when the disk filled up, log or table, the acked is there (${leaveBytes} bytes left)`, async () => {
      await start();
      await appendSome(240);
      disk.fill(leaveBytes);
      expect(await appendSome(480)).deep.equal(new Set(["HEAD_WRITE_FAILED"]));
      disk.free();
      clock.ms += 1000;
      expect(await appendSome(240)).deep.equal(new Set());
      await head!.close();
      expectExact(await start());
    });
  }

  it("a push refused while it was full and sent again is there once", async () => {
    await start();
    disk.fill(300_000);
    await appendSome(80);
    disk.free();
    clock.ms += 1000;
    for (let number = 0; number < next; number++) {
      await head!.append(recordOf(number));
      acked.add(number);
    }
    expect(head!.stats.openCount).equal(next);
    await head!.close();
    expectExact(await start());
  });

  it("a cut that met the full disk is made once there is space, and its records are sealed out of it", async () => {
    await start();
    await appendSome(400);
    disk.fill();
    await appendSome(16);
    clock.ms += 1000;
    const refused = await head!.cut().then(() => "cut", codeOf);
    expect(refused).equal("HEAD_WRITE_FAILED");
    disk.free();
    clock.ms += 1000;
    const cut = (await head!.cut()) ?? head!.cuts()[0];
    expect(cut?.groups.reduce((sum, group) => sum + group.recordCount, 0)).equal(acked.size);
    await head!.seal(cut!.cutId, []);
    expect(head!.stats.diskBytes).equal(0);
  });

  it("opened while the disk is full it refuses to start and says why; nothing is moved, repaired or lost", async () => {
    await start();
    await appendSome(160);
    await head!.close();
    disk.fill();
    const refused = await openSmall(disk, clock).then(
      async (opened) => (head = opened) && "opened",
      codeOf,
    );
    expect(refused).equal("HEAD_DISK_FULL");
    disk.free();
    expectExact(await start());
  });
});

function dirOf(disk: SmallDisk): string {
  return join(disk.dir, "head");
}

/** As `openHead`, but LevelDB writes its tables early, so that they too meet the full disk. */
async function openSmall(disk: SmallDisk, clock: Clock): Promise<Head> {
  const dir = dirOf(disk);
  await mkdir(dir, { recursive: true });
  const modules = { clock, random: seededRandom(1), logger: silentLogger, metrics: new Metrics() };
  return Head.open(
    { diskBudgetBytes: 1 << 30 },
    {
      ...modules,
      opener: levelStoreOpener(dir, modules, { writeBufferBytes: 1 << 20 }),
      checkpoint: FileCheckpoint.open(join(dir, "witness")),
      quarantineFile: atomicFile(join(dir, "quarantine.json")),
    },
  );
}

function recordOf(number: number): ReturnType<typeof makeRecord> {
  return makeRecord(number, { bytes: seededRandom(number).bytes(RECORD_BYTES) });
}

function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : String(error);
}
