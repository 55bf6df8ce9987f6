import { expect } from "chai";
import type { Head } from "../head.ts";
import { recordKey } from "../entries/keys.ts";
import { makeRecord, memoryWorld, numberOf, startHead } from "../testing/fixtures.ts";
import type { MemoryWorld } from "../testing/fixtures.ts";

const PAGE_BYTES = 1 << 20;

/** Numbers of the records that are here, by cut. */
async function liveOf(head: Head, pageBytes = PAGE_BYTES): Promise<{ numbers: number[]; cutIds: (number | undefined)[]; unreadable: number[]; pageCount: number }> {
  const live = { numbers: [] as number[], cutIds: [] as (number | undefined)[], unreadable: [] as number[], pageCount: 0 };
  const untilSeq = head.nextSeq;
  for (let fromSeq: number | undefined = 0; fromSeq !== undefined; live.pageCount++) {
    fromSeq = await head.readLive({ fromSeq, untilSeq }, pageBytes, ({ records, unreadable }) => {
      live.numbers.push(...records.map(({ record }) => numberOf(record)));
      live.cutIds.push(...records.map(({ cutId }) => cutId));
      live.unreadable.push(...unreadable.map(({ seq }) => seq));
    });
  }
  return live;
}

describe("live records", () => {
  let world: MemoryWorld;
  beforeEach(() => (world = memoryWorld()));

  const append = async (head: Head, from: number, to: number): Promise<void> => {
    for (let number = from; number < to; number++) await head.append(makeRecord(number));
  };

  it("are read again page by page, each with the cut it belongs to now, and not when they are sealed", async () => {
    const { head } = await startHead(world);
    await append(head, 0, 3);
    const first = (await head.cut())!;
    await append(head, 3, 5);
    const second = (await head.cut())!;
    await append(head, 5, 7);
    expect(await liveOf(head)).deep.include({ numbers: [0, 1, 2, 3, 4, 5, 6], cutIds: [first.cutId, first.cutId, first.cutId, second.cutId, second.cutId, undefined, undefined] });
    const small = await liveOf(head, 1);
    expect(small.numbers).deep.equal([0, 1, 2, 3, 4, 5, 6]);
    expect(small.pageCount).above(3);
    await head.seal(first.cutId, []);
    expect(await liveOf(head)).deep.include({ numbers: [3, 4, 5, 6], cutIds: [second.cutId, second.cutId, undefined, undefined] });
    await head.close();
  });

  it("that are committed after the bound are not among them", async () => {
    const { head } = await startHead(world);
    await append(head, 0, 2);
    const untilSeq = head.nextSeq;
    await append(head, 2, 4);
    const numbers: number[] = [];
    await head.readLive({ fromSeq: 0, untilSeq }, PAGE_BYTES, ({ records }) => void numbers.push(...records.map(({ record }) => numberOf(record))));
    expect(numbers).deep.equal([0, 1]);
    await head.close();
  });

  it("a page sees no cut half made: one that is asked for while it is read comes after it", async () => {
    const { head } = await startHead(world);
    await append(head, 0, 2);
    const order: string[] = [];
    const reading = head.readLive({ fromSeq: 0, untilSeq: head.nextSeq }, PAGE_BYTES, ({ records }) => void order.push(`read ${String(records[0]!.cutId)}`));
    const cutting = head.cut().then(() => order.push("cut"));
    await Promise.all([reading, cutting]);
    expect(order).deep.equal(["read undefined", "cut"]);
    await head.close();
  });

  it("one that corrupted on disk is named, and is not handed out", async () => {
    const { head } = await startHead(world);
    await append(head, 0, 3);
    world.disk.tamper(recordKey(2), (value) => value.map((byte, at) => (at === value.length - 1 ? byte ^ 1 : byte)));
    expect(await liveOf(head)).deep.include({ numbers: [0, 2], unreadable: [2] });
    await head.close();
  });

  describe("one that is set aside", () => {
    it("is quarantined with its time, is no longer here, and no segment has to hold it", async () => {
      const { head } = await startHead(world);
      await Promise.all([0, 1, 2].map((number) => head.append(makeRecord(number))));
      const cut = (await head.cut())!;
      await head.setAside(2, "it is of no use");
      const { timeMs } = makeRecord(1);
      expect(head.quarantine()).to.have.lengthOf(1);
      expect(head.quarantine()[0]).to.include({ reason: "it is of no use", startMs: timeMs, endMs: timeMs });
      expect((await liveOf(head)).numbers).deep.equal([0, 2]);
      expect(head.cutIdentities(cut.cutId)).to.have.lengthOf(2);
      expect(head.stats.cutCount).equal(2);
      await head.close();
    });

    it("stays so over a start, which finds nothing more to say", async () => {
      const { head } = await startHead(world);
      await Promise.all([0, 1, 2].map((number) => head.append(makeRecord(number))));
      await head.setAside(2, "it is of no use");
      await head.close();
      const next = await startHead(world);
      expect(next.replayed.map(numberOf)).deep.equal([0, 2]);
      expect(next.head.quarantine()).to.have.lengthOf(1);
      await next.head.close();
    });

    it("may be the last of its commit, unreadable, or gone already", async () => {
      const { head } = await startHead(world);
      await append(head, 0, 2);
      world.disk.tamper(recordKey(1), () => new Uint8Array(2));
      await head.setAside(1, "unreadable");
      await head.setAside(1, "again");
      await head.setAside(77, "never there");
      expect(head.quarantine().map(({ reason }) => reason)).deep.equal(["unreadable"]);
      expect((await liveOf(head)).numbers).deep.equal([1]);
      await head.setAside(2, "the last");
      expect(await head.cut()).equal(undefined);
      await head.append(makeRecord(5));
      const cut = (await head.cut())!;
      await head.seal(cut.cutId, []);
      await head.close();
      const next = await startHead(world);
      expect(next.replayed).deep.equal([]);
      expect(next.head.quarantine()).to.have.lengthOf(2);
      await next.head.close();
    });

    it("changes nothing where the store refuses, and comes later where the store kept it", async () => {
      for (const verdict of ["before", "after"] as const) {
        const own = memoryWorld();
        const { head } = await startHead(own);
        await append(head, 0, 2);
        own.disk.onBatch = () => {
          own.disk.onBatch = undefined;
          if (verdict === "after") return "after";
          throw new Error("no");
        };
        const refusal = await head.setAside(1, "first").then(() => undefined, (error: unknown) => error);
        expect(refusal).to.include({ code: "HEAD_WRITE_FAILED" });
        own.clock.advance(1000);
        expect((await liveOf(head)).numbers, verdict).deep.equal(verdict === "after" ? [1] : [0, 1]);
        await head.setAside(1, "again");
        expect((await liveOf(head)).numbers).deep.equal([1]);
        await head.close();
      }
    });
  });
});
