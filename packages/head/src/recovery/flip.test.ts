/** LevelDB drops in silence what a flipped byte breaks; the head must not. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Metrics, seededRandom, silentLogger, systemClock } from "@pyromesh/base";
import type { EncodedRecord } from "@pyromesh/profile";
import { openHead } from "../open-head.ts";
import type { Head } from "../head.ts";
import type { QuarantineEntry } from "./quarantine.ts";
import { makeRecord, numberOf, replayHead } from "../testing/fixtures.ts";
import type { Started } from "../testing/fixtures.ts";

/** Every third is larger than one of LevelDB's blocks, and stands alone in its own. */
const recordOf = (number: number): EncodedRecord => makeRecord(number, number % 3 === 0 ? { bytes: seededRandom(number).bytes(6000) } : {});

describe("head over a damaged LevelDB", function () {
  this.timeout(process.env["PYROMESH_FLIPS"] === undefined ? 120_000 : 0);
  let root = "";
  beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), "pyromesh-flip-"))));
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Each start draws other store ids. */
  let startCount = 0;
  const start = async (dir: string): Promise<Started> => {
    const head = await openHead({ dir, diskBudgetBytes: 1 << 30 }, { clock: systemClock, random: seededRandom(7 + startCount++), logger: silentLogger, metrics: new Metrics() });
    try {
      return await replayHead(head);
    } catch (error) {
      await head.close();
      throw error;
    }
  };

  /** 60 records open, 40 in a cut and some of the others in another, 40 sealed under two keys, in tables and in the log; some are released. */
  const fill = async (dir: string): Promise<void> => {
    const pushSome = async (head: Head, from: number, to: number): Promise<void> => {
      for (let number = from; number < to; number += 5) {
        await Promise.all(Array.from({ length: 5 }, (_, i) => head.append(recordOf(number + i))));
      }
    };
    let { head } = await start(dir);
    await pushSome(head, 0, 40);
    const sealed = await head.cut();
    const [ordinal] = (await head.nextOrdinals(sealed!.cutId))!;
    await head.seal(sealed!.cutId, [
      { ...ordinal!, key: "a", bytes: new Uint8Array(50).fill(1) },
      { ...ordinal!, ordinal: 1, key: "b", bytes: new Uint8Array(50).fill(2) },
    ]);
    filledAs = ordinal!.storeId;
    await pushSome(head, 40, 80);
    await head.close();
    ({ head } = await start(dir)); // what was in the log is in a table now
    await head.cut();
    await pushSome(head, 80, 120);
    await head.close();
    ({ head } = await start(dir));
    await pushSome(head, 120, 140);
    await head.release(released.map((number) => recordOf(number).identity));
    await head.cut({ services: new Set(["service-1"]) });
    await head.close();
  };

  /** One by one out of commits of five, in a cut and open; and the whole of one commit. */
  const released = [42, 63, 81, 99, 122, 124, 130, 131, 132, 133, 134];

  /** The store id under which `fill` gave ordinals 0 and 1. */
  let filledAs = "";

  const isCovered = (timeMs: number, quarantine: readonly QuarantineEntry[]): boolean =>
    quarantine.some(({ startMs, endMs }) => (startMs ?? -Infinity) <= timeMs && timeMs <= (endMs ?? Infinity));

  /** What is missing and not said; also that the head then works, and that the next start raises nothing again. */
  const verdictOf = async (dir: string): Promise<{ isLoss: boolean; isSaid: boolean; problems: string[] }> => {
    const problems: string[] = [];
    const { head, replayed } = await start(dir);
    const numbers = replayed.map(numberOf);
    if (new Set(numbers).size !== numbers.length) problems.push("a record came twice");
    const got = new Set(numbers);
    let isLoss = false;
    const before = head.quarantine();
    const expected = new Set([...Array(100).keys()].map((i) => i + 40));
    for (const number of expected) {
      if (got.has(number) || released.includes(number)) continue; // a lost release brings a record back
      isLoss = true;
      if (!isCovered(recordOf(number).timeMs, before)) problems.push(`record ${number} is missing in silence`);
    }
    for (const record of replayed) {
      const wanted = recordOf(numberOf(record));
      if (Buffer.compare(record.bytes, wanted.bytes) !== 0 || record.timeMs !== wanted.timeMs || record.service !== wanted.service) problems.push(`record ${numberOf(record)} has other bytes`);
    }
    const sealed = new Map(head.sealed().map(({ key, bytes }) => [key, bytes]));
    for (const [key, fill] of [["a", 1], ["b", 2]] as const) {
      const bytes = sealed.get(key);
      if (bytes !== undefined && bytes.every((byte) => byte === fill) && bytes.length === 50) continue;
      if (bytes !== undefined) problems.push(`segment ${key} has other bytes`);
      isLoss = true;
      // Its records may have come back with the cut; else their times must be covered.
      for (let number = 0; number < 40; number++) {
        if (!got.has(number) && !isCovered(recordOf(number).timeMs, before)) problems.push(`segment ${key} is missing in silence`);
      }
    }
    await head.append(recordOf(1000));
    const cut = await head.cut();
    if (cut === undefined) problems.push("a cut after the repairing found nothing");
    else {
      // Ordinals 0 and 1 were given to the window of the first cut and must not be given again, and none may be left out.
      const given = Math.floor(recordOf(0).timeMs / 3_600_000) * 3_600_000;
      for (const { storeId, windowStartMs, ordinal } of (await head.nextOrdinals(cut.cutId))!) {
        const wanted = windowStartMs === given && storeId === filledAs ? 2 : 0;
        if (ordinal !== wanted) problems.push(`ordinal ${ordinal} comes next in window ${windowStartMs}, not ${wanted}`);
      }
    }
    await head.close();
    const again = await start(dir);
    if (again.quarantinedCount !== 0) problems.push(`the next start raised ${again.quarantinedCount} again`);
    if (again.head.quarantine().length !== before.length) problems.push("the quarantine was not kept");
    if (!again.replayed.some((record) => numberOf(record) === 1000)) problems.push("a record appended after the repairing is gone");
    await again.head.close();
    return { isLoss, isSaid: before.length > 0, problems };
  };

  it("undamaged: everything is there and nothing is said", async () => {
    const dir = join(root, "data");
    await fill(dir);
    const { head, replayed } = await start(dir);
    expect(replayed.map(numberOf)).deep.equal(Array.from({ length: 100 }, (_, index) => index + 40).filter((number) => !released.includes(number)));
    await head.close();
    expect(await verdictOf(dir)).deep.equal({ isLoss: false, isSaid: false, problems: [] });
  });

  it("one flipped byte anywhere: it starts, and what is missing is quarantined over its time", async () => {
    const dir = join(root, "data");
    await fill(dir);
    const files: string[] = [];
    for (const name of await readdir(join(dir, "db"))) if (!["LOCK", "LOG", "LOG.old"].includes(name)) files.push(join("db", name));
    files.push("witness");
    const random = seededRandom(Number(process.env["PYROMESH_SEED"] ?? 42));
    const tries: { file: string; offset: number }[] = [];
    for (const file of files) {
      const { size } = await stat(join(dir, file));
      const count = Number(process.env["PYROMESH_FLIPS"] ?? 30);
      if (size <= count) for (let offset = 0; offset < size; offset++) tries.push({ file, offset });
      else for (let i = 0; i < count; i++) tries.push({ file, offset: Math.floor(random.float() * size) });
    }
    const failures: string[] = [];
    let lossCount = 0;
    for (const [index, { file, offset }] of tries.entries()) {
      const copy = join(root, `copy-${index}`);
      await cp(dir, copy, { recursive: true });
      const bytes = await readFile(join(copy, file));
      bytes[offset] = bytes[offset]! ^ (1 << Math.floor(random.float() * 8));
      await writeFile(join(copy, file), bytes);
      try {
        const { isLoss, problems } = await verdictOf(copy);
        if (isLoss) lossCount++;
        for (const problem of problems) failures.push(`${file} byte ${offset}: ${problem}`);
      } catch (error) {
        failures.push(`${file} byte ${offset}: threw ${String(error)} ${String((error as Error).cause ?? "")}`);
      }
      await rm(copy, { recursive: true, force: true });
    }
    if (process.env["PYROMESH_FLIPS"] !== undefined) console.log(`${tries.length} flips, ${lossCount} with a loss`);
    expect(failures).deep.equal([]);
    expect(lossCount, "the flips must hit something").greaterThan(0);
  });

  it("a whole file gone or cut short: the same", async () => {
    const dir = join(root, "data");
    await fill(dir);
    const failures: string[] = [];
    let index = 0;
    for (const name of await readdir(join(dir, "db"))) {
      if (["LOCK", "LOG", "LOG.old"].includes(name)) continue;
      for (const keep of [0, 0.3, 0.9, undefined]) {
        const copy = join(root, `copy-${index++}`);
        await cp(dir, copy, { recursive: true });
        const path = join(copy, "db", name);
        if (keep === undefined) {
          await rm(path);
        } else {
          const bytes = await readFile(path);
          await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * keep)));
        }
        try {
          const { problems } = await verdictOf(copy);
          for (const problem of problems) failures.push(`${name} keep ${keep}: ${problem}`);
        } catch (error) {
          failures.push(`${name} keep ${keep}: threw ${String(error)} ${String((error as Error).cause ?? "")}`);
        }
        await rm(copy, { recursive: true, force: true });
      }
    }
    expect(failures).deep.equal([]);
  });

  it("a store of noise is moved aside, and everything is said to be missing", async () => {
    const dir = join(root, "data");
    await fill(dir);
    const random = seededRandom(3);
    for (const name of await readdir(join(dir, "db"))) await writeFile(join(dir, "db", name), random.bytes(300));
    const { head, replayed } = await start(dir);
    expect(replayed).length(0);
    expect(head.quarantine().length).greaterThan(0);
    expect(isCovered(recordOf(139).timeMs, head.quarantine())).equal(true);
    await head.append(recordOf(5000));
    await head.close();
    const again = await start(dir);
    expect(again.replayed.map(numberOf)).deep.equal([5000]);
    await again.head.close();
  });

  it("the db folder removed by hand is a loss of all it answered for", async () => {
    const dir = join(root, "data");
    await fill(dir);
    await rm(join(dir, "db"), { recursive: true });
    await mkdir(join(dir, "db"));
    const { head } = await start(dir);
    for (let number = 0; number < 140; number++) expect(isCovered(recordOf(number).timeMs, head.quarantine()), `record ${number}`).equal(true);
    expect(await head.acknowledgeQuarantine()).equal(1);
    await head.close();
    const again = await start(dir);
    expect(again.head.quarantine()).deep.equal([]);
    expect(again.quarantinedCount).equal(0);
    await again.head.close();
  });
});
