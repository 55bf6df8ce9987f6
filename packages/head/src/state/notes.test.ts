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
  /** After power loss: whether nothing is missing, and what they say. */
  const found = async (): Promise<readonly [boolean, Record<string, string>]> => {
    world.disk.crash();
    head = (await startHead(world)).head;
    const { entries, isWhole } = await head.beginNotes();
    return [isWhole, Object.fromEntries(Array.from(entries, ([key, bytes]) => [key, Buffer.from(bytes).toString()]))];
  };

  it("a new store has none and lacks none, and those of a release and of an unseal are there after power loss", async () => {
    expect(await head.beginNotes()).deep.equal({ entries: new Map(), isWhole: true });
    await appendAll(1, 2, 3);
    await head.release([identityOf(1)], noteOf("a"));
    const cut = await head.cut();
    await sealUnder(head, cut!.cutId, ["s"]);
    await head.unseal("s", noteOf("s"));
    expect(await found()).deep.equal([true, { a: "of a", s: "of s" }]);
    expect(await found(), "again").deep.equal([true, { a: "of a", s: "of s" }]);
  });

  it("where the release is lost so is the note, and where no record left there is none", async () => {
    await head.beginNotes();
    await appendAll(1);
    world.disk.onBatch = () => {
      throw new Error("EIO");
    };
    expect(await head.release([identityOf(1)], noteOf("a")).then(() => "done", () => "refused")).equal("refused");
    world.disk.onBatch = undefined;
    world.clock.ms += 2000;
    await head.release([identityOf(7)], noteOf("b"));
    expect(await found()).deep.equal([true, {}]);
    expect(head.has(identityOf(1))).equal(true);
  });

  it("is put with the first of many batches", async () => {
    await head.beginNotes();
    const numbers = Array.from({ length: 1100 }, (_, index) => index);
    await appendAll(...numbers);
    let noteCount = 0;
    world.disk.onBatch = (ops) => void (noteCount += ops.filter(({ kind, key }) => kind === "put" && Buffer.from(key).toString("latin1") === "n/a").length);
    await head.release([identityOf(9999), ...numbers.map(identityOf)], noteOf("a"));
    expect(noteCount).equal(1);
  });

  it("the same object is noted once, and what is needed no more is deleted with the next", async () => {
    await head.beginNotes();
    await appendAll(1, 2, 3);
    await head.release([identityOf(1)], noteOf("a"));
    await head.release([identityOf(2)], { ...noteOf("a"), bytes: Buffer.from("later") });
    await head.release([identityOf(3)], noteOf("b", "a", "unknown"));
    expect(await found()).deep.equal([true, { b: "of b" }]);
  });

  it("of a time in which nothing was noted the store says that it lacks some", async () => {
    await appendAll(1, 2);
    await head.release([identityOf(1)]);
    expect(await found(), "it was not a member yet").deep.equal([false, {}]);
    await head.release([identityOf(2)], noteOf("a"));
    expect(await found()).deep.equal([true, { a: "of a" }]);
    head = (await startHead(world)).head;
    await head.endNotes();
    await head.endNotes();
    expect(await found(), "it was no member for a while").deep.equal([false, {}]);
  });

  it("a store that nobody begins notes in writes nothing for them", async () => {
    const { batchCount } = world.disk;
    await head.endNotes();
    expect(world.disk.batchCount).equal(batchCount);
  });

  it("a store that lost something may have lost notes, and names those that are left", async () => {
    await head.beginNotes();
    await appendAll(1, 2);
    await head.release([identityOf(1)], noteOf("a"));
    await head.close();
    world.disk.tamper(Buffer.from("n/a"), (value) => value.map((byte, at) => (at === 5 ? byte ^ 1 : byte)));
    expect(await found()).deep.equal([false, {}]);
    await head.release([identityOf(2)], noteOf("b"));
    await head.close();
    world.disk.tamper(META_NOTES, (value) => value.map((byte, at) => (at === 4 ? byte ^ 1 : byte)));
    expect(await found()).deep.equal([false, { b: "of b" }]);
  });
});
