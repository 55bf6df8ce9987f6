import { expect } from "chai";
import { seededRandom, systemClock, Turns } from "@pyromesh/base";
import { wrap } from "../entries/checksum-envelope.ts";
import { recordKey } from "../entries/keys.ts";
import { crc32c, isTableSound, salvageTable, writeTable } from "./level-table.ts";
import type { TableEntry } from "./level-table.ts";

describe("LevelDB's table files", () => {
  const random = seededRandom(5);
  const internal = (seq: number, sequence: number, kind: number): Buffer => {
    const trailer = Buffer.alloc(8);
    trailer.writeBigUInt64LE((BigInt(sequence) << 8n) | BigInt(kind));
    return Buffer.concat([recordKey(seq), trailer]);
  };
  const puts = Array.from({ length: 60 }, (_, i): TableEntry => ({ key: internal(i, i + 100, 1), value: Buffer.from(wrap(recordKey(i), random.bytes(i % 7 === 0 ? 5000 : 60))) }));
  const deletes = Array.from({ length: 30 }, (_, i): TableEntry => ({ key: internal(i + 60, i + 300, 0), value: Buffer.alloc(0) }));
  const turns = new Turns({ clock: systemClock });
  let table: Buffer;

  before(async () => {
    table = await writeTable([...puts, ...deletes], turns);
  });

  it("crc32c is Castagnoli's", () => {
    expect(crc32c(Buffer.from("123456789"))).equal(0xe3069283);
  });

  it("what was written is sound, and salvaging it gives the same bytes", async () => {
    expect(await isTableSound(table, turns)).equal(true);
    expect((await salvageTable(table, turns))?.equals(table)).equal(true);
  });

  it("a table cut short anywhere is not sound, and salvaging never throws", async () => {
    for (let length = 0; length < table.length; length += 7) {
      const short = Buffer.from(table.subarray(0, length));
      expect(await isTableSound(short, turns)).equal(false);
      const salvaged = await salvageTable(short, turns);
      if (salvaged !== undefined) expect(await isTableSound(salvaged, turns)).equal(true);
    }
  });

  it("with one flipped byte: what is salvaged is sound and lacks few entries", async () => {
    const countOf = (bytes: Buffer): number => puts.filter(({ value }) => bytes.includes(value)).length;
    for (let i = 0; i < 1500; i++) {
      const flipped = Buffer.from(table);
      const offset = Math.floor(random.float() * table.length);
      flipped[offset] = flipped[offset]! ^ (1 << Math.floor(random.float() * 8));
      if (await isTableSound(flipped, turns)) continue; // a sequence number of a put with a sound envelope, a metaindex byte: LevelDB does not abort over it
      const salvaged = await salvageTable(flipped, turns);
      expect(salvaged, `byte ${offset}`).not.equal(undefined);
      expect(await isTableSound(salvaged!, turns), `byte ${offset}`).equal(true);
      // At most the entries of one block, or of the run that shares a broken key prefix.
      expect(countOf(salvaged!), `byte ${offset}`).greaterThan(30);
    }
  });

  it("noise is not sound, and salvaging it never throws", async () => {
    for (let i = 0; i < 500; i++) {
      const noise = Buffer.from(random.bytes(Math.floor(random.float() * 300)));
      expect(await isTableSound(noise, turns)).equal(false);
      await salvageTable(noise, turns);
    }
  });
});
