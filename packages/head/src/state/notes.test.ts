/** Notes of the objects that records went into are on disk from the batch on in which the records leave. */
import { expect } from "chai";
import type { Head } from "../head.ts";
import { META_NOTES } from "../entries/keys.ts";
import { makeRecord, memoryWorld, sealUnder, startHead } from "../testing/fixtures.ts";
import type { MemoryWorld } from "../testing/fixtures.ts";
import type { LeavingNote } from "./notes.ts";

const identityOf = (number: number): Uint8Array => makeRecord(number).identity;
const noteOf = (key: string, ...forgotten: string[]): LeavingNote => ({ key, bytes: Buffer.from(`of ${key}`), forgotten });

describe("notes of objects", () => {
  let world: MemoryWorld;
  let head: Head;
  beforeEach(async () => {
    world = memoryWorld();
    head = (await startHead(world)).head;
  });
  const appendAll = (...numbers: number[]): Promise<unknown> => Promise.all(numbers.map((number) => head.append(makeRecord(number))));
  const begin = (): Promise<void> => head.beginNotes({ notes: [], sinceMs: 0 });
  /** After power loss: since when nothing is missing, and what they say. */
  const found = async (): Promise<readonly [number | undefined, Record<string, string>]> => {
    world.disk.crash();
    head = (await startHead(world)).head;
    const { entries, sinceMs } = head.foundNotes;
    await head.beginNotes({ notes: [], sinceMs: sinceMs ?? 1000 });
    return [sinceMs, Object.fromEntries(Array.from(entries, ([key, bytes]) => [key, Buffer.from(bytes).toString()]))];
  };

  it("a new store has none and lacks none, and those of a release and of an unseal are there after power loss", async () => {
    expect(head.foundNotes).deep.include({ entries: new Map(), sinceMs: 0 });
    await begin();
    await appendAll(1, 2, 3);
    await head.release([identityOf(1)], noteOf("a"));
    const cut = await head.cut();
    await sealUnder(head, cut!.cutId, ["s"]);
    await head.unseal("s", noteOf("s"));
    expect(await found()).deep.equal([0, { a: "of a", s: "of s" }]);
    expect(await found(), "again").deep.equal([0, { a: "of a", s: "of s" }]);
  });

  it("where the release is lost so is the note, and where no record left there is none", async () => {
    await begin();
    await appendAll(1);
    world.disk.onBatch = () => {
      throw new Error("EIO");
    };
    expect(await head.release([identityOf(1)], noteOf("a")).then(() => "done", () => "refused")).equal("refused");
    world.disk.onBatch = undefined;
    world.clock.ms += 2000;
    await head.release([identityOf(7)], noteOf("b"));
    expect(await found()).deep.equal([0, {}]);
    expect(head.has(identityOf(1))).equal(true);
  });

  it("is put with the first of many batches", async () => {
    await begin();
    const numbers = Array.from({ length: 1100 }, (_, index) => index);
    await appendAll(...numbers);
    let noteCount = 0;
    world.disk.onBatch = (ops) => void (noteCount += ops.filter(({ kind, key }) => kind === "put" && Buffer.from(key).toString("latin1") === "n/a").length);
    await head.release([identityOf(9999), ...numbers.map(identityOf)], noteOf("a"));
    expect(noteCount).equal(1);
  });

  it("the same object is noted once, and what is needed no more is deleted with the next", async () => {
    await begin();
    await appendAll(1, 2, 3);
    await head.release([identityOf(1)], noteOf("a"));
    await head.release([identityOf(2)], { ...noteOf("a"), bytes: Buffer.from("later") });
    await head.release([identityOf(3)], noteOf("b", "a", "unknown"));
    expect(await found()).deep.equal([0, { b: "of b" }]);
  });

  it("of a time in which nothing was noted the store says that it lacks some", async () => {
    await appendAll(1, 2);
    await head.release([identityOf(1)]);
    expect(await found(), "it was not a member yet").deep.equal([undefined, {}]);
    await head.release([identityOf(2)], noteOf("a"));
    expect(await found()).deep.equal([1000, { a: "of a" }]);
    head = (await startHead(world)).head;
    await head.endNotes();
    await head.endNotes();
    expect(await found(), "it was no member for a while").deep.equal([undefined, {}]);
  });

  it("what left before notes begin is noted as they begin, in one batch with the time", async () => {
    await appendAll(1, 2);
    await head.release([identityOf(1)]);
    const { batchCount } = world.disk;
    await head.beginNotes({ notes: [noteOf("a")], sinceMs: 500 });
    expect(world.disk.batchCount).equal(batchCount + 1);
    await head.beginNotes({ notes: [noteOf("a")], sinceMs: 500 });
    expect(world.disk.batchCount, "nothing is written again").equal(batchCount + 1);
    await head.release([identityOf(2)], noteOf("b"));
    expect(await found()).deep.equal([500, { a: "of a", b: "of b" }]);
    expect(await found(), "again").deep.equal([500, { a: "of a", b: "of b" }]);
  });

  it("a store that nobody begins notes in writes nothing for them", async () => {
    const { batchCount } = world.disk;
    await head.endNotes();
    expect(world.disk.batchCount).equal(batchCount);
  });

  it("a store that lost something may have lost notes, and names those that are left", async () => {
    await begin();
    await appendAll(1, 2);
    await head.release([identityOf(1)], noteOf("a"));
    await head.close();
    world.disk.tamper(Buffer.from("n/a"), (value) => value.map((byte, at) => (at === 5 ? byte ^ 1 : byte)));
    expect(await found()).deep.equal([undefined, {}]);
    await head.release([identityOf(2)], noteOf("b"));
    await head.close();
    world.disk.tamper(META_NOTES, (value) => value.map((byte, at) => (at === 4 ? byte ^ 1 : byte)));
    expect(await found()).deep.equal([undefined, { b: "of b" }]);
  });
});
