/** A data directory of a later format is left as it is, whatever state it is in. */
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Metrics, seededRandom, silentLogger, systemClock, toHex } from "@pyromesh/base";
import { folderDisk } from "../head-disk.ts";
import type { HeadDisk } from "../head-disk.ts";
import { openHead, openHeadOn } from "../open-head.ts";
import { READ_VERSIONS, USUAL_VERSIONS } from "./format-file.ts";
import type { Head } from "../head.ts";
import { makeRecord, numberOf, replayHead } from "../testing/fixtures.ts";

describe("the format file", function () {
  this.timeout(20_000);
  let root = "";
  let dir = "";
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "pyromesh-format-"));
    dir = join(root, "head");
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const open = (): Promise<Head> => openHead({ dir, diskBudgetBytes: 1 << 30 }, { clock: systemClock, random: seededRandom(7), logger: silentLogger, metrics: new Metrics() });
  /** Some records, the first of them in a table. */
  const fill = async (): Promise<void> => {
    for (const number of [0, 1, 2]) {
      const head = await open();
      await replayHead(head);
      await head.append(makeRecord(number));
      await head.close();
    }
  };
  const formatPath = (): string => join(dir, "format");
  /** Path, bytes and time of change of every file. */
  const everything = async (): Promise<Map<string, string>> => {
    const files = new Map<string, string>();
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      files.set(path, entry.isDirectory() ? "folder" : `${(await stat(path)).mtimeMs} ${(await readFile(path)).toString("hex")}`);
    }
    return files;
  };
  const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => (error as { code?: string }).code);
  const harmTables = async (): Promise<number> => {
    const tables = (await readdir(join(dir, "db"))).filter((name) => name.endsWith(".ldb"));
    for (const name of tables) await writeFile(join(dir, "db", name), (await readFile(join(dir, "db", name))).map((byte, at) => (at === 20 ? byte ^ 1 : byte)));
    return tables.length;
  };

  it("of a later format: refused, and not a byte changes, also where a table is damaged that would be repaired", async () => {
    await fill();
    expect(await harmTables()).greaterThan(0);
    await writeFile(formatPath(), "pyromesh head format 5\nand more lines\n");
    const before = await everything();
    expect(await codeOf(open())).equal("HEAD_FORMAT_NEWER");
    expect(await everything()).deep.equal(before);
  });

  it("the same directory of this format is repaired, so the test above tests something", async () => {
    await fill();
    await harmTables();
    const before = await everything();
    const head = await open();
    await replayHead(head);
    expect(head.quarantine().length).greaterThan(0);
    await head.close();
    expect(await everything()).not.deep.equal(before);
  });

  // An earlier build must never open a directory that may hold an entry of this format: the file comes before the first of them.
  /** Of a member that is to write record version 1 at first. */
  const openAsMember = (reads = 2): Promise<Head> => {
    const modules = { clock: systemClock, random: seededRandom(7), logger: silentLogger, metrics: new Metrics() };
    const versions = { readVersions: { ...READ_VERSIONS, record: reads }, writtenVersions: { ...USUAL_VERSIONS, record: 1 } };
    return openHeadOn(folderDisk({ dir }, modules), { diskBudgetBytes: 1 << 30, ...versions }, modules);
  };
  /** Bytes that begin as those of a record of this version. */
  const recordOfVersion = (number: number, version: number): ReturnType<typeof makeRecord> => makeRecord(number, { bytes: Uint8Array.from([0x50, 0x4d, 0x52, 0x43, version, ...Array.from({ length: 26 }, () => 0), 2, ...Array.from({ length: 10 }, () => 2)]) });

  it("names the versions that are not usual, is raised before the first newer record is kept, and never falls", async () => {
    const head = await openAsMember();
    await replayHead(head);
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 3\nrecord 1\n");
    await head.append(recordOfVersion(1, 1));
    expect(head.heldVersions["record"]).equal(1);
    const appends = [2, 3].map((number) => head.append(recordOfVersion(number, 2)));
    await Promise.all(appends);
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 3\n");
    await head.holdVersions({ head: 4 });
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 4\n");
    await head.holdVersions({ segment: 2 });
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 4\nsegment 2\n");
    await head.close();
    const before = await everything();
    expect(await codeOf(openAsMember()), "segments of version 2 are not read").equal("HEAD_FORMAT_NEWER");
    expect(await codeOf(openAsMember(1)), "nor records of version 2").equal("HEAD_FORMAT_NEWER");
    expect(await everything()).deep.equal(before);
  });

  it("a format that this build does not know is refused, whatever its version; lines of other kinds are ignored", async () => {
    await fill();
    await writeFile(formatPath(), "pyromesh head format 3\nwritten by: somebody\n");
    await (await open()).close();
    await writeFile(formatPath(), "pyromesh head format 3\nindex 1\n");
    expect(await codeOf(open())).equal("HEAD_FORMAT_NEWER");
  });

  it("a directory that says nothing of versions is one of before: it may hold what was usual", async () => {
    await fill();
    expect(await codeOf(openAsMember(1))).equal("HEAD_FORMAT_NEWER");
    const head = await openAsMember();
    expect(head.heldVersions).deep.include({ record: 2 });
    await head.close();
  });

  it("that cannot be written ends the start, before anything is written in this format; the next start finds all of it, unlocked", async () => {
    await fill();
    await writeFile(formatPath(), "pyromesh head format 2\n");
    const modules = { clock: systemClock, random: seededRandom(7), logger: silentLogger, metrics: new Metrics() };
    const disk = folderDisk({ dir }, modules);
    const refusing: HeadDisk = { ...disk, formatFile: { read: () => disk.formatFile.read(), write: () => Promise.reject(Object.assign(new Error("no space"), { code: "ENOSPC" })) } };
    expect(await codeOf(openHeadOn(refusing, { diskBudgetBytes: 1 << 30 }, modules))).equal("ENOSPC");
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 2\n");
    const head = await open();
    expect((await replayHead(head)).replayed.map(numberOf)).deep.equal([0, 1, 2]);
    await head.close();
  });

  it("is made with the directory, and again where it is missing or cannot be read", async () => {
    await fill();
    const wanted = await readFile(formatPath(), "utf8");
    expect(wanted).equal("pyromesh head format 3\n");
    for (const text of [undefined, "", "noise", "pyromesh head format 1\n", "pyromesh head format 2\n"]) {
      if (text === undefined) await rm(formatPath());
      else await writeFile(formatPath(), text);
      const head = await open();
      expect((await replayHead(head)).replayed.map(numberOf)).deep.equal([0, 1, 2]);
      await head.close();
      expect(await readFile(formatPath(), "utf8")).equal(wanted);
    }
  });

  it("is not written into a directory that another process holds", async () => {
    await fill();
    const held = await open();
    await rm(formatPath());
    expect(await codeOf(open())).equal("HEAD_LOCKED");
    expect(await readFile(formatPath(), "utf8").catch(() => "none")).equal("none");
    await held.close();
  });

  it("a data dir of format 2 opens with what it held, keeps its store id, and says format 3 from then on", async () => {
    await cp(new URL("../../../../test/golden/3ecd394/data/head", import.meta.url), dir, { recursive: true });
    const head = await open();
    const { replayed, quarantinedCount } = await replayHead(head);
    expect([replayed.length, quarantinedCount, head.isFirstFormat]).deep.equal([20, 0, false]);
    expect(toHex(head.storeId)).equal("baf216a79bd134f11a27952656359654");
    const [cut] = head.cuts();
    expect(head.cutIdentities(cut!.cutId)).length(10);
    const { entries } = head.select({ tenant: "anonymous" }, head.pin("anonymous"));
    expect(entries.map(({ rank, stores }) => [rank, stores.length])).deep.equal(Array.from({ length: 20 }, () => [0, 0]));
    expect(new Set(entries.map(({ fingerprint }) => fingerprint)), "of its series").length(20).not.include(0n);
    await head.release(entries.slice(5, 15).map(({ identity }) => identity)); // half of the cut, half of what is open
    await head.close();
    const again = await replayHead(await open());
    expect([again.replayed.length, again.quarantinedCount]).deep.equal([10, 0]);
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 3\n");
    await again.head.close();
  });

  it("a data dir of format 1 opens with what it held, and says format 3 from then on", async () => {
    await cp(new URL("../../../../test/golden/a09efd0/data/head", import.meta.url), dir, { recursive: true });
    const head = await open();
    const { replayed, quarantinedCount } = await replayHead(head);
    expect([replayed.length, quarantinedCount, head.isFirstFormat]).deep.equal([20, 0, true]);
    expect(replayed.filter(({ cutId }) => cutId !== undefined)).length(10);
    expect(head.sealed()).length(1);
    const [cut] = head.cuts();
    expect((await head.nextOrdinals(cut!.cutId))!.map(({ ordinal }) => ordinal)).deep.equal([1]);
    await head.close();
    expect(await readFile(formatPath(), "utf8")).equal("pyromesh head format 3\n");
  });
});
